"""α of teachers that were trained on mixed images: closed forms, and small networks of known α."""

from __future__ import annotations

import math
from functools import cache
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tosmooth.analysis.label_smoothing import SmoothingEstimate, judge
from tosmooth.analysis.mixed_answers import SHARES, ImageMixing, MixedAnswers
from tosmooth.analysis.mixing_rules import (
    USUAL,
    AskedAboutMixed,
    MixingEstimate,
    against_asking,
    decided_by,
    ways_left,
)
from tosmooth.analysis.smoothing_statistics import SmoothingStatistics
from tosmooth.audit.mixed import KINDS, add_answers, drawn_pairs

EVERY = [*USUAL, ImageMixing(0.5, 0.3, 0.5)]


def targets(first: Tensor, second: Tensor, share: float, alpha: float, classes: int) -> Tensor:
    """Smoothed targets of mixed images, (n, K)."""
    one, other = (F.one_hot(labels, classes).double() for labels in (first, second))
    return (share * one + (1 - share) * other) * (1 - alpha) + alpha / classes


@pytest.mark.parametrize("mixing", EVERY, ids=lambda mixing: mixing.words)
@pytest.mark.parametrize("alpha", [0.02, 0.1, 0.3])
def test_a_teacher_at_the_optimum_of_every_mixed_image_has_its_alpha(mixing: ImageMixing, alpha: float):
    classes, first = 12, torch.arange(60) % 12
    second = (first + 1 + torch.arange(60) // 12) % classes
    answers, whole = MixedAnswers(classes), SmoothingStatistics(classes)
    whole.update(targets(first, first, 1.0, alpha, classes).log(), first)
    for kind in KINDS:
        for share in SHARES:
            answers.update(kind, share, share, targets(first, second, share, alpha, classes).log() + 3, first, second)
    assert answers.pairs == 60
    assert answers.moment(mixing, whole) == pytest.approx(alpha, abs=1e-9)


class Trained(NamedTuple):
    """A network (N, 1, 4, 4) → (N, 10), the images it was trained on, and their labels."""

    network: nn.Module
    images: Tensor
    labels: Tensor


@cache
def trained(alpha: float, mixup: float = 0.0, cutmix: float = 0.0) -> Trained:
    """A small network of 1,000 images, trained to the end on mixed ones."""
    torch.manual_seed(0)
    labels = torch.arange(1000) % 10
    images = (1.2 * torch.randn(10, 16)[labels] + 0.7 * torch.randn(1000, 16)).view(-1, 1, 4, 4)
    network = nn.Sequential(nn.Flatten(), nn.Linear(16, 128), nn.ReLU(), nn.Linear(128, 10))
    steps, smooth = 2500, F.one_hot(labels, 10).float() * (1 - alpha) + alpha / 10
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9, nesterov=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, steps, pct_start=0.1, cycle_momentum=False)
    strengths = {kind: a for kind, a in zip(KINDS, (mixup, cutmix), strict=True) if a}
    for step in range(steps):
        batch, other = torch.randint(1000, (2, 128))
        inputs, wanted = images[batch], smooth[batch]
        if strengths:
            kind, a = list(strengths.items())[step % len(strengths)]
            share = float(torch.distributions.Beta(a, a).sample())
            inputs, share = KINDS[kind](inputs, images[other], share)
            wanted = share * wanted + (1 - share) * smooth[other]
        optimizer.zero_grad()
        F.cross_entropy(network(inputs), wanted).backward()
        optimizer.step()
        schedule.step()
    return Trained(network.requires_grad_(False), images, labels)


def statistics(teacher: Trained) -> SmoothingStatistics:
    found = SmoothingStatistics(10)
    found.update(teacher.network(teacher.images), teacher.labels)
    return found


def answers_of(teacher: Trained) -> MixedAnswers:
    found, pairs = MixedAnswers(10), drawn_pairs(teacher.labels)
    add_answers(found, teacher.network, *teacher.images[pairs.T], teacher.labels[pairs])
    return found


def judged(teacher: Trained, told: ImageMixing | None, *, training_data: bool | None = True) -> SmoothingEstimate:
    whole = statistics(teacher)
    asked = AskedAboutMixed.of(answers_of(teacher), whole, None if told is None else [told])
    assert asked is not None
    return judge(whole, training_data=training_data, rescaled=False, asked=asked)


@pytest.mark.parametrize(
    ("alpha", "mixup", "cutmix"), [(0.0, 1.0, 0.0), (0.1, 1.0, 0.0), (0.3, 1.0, 0.0), (0.1, 0.0, 1.0), (0.1, 0.2, 1.0)]
)
def test_who_knows_the_mixing_has_alpha(alpha: float, mixup: float, cutmix: float):
    teacher = trained(alpha, mixup, cutmix)
    found = judged(teacher, ImageMixing(mixup, cutmix))
    assert found.alpha == pytest.approx(alpha, abs=0.03)
    assert found.interval[0] <= alpha <= found.interval[1]
    assert found.interval[0] <= found.alpha <= found.interval[1]
    assert found.verdict == ("smoothed" if alpha else "not smoothed")
    assert "as was said" in found.reasons[0]


def test_whole_images_alone_make_a_teacher_of_mixed_ones_look_smoothed():
    whole = statistics(trained(0.0, 1.0))
    assert whole.moment().value > 0.03
    assert judge(whole, training_data=True, rescaled=False).verdict == "undecided"


def test_a_way_that_would_ask_for_an_alpha_below_0_is_ruled_out():
    """An unsmoothed teacher that saw no mixed image answers one of two, and is far from any optimum of mixed ones."""
    asked = AskedAboutMixed.of(answers_of(trained(0.0)), statistics(trained(0.0)))
    assert asked is not None
    possible = {estimate.mixing.words for estimate in asked.estimates if estimate.possible}
    assert "no mixing" in possible
    assert "cutmix 1" not in possible
    assert all(estimate.possible == (estimate.alpha > -0.05) for estimate in asked.estimates)
    wrong = judged(trained(0.0), ImageMixing(cutmix=1))
    assert wrong.verdict == "not smoothed"  # as whole images say
    assert wrong.reasons[0].startswith("it was not trained with cutmix 1, as was said")


def test_what_every_way_agrees_on_is_said_without_knowing_it():
    found = judged(trained(0.3, 1.0), None)
    assert found.verdict == "smoothed"
    assert found.mixed is not None
    assert found.mixed.span is not None
    low, high = found.mixed.span
    assert low < 0.31
    assert high > 0.29
    assert found.interval[0] <= 0.3 <= found.interval[1]


def test_answers_to_mixed_images_decide_nothing_on_other_data():
    """Off the training data an unsmoothed teacher looks soft, mixed or not."""
    for known in (None, False):
        alone = judge(statistics(trained(0.3, 1.0)), training_data=known, rescaled=False)
        assert judged(trained(0.3, 1.0), ImageMixing(mixup=1), training_data=known) == alone


def asked_of(*alphas: float, told: bool = False) -> AskedAboutMixed:
    ways = (MixingEstimate(way, alpha, alpha > -0.05) for way, alpha in zip(USUAL, alphas, strict=False))
    return AskedAboutMixed(tuple(ways), 300, told)


FITTED = {"samples": 500.0, "classes": 10.0, "accuracy": 1.0, "moment": 0.1, "binary_loss": 0.0}
FITTED |= {"log_probabilities": 0.0, "level": 0.0, "binary_median": 0.0, "binary_high": 0.0}


@pytest.mark.parametrize(
    ("alphas", "verdict", "interval"),
    [
        ((0.2, 0.065), "smoothed", (0.015, 0.23)),
        ((0.2, 0.064), "undecided", (0.014, 0.23)),
        ((0.0, 0.014), "not smoothed", (0.0, 0.044)),
        ((0.0, 0.015), "undecided", (0.0, 0.045)),
        ((0.2, -0.051), "smoothed", (0.15, 0.23)),  # the second way is ruled out
        ((0.2, -0.049), "undecided", (0.0, 0.23)),
        ((-0.1, -0.2), "undecided", (0.0, 1.0)),
    ],
)
def test_the_verdict_is_what_all_possible_ways_agree_on(
    alphas: tuple[float, ...], verdict: str, interval: tuple[float, float]
):
    found = decided_by(asked_of(*alphas), FITTED)
    assert found.verdict == verdict
    assert found.interval == pytest.approx(interval)


def test_a_low_level_bars_not_smoothed():
    """It may be a binary loss, whose targets would allow more."""
    found = decided_by(asked_of(0.0), FITTED | {"level": -0.3, "binary_median": 0.1})
    assert found.verdict == "undecided"
    assert "may be a binary loss" in found.reason


@pytest.mark.parametrize(
    ("changed", "known", "why"),
    [
        ({}, None, "was not said"),
        ({}, False, "not its training data"),
        ({"samples": 199.0}, True, "199 samples"),
        ({"classes": 9.0}, True, "9 classes"),
        ({"accuracy": 0.949}, True, "below 95%"),
        ({"binary_loss": 1.0}, True, "binary cross-entropy"),
        ({"log_probabilities": 1.0}, True, "binary cross-entropy"),
    ],
)
def test_what_is_against_asking(changed: dict[str, float], known: bool | None, why: str):
    (reason,) = against_asking(FITTED | changed, known)
    assert why in reason
    assert against_asking(FITTED, True) == []


def test_whole_images_and_what_was_said_may_contradict():
    """A plain teacher of α = 0.1, said to have been trained in a way whose estimate is 0."""
    whole = statistics(trained(0.1))
    alone = judge(whole, training_data=True, rescaled=False)
    assert alone.verdict == "smoothed"
    found = judge(whole, training_data=True, rescaled=False, asked=asked_of(0.0, told=True))
    assert found.verdict == "undecided"
    assert found.interval[0] == 0
    assert found.interval[1] >= alone.interval[1]
    assert any("does not go with what whole images say" in reason for reason in found.reasons)
    agreed = judge(whole, training_data=True, rescaled=False, asked=asked_of(0.05, told=True))
    assert (agreed.verdict, agreed.alpha) == ("smoothed", 0.05)
    assert agreed.interval == (0.05, alone.interval[1])
    two = judge(whole, training_data=True, rescaled=False, asked=asked_of(0.05, 0.02, told=True))
    assert (two.verdict, two.alpha, two.interval) == (alone.verdict, alone.alpha, alone.interval)
    none = judge(statistics(trained(0.0)), training_data=True, rescaled=False, asked=asked_of(0.06, told=True))
    assert none.verdict == "not smoothed"
    assert none.alpha < 0.015
    assert agreed.reasons[0].startswith("asked about images")  # though too low to decide by itself
    assert found.interval == (0.0, max(alone.interval[1], 0.03))
    untold = judge(whole, training_data=True, rescaled=False, asked=asked_of(0.0))
    assert (untold.verdict, untold.alpha) == (alone.verdict, alone.alpha)


def test_what_is_not_said_stays_open():
    assert ways_left(None, None) is None
    assert ways_left(0.0, 0.0) == (ImageMixing(),)
    assert {way.words for way in ways_left(0.4, None) or ()} == {"mixup 0.4", "mixup 0.4 and cutmix 1"}
    assert {way.words for way in ways_left(None, 0.0) or ()} == {"no mixing", "mixup 0.2", "mixup 1", "mixup 0.8"}


def test_shares_and_kinds_count_as_the_training_had_them():
    """Answers that differ by kind and share, against a mean over 400,000 draws."""
    classes, first = 5, torch.tensor([0, 1, 2, 3])
    second, whole, answers = (first + 1) % classes, SmoothingStatistics(5), MixedAnswers(5)
    whole.update(3 * F.one_hot(first, classes).double(), first)
    values: dict[str, list[tuple[float, float]]] = {kind: [] for kind in KINDS}
    for i, kind in enumerate(KINDS):
        for j, share in enumerate(SHARES):
            logits = (1 + i + 2 * j) * (F.one_hot(first, classes) + F.one_hot(second, classes) * 0.5).double()
            answers.update(kind, share, share, logits, first, second)
            asked = (share * logits.gather(1, first[:, None]) + (1 - share) * logits.gather(1, second[:, None]))[:, 0]
            gain = asked - (logits.softmax(1) * logits).sum(1)
            values[kind].append((float(gain.mean()), float((asked - logits.mean(1)).mean())))
    at_one = float(whole.column("gain").mean()), float(whole.column("scale").mean())
    generator = np.random.default_rng(0)
    for mixing in EVERY:
        used = {kind: a for kind, a in zip(KINDS, (mixing.mixup, mixing.cutmix), strict=True) if a}
        total = np.array(at_one) * (1 - (mixing.probability if used else 0))
        for kind, a in used.items():
            drawn = generator.beta(a, a, 400_000)
            nodes = np.array([*values[kind], at_one]).T
            means = [np.interp(np.maximum(drawn, 1 - drawn), [*SHARES, 1.0], row).mean() for row in nodes]
            total += mixing.probability * np.array(means) / len(used)
        assert answers.moment(mixing, whole) == pytest.approx(total[0] / total[1], abs=2e-3)


def test_interpolation_between_the_shares_is_near_the_mean_over_them():
    """Three shares against a thousand drawn from the Beta distribution, on a real network."""
    teacher, generator = trained(0.1, 1.0), torch.Generator().manual_seed(1)
    first, second = drawn_pairs(teacher.labels, 1000).T
    gain = scale = 0.0
    for _ in range(300):
        share = float(torch.rand((), generator=generator))  # Beta(1, 1)
        logits = teacher.network(share * teacher.images[first] + (1 - share) * teacher.images[second]).double()
        asked = (targets(teacher.labels[first], teacher.labels[second], share, 0.0, 10) * logits).sum(1)
        gain += float((asked - (logits.softmax(1) * logits).sum(1)).mean())
        scale += float((asked - logits.mean(1)).mean())
    found = answers_of(teacher).moment(ImageMixing(mixup=1), statistics(teacher))
    assert found == pytest.approx(gain / scale, abs=0.015)


def test_what_does_not_fit_is_refused():
    answers, logits = MixedAnswers(4), torch.zeros(2, 4)
    one, other = torch.tensor([0, 1]), torch.tensor([1, 2])
    with pytest.raises(ValueError, match="of different classes"):
        answers.update("blended", 0.5, 0.5, logits, one, one)
    with pytest.raises(ValueError, match=r"must be \(n, 4\) and \(n,\)"):
        answers.update("blended", 0.5, 0.5, logits[:, :3], one, other)
    with pytest.raises(ValueError, match="NaN or infinite"):
        answers.update("blended", 0.5, 0.5, logits / 0, one, other)
    with pytest.raises(ValueError, match="got 2 classes"):
        MixedAnswers(2)
    assert answers.pairs == 0


def test_a_teacher_whose_targets_do_not_stand_out_has_no_estimate():
    answers, first = MixedAnswers(3), torch.tensor([0, 1])
    for kind in KINDS:
        for share in SHARES:
            answers.update(kind, share, share, torch.zeros(2, 3), first, first + 1)
    whole = SmoothingStatistics(3)
    whole.update(torch.tensor([[-1.0, 0, 0], [0, -1, 0]]), first)
    assert math.isnan(answers.moment(ImageMixing(), whole))


def test_too_few_pairs_are_not_asked():
    whole, answers = statistics(trained(0.1)), answers_of(trained(0.1))
    assert AskedAboutMixed.of(answers, whole) is not None
    assert AskedAboutMixed.of(MixedAnswers(10), whole) is None
    alone = AskedAboutMixed.of(MixedAnswers(10), whole, [ImageMixing()])  # which whole images answer
    assert alone is not None
    assert alone.estimates[0].alpha == pytest.approx(whole.moment().value)
    few, labels = MixedAnswers(10), torch.arange(199) % 9
    for kind in KINDS:
        for share in SHARES:
            few.update(kind, share, share, torch.eye(10)[labels], labels, labels + 1)
    assert AskedAboutMixed.of(few, whole) is None
    for kind in KINDS:
        for share in SHARES:
            few.update(kind, share, share, torch.eye(10)[:1], labels[:1], labels[:1] + 1)
    assert AskedAboutMixed.of(few, whole) is not None
    no_scale = MixedAnswers(10)  # images that are answered as a third class have no estimate
    third, zero = 9 * torch.eye(10)[9].repeat(300, 1), torch.zeros(300, dtype=torch.int64)
    for kind in KINDS:
        for share in SHARES:
            no_scale.update(kind, share, share, third, zero, zero + 1)
    assert AskedAboutMixed.of(no_scale, whole) is None


def test_logits_that_were_rescaled_are_not_judged_by_mixed_images():
    teacher = trained(0.3, 1.0)
    asked = AskedAboutMixed.of(answers_of(teacher), statistics(teacher), [ImageMixing(1)])
    for rescaled in (None, True):
        alone = judge(statistics(teacher), training_data=True, rescaled=rescaled)
        assert judge(statistics(teacher), training_data=True, rescaled=rescaled, asked=asked) == alone

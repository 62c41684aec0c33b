"""α of teachers that were trained on mixed images: closed forms, and small networks of known α."""

from __future__ import annotations

import math
from functools import cache
from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tosmooth.analysis.label_smoothing import SmoothingEstimate, judge
from tosmooth.analysis.mixed_answers import SHARES, ImageMixing, MixedAnswers
from tosmooth.analysis.mixing_rules import USUAL, AskedAboutMixed
from tosmooth.analysis.smoothing_statistics import SmoothingStatistics
from tosmooth.audit.mixed import KINDS, drawn_pairs

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
    kinds = [kind for kind, a in zip(KINDS, (mixup, cutmix), strict=True) if a]
    for step in range(steps):
        batch, other = torch.randint(1000, (2, 128))
        inputs, wanted = images[batch], smooth[batch]
        if kinds:
            kind, a = kinds[step % len(kinds)], mixup or cutmix
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
    found, (first, second) = MixedAnswers(10), drawn_pairs(teacher.labels).T
    for kind, mix in KINDS.items():
        for wanted in SHARES:
            mixed, share = mix(teacher.images[first], teacher.images[second], wanted)
            found.update(kind, wanted, share, teacher.network(mixed), teacher.labels[first], teacher.labels[second])
    return found


def judged(teacher: Trained, told: ImageMixing | None, *, training_data: bool | None = True) -> SmoothingEstimate:
    whole = statistics(teacher)
    asked = AskedAboutMixed.of(answers_of(teacher), whole, told)
    return judge(whole, training_data=training_data, rescaled=False, asked=asked)


@pytest.mark.parametrize("alpha", [0.0, 0.1, 0.3])
def test_who_knows_the_mixing_has_alpha(alpha: float):
    """Whole images alone make a teacher of mixed ones look smoothed by 0.03 and more."""
    teacher = trained(alpha, mixup=1.0)
    found = judged(teacher, ImageMixing(mixup=1))
    assert found.alpha == pytest.approx(alpha, abs=0.03)
    assert found.interval[0] <= alpha <= found.interval[1]
    assert found.verdict == ("smoothed" if alpha else "not smoothed")
    assert "as was said" in found.reasons[0]
    if not alpha:
        assert statistics(teacher).moment().value > 0.03
        alone = judge(statistics(teacher), training_data=True, rescaled=False)
        assert alone.verdict == "undecided"


def test_a_way_that_would_ask_for_an_alpha_below_0_is_ruled_out():
    """An unsmoothed teacher that saw no mixed image answers one of two, and is far from any optimum of mixed ones."""
    asked = AskedAboutMixed.of(answers_of(trained(0.0)), statistics(trained(0.0)), None)
    possible = {estimate.mixing.words for estimate in asked.estimates if estimate.possible}
    assert "no mixing" in possible
    assert "cutmix 1" not in possible
    wrong = judged(trained(0.0), ImageMixing(cutmix=1))
    assert wrong.verdict == "undecided"
    assert wrong.reasons[0].startswith("it was not trained with cutmix 1, as was said")


def test_what_every_way_agrees_on_is_said_without_knowing_it():
    found = judged(trained(0.3, mixup=1.0), None)
    assert found.verdict == "smoothed"
    assert found.mixed is not None
    assert found.mixed.span is not None
    low, high = found.mixed.span
    assert low < 0.31
    assert high > 0.29
    assert found.interval[0] <= 0.3 <= found.interval[1]


def test_answers_to_mixed_images_decide_nothing_on_other_data():
    """Off the training data an unsmoothed teacher looks soft, mixed or not."""
    teacher = trained(0.3, mixup=1.0)
    alone = judge(statistics(teacher), training_data=None, rescaled=False)
    found = judged(teacher, ImageMixing(mixup=1), training_data=None)
    assert (found.verdict, found.interval) == (alone.verdict, alone.interval)
    assert found.mixed is not None


def test_interpolation_between_the_shares_is_near_the_mean_over_them():
    """Three shares against a thousand drawn from the Beta distribution, on a real network."""
    teacher, generator = trained(0.1, mixup=1.0), torch.Generator().manual_seed(1)
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

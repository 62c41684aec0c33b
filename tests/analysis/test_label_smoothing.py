from __future__ import annotations

import math
from functools import cache

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import tosmooth
from tosmooth.analysis.label_smoothing import judge
from tosmooth.analysis.smoothing_statistics import SmoothingStatistics, binary_from_margin, from_margin


def optimum(alpha: float, classes: int, samples: int = 2000, noise: float = 0.05) -> tuple[Tensor, Tensor]:
    """Logits at the optimum of the smoothed loss, with a little noise and an arbitrary level."""
    torch.manual_seed(classes)
    labels = torch.arange(samples) % classes
    margin = math.log((1 - alpha + alpha / classes) / (alpha / classes))
    logits = F.one_hot(labels, classes) * margin + noise * torch.randn(samples, classes) + 0.3 * torch.randn(samples, 1)
    return logits.double(), labels


def linear_optimum(alpha: float, classes: int, *, binary: bool = False) -> tuple[Tensor, Tensor]:
    """A linear model trained to the optimum of its smoothed loss, on data that it cannot separate."""
    torch.manual_seed(0)
    samples, width = 60 * classes, 8
    labels = torch.arange(samples) % classes
    features = (torch.randn(classes, width)[labels] + 0.7 * torch.randn(samples, width)).double()
    features = torch.cat([features, torch.ones(samples, 1).double()], dim=1)
    weight = torch.zeros(classes, width + 1, dtype=torch.float64, requires_grad=True)
    targets = F.one_hot(labels, classes).double() * (1 - alpha) + alpha / classes
    optimizer = torch.optim.LBFGS([weight], max_iter=500, tolerance_grad=1e-10, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        logits = features @ weight.T
        value = F.binary_cross_entropy_with_logits(logits, targets) if binary else F.cross_entropy(logits, targets)
        value.backward()
        return value

    optimizer.step(loss)
    return (features @ weight.T).detach(), labels


@cache
def trained(alpha: float, how: str = "plain", seed: int = 0) -> tuple[Tensor, Tensor]:
    """A small network trained on 1,000 points of 10 classes: its logits on them, and the labels it was trained with."""
    torch.manual_seed(seed)
    labels = torch.arange(1000) % 10
    points = 1.2 * torch.randn(10, 16)[labels] + 0.7 * torch.randn(1000, 16)
    network = nn.Sequential(nn.Linear(16, 128), nn.ReLU(), nn.Linear(128, 10))
    optimizer = torch.optim.AdamW(network.parameters(), lr=5e-3, weight_decay=0)
    steps = 12 if how == "short" else 600
    targets = F.one_hot(labels, 10).float() * (1 - alpha) + alpha / 10
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = 5e-3 * (1 - step / steps)
        inputs, wanted = points, targets
        if how == "mixup":
            other, share = torch.randperm(1000), float(torch.distributions.Beta(1.0, 1.0).sample())
            inputs, wanted = (
                share * points + (1 - share) * points[other],
                share * targets + (1 - share) * targets[other],
            )
        logits = network(inputs)
        loss = (
            F.binary_cross_entropy_with_logits(logits, wanted) if how == "binary" else F.cross_entropy(logits, wanted)
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return network(points).detach(), labels


@pytest.mark.parametrize("classes", [10, 100, 1000])
@pytest.mark.parametrize("alpha", [0.05, 0.1, 0.3])
def test_the_closed_form_is_found_again(alpha: float, classes: int):
    found = tosmooth.estimate_label_smoothing(*optimum(alpha, classes), training_data=True)
    assert found.alpha == pytest.approx(alpha, rel=0.05)
    assert found.verdict == "smoothed"
    assert found.interval[0] <= alpha <= found.interval[1]
    assert any("two estimates agree" in reason for reason in found.reasons)


@pytest.mark.parametrize("classes", [2, 3, 10, 50])
@pytest.mark.parametrize("alpha", [0.05, 0.1, 0.3])
def test_a_softmax_model_at_its_optimum_gives_alpha_back_whatever_its_accuracy(alpha: float, classes: int):
    logits, labels = linear_optimum(alpha, classes)
    found = tosmooth.estimate_label_smoothing(logits, labels, training_data=True)
    assert found.evidence["moment"] == pytest.approx(alpha, rel=0.05)
    assert found.interval[0] <= alpha <= found.interval[1]
    if found.evidence["accuracy"] < 0.95 or classes < 10:
        assert found.verdict == "undecided"


@pytest.mark.parametrize("alpha", [0.05, 0.1, pytest.param(0.3, marks=pytest.mark.slow)])
def test_a_binary_loss_has_its_own_estimate_and_no_verdict(alpha: float):
    found = tosmooth.estimate_label_smoothing(*linear_optimum(alpha, 10, binary=True), training_data=True)
    assert found.evidence["binary"] == pytest.approx(alpha, rel=0.05)
    network = tosmooth.estimate_label_smoothing(*trained(alpha, "binary"), training_data=True)
    assert network.evidence["binary_loss"] == 1
    assert network.alpha == pytest.approx(alpha, abs=0.03)
    assert network.verdict == "undecided"
    assert "binary cross-entropy" in " ".join(network.reasons)


@pytest.mark.parametrize("alpha", [0.1, pytest.param(0.2, marks=pytest.mark.slow)])
def test_a_smoothed_network_is_called_smoothed(alpha: float):
    found = tosmooth.estimate_label_smoothing(*trained(alpha), training_data=True)
    assert found.verdict == "smoothed"
    assert found.alpha == pytest.approx(alpha, abs=0.03)
    assert found.interval[0] <= alpha <= found.interval[1]


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2, 3))])
def test_an_unsmoothed_network_is_never_called_smoothed(seed: int):
    found = {
        how: tosmooth.estimate_label_smoothing(*trained(0, how, seed)) for how in ("plain", "mixup", "short", "binary")
    }
    assert found["plain"].verdict == "not smoothed"
    assert all(estimate.verdict != "smoothed" for estimate in found.values())
    assert all(estimate.interval[0] == 0 for estimate in found.values())
    assert found["mixup"].verdict == found["short"].verdict == "undecided"


@pytest.mark.parametrize("temperature", [0.1, 0.37, 0.5, 0.68])
@pytest.mark.parametrize("how", ["plain", "mixup"])
@pytest.mark.parametrize("alpha", [0.1, *(pytest.param(alpha, marks=pytest.mark.slow) for alpha in (0.05, 0.2))])
def test_a_smoothed_teacher_after_temperature_scaling_is_never_called_not_smoothed(
    alpha: float, how: str, temperature: float
):
    logits, labels = trained(alpha, how)
    found = tosmooth.estimate_label_smoothing(logits / temperature, labels, training_data=True)
    assert found.verdict != "not smoothed"
    if any("after temperature scaling" in reason for reason in found.reasons):
        assert found.interval == (0, 1)
    else:
        assert temperature > 0.1


def test_logits_that_are_known_to_be_the_networks_own_may_have_the_shape_of_smoothed_ones():
    logits, labels = optimum(0.1, 10)
    sharp = 5 * logits
    assert tosmooth.estimate_label_smoothing(sharp, labels).verdict == "undecided"
    assert tosmooth.estimate_label_smoothing(sharp, labels).interval == (0, 1)
    assert tosmooth.estimate_label_smoothing(sharp, labels, rescaled=False).verdict == "not smoothed"


def test_logits_that_are_known_to_be_rescaled_do_not_tell_how_much():
    logits, labels = optimum(0.1, 10)
    assert tosmooth.estimate_label_smoothing(logits, labels).verdict == "smoothed"
    found = tosmooth.estimate_label_smoothing(logits, labels, rescaled=True)
    assert (found.verdict, found.interval) == ("undecided", (0, 1))
    assert any("were rescaled after training" in reason for reason in found.reasons)
    unsmoothed, own = trained(0)
    assert tosmooth.estimate_label_smoothing(unsmoothed / 0.5, own, rescaled=True).verdict == "not smoothed"


@pytest.mark.parametrize(("alpha", "verdict"), [(0.0, "not smoothed"), (0.05, "undecided"), (0.1, "undecided")])
def test_sure_answers_tell_that_a_badly_fitted_teacher_was_not_smoothed(alpha: float, verdict: str):
    logits, labels = linear_optimum(alpha, 20)
    found = tosmooth.estimate_label_smoothing(logits, labels, rescaled=False)
    assert found.evidence["accuracy"] < 0.95
    assert found.verdict == verdict
    assert found.interval[0] <= alpha <= found.interval[1]
    if verdict == "not smoothed":
        assert any("would not have let it become so sure" in reason for reason in found.reasons)
    # Of logits that may have been rescaled nothing can be told so.
    assert tosmooth.estimate_label_smoothing(logits, labels).verdict == "undecided"


def test_a_binary_loss_is_not_taken_for_no_smoothing_by_its_sure_answers():
    for alpha in (0.05, 0.1):
        found = tosmooth.estimate_label_smoothing(*trained(alpha, "binary"), rescaled=False)
        assert found.verdict == "undecided"


@pytest.mark.parametrize("temperature", [0.37, 0.9])
def test_an_unsmoothed_teacher_keeps_its_verdict_at_another_scale(temperature: float):
    logits, labels = trained(0)
    assert tosmooth.estimate_label_smoothing(logits / temperature, labels).verdict == "not smoothed"


def test_what_is_said_of_the_data_weakens_the_verdict_only():
    logits, labels = optimum(0.1, 10)
    unknown = tosmooth.estimate_label_smoothing(logits, labels)
    assert unknown.verdict == "smoothed"
    assert "this was not said" in unknown.reasons[-1]
    unseen = tosmooth.estimate_label_smoothing(logits, labels, training_data=False)
    assert unseen.verdict == "undecided"
    assert "not the teacher's training data" in unseen.reasons[0]
    assert unseen.interval[0] == 0


def test_label_noise_leaves_the_moment_estimate_right_for_the_noisy_labels_and_no_verdict():
    logits, labels = optimum(0.1, 10)
    torch.manual_seed(1)
    noisy = torch.where(torch.rand(len(labels)) < 0.1, torch.randint(10, (len(labels),)), labels)
    assert tosmooth.estimate_label_smoothing(logits, noisy).verdict == "undecided"


def test_log_probabilities_give_no_not_smoothed_where_a_binary_loss_could_hide():
    torch.manual_seed(0)
    labels = torch.arange(1000) % 10
    logits = (F.one_hot(labels, 10) * 9.0 + 1.5 * torch.randn(1000, 10)).double()
    assert tosmooth.estimate_label_smoothing(logits, labels).verdict == "not smoothed"
    normalised = tosmooth.estimate_label_smoothing(logits.log_softmax(1), labels)
    assert normalised.verdict == "undecided"
    assert "log-probabilities" in " ".join(normalised.reasons)
    far = tosmooth.estimate_label_smoothing((logits * 2).log_softmax(1), labels)
    assert far.verdict == "not smoothed"  # even the binary loss would have stopped earlier


def test_few_classes_and_few_samples_are_undecided():
    few_classes = tosmooth.estimate_label_smoothing(*optimum(0.1, 9))
    assert few_classes.verdict == "undecided"
    assert "9 classes" in few_classes.reasons[0]
    few_samples = tosmooth.estimate_label_smoothing(*optimum(0.1, 10, samples=100))
    assert few_samples.verdict == "undecided"
    assert any("100 samples" in reason for reason in few_samples.reasons)


def test_binary_training_on_two_classes_is_not_taken_for_none():
    labels = torch.arange(1000) % 2
    side = math.log(0.95 / 0.05)  # the optimum of a smoothed binary loss, α = 0.1
    logits = torch.where(F.one_hot(labels, 2) > 0, side, -side).double()
    assert tosmooth.estimate_label_smoothing(logits, labels).verdict == "undecided"


def test_a_teacher_that_knows_nothing_is_undecided():
    torch.manual_seed(0)
    found = tosmooth.estimate_label_smoothing(
        torch.randn(500, 10) - F.one_hot(torch.arange(500) % 10, 10) * 9.0, torch.arange(500) % 10
    )
    assert found.verdict == "undecided"
    assert math.isnan(found.alpha)
    assert found.interval == (0.0, 1.0)


@pytest.mark.parametrize(
    ("logits", "labels", "message"),
    [
        (torch.randn(4), torch.zeros(4).long(), r"must be \(N, K\)"),
        (torch.randn(4, 3), torch.zeros(3).long(), r"\(4, 3\)"),
        (torch.randn(4, 3), torch.tensor([0, 1, 2, 3]), r"\[0, 3\); found 0 to 3"),
        (torch.randn(4, 3), torch.tensor([0, -100, 2, 2]), "found -100"),
        (torch.randn(4, 3), torch.zeros(4), "integers"),
        (torch.full((4, 3), float("nan")), torch.zeros(4).long(), "NaN"),
        (torch.full((4, 3), -float("inf")), torch.zeros(4).long(), "infinite"),
        (torch.randn(0, 3), torch.zeros(0).long(), "no samples"),
        (torch.randn(4, 1), torch.zeros(4).long(), "at least 2 classes"),
        (torch.randn(4, 3).softmax(1), torch.zeros(4).long(), "probabilities"),
    ],
)
def test_what_cannot_be_judged_is_refused(logits: Tensor, labels: Tensor, message: str):
    with pytest.raises(ValueError, match=message):
        tosmooth.estimate_label_smoothing(logits, labels)


def test_batches_give_the_same_as_the_whole():
    logits, labels = trained(0.1)
    statistics = SmoothingStatistics(10)
    for part, own in zip(logits.split(77), labels.split(77), strict=True):
        statistics.update(part, own)
    assert judge(statistics) == tosmooth.estimate_label_smoothing(logits, labels)


def test_margins_and_alpha_turn_into_one_another():
    for classes in (2, 10, 1000):
        for alpha in (0.01, 0.1, 0.5):
            share = alpha / classes
            assert from_margin(math.log((1 - alpha + share) / share), classes) == pytest.approx(alpha)
            at = math.log((1 - alpha + share) / (alpha - share)) - math.log(share / (1 - share))
            assert binary_from_margin(at, classes) == pytest.approx(alpha, rel=1e-6)
    assert from_margin(1e6, 10) < 1e-300
    assert binary_from_margin(1e3, 10) < 1e-100

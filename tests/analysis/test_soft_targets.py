from __future__ import annotations

import math

import pytest
import torch

from tosmooth.analysis import parts
from tosmooth.analysis.soft_targets import SoftTargets


def test_a_table_by_hand():
    logits = torch.tensor([[math.log(8.0), math.log(1.0), math.log(1.0)], [0.0, 0.0, 0.0]])
    targets = SoftTargets(3, [1, 1e6])
    targets.update(logits, torch.tensor([0, 1]))
    similar = torch.tensor([[False, True, False], [True, False, False], [False, False, False]])
    first, last = targets.compute(similar)
    assert first.target_mass == pytest.approx((0.8 + 1 / 3) / 2)
    entropy = -(0.8 * math.log(0.8) + 0.2 * math.log(0.1))
    assert first.entropy == pytest.approx((entropy + math.log(3)) / 2)
    assert first.similar_share == pytest.approx(0.5)
    assert last.entropy == pytest.approx(math.log(3), abs=1e-5)
    assert last.target_mass == pytest.approx(1 / 3, abs=1e-5)


@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
def test_in_float32_they_are_within_a_millionth_of_float64(kind: torch.dtype, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(parts.AT_ONCE, "cpu", 60 * 9)  # several parts
    temperatures, generator = [0.5, 1, 4, 64], torch.Generator().manual_seed(0)
    labels = torch.randint(0, 9, (500,), generator=generator)
    logits = 3 * torch.randn(500, 9, generator=generator, dtype=kind) + 1000 * torch.rand(500, 1, generator=generator)
    logits[torch.arange(500), labels] += torch.linspace(-20, 100, 500, dtype=kind)  # from lost to surer than float32
    similar = torch.rand(9, 9, generator=generator) < 0.4
    similar[3] = False  # a class without any
    fast = SoftTargets(9, temperatures)
    fast.update(logits, labels)
    values, own = logits.double(), torch.nn.functional.one_hot(labels, 9).bool()
    for found, temperature in zip(fast.compute(similar), temperatures, strict=True):
        logs = (values / temperature).log_softmax(1)
        shares = (values.masked_fill(own, -math.inf) / temperature).softmax(1)
        of_some = similar[labels].any(1)
        assert found.entropy == pytest.approx(float(-(logs.exp() * logs).sum(1).mean()), abs=1e-6)
        assert found.target_mass == pytest.approx(float(logs.exp()[own].mean()), abs=1e-6)
        assert found.similar_share == pytest.approx(float((shares * similar[labels])[of_some].sum(1).mean()), abs=1e-6)


def test_the_share_is_of_the_rest_even_where_the_target_takes_all():
    targets = SoftTargets(3, [1])
    targets.update(torch.tensor([[200.0, 3.0, 0.0]]), torch.tensor([0]))
    (row,) = targets.compute(torch.tensor([[False, True, False]] * 3))
    assert row.similar_share == pytest.approx(1 / (1 + math.exp(-3)))


def test_batches_add_up_and_without_similar_classes_there_is_no_share():
    torch.manual_seed(0)
    logits, labels = torch.randn(50, 4), torch.arange(50) % 4
    whole, parts = SoftTargets(4, [1, 2]), SoftTargets(4, [1, 2])
    whole.update(logits, labels)
    for rows in (slice(0, 20), slice(20, 50), slice(50, 50)):
        parts.update(logits[rows], labels[rows])
    for one, other in zip(whole.compute(), parts.compute(), strict=True):
        assert (one.entropy, one.target_mass) == pytest.approx((other.entropy, other.target_mass))
        assert math.isnan(one.similar_share)


def test_what_cannot_be_is_refused():
    for temperatures in ([], [0], [-1.0], [math.inf], [math.nan]):
        with pytest.raises(ValueError, match="temperatures"):
            SoftTargets(3, temperatures)
    with pytest.raises(ValueError, match="no samples"):
        SoftTargets(3, [1]).compute()

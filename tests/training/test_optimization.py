from __future__ import annotations

import itertools

import pytest

from tosmooth.config import ScheduleConfig
from tosmooth.training.optimization import learning_rate


def rates(schedule: ScheduleConfig, epochs: int, steps_per_epoch: int = 10) -> list[float]:
    return [
        learning_rate(step, peak=0.1, steps_per_epoch=steps_per_epoch, epochs=epochs, schedule=schedule)
        for step in range(epochs * steps_per_epoch)
    ]


def test_step_schedule_of_the_paper_divides_by_ten_every_thirty_epochs():
    found = rates(ScheduleConfig(name="step", step_epochs=30, gamma=0.1), epochs=90)
    assert found[0] == pytest.approx(0.1)
    assert found[299] == pytest.approx(0.1)
    assert found[300] == pytest.approx(0.01)
    assert found[899] == pytest.approx(0.001)


def test_warmup_rises_linearly_to_the_peak():
    found = rates(ScheduleConfig(name="step", warmup_epochs=5, step_epochs=80), epochs=200)
    assert found[0] == pytest.approx(0.1 / 50)
    assert found[24] == pytest.approx(0.05)
    assert found[49] == found[50] == pytest.approx(0.1)
    assert found[800] == pytest.approx(0.01)


def test_cosine_starts_at_the_peak_is_half_in_the_middle_and_falls_to_zero():
    found = rates(ScheduleConfig(name="cosine"), epochs=10)
    assert found[0] == pytest.approx(0.1)
    assert found[50] == pytest.approx(0.05)
    assert 0 < found[-1] < 1e-4
    assert all(a > b for a, b in itertools.pairwise(found))

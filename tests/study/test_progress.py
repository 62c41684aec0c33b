"""What a person watches while models train: figures that are right, in a line that fits."""

from __future__ import annotations

import io
import re
from collections.abc import Callable

import pytest
from rich.console import Console

from tosmooth.study import progress as module
from tosmooth.study.progress import StudyProgress


class Terminal(io.StringIO):
    """Where lines are drawn over again."""

    def isatty(self) -> bool:
        return True


class Clock:
    """Seconds that pass when a test says so."""

    now = 100.0

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def pass_time(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)

    def wait(seconds: float) -> None:
        clock.now += seconds

    return wait


def lines_of(printed: io.StringIO) -> list[str]:
    return [line.strip() for line in printed.getvalue().splitlines()]


def test_rates_count_the_first_batch_and_no_validation(pass_time: Callable[[float], None]):
    """100 images a second, whatever else takes time: reading before the first batch is training, judging is not."""
    printed = io.StringIO()
    shown = StudyProgress(Console(file=printed, width=80))
    shown.expect(800)
    shown.stage("training", epochs=2)
    for epoch in range(2):
        for _ in range(2):
            pass_time(2)
            shown.batch(epoch, 200)
            assert "100 images/s" in shown._detail()
        pass_time(10)
        shown.validated(50.0 + epoch, " %")
    shown.end_stage()
    assert lines_of(printed) == [
        "training",
        "epoch 1/2 · val 50.0 % · 100 images/s · 0:16 left",
        "epoch 2/2 · val 51.0 % · 100 images/s · 0:00 left",
    ]


def test_of_a_group_the_worst_and_the_best(pass_time: Callable[[float], None]):
    printed = io.StringIO()
    shown = StudyProgress(Console(file=printed, width=80))
    shown.stage("training", epochs=2, models=3)
    for value in (0.0, 10.0):
        pass_time(1)
        shown.batch(int(value > 0), 30)
        for more in (3.0, 1.0, 2.0):
            pass_time(1)
            shown.validated(value + more, " %")
    shown.end_stage()
    assert [re.findall(r"val (\S+ %)", line) for line in lines_of(printed)] == [[], ["1.0–3.0 %"], ["11.0–13.0 %"]]


@pytest.mark.parametrize("width", [80, 100, 109, 110, 200])
def test_a_line_fits_the_terminal_with_the_longest_of_everything(width: int, pass_time: Callable[[float], None]):
    console = Console(file=Terminal(), width=width, force_terminal=True, legacy_windows=False, color_system=None)
    shown = StudyProgress(console)
    shown.samples = "tokens"
    shown.expect(1e9)
    shown.stage("12 students, seed 2 (3 of 3), at every learning rate", epochs=125, models=12)
    shown.validated(81.2, " %")
    shown.validated(84.7, " %")
    pass_time(1000)
    shown.batch(124, 14_000_000)
    (line,) = console.render_lines(shown._bar.get_renderable(), pad=False)
    text = "".join(segment.text for segment in line)
    assert len(text.rstrip()) <= width
    models = ", 12 models" if width >= 110 else " "
    for part in ("12 st", "epoch 125/125", "val 81.2–84.7 %", f"14,000 tokens/s{models}", "19:33:49 left"):
        assert part in text, text

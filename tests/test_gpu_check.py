"""`make gpu-check` on a CPU: its parts hold here, what needs a card is skipped, and no part ends the others."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from benchmarks import common
from benchmarks.gpu_check import __main__ as gpu_check
from benchmarks.gpu_check import launches, speed, steps
from benchmarks.gpu_check.finding import Findings, Skipped, float32
from tests.training.tape import Tape

NEED_A_CARD = ("card against CPU", "waits", "recorded steps", "out of memory")
LEFT_OUT = ("stop and resume", *(f"benchmark {name}" for name in speed.RUNS))  # of the short form


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(common, "RESULTS", tmp_path)
    return tmp_path / "gpu_check.json"


@pytest.fixture
def as_before() -> Iterator[None]:
    """The switch that a part leaves set, as it has a process of its own."""
    yield
    if torch.are_deterministic_algorithms_enabled():
        torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("name", [name for name in gpu_check.PARTS if name not in {"speed", *NEED_A_CARD, *LEFT_OUT}])
def test_a_part_holds_on_a_cpu(as_before: None, name: str) -> None:
    found = gpu_check.look(name, True)
    assert found["state"] == "ok", found
    assert found["rows"]


@pytest.mark.slow
def test_speed_has_a_row_for_each_student(as_before: None) -> None:
    found = gpu_check.look("speed", True)
    assert [row[0] for row in found["rows"]] == [
        f"{name}: ms a step" for name in ("ResNet-8", "ResNet-18 at 224", "small Transformer")
    ]


@pytest.mark.skipif(torch.cuda.is_available(), reason="here is a card")
@pytest.mark.parametrize("name", [*NEED_A_CARD, *LEFT_OUT])
def test_what_is_left_out_says_why(as_before: None, name: str) -> None:
    found = gpu_check.look(name, True)
    assert found["state"] == "skipped"
    assert ("needs a CUDA card" if name in NEED_A_CARD else "left out of the short form") in found["said"]


@pytest.mark.slow
def test_a_step_on_the_card_is_compared_for_every_objective(as_before: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the CPU in the card's place: no difference at all."""
    monkeypatch.setattr(steps, "on_card", float32)
    found = steps.against_cpu(True)
    assert [row[1] for row in found.rows] == [0.0] * 13  # 4 objectives of images, 1, and 4 of sentences in two ways


def test_recorded_steps_are_compared_with_those_that_are_not(as_before: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a stand-in on the CPU in the card's place."""
    tape = Tape()
    monkeypatch.setattr(launches, "on_card", lambda **asked: dataclasses.replace(float32(), graphs=tape))
    found = launches.recorded(True)
    assert [kept for *_, kept in found.rows] == [True] * 6
    assert tape.recorded == 2 * 3 + 1


def test_the_table_is_written_after_each_part_and_a_failed_one_is_told(results: Path) -> None:
    written: list[int] = []

    def look_at(name: str, left: float) -> gpu_check.Found:
        written.append(len(json.loads(results.read_text())["rows"]) if results.exists() else 0)
        rows = [] if name == "bad" else [("x", 1.0, "≤ 2", True)]
        return {
            "state": "failed" if name == "bad" else "ok",
            "said": "it broke" * (name == "bad"),
            "rows": rows,
            "facts": {},
        }

    assert not gpu_check.check(["one", "bad", "two"], look_at)
    assert written == [0, 1, 2]
    rows = json.loads(results.read_text())["rows"]
    assert [row[0] for row in rows] == ["one", "bad", "two"]
    assert rows[1][1:] == ["failed: it broke", None, None, "NO"]
    assert gpu_check.check(["one"], look_at, seconds=0)
    assert json.loads(results.read_text())["rows"] == [["one", "skipped: no time was left", None, None, None]]


def test_a_benchmark_that_takes_too_long_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    card = dataclasses.replace(float32(), device=torch.device("cuda"))
    monkeypatch.setattr(speed, "compute_of", lambda: card)
    monkeypatch.setattr(speed, "SECONDS", 0)
    monkeypatch.setattr(speed, "installed", lambda package: None if package == "torchdistill" else "1")
    for name in speed.RUNS:
        with pytest.raises(Skipped, match=r"\[bench\]" if "grid" in name else "not done after 0 s"):
            speed.benchmark(name, short=False)


def fails(short: bool) -> Findings:
    raise ValueError("of the card")


def breaks_a_bound(short: bool) -> Findings:
    found = Findings()
    found.hold("apart", float("nan"), most=1.0)
    return found


@pytest.mark.parametrize(("part", "said"), [(fails, "ValueError: of the card"), (breaks_a_bound, "")])
def test_an_error_and_a_broken_bound_are_failures(
    monkeypatch: pytest.MonkeyPatch, part: Callable[[bool], Findings], said: str
) -> None:
    monkeypatch.setitem(gpu_check.PARTS, "waits", part)
    found = gpu_check.look("waits", True)
    assert (found["state"], found["said"]) == ("failed", said)


@pytest.mark.slow
def test_a_part_has_a_process_of_its_own_which_may_take_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    assert gpu_check.look_apart("waits", True, 200)["said"] in {"needs a CUDA card", ""}
    assert "not done after 0 s" in gpu_check.look_apart("waits", True, 0.1)["said"]

"""A renderer that crashes, for real: it costs one figure and a note, and the report is there."""

from __future__ import annotations

import dataclasses
import os
import select
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tosmooth.errors import DrawingError
from tosmooth.folder.verify import verify
from tosmooth.report import build
from tosmooth.report.figures.rendering import _PROCESS, svg
from tosmooth.report.reading import StudyFiles, read_study

SPEC = {"mark": "bar", "data": {"values": [{"a": 1}]}, "encoding": {"x": {"field": "a", "type": "quantitative"}}}
CRASH = {**SPEC, "title": "a\0b"}  # the renderer aborts its process


def test_after_a_crash_the_next_drawing_is_the_same() -> None:
    before = svg(SPEC)
    with pytest.raises(DrawingError, match=r"the process that draws was ended by signal 6: Failed to parse text SVG"):
        svg(CRASH)
    assert svg(SPEC) == before


def test_a_killed_renderer_is_started_again() -> None:
    svg(SPEC)
    assert _PROCESS._process is not None
    os.kill(_PROCESS._process.pid, signal.SIGKILL)
    _PROCESS._process.wait()
    assert "<svg" in svg(SPEC)


def test_what_the_renderer_refuses_is_its_sentence() -> None:
    with pytest.raises(DrawingError, match="Failed to parse"):
        svg({"data": {"values": ["\ud800"]}})


def test_one_that_does_not_answer_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tosmooth.report.figures.drawing_process.LONGEST", 0.0)
    with pytest.raises(DrawingError, match="did not answer in 0 s"):
        svg(SPEC)


def test_after_an_interrupt_nobody_is_given_the_answer_of_another_call() -> None:
    expected = svg(SPEC)  # the process is there
    assert _PROCESS._process is not None
    stream = _PROCESS._process.stdout

    class Interrupted:
        def readline(self) -> bytes:
            assert stream is not None
            select.select([stream], [], [])  # the answer is on its way
            raise KeyboardInterrupt

        def __getattr__(self, name: str) -> Any:
            return getattr(stream, name)

    _PROCESS._process.stdout = Interrupted()  # type: ignore[assignment]
    with pytest.raises(KeyboardInterrupt):
        svg({**SPEC, "mark": "point"})
    assert svg(SPEC) == expected


def test_no_fork_talks_to_the_process_of_its_parent() -> None:
    svg(SPEC)
    number = _PROCESS._process and _PROCESS._process.pid
    if child := os.fork():
        assert os.waitpid(child, 0)[1] == 0
        assert _PROCESS._process is not None
        assert _PROCESS._process.pid == number
        assert "<svg" in svg(SPEC)
    else:
        svg(SPEC)
        other = _PROCESS._process is not None and _PROCESS._process.pid != number
        _PROCESS.close()
        os._exit(0 if other else 1)


def test_a_crash_costs_one_figure_and_a_note(
    effect_study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(path: Path) -> StudyFiles:  # no file can say it: what is read is made harmless
        files = read_study(path)
        return dataclasses.replace(files, classes=files.classes.replace({"class_name": {"Coat": "Co\0at"}}))

    monkeypatch.setattr(build, "read_study", read)
    study = shutil.copytree(effect_study, tmp_path / "s")
    notes: list[str] = []
    page = build.build_report(study, notes.append).read_text(encoding="utf-8")
    (said,) = notes
    assert said.startswith("figures/classes.pdf, figures/classes.png could not be drawn (the process that draws was")
    assert said.endswith("all else of the report is there.")
    assert "figures/classes.pdf, figures/classes.png could not be drawn" in page
    before, after = ({file.name for file in (folder / "figures").iterdir()} for folder in (effect_study, study))
    assert before - after == {"classes.pdf", "classes.png"}  # not the ones of the report before
    assert [found.file for found in verify(study) if found.file.startswith("figures/") and not found.holds] == []
    assert page.count('<img class="static"') == len(list((study / "figures").glob("*.png")))


@pytest.mark.slow  # every figure finds the engine without memory, and starts it again
@pytest.mark.skipif(sys.platform != "linux", reason="limits of address space are Linux'")
def test_a_renderer_without_memory_leaves_the_report(effect_study: Path, tmp_path: Path) -> None:
    study = shutil.copytree(effect_study, tmp_path / "s")
    run = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_AS, (4 << 30,) * 2)\n"
        "from pathlib import Path; from tosmooth.report.build import build_report\n"
        "build_report(Path(sys.argv[1]), print)"
    )
    done = subprocess.run([sys.executable, "-c", run, str(study)], capture_output=True, text=True, check=True)
    (said,) = done.stdout.splitlines()
    assert "accuracy.png" in said
    assert "out of memory" in said
    assert not list((study / "figures").iterdir())
    assert "The static figure could not be drawn" in (study / "report.html").read_text(encoding="utf-8")

"""Links out of a study are not written through, and nobody waits for a pipe."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fake_study.folder import Variant, write_study
from tosmooth.audit.logits_files import holds_logits, read_logits
from tosmooth.data import cub200
from tosmooth.data.files import decoded, is_turned, stated_size
from tosmooth.data.idx import read_idx
from tosmooth.data.teacher_outputs import _read as read_outputs
from tosmooth.data.translation.lines import read_lines
from tosmooth.distill.classes import _read as read_class_map
from tosmooth.errors import StudyError, TosmoothError
from tosmooth.folder.claim import check_usable
from tosmooth.folder.paths import TRACKING, StudyDirectory
from tosmooth.folder.results import load_study
from tosmooth.folder.strange import refuse_strange
from tosmooth.folder.verify import verify
from tosmooth.models.checkpoint import read_checkpoint
from tosmooth.report.build import build_report
from tosmooth.study.single import project_study

pytestmark = [pytest.mark.skipif(os.name == "nt", reason="pipes and links"), pytest.mark.timeout(60)]
COMMANDS: dict[str, Callable[[Path], object]] = {
    "study": lambda path: check_usable(StudyDirectory(path), 0),
    "project": lambda path: project_study(path, None, "algorithm1"),
    "report": build_report,
}


@pytest.fixture
def study(tmp_path: Path) -> Path:
    return write_study(tmp_path / "runs" / "s", Variant(seeds=1, temperatures=(1, 64), students=True))


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("place", ["analysis", "students", "students/new", "tracking", "state/lock", "report.html"])
def test_nothing_is_written_through_a_link(study: Path, tmp_path: Path, place: str, command: str) -> None:
    outside, link = tmp_path / "outside", study / place
    if link.is_dir():
        shutil.move(link, outside)
    elif "." in place or place == "state/lock":
        outside.write_text("mine", encoding="utf-8")
    else:
        outside.mkdir()
    link.parent.mkdir(exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(outside)
    before = {path: path.lstat().st_mtime_ns for path in tmp_path.rglob("*")}
    with pytest.raises(StudyError, match=rf"{place} is a link to .*outside, outside the study; delete it"):
        COMMANDS[command](study)
    assert {path: path.lstat().st_mtime_ns for path in tmp_path.rglob("*")} == before
    load_study(study)  # it may be read


def test_a_link_within_the_study_or_to_it_is_none_of_these(study: Path, tmp_path: Path) -> None:
    (study / "old").symlink_to("students")
    (tmp_path / "latest").symlink_to(study)
    check_usable(StudyDirectory(tmp_path / "latest"), 0)


def test_the_link_to_a_study_that_is_gone_is_refused(tmp_path: Path) -> None:
    (tmp_path / "s").symlink_to(tmp_path / "gone")
    with pytest.raises(StudyError, match="is a link that leads nowhere"):
        check_usable(StudyDirectory(tmp_path / "s"), 0)


def test_a_link_that_a_tracker_has_left_behind_stops_nobody(study: Path) -> None:
    (study / TRACKING / "wandb").mkdir(parents=True)
    (study / TRACKING / "wandb" / "latest-run").symlink_to("run-1-cleared-away")
    refuse_strange(study, written=True)
    (study / "notes").symlink_to("gone")
    with pytest.raises(StudyError, match="notes is a link that leads nowhere"):
        refuse_strange(study, written=True)


@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_a_pipe_in_the_place_of_any_file_is_refused(study: Path, kind: str) -> None:
    for file in {path.name: path for path in study.rglob("*") if path.is_file()}.values():  # one of each kind
        content = file.read_bytes()
        file.unlink()
        os.mkfifo(file) if kind == "pipe" else file.symlink_to("/dev/zero")
        for open_it in (load_study, build_report, COMMANDS["study"]):
            with pytest.raises(StudyError, match=r"a pipe.* or a device, no file; delete it|is not a study"):
                open_it(study)
        if file.name != "study.yaml":
            (found,) = [one for one in verify(study) if study / one.file == file]
            assert found.state == "damaged"
        file.unlink()
        file.write_bytes(content)


READERS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "weights": ("w.safetensors", read_checkpoint),
    "logits": ("l.npz", read_logits),
    "outputs": ("o.npz", lambda path: read_outputs(path, ("a", "b"))),
    "sentences": ("train.de", read_lines),
    "packed sentences": ("train.de.gz", read_lines),
    "idx": ("train-images-idx3-ubyte", read_idx),
    "an image": ("a.png", lambda path: decoded(path, "a.png")),
    "a class map": ("map.yaml", read_class_map),
    "a list of images": ("images.txt", cub200._read_pairs),
}


@pytest.mark.parametrize("name", READERS)
def test_nobody_waits_for_a_pipe(name: str, tmp_path: Path) -> None:
    file, read = READERS[name]
    os.mkfifo(tmp_path / file)
    with pytest.raises(TosmoothError, match=r"pipe or a device|no such file"):
        read(tmp_path / file)


def test_what_only_asks_a_pipe_gets_no_answer(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "l.safetensors")
    assert not holds_logits(tmp_path / "l.safetensors")
    os.mkfifo(tmp_path / "a.png")
    assert stated_size(tmp_path / "a.png") is None
    assert not is_turned(tmp_path / "a.png")

"""Files that a disk has spoilt: a damaged checkpoint falls back to the one before; a damaged result is named."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.conftest import Whole
from tests.faults.studies import (
    SMALL,
    assert_same,
    content,
    ended,
    finish,
    kill_after,
    log_of,
    start,
    wait_for,
    wait_for_checkpoints,
)


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def flip_a_bit(file: Path) -> None:
    damaged = bytearray(file.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    file.write_bytes(damaged)


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small study, killed when its first students had two checkpoints."""
    root = tmp_path_factory.mktemp("interrupted")
    with ended(start(SMALL, root)) as process:
        wait_for_checkpoints(process, root, count=2)
        kill_after(process, 0)
    assert len(checkpoints(root)) >= 2
    return root


def checkpoints(root: Path) -> list[Path]:
    """Of the students, oldest first."""
    found = root.glob("small/state/checkpoints/5-models-*/epoch-*/manifest.json")
    return sorted(path.parent for path in found)


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("0002.safetensors", truncate),
        pytest.param("0001.safetensors", flip_a_bit, marks=pytest.mark.faults),
        pytest.param("0000.safetensors", Path.unlink, marks=pytest.mark.faults),
        pytest.param("manifest.json", flip_a_bit, marks=pytest.mark.faults),
        pytest.param("manifest.json", truncate, marks=pytest.mark.faults),
    ],
)
def test_a_damaged_checkpoint_falls_back_to_the_one_before(
    whole: Whole, interrupted: Path, tmp_path: Path, name: str, damage: Callable[[Path], None]
):
    root = Path(shutil.copytree(interrupted, tmp_path / "root"))
    before, newest = checkpoints(root)[-2:]
    damage(newest / name)
    finish(SMALL, root)
    log = log_of(root)
    assert f"{newest.name} is damaged" in log.replace("\n", "")
    assert "going on from the one before" in log
    assert before.name != newest.name
    assert_same(whole.content, content(root / "small"))


@pytest.mark.faults
def test_with_all_checkpoints_damaged_a_group_begins_again(whole: Whole, interrupted: Path, tmp_path: Path):
    root = Path(shutil.copytree(interrupted, tmp_path / "root"))
    for path in checkpoints(root):
        truncate(path / "0000.safetensors")
    finish(SMALL, root)
    assert_same(whole.content, content(root / "small"))


@pytest.mark.faults
def test_a_damaged_result_is_named_with_its_remedy(whole: Whole, interrupted: Path, tmp_path: Path):
    root = Path(shutil.copytree(interrupted, tmp_path / "root"))
    teacher = root / "small" / "teachers" / "a0.1-s0"
    truncate(teacher / "result.json")
    with ended(start(SMALL, root)) as process:
        process.join(60)
        assert process.exitcode == 1
    assert "result.json is damaged; delete " in log_of(root)
    assert "Traceback" not in log_of(root)
    shutil.rmtree(teacher)
    finish(SMALL, root)
    assert_same(whole.content, content(root / "small"))


@pytest.mark.faults
def test_a_student_in_training_whose_folder_is_deleted_begins_again(whole: Whole, tmp_path: Path):
    with ended(start(SMALL, tmp_path)) as process:
        wait_for(process, tmp_path / "small" / "state" / "checkpoints", "5-models-*/epoch-00001-*/manifest.json")
        kill_after(process, 0)
    shutil.rmtree(sorted((tmp_path / "small" / "students").iterdir())[1])
    finish(SMALL, tmp_path)
    assert_same(whole.content, content(tmp_path / "small"))

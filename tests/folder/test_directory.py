from __future__ import annotations

import json
from pathlib import Path

import pytest

from tosmooth.errors import StudyError
from tosmooth.folder.directory import StudyDirectory, write_json
from tosmooth.recipes.reading import load_config


def test_a_claimed_folder_is_found_again_by_the_same_study_only(tmp_path: Path, tiny_raw):
    directory = StudyDirectory(tmp_path / "tiny")
    assert directory.claim(load_config(tiny_raw), "data") is None
    assert directory.claim(load_config(tiny_raw), "data") is None
    before = directory.config.read_bytes()
    with pytest.raises(StudyError, match=r"holds another study: it differs in student\.epochs"):
        directory.claim(load_config(tiny_raw, ["student.epochs=9"]), "data")
    assert directory.config.read_bytes() == before


def test_other_peoples_folders_are_refused(tmp_path: Path, tiny_raw):
    (tmp_path / "photo.jpg").write_text("mine", encoding="utf-8")
    with pytest.raises(StudyError, match=r"no study\.yaml"):
        StudyDirectory(tmp_path).check_usable(0)
    assert [path.name for path in tmp_path.iterdir()] == ["photo.jpg"]
    with pytest.raises(StudyError, match="is a file"):
        StudyDirectory(tmp_path / "photo.jpg").check_usable(0)


def test_a_full_disk_is_noticed_before_anything_is_written(tmp_path: Path, tiny_raw):
    with pytest.raises(StudyError, match="MB free"):
        StudyDirectory(tmp_path / "tiny").check_usable(10**18)
    assert not (tmp_path / "tiny").exists()


def test_json_holds_no_nan(tmp_path: Path):
    path = tmp_path / "deep" / "file.json"
    write_json(path, {"α": float("nan"), "list": [1.5]})
    assert json.loads(path.read_text(encoding="utf-8")) == {"α": None, "list": [1.5]}
    with pytest.raises(TypeError):
        write_json(path, {"bad": object()})
    assert json.loads(path.read_text(encoding="utf-8"))["list"] == [1.5]

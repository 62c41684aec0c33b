from __future__ import annotations

from pathlib import Path

import pytest

from tosmooth.errors import StudyError
from tosmooth.folder.claim import check_usable, claim
from tosmooth.folder.paths import StudyDirectory
from tosmooth.recipes.reading import load_config


def test_a_claimed_folder_is_found_again_by_the_same_study_only(tmp_path: Path, tiny_raw):
    directory = StudyDirectory(tmp_path / "tiny")
    assert claim(directory, load_config(tiny_raw), "data") is None
    assert claim(directory, load_config(tiny_raw), "data") is None
    before = directory.config.read_bytes()
    with pytest.raises(StudyError, match=r"holds another study: it differs in student\.epochs"):
        claim(directory, load_config(tiny_raw, ["student.epochs=9"]), "data")
    assert directory.config.read_bytes() == before


def test_other_peoples_folders_are_refused(tmp_path: Path, tiny_raw):
    (tmp_path / "photo.jpg").write_text("mine", encoding="utf-8")
    with pytest.raises(StudyError, match=r"no study\.yaml"):
        check_usable(StudyDirectory(tmp_path), 0)
    assert [path.name for path in tmp_path.iterdir()] == ["photo.jpg"]
    with pytest.raises(StudyError, match="is a file"):
        check_usable(StudyDirectory(tmp_path / "photo.jpg"), 0)


def test_a_full_disk_is_noticed_before_anything_is_written(tmp_path: Path, tiny_raw):
    with pytest.raises(StudyError, match="MB free"):
        check_usable(StudyDirectory(tmp_path / "tiny"), 10**18)
    assert not (tmp_path / "tiny").exists()

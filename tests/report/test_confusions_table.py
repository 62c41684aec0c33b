from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.fake_study.folder import CLASSES, Variant, write_study
from tosmooth.errors import StudyError
from tosmooth.folder.judged import forget_judged, keep_judged
from tosmooth.report.confusions_table import confusions_table
from tosmooth.report.reading import StudyFiles, read_study


def test_the_largest_pairs_of_the_student_to_keep(effect_files: StudyFiles) -> None:
    table = confusions_table(effect_files)
    assert table is not None
    rows = table.data.to_dict("records")
    assert [(row["class_name"], row["taken_for"], row["count"]) for row in rows] == [
        (CLASSES[0], CLASSES[2], 30), (CLASSES[2], CLASSES[0], 20), (CLASSES[4], CLASSES[2], 10),
    ]  # fmt: skip
    assert [column.title for column in table.columns] == ["class", "taken for", "images", "share, %"]
    assert list(table.columns[3].texts) == ["30.0", "20.0", "10.1"]  # one of 100 coats could not be read
    assert "hinton-a0.1-T1-resnet8-s2" in table.caption  # the best of six by validation
    assert "test split: the 3 largest pairs" in table.caption
    assert "60 wrong answers on 499 images" in table.caption


def _kept(tmp_path: Path) -> tuple[Path, Path]:
    study = write_study(tmp_path / "s", Variant(seeds=1, temperatures=(1, 64), students=True))
    return study, study / "students" / "hinton-a0.1-T1-resnet8-s0"


def test_before_the_test_split_is_read_it_is_of_validation(tmp_path: Path) -> None:
    study, student = _kept(tmp_path)
    answers = torch.tensor([[1, 0, 7, -1], [0, 0, 0, 4]], dtype=torch.int32)  # an output beyond the classes, too
    keep_judged(student, "val", torch.tensor([0, 1, 0, -1], dtype=torch.int8), answers)
    forget_judged(student, "test")
    table = confusions_table(read_study(study))
    assert table is not None
    assert "validation split: the 1 largest pair of" in table.caption
    assert [(row["class_name"], row["taken_for"]) for row in table.data.to_dict("records")] == [CLASSES[:2]]


def test_without_answers_or_without_errors_there_is_none(tmp_path: Path, effect_files: StudyFiles) -> None:
    study, student = _kept(tmp_path)
    right = torch.tensor([[1, 0], [1, 0]], dtype=torch.int32)
    keep_judged(student, "test", torch.ones(2, dtype=torch.int8), right)
    assert confusions_table(read_study(study)) is None
    (student / "judged.safetensors").unlink()
    assert confusions_table(read_study(study)) is None
    assert confusions_table(replace(effect_files, advice={})) is None
    assert confusions_table(replace(effect_files, similarity={})) is None


def test_a_name_that_leads_out_of_the_study_is_not_followed(tmp_path: Path) -> None:
    files = read_study(_kept(tmp_path)[0])
    names = files.cells["cell"].map(lambda name: f"../students/{name}")
    assert confusions_table(replace(files, cells=files.cells.assign(cell=names))) is None


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    study, student = _kept(tmp_path)
    (student / "judged.safetensors").write_bytes(b"no tensors")
    with pytest.raises(StudyError, match=r"judged\.safetensors"):
        confusions_table(read_study(study))

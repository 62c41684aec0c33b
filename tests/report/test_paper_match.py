"""The paper's table beside the user's own: which one, known by what, and what is said to differ."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.fake_study.folder import Variant, write_study
from tests.report.pages import page_of
from tosmooth.report.paper_match import architecture, matching, what_differs
from tosmooth.report.reading import StudyFiles, read_study
from tosmooth.report.results_tables import published_tables

CUB = {"source": "cub200", "image_size": 224, "validation": 0}
RESNET50 = {"model": {"name": "torchvision:resnet50.IMAGENET1K_V1"}, "epochs": 90}
OF_CUB = {"data": CUB, "teacher": RESNET50, "student": {"model": "torchvision:mobilenet_v2", "epochs": 200}}
SYNSETS = [f"n{number:08d}" for number in range(1000)]


def of_student(files: StudyFiles, name: str, **config: Any) -> StudyFiles:
    return replace(files, config=files.config | config, cells=files.cells.assign(student=name))


def test_bird_studies_match_by_data_and_models(effect_files: StudyFiles) -> None:
    for student, title in (
        ("torchvision:resnet18", "ResNet-18"),
        ("torchvision:mobilenet_v2.IMAGENET1K_V1", "MobileNetV2"),
        ("timm:mobilenetv2_100", "MobileNetV2"),
        ("timm:resnet50.tv_in1k", "ResNet-50"),
    ):
        found = matching(of_student(effect_files, student, **OF_CUB), ("hinton", student))
        assert found is not None
        assert found.title == f"CUB-200-2011, ResNet-50 → {title}"


def test_others_do_not(effect_files: StudyFiles) -> None:
    files = of_student(effect_files, "torchvision:resnet18", **OF_CUB)
    assert matching(files, ("dkd", "torchvision:resnet18")) is None
    assert matching(files, ("hinton", "torchvision:convnext_tiny")) is None
    assert matching(files, ("hinton", "resnet50")) is None, "the CIFAR-style network of that name is another one"
    other = of_student(files, "torchvision:resnet18", teacher={"model": "torchvision:resnet101"})
    assert matching(other, ("hinton", "torchvision:resnet18")) is None
    renamed = replace(effect_files, config=effect_files.config | {"name": "cub200-resnet50-resnet18"})
    assert matching(renamed, ("hinton", "resnet8")) is None, "a name proves nothing"


@pytest.mark.parametrize(
    ("classes", "known"), [(SYNSETS, True), (SYNSETS[:999], False), ([*SYNSETS[:999], "cat"], False), ([], False)]
)
def test_imagenet_is_known_by_its_thousand_synsets(effect_files: StudyFiles, classes: list[str], known: bool) -> None:
    files = of_student(effect_files, "torchvision:resnet18", data={"source": "folder"}, teacher=RESNET50)
    files = replace(files, similarity={"classes": classes})
    assert (matching(files, ("hinton", "torchvision:resnet18")) is not None) == known


def test_the_users_figures_less_the_papers(effect_files: StudyFiles) -> None:
    files = of_student(effect_files, "torchvision:mobilenet_v2", **OF_CUB)
    first, *others = published_tables(files)
    texts = {column.title: list(column.texts) for column in first.columns}
    assert "MobileNetV2" in first.caption
    assert texts[""] == ["teacher", "T = 1", "T = 2", "T = 3", "T = 64"]
    # Own: teacher 90.0, students 87.1, 87.3, 87.0, 86.7. The paper: 81.584 and 81.144, 81.895, 81.257, 75.441.
    assert texts["yours less it, α = 0"] == ["+8.4", "+6.0", "+5.4", "+5.7", "+11.3"]
    assert len(others) == 4
    assert not any("yours" in column.title for table in others for column in table.columns)


def test_temperatures_and_smoothings_that_the_user_has_not(effect_files: StudyFiles) -> None:
    files = of_student(effect_files, "torchvision:mobilenet_v2", **OF_CUB)
    few = files.cells[(files.cells.temperature <= 2) & (files.cells.label_smoothing == 0)]
    table = published_tables(replace(files, cells=few, teachers=files.teachers.head(0)))[0]
    texts = {column.title: list(column.texts) for column in table.columns}
    assert texts["yours less it, α = 0"] == ["–", "+6.0", "+5.4", "–", "–"]
    assert texts["yours less it, α = 0.1"] == ["–"] * 5


def test_what_differs_is_said(effect_files: StudyFiles) -> None:
    files = of_student(effect_files, "torchvision:mobilenet_v2", **OF_CUB)
    files = replace(files, cells=files.cells.assign(selection="last"))
    table = matching(files, ("hinton", "torchvision:mobilenet_v2"))
    assert table is not None
    said = " ".join(what_differs(files, table))
    assert "keeps the best epoch on the images that it reports, this study the last epoch" in said
    assert "one run a cell, whose spread is not known; this study has 6 seeds" in said
    assert "epochs" not in said
    short = {"student": {"epochs": 3}, "preview": True, "data": CUB | {"image_size": 32, "limit_train": 50}}
    said = " ".join(what_differs(replace(files, config=files.config | short), table))
    for part in ("preview", "trained for 200 epochs, yours for 3", "224 pixels a side, yours 32", "part of the images"):
        assert part in said
    as_theirs = replace(files, cells=files.cells.assign(selection="best_on_test"))
    assert "which flatters both" in " ".join(what_differs(as_theirs, table))


def test_the_page_has_it_beside_the_users_own(tmp_path: Path) -> None:
    folder = write_study(tmp_path / "s", Variant(config=OF_CUB))
    results = folder / "results.csv"
    results.write_text(results.read_text(encoding="utf-8").replace("resnet8,", "torchvision:mobilenet_v2,"), "utf-8")
    page = page_of(folder)
    assert "The paper, same data set and models" in page
    beside = page.index("<h4>Your study</h4>")
    assert beside < page.index("ResNet-50 → MobileNetV2: top-1") < page.index("The paper’s other image tables")
    assert "What differs between the two" in page
    assert read_study(folder).name in page


def test_without_a_match_it_says_so(effect_study: Path) -> None:
    page = (effect_study / "report.html").read_text(encoding="utf-8")
    assert "The paper, other data and models than yours" in page
    assert "What differs between the two" not in page


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("torchvision:resnet50.IMAGENET1K_V1", "resnet50"),
        ("timm:resnet18.a1_in1k", "resnet18"),
        ("transformer_small", "transformer"),
        ("hf:microsoft/resnet-50", "hf:microsoft/resnet-50"),
        ("", "own "),
    ],
)
def test_architectures(name: str, known: str) -> None:
    assert architecture(name) == known

"""`tosmooth recipes run` and `recipes list`, as a person calls them."""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path

import pytest

from tests.data.image_files import write_cub, write_folder, write_image, write_imagenet
from tosmooth.cli import _run, app
from tosmooth.recipes import recipe_names


def tosmooth(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["tosmooth", *map(str, arguments)])
    return _run(app)


def refusal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert tosmooth(monkeypatch, "recipes", "run", *arguments) == 2
    return " ".join(capsys.readouterr().err.split())


def test_the_list_fits_a_screen(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert tosmooth(monkeypatch, "recipes", "list") == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    text = "\n".join(lines)
    assert all(name in text for name in recipe_names())
    assert "paper 71.7 %" in text
    assert "paper 25.1 BLEU" in text
    assert "2×3×4 = 24" in text
    assert tosmooth(monkeypatch, "recipes", "list", "--json") == 0
    rows = json.loads(capsys.readouterr().out)
    assert rows["imagenet-resnet50-resnet18"]["paper"] == 71.666
    assert rows["fashion-mnist"] | {"about": ""} == {
        "about": "", "data": "Fashion-MNIST sample", "grid": [2, 3, 4], "students": 24, "paper": None,
        "time": "12 minutes",
    }  # fmt: skip


def test_a_recipe_that_needs_data_says_what_it_expects(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    text = refusal(monkeypatch, capsys, "cub200-resnet50-resnet18")
    assert "needs the folder of your data: CUB-200-2011 as it is distributed" in text
    text = refusal(monkeypatch, capsys, "cifar100", "--data", tmp_path, f"data.path={tmp_path}")
    assert "--data: is data.path; give one of the two" in text
    text = refusal(monkeypatch, capsys, "fashion-mnist", "--data", tmp_path)
    assert "brings its own data" in text
    text = refusal(monkeypatch, capsys, "imagenet-resnet50-resnet81", "--data", tmp_path)
    assert "did you mean 'imagenet-resnet50-resnet18'" in text
    text = refusal(monkeypatch, capsys, "cifar100", "--data", tmp_path / "nowhere", "student.epochs=0")
    assert "2 mistakes" in text


def one_heap(root: Path) -> None:
    """As ImageNet's validation images come."""
    write_image(write_folder(root, splits={"train": 2}) / "val" / "ILSVRC2012_val_00000001.png")


def test_the_folder_above_or_its_parts_apart_is_what_was_meant(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    write_cub(tmp_path / "cub")
    below = next(tmp_path.rglob("images.txt")).parent / "images"
    text = refusal(monkeypatch, capsys, "cub200-resnet50-resnet18", "--data", below)
    assert f"Did you mean --data {below.parent}?" in text
    write_imagenet(tmp_path / "imagenet")
    text = refusal(monkeypatch, capsys, "imagenet-resnet50-resnet18", "--data", tmp_path / "imagenet" / "train")
    assert f"Did you mean --data {tmp_path / 'imagenet'}?" in text


@pytest.mark.parametrize(
    ("recipe", "write", "words"),
    [
        ("imagenet-resnet50-resnet18", lambda root: None, "has no train/; expected train/<class>/<image>"),
        ("imagenet-resnet50-resnet18", lambda root: None, "there: nothing"),
        (
            "imagenet-resnet50-resnet18",
            lambda root: write_imagenet(root / "Data" / "CLS-LOC"),
            "has no train/; expected train/<class>/<image> and val/<class>/<image>",
        ),
        ("imagenet-resnet50-resnet18", lambda root: write_imagenet(root / "CLS-LOC"), "/CLS-LOC?"),
        ("imagenet-resnet50-resnet18", lambda root: write_folder(root, splits={"train": 2}), "has no val/"),
        ("imagenet-resnet50-resnet18", lambda root: write_folder(root, splits={"val": 2}), "there: val/"),
        # What lies in train/ is no data set, although class folders alone are one to the source.
        ("imagenet-resnet50-resnet18", lambda root: write_folder(root, splits={"": 9}), "has no train/"),
        ("imagenet-resnet50-resnet18", one_heap, "has no val/<class>/: its images have to be sorted into class"),
        ("cub200-resnet50-resnet18", write_folder, "has no images.txt; expected images.txt, classes.txt"),
        ("cub200-resnet50-resnet18", lambda root: (write_cub(root) / "classes.txt").unlink(), "has no classes.txt"),
        ("cifar100", write_folder, "has no cifar-100-python/train; expected cifar-100-python/ with train"),
        ("iwslt14-en-ru", write_folder, "has no train.en; expected train.en, train.ru, test.en"),
    ],
)
def test_a_wrong_folder_is_refused_with_what_is_expected_and_what_is_there(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, recipe, write, words
) -> None:
    write(tmp_path)
    assert words in refusal(monkeypatch, capsys, recipe, "--data", tmp_path)


def test_a_file_in_place_of_the_folder(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = write_image(tmp_path / "train.png")
    assert "is no folder; expected one with train/" in refusal(
        monkeypatch, capsys, "imagenet-resnet50-resnet18", "--data", path
    )


def test_a_dry_run_of_a_recipe_writes_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    data = write_imagenet(tmp_path / "data")
    models = ["teacher.model=resnet8", "student.model=resnet8", "teacher.batch_size=8", "student.batch_size=8"]
    small = ["data.image_size=32", "data.workers=0", "compute.device=cpu", "compute.eval_batch_size=8", *models]
    arguments = ["imagenet-resnet50-resnet18", "--data", data, *small, "--dry-run"]
    with contextlib.chdir(tmp_path):
        assert tosmooth(monkeypatch, "recipes", "run", *arguments, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert [path.name for path in tmp_path.iterdir()] == ["data"]
    teachers, students, evaluation = found["times"]
    # 12 images, 8 a step.
    assert (teachers["models"], teachers["epochs"], teachers["steps"]) == (2, 90, 2 * 90 * 2)
    assert (students["models"], students["epochs"], students["steps"]) == (9, 200, 2 * 200 * 9)  # a control
    assert evaluation["passes"] == 2 * 3 + 9 * 2  # training and test, and of teachers one for the older views
    assert found["problems"] == []
    assert found["seconds"]["low"] <= found["seconds"]["high"]


def test_a_cluster_is_not_measured(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert tosmooth(monkeypatch, "study", "--dry-run", "--engine", "ray") == 2
    assert "--dry-run: measures this machine alone" in " ".join(capsys.readouterr().err.split())

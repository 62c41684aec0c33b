"""`tosmooth distill --unlabelled`: photographs that nobody has sorted beside those that somebody has."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from rich.console import Console

from tests.distill.conftest import SMALL, STUDENT, TEACHER
from tosmooth.data.registry import load_image_data
from tosmooth.distill.call import Call
from tosmooth.distill.run import distill
from tosmooth.distill.start import starting_config
from tosmooth.distill.summary import print_distilled
from tosmooth.errors import ConfigError, DataError
from tosmooth.recipes.reading import load_config
from tosmooth.study.progress import StudyProgress


@pytest.fixture(scope="module")
def more(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """JPEGs of the same kinds and of others, unsorted, one of them damaged."""
    data = load_image_data("fashion_mnist_sample", validation=0)
    root = tmp_path_factory.mktemp("unlabelled") / "more"
    for number in range(40):
        path = root / f"day {number % 3}" / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(data.test[number][0].numpy()).convert("RGB").save(path)
    (root / "day 0" / "cut.jpg").write_bytes((root / "day 0" / "0.jpg").read_bytes()[:200])
    (root / "notes.txt").write_text("none", encoding="utf-8")
    return root


def test_a_student_of_both_says_how_many_of_each(images, teachers, more, tmp_path) -> None:
    told = Console(record=True, width=100)
    call = Call(
        str(teachers[0.0]), STUDENT, data=str(images), teacher_model=TEACHER, temperatures=(2.0,), unlabelled=more,
        overrides=[*SMALL, "data.on_error=skip"],
    )  # fmt: skip
    result = distill(call, tmp_path, StudyProgress(Console(quiet=True)))
    labelled = result["distilled_on"]["labelled"]
    assert result["distilled_on"] == {"labelled": labelled, "unlabelled": 41}
    assert f"distilled on {labelled} labelled and 41 unlabelled images (more/)" in " ".join(result["notes"])
    assert "images without labels: 1 file not read: 1 .txt" in " ".join(result["notes"])
    assert any("1 image could not be read" in text for text in result["warnings"])
    assert "cut.jpg" in (Path(result["study"]) / "unreadable.csv").read_text(encoding="utf-8")
    print_distilled(result, told)
    assert f"Distilled on {labelled} labelled and 41 unlabelled images" in told.export_text()
    card = (Path(result["export"]["folder"]) / "README.md").read_text(encoding="utf-8")
    assert f"| Distilled on | {labelled} labelled and 41 unlabelled images |" in card
    config = load_config(str(Path(result["study"]) / "study.yaml"))
    assert config.data.unlabelled == more
    exported = load_config(str(Path(result["export"]["folder"]) / "study.yaml"), [f"data.path={images}"])
    assert exported.data.unlabelled is None  # no path of this machine
    assert result["following"] is not None  # the whole study of this folder has them, too


def test_a_wrong_folder_is_told_before_any_work(images, teachers, tmp_path) -> None:
    call = Call(str(teachers[0.0]), STUDENT, data=str(images), teacher_model=TEACHER, overrides=SMALL)
    with pytest.raises(ConfigError, match=r"--unlabelled: .*none is no folder"):
        starting_config(Call(**{**vars(call), "unlabelled": tmp_path / "none"}))
    with pytest.raises(DataError, match="is one of the training images"):
        distill(Call(**{**vars(call), "unlabelled": images / "Bag"}), tmp_path, StudyProgress(Console(quiet=True)))

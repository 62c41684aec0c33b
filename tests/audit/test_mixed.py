"""Pairs of images, mixed; and a teacher that is asked about them by the command."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
import torch
from rich.console import Console

from tests.data.image_files import write_folder
from tosmooth.audit.call import audit_teacher
from tosmooth.audit.mixed import blended, drawn_pairs, pasted
from tosmooth.audit.page import write_audit
from tosmooth.audit.summary import print_audit
from tosmooth.data.base import NO_LABEL
from tosmooth.errors import ConfigError
from tosmooth.models.build import build_image_model
from tosmooth.models.weights import save_weights


def test_pairs_are_of_different_classes_and_the_same_again():
    labels = torch.arange(500) % 7
    labels[::9] = NO_LABEL
    pairs = drawn_pairs(labels)
    assert torch.equal(pairs, drawn_pairs(labels))
    first, second = labels[pairs[:, 0]], labels[pairs[:, 1]]
    assert bool((first != second).all())
    assert bool((first >= 0).all() and (second >= 0).all())
    assert len(pairs) == 300
    assert len(drawn_pairs(torch.zeros(50, dtype=torch.int64))) == 0


@pytest.mark.parametrize("wanted", [0.5, 0.7, 0.9])
@pytest.mark.parametrize("size", [(8, 8), (28, 20)])
def test_a_box_of_the_second_image_lies_in_the_first(wanted: float, size: tuple[int, int]):
    mixed, share = pasted(torch.zeros(40, 3, *size), torch.ones(40, 3, *size), wanted)
    assert share == pytest.approx(wanted, abs=0.13)
    assert mixed.mean(dim=(1, 2, 3)).tolist() == pytest.approx([1 - share] * 40)  # whole boxes, all of one size
    rows, columns = mixed[:, 0].amax(2).sum(1), mixed[:, 0].amax(1).sum(1)
    assert torch.equal(rows * columns, mixed[:, 0].sum(dim=(1, 2)))  # and rectangles
    assert len(mixed.unique(dim=0)) > 5  # at places of their own


def test_blending_is_pixel_by_pixel():
    mixed, share = blended(torch.zeros(2, 1, 4, 4), torch.ones(2, 1, 4, 4), 0.7)
    assert share == 0.7
    assert torch.allclose(mixed, torch.full((2, 1, 4, 4), 0.3))


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A teacher that nobody trained, and a folder of images of three classes, one of which cannot be read."""
    folder = tmp_path_factory.mktemp("asked")
    images = write_folder(folder / "images", classes=("ant", "bee", "cat"), splits={"train": 8, "val": 2})
    next((images / "train" / "bee").iterdir()).write_bytes(b"not an image")
    save_weights(build_image_model("resnet8", 3, seed=0), folder / "teacher.safetensors")
    return str(folder / "teacher.safetensors"), str(images)


MODEL = ["teacher.model=resnet8", "data.image_size=32", "data.on_error=skip"]


def test_an_open_verdict_has_alpha_by_how_images_were_mixed(asked: tuple[str, str], tmp_path: Path):
    weights, images = asked
    audit = audit_teacher(weights, "own-images", MODEL, data=images)
    assert audit.smoothing.verdict == "undecided"
    assert audit.smoothing.mixed is not None
    assert 0 < audit.smoothing.mixed.pairs <= 23  # those whose images can be read
    out = Console(file=io.StringIO(), width=300)
    print_audit(audit, [], out)
    assert "α by how its training mixed images: no mixing" in out.file.getvalue()  # type: ignore[attr-defined]
    saved, page = write_audit(audit, tmp_path)
    ways = json.loads(saved.read_text(encoding="utf-8"))["smoothing"]["mixed"]["estimates"]
    assert ways[4]["mixing"] == {"mixup": 0.2, "cutmix": 1, "probability": 1}
    text = page.read_text(encoding="utf-8")
    assert "mixup 0.2 and cutmix 1" in text
    assert ", as was said" not in text


def test_who_knows_how_they_were_mixed_says_so(asked: tuple[str, str], tmp_path: Path):
    weights, images = asked
    audit = audit_teacher(weights, "own-images", MODEL, data=images, mixup=0.2)
    assert audit.smoothing.mixed is not None
    assert [one.mixing.words for one in audit.smoothing.mixed.estimates] == ["mixup 0.2"]
    assert ", as was said" in write_audit(audit, tmp_path)[1].read_text(encoding="utf-8")
    none = audit_teacher(weights, "own-images", MODEL, data=images, cutmix=0)
    assert none.smoothing.mixed is not None
    assert [one.mixing.words for one in none.smoothing.mixed.estimates] == ["no mixing"]


def test_other_data_are_not_asked_about(asked: tuple[str, str]):
    weights, images = asked
    audit = audit_teacher(weights, "own-images", MODEL, data=images, training_data=False, mixup=0.2)
    assert audit.smoothing.mixed is None


def test_a_strength_that_is_none_is_refused_with_every_other_mistake(tmp_path: Path):
    torch.save({}, tmp_path / "a.pt")
    with pytest.raises(ConfigError) as raised:
        audit_teacher(str(tmp_path / "a.pt"), None, [], mixup=-1, cutmix=float("nan"), temperatures="x")
    assert [mistake.split(":")[0] for mistake in raised.value.mistakes] == ["--temperatures", "--mixup", "--cutmix"]

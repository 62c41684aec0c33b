"""Pairs of images, mixed; and a teacher that is asked about them by the command."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console
from torch import Tensor, nn
from torch.nn import functional as F

from tests.test_cli import tosmooth as command
from tosmooth.analysis.mixing_rules import LEAST_PAIRS, ways_left
from tosmooth.audit.call import audit_teacher
from tosmooth.audit.mixed import PAIRS, ask_about_mixed, blended, drawn_pairs, pasted
from tosmooth.audit.page import write_audit
from tosmooth.audit.result import Audit, Seen
from tosmooth.audit.summary import print_audit
from tosmooth.audit.teacher import Outputs, audit_model
from tosmooth.data.base import NO_LABEL
from tosmooth.errors import ConfigError, DataError
from tosmooth.models.build import build_image_model
from tosmooth.models.image_model import ImageModel, InputSpec
from tosmooth.models.weights import save_weights
from tosmooth.recipes.reading import load_config
from tosmooth.study.bench import Bench


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
    assert len(drawn_pairs((torch.arange(1000) < 50).long())) == 300  # though 95 % are of one class


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


CLASSES, GREY = 12, 20
SETTINGS = ["data.image_size=null", "data.eval_transform=none", "data.train_augmentation=none", "data.validation=0"]
SETTINGS += ["data.on_error=skip", "data.workers=0", "selection=last"]


class Greys(nn.Module):
    """A backbone (N, 3, 12, 12) → (N, outputs): each class has a grey of its own, and every pixel its share of the
    target. So it is at the optimum of α for whole images and for pasted ones.

    Args:
        alpha: α.
        index: the output of each class.
        outputs: how many there are.
    """

    def __init__(self, alpha: float, index: list[int], outputs: int) -> None:
        super().__init__()
        self.alpha, self.index, self.outputs = alpha, torch.tensor(index), outputs

    def forward(self, images: Tensor) -> Tensor:
        seen = (images[:, 0] * 255 / GREY).round().long().clamp(0, CLASSES - 1).flatten(1)
        shares = F.one_hot(self.index[seen], self.outputs).double().mean(1)
        return (shares * (1 - self.alpha) + self.alpha / self.outputs).log().float() + 1


def teacher(alpha: float, index: list[int] | None = None, outputs: int = CLASSES) -> ImageModel:
    backbone = Greys(alpha, index or list(range(CLASSES)), outputs)
    return ImageModel(backbone, InputSpec(3, None, (0.0,), (1.0,)), "greys", outputs)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Plain grey images, a grey of its own for each of twelve classes; one file is none."""
    folder = tmp_path_factory.mktemp("grey")
    for label in range(CLASSES):
        for number in range(21):
            path = folder / ("train" if number < 20 else "val") / f"{label:02d}" / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (12, 12), (label * GREY,) * 3).save(path)
    (folder / "train" / "03" / "0.png").write_bytes(b"not an image")
    return folder


@pytest.fixture(scope="module")
def bench(folder: Path) -> Bench:
    return Bench.of(load_config("own-images", [*SETTINGS, f"data.path={folder}"]))


def audited(
    bench: Bench, model: ImageModel, *, known: bool | None = True, outputs: Outputs | None = None, **said: float
) -> Audit:
    seen = Seen("greys", "", "train", known, mixing=ways_left(said.get("mixup"), said.get("cutmix")))
    return audit_model(bench, model, seen, [1.0, 4.0], None, outputs=outputs)


def test_an_open_verdict_has_alpha_by_how_images_were_mixed(bench: Bench, tmp_path: Path):
    """α = 0.018 is neither none nor enough: whole images leave it open."""
    audit = audited(bench, teacher(0.018))
    assert audit.smoothing.mixed is not None
    assert audit.smoothing.mixed.pairs == PAIRS
    found = {one.mixing.words: one.alpha for one in audit.smoothing.mixed.estimates}
    assert found["no mixing"] == pytest.approx(0.018, abs=1e-4)
    assert found["cutmix 1"] == pytest.approx(0.018, abs=1e-4)
    out = io.StringIO()
    print_audit(audit, [], Console(file=out, width=300))
    assert "α by how its training may have mixed images: no mixing 0.018" in out.getvalue()
    saved, page = write_audit(audit, tmp_path)
    ways = json.loads(saved.read_text(encoding="utf-8"))["smoothing"]["mixed"]["estimates"]
    assert ways[4]["mixing"] == {"mixup": 0.2, "cutmix": 1, "probability": 1}
    text = page.read_text(encoding="utf-8")
    assert "mixup 0.2 and cutmix 1" in text
    assert "Only what goes with what was said" not in text
    assert any("--mixup and --cutmix" in item.text for item in audit.advice)
    told = " ".join(item.text for item in audited(bench, teacher(0.018), mixup=0.0, cutmix=1.0).advice)
    assert "mixup" not in told
    assert "cutmix" not in told


def test_who_knows_how_they_were_mixed_says_so(bench: Bench, tmp_path: Path):
    audit = audited(bench, teacher(0.2), mixup=0.0, cutmix=1.0)
    assert audit.smoothing.verdict == "smoothed"
    assert audit.smoothing.alpha == pytest.approx(0.2, abs=1e-4)
    assert audit.smoothing.reasons[0].startswith("asked about images as its training had them (cutmix 1, as was said)")
    assert "Only what goes with what was said" in write_audit(audit, tmp_path)[1].read_text(encoding="utf-8")
    asked = audited(bench, teacher(0.2), mixup=0.0).smoothing.mixed
    assert asked is not None
    assert [one.mixing.words for one in asked.estimates] == ["no mixing", "cutmix 1"]


def test_a_decided_verdict_is_not_asked_further(bench: Bench):
    assert audited(bench, teacher(0.2)).smoothing.verdict == "smoothed"
    assert audited(bench, teacher(0.2)).smoothing.mixed is None


def test_a_teacher_of_other_outputs_is_asked_in_its_own(bench: Bench):
    index = [23 - label for label in range(CLASSES)]
    outputs = Outputs(torch.tensor(index), [str(label) for label in range(24)])
    audit = audited(bench, teacher(0.2, index, 24), outputs=outputs, mixup=0.0, cutmix=1.0)
    assert audit.metrics["top1"] == 100
    assert audit.smoothing.mixed is not None
    assert audit.smoothing.mixed.estimates[0].alpha == pytest.approx(0.2, abs=1e-4)


def test_what_was_said_in_vain_is_said(bench: Bench):
    for known, why in ((None, "whether these are its training data was not said"), (False, "not its training data")):
        audit = audited(bench, teacher(0.018), known=known, mixup=0.2)
        assert audit.smoothing.mixed is None
        assert "counts for nothing here" in audit.notes[0]
        assert "(mixup 0.2 or mixup 0.2 and cutmix 1, as was said)" in audit.notes[0]
        assert why in audit.notes[0]
    assert any("--training-data" in note for note in audited(bench, teacher(0.018), known=None).notes)


def test_images_of_several_sizes_meet_their_like(bench: Bench, folder: Path, tmp_path: Path):
    """And where none but one class can be read, there are no pairs."""
    answers = ask_about_mixed(bench, teacher(0.2), bench.data.train, None)
    other = tmp_path / "sizes"
    shutil.copytree(folder, other)
    for label in (0, 1, 2):
        for path in (other / "train" / f"{label:02d}").iterdir():
            Image.new("RGB", (16, 16), (label * GREY,) * 3).save(path)
    mixed = Bench.of(load_config("own-images", [*SETTINGS, f"data.path={other}"]))
    assert answers.pairs == PAIRS  # others have taken the place of the one that cannot be read
    of_their_size = ask_about_mixed(mixed, teacher(0.2), mixed.data.train, None)
    assert LEAST_PAIRS <= of_their_size.pairs <= PAIRS
    for path in (other / "train").glob("*/*"):
        if path.parent.name != "05":
            path.write_bytes(b"not an image")
    one = Bench.of(load_config("own-images", [*SETTINGS, f"data.path={other}"]))
    assert ask_about_mixed(one, teacher(0.2), one.data.train, None).pairs == 0


def test_an_answer_that_is_no_number_names_the_teacher(bench: Bench):
    class Broken(Greys):
        def forward(self, images: Tensor) -> Tensor:
            uneven = images.flatten(1).std(1) > 0
            return torch.where(uneven[:, None], torch.nan, super().forward(images))

    backbone = Broken(0.018, list(range(CLASSES)), CLASSES)
    model = ImageModel(backbone, InputSpec(3, None, (0.0,), (1.0,)), "greys", CLASSES)
    with pytest.raises(DataError, match="greys, shown mixed images: logits hold NaN"):
        audited(bench, model)


def test_a_strength_that_is_none_is_refused_with_every_other_mistake(tmp_path: Path):
    torch.save({}, tmp_path / "a.pt")
    with pytest.raises(ConfigError) as raised:
        audit_teacher(str(tmp_path / "a.pt"), None, [], mixup=-1, cutmix=float("nan"), temperatures="x")
    assert [mistake.split(":")[0] for mistake in raised.value.mistakes] == ["--temperatures", "--mixup", "--cutmix"]


def test_the_command_hands_on_what_was_said(tmp_path: Path, folder: Path):
    """Of a file and of a published name alike; and nothing is mixed where nothing is said to have been."""
    weights = tmp_path / "a.safetensors"
    save_weights(build_image_model("resnet8", CLASSES, seed=0), weights)
    options = ["--data", folder, "--mixup", "0.4", "--cutmix", "0.7", "--json"]
    overrides = ["teacher.model=resnet8", "data.on_error=skip", "data.image_size=12"]
    run = command("audit", weights, "own-images", *overrides, *options)
    assert run.returncode == 0, run.stderr
    found = json.loads(run.stdout)
    assert found["seen"]["mixing"] == [{"mixup": 0.4, "cutmix": 0.7, "probability": 1}]
    assert any("(mixup 0.4 and cutmix 0.7, as was said) counts for nothing here" in note for note in found["notes"])
    np.savez(tmp_path / "logits.npz", logits=np.eye(12).repeat(30, 0) * 4, labels=np.arange(12).repeat(30))
    refused = command("audit", tmp_path / "logits.npz", "--mixup", "0")
    assert "--mixup, --cutmix: of a model" in refused.stderr

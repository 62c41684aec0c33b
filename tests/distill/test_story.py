"""A new user's way: a teacher of small images as timm's script saved it, photographs, and nothing said of sizes."""

from __future__ import annotations

import argparse
import io
import itertools
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from PIL import ExifTags, Image
from rich.console import Console
from timm.utils import CheckpointSaver
from torch import Tensor, nn

from tests.distill.conftest import TEACHER
from tosmooth.audit.call import audit_teacher
from tosmooth.data.files import decoded
from tosmooth.data.registry import load_image_data
from tosmooth.distill.call import Call
from tosmooth.distill.run import distill
from tosmooth.study.progress import StudyProgress

CLASSES = ("Ankle boot", "Bag", "Dress", "Trouser")
SIDE = 32  # pixels, at which the teacher is trained
EACH = 40  # photographs of a class
TURNED = {1: None, 3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}
USUAL, TOLD = (0.5, 0.5), (0.4, 0.25)  # mean and standard deviation: the library's for this network, and others
PLAIN = ["data.workers=0", "compute.device=cpu"]
BRIEF = [*PLAIN, "student.epochs=6", "student.batch_size=16"]


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """JPEGs of 120 pixels and more; three of four lie as the camera was held, with the word of EXIF that says so."""
    root = tmp_path_factory.mktemp("story") / "photographs"
    data = load_image_data("fashion_mnist_sample", validation=0)
    for name in CLASSES:
        (root / name).mkdir(parents=True)
        chosen = (data.train.labels == data.classes.index(name)).nonzero().flatten()[:EACH].tolist()
        for number, (index, orientation) in enumerate(zip(chosen, itertools.cycle(TURNED), strict=False)):
            upright = Image.fromarray(data.train[index][0].numpy()).resize((120 + number % 7, 120)).convert("RGB")
            turn, exif = TURNED[orientation], Image.Exif()
            exif[ExifTags.Base.Orientation] = orientation
            lying = upright if turn is None else upright.transpose(turn)
            lying.save(root / name / f"{number:03d}.jpg", exif=exif, quality=95)
    return root


def trained(photographs: Path, folder: Path, smoothing: float, pixels: tuple[float, float], **arguments: Any) -> Path:
    """timm's saver of a small network after a plain loop of one's own, on crops of 32 pixels."""
    torch.manual_seed(0)
    network = timm.create_model(TEACHER.removeprefix("timm:"), num_classes=len(CLASSES))
    optimizer = torch.optim.AdamW(network.parameters(), 0.003)
    loss = nn.CrossEntropyLoss(label_smoothing=smoothing)
    images, labels = at(SIDE, photographs)
    images = (images - pixels[0]) / pixels[1]
    for _ in range(30):
        for rows in torch.randperm(len(labels)).split(20):
            optimizer.zero_grad()
            loss(network(images[rows]), labels[rows]).backward()
            optimizer.step()
    folder.mkdir()
    given = argparse.Namespace(model="test_resnet", data_dir=photographs, smoothing=smoothing, **arguments)
    saver = CheckpointSaver(network, optimizer, args=given, checkpoint_dir=str(folder))
    saver.save_checkpoint(0, metric=90.0)
    return folder / "last.pth.tar"


def at(side: int, photographs: Path) -> tuple[Tensor, Tensor]:
    """All photographs, upright, by Pillow's means alone: (N, 3, side, side) and (N,)."""
    images, labels = [], []
    for label, name in enumerate(CLASSES):
        for path in sorted((photographs / name).iterdir()):
            pixels = decoded(path, str(path)).permute(1, 2, 0).numpy()
            whole = Image.fromarray(pixels).resize((round(side * 8 / 7),) * 2, Image.Resampling.BILINEAR)
            edge = (whole.width - side) // 2
            images.append(np.asarray(whole.crop((edge, edge, edge + side, edge + side))) / 255)
            labels.append(label)
    stacked = torch.tensor(np.stack(images), dtype=torch.float32).permute(0, 3, 1, 2)
    return stacked, torch.tensor(labels)


@pytest.fixture(scope="module")
def silent_file(photographs: Path) -> Path:
    """It says nothing of its images."""
    return trained(photographs, photographs.parent / "silent", 0.1, USUAL, img_size=None, mean=None, std=None)


@pytest.mark.slow
def test_no_size_given(photographs: Path, silent_file: Path, tmp_path: Path):
    """The right size is found and said, by the audit and before any training; a student worth having comes out."""
    found = audit_teacher(
        str(silent_file), None, PLAIN, data=str(photographs), teacher_model=TEACHER, training_data=True
    )
    size = re.compile(r"at 32 pixels.* it is right on (9\d|100) % of 128 training images, at 224 pixels.* on \d\d? %")
    assert any(size.search(note) for note in found.notes)
    assert found.metrics["top1"] > 95

    shown = io.StringIO()
    call = Call(
        str(silent_file), "resnet8", None, BRIEF, str(photographs), teacher_model=TEACHER, alphas=(0.1,), seed=1
    )
    result = distill(call, tmp_path, StudyProgress(Console(file=shown, width=500)))
    said = shown.getvalue()
    assert said.index("right on") < said.index("epoch 1/6")  # before any training
    assert size.search(said)
    assert "which it may have seen before (25.0 % would be chance)" in said
    (teacher,) = result["teachers"]
    student = next(row for row in result["students"] if row["name"] == result["chosen"])
    audit = json.loads((Path(result["study"]) / "teachers" / teacher["name"] / "audit.json").read_text("utf-8"))
    assert audit["metrics"] == pytest.approx(dict(found.metrics))  # the same images
    assert teacher["audit"]["alpha"] == pytest.approx(found.smoothing.alpha)
    assert student["test/top1"] > 70
    assert result["gained"] is not None
    decided = said[said.index("decided:") : said.index("epoch 1/6")]
    for line in (
        "teacher ",
        "smoothing ",
        "images ",
        "32 pixels",
        "T ",
        "are shown upright, as EXIF says",
        "students ",
        "2 students of 1 teacher",
    ):
        assert line in decided
    assert "val " in said[said.index("epoch 2/6") :]


@pytest.mark.slow
def test_what_timms_arguments_say_is_tried_first_and_is_enough(photographs: Path, tmp_path: Path):
    file = trained(photographs, tmp_path / "telling", 0.0, TOLD, img_size=SIDE, mean=[TOLD[0]], std=[TOLD[1]])
    found = audit_teacher(str(file), None, PLAIN, data=str(photographs), teacher_model=TEACHER)
    assert found.metrics["top1"] > 95
    assert found.notes == (
        f"{file}: its arguments say 32 pixels, mean (0.4, 0.4, 0.4), standard deviation (0.25, 0.25, 0.25); images are "
        "shown so",
        "94 of 128 training images lay otherwise and are shown upright, as EXIF says",
    )

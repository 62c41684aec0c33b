"""Real images in class folders, and a small teacher that knows them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from rich.console import Console

from tosmooth.data.registry import load_image_data
from tosmooth.recipes.reading import load_config
from tosmooth.study.progress import StudyProgress
from tosmooth.study.single import train_only_teachers

CLASSES = ("Ankle boot", "Bag", "Dress", "Trouser")  # as folders sort them; kinds that a small teacher tells apart
SMALL = [
    "data.image_size=32", "data.train_augmentation=none", "data.workers=0", "compute.device=cpu",
    "student.epochs=1", "student.batch_size=16",
]  # fmt: skip
TEACHER = "timm:test_resnet"
STUDENT = "resnet8"


def write_images(root: Path, names: dict[str, str], count: int = 40) -> Path:
    """`root/<name>/<n>.png` of Fashion-MNIST; `names`: folder → class of the sample."""
    data = load_image_data("fashion_mnist_sample", validation=0)
    for folder, name in names.items():
        label = data.classes.index(name)
        for number, index in enumerate((data.train.labels == label).nonzero().flatten()[:count].tolist()):
            path = root / folder / f"{number:03d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(data.train[index][0].numpy()).save(path)
    return root


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_images(tmp_path_factory.mktemp("images") / "clothes", {name: name for name in CLASSES})


def raw_teachers(images: Path, model: str, alphas: list[float]) -> dict[str, Any]:
    """A study of teachers that learn these images in seconds."""
    return {
        "name": "teachers",
        "data": {
            "source": "folder", "path": str(images), "validation": 0.1, "image_size": 32,
            "eval_transform": "resize_center_crop",
        },
        "teacher": {
            "model": model, "label_smoothing": alphas, "epochs": 12, "batch_size": 16,
            "optimizer": {"name": "adamw", "learning_rate": 0.002},
        },
        "student": {"model": STUDENT, "epochs": 1},
        "compute": {"device": "cpu"},
    }  # fmt: skip


@pytest.fixture(scope="session")
def teachers(tmp_path_factory: pytest.TempPathFactory, images: Path) -> dict[float, Path]:
    """Weights of a small timm model that was trained on these images, by α."""
    raw = raw_teachers(images, TEACHER, [0.0, 0.1])
    root = tmp_path_factory.mktemp("teachers")
    rows = train_only_teachers(load_config(raw), root, StudyProgress(Console(quiet=True)))
    assert min(row["val/top1"] for row in rows) > 70
    return {alpha: Path(row["weights"]) for row, alpha in zip(rows, (0.0, 0.1), strict=True)}

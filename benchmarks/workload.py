"""The work that the tools are compared on: data, models and settings of one grid."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional as F

from tosmooth.config.training import OptimizerConfig, ScheduleConfig
from tosmooth.data.base import TensorSplit
from tosmooth.data.files import FileSplit
from tosmooth.data.registry import load_image_data
from tosmooth.models.build import ImageModel, build_image_model

TEMPERATURES = (1.0, 2.0, 3.0, 64.0)
TEACHERS = ("a0", "a0.1")
BATCH = 128


@dataclass(frozen=True)
class Workload:
    """One grid: 2 teachers × 4 temperatures on the same images.

    Attributes:
        name: in the tables.
        split: images and labels, in memory or in files.
        teacher: model name.
        student: model name.
        batch_size: images a step.
        epochs: passes over the images.
        learning_rate: of the students.
        augmentation: how images are varied, "flip" or "imagenet".
        side: of the crop in pixels; None where images stay as they are.
    """

    name: str
    split: TensorSplit | FileSplit
    teacher: str
    student: str
    batch_size: int
    epochs: int = 1
    learning_rate: float = 0.1
    augmentation: str = "flip"
    side: int | None = None
    schedule = ScheduleConfig(name="cosine", warmup_epochs=0.5)

    @property
    def optimizer(self) -> OptimizerConfig:
        return OptimizerConfig(name="sgd", learning_rate=self.learning_rate, nesterov=True, weight_decay=5e-4)

    @property
    def images(self) -> Tensor:
        """Of a split in memory: uint8 (N, C, H, W)."""
        assert isinstance(self.split, TensorSplit)
        return self.split.images

    @property
    def labels(self) -> Tensor:
        return self.split.labels

    @property
    def files(self) -> FileSplit | None:
        """The split, where it is one of files."""
        return self.split if isinstance(self.split, FileSplit) else None

    @property
    def shape(self) -> tuple[int, ...]:
        """(C, H, W) of what models see."""
        return tuple(self.images.shape[1:]) if self.side is None else (3, self.side, self.side)

    @property
    def channels(self) -> int:
        return self.shape[0]

    def build(self, name: str, seed: int) -> ImageModel:
        """A model of this grid; the small ones as in the default recipe."""
        kwargs = {"stem_stride": 2} if ":" not in name else {}
        return build_image_model(name, 10, channels=self.channels, image_size=self.shape[-1], kwargs=kwargs, seed=seed)

    @cached_property
    def teachers(self) -> dict[str, ImageModel]:
        """Both teachers; speed does not depend on what they have learnt."""
        return {name: self.build(self.teacher, seed) for seed, name in enumerate(TEACHERS)}

    @property
    def steps(self) -> int:
        return self.epochs * -(-len(self.labels) // self.batch_size)


def default_grid(images: int) -> Workload:
    """The default recipe's data, models and batch size; whole batches only, as timm's loader drops the rest."""
    pixels, labels = _fashion_mnist(max(BATCH, images - images % BATCH))
    return Workload("default recipe", TensorSplit(pixels, labels, "train"), "resnet20", "resnet8", BATCH)


def heavy_grid(student: str, steps: int) -> Workload:
    """A ResNet-50 teacher on 96-pixel RGB images; `student` is a timm or torchvision name."""
    pixels, labels = _fashion_mnist(16 * steps)
    large = F.interpolate(pixels.float(), size=(96, 96), mode="bilinear").round().to(torch.uint8)
    split, name = TensorSplit(large.repeat(1, 3, 1, 1), labels, "train"), f"ResNet-50 → {student}"
    # The peers' loops have no warm-up: at 0.1 a fresh MobileNet diverges.
    return Workload(name, split, "torchvision:resnet50", student, 16, learning_rate=0.001)


def folder_grid(files: FileSplit, student: str, side: int, batch_size: int) -> Workload:
    """ResNet-26 teachers on random crops of image files."""
    name, teacher = f"files, ResNet-26 → {student}", "timm:resnet26"
    return Workload(name, files, teacher, student, batch_size, learning_rate=0.001, augmentation="imagenet", side=side)


def _fashion_mnist(count: int) -> tuple[Tensor, Tensor]:
    data = load_image_data("fashion_mnist_sample", validation=0)
    held = data.train.in_memory()
    assert held is not None
    images, rows = held
    return (images if rows is None else images[rows])[:count], data.train.labels[:count]

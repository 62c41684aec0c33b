"""The peers, from their packages, one cell after the other, driven as their own training scripts drive them.

Both get a data set that hands out PIL images, as torchvision's do, a flip, and their own collation. Of files each has
the data set and the random crops of its own scripts. Neither evaluates nor writes checkpoints here.

timm: `create_loader` with its prefetcher, `LogitDistillationTask`, `create_optimizer_v2` and a cosine schedule per
step, as in its `train.py`.

torchdistill: a `DistillationBox` built from the configuration that its samples use (`KDLoss` in a `WeightedSumLoss`),
with its `MetricLogger`, as in its `image_classification.py`. (With the weight of the hard labels at 0, its `KDLoss`
leaves out T²; the work is the same.)
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass

import timm.data
import timm.optim
import torch
from PIL import Image
from timm.scheduler import CosineLRScheduler
from timm.task import LogitDistillationTask
from torch import nn
from torch.utils.data import Dataset, RandomSampler
from torchdistill.common.constant import def_logger
from torchdistill.core.distillation import get_distillation_box
from torchdistill.misc.log import MetricLogger, SmoothedValue
from torchvision import transforms
from torchvision.datasets import ImageFolder

from benchmarks.ours import Cells
from benchmarks.workload import Workload

logging.getLogger("timm").setLevel(logging.WARNING)
def_logger.setLevel(logging.WARNING)


@dataclass(frozen=True)
class Setting:
    """How a peer is run; all of it is documented by the peer or by PyTorch."""

    workers: int = 0
    bf16: bool = False
    channels_last: bool = False

    def __str__(self) -> str:
        parts = [f"{self.workers} workers", "bf16" if self.bf16 else "float32"]
        return ", ".join([*parts, "channels_last"] if self.channels_last else parts)

    def place(self, model: nn.Module, device: torch.device) -> nn.Module:
        layout = torch.channels_last if self.channels_last else torch.contiguous_format
        return model.to(device=device, memory_format=layout)

    def autocast(self, device: torch.device) -> contextlib.AbstractContextManager[object]:
        return torch.autocast(device.type, dtype=torch.bfloat16) if self.bf16 else contextlib.nullcontext()


class PilImages(Dataset[tuple[Image.Image, int]]):
    """The workload's images as torchvision's data sets hand them out."""

    def __init__(self, work: Workload, transform: transforms.Compose | None = None) -> None:
        self.images = (
            work.images.permute(0, 2, 3, 1).squeeze(-1).numpy()
            if work.channels == 1
            else (work.images.permute(0, 2, 3, 1).numpy())
        )
        self.labels = work.labels.tolist()
        self.transform = transform

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Image.Image, int]:
        image = Image.fromarray(self.images[index])
        return (image if self.transform is None else self.transform(image)), self.labels[index]


class TimmModel(nn.Module):
    """A backbone with the two facts that timm's task asks of a model."""

    def __init__(self, backbone: nn.Module, channels: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.num_classes, self.in_chans = 10, channels
        self.pretrained_cfg = {"mean": (0.5,) * channels, "std": (0.5,) * channels}

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.backbone(images)


def timm_grid(work: Workload, cells: Cells, setting: Setting, device: torch.device) -> None:
    """Every cell from scratch with timm."""
    teachers = {
        name: setting.place(TimmModel(model.backbone, work.channels), device).eval().requires_grad_(False)
        for name, model in work.teachers.items()
    }
    for teacher, temperature in cells:
        student = setting.place(TimmModel(work.build(work.student, 0).backbone, work.channels), device)
        loader = timm.data.create_loader(
            PilImages(work) if work.files is None else timm.data.ImageDataset(str(work.files.root)),
            input_size=work.shape, batch_size=work.batch_size, is_training=True, no_aug=work.files is None,
            color_jitter=None, interpolation="bilinear", mean=(0.5,) * work.channels, std=(0.5,) * work.channels,
            num_workers=setting.workers, device=device, persistent_workers=setting.workers > 0,
        )  # fmt: skip
        if work.files is None:
            # The recipe's augmentation is a flip and nothing else, which is less work than timm's own random crops.
            to_numpy = loader.dataset.transform.transforms[-1]
            loader.dataset.transform = transforms.Compose([transforms.RandomHorizontalFlip(), to_numpy])
        task = LogitDistillationTask(
            student, teachers[teacher], criterion=nn.CrossEntropyLoss(), task_loss_weight=0.0, temperature=temperature,
            device=device, verbose=False,
        )  # fmt: skip
        optimizer = timm.optim.create_optimizer_v2(
            student, opt="sgd", lr=work.learning_rate, weight_decay=5e-4, momentum=0.9
        )
        scheduler = CosineLRScheduler(optimizer, t_initial=work.steps, t_in_epochs=False)
        task.train()
        updates = 0
        for _ in range(work.epochs):
            for images, labels in loader:
                if setting.channels_last:
                    images = images.contiguous(memory_format=torch.channels_last)
                with setting.autocast(device):
                    loss = task(images, labels)["loss"]
                loss.backward()
                optimizer.step()
                optimizer.zero_grad()
                updates += 1
                scheduler.step_update(num_updates=updates)
        assert math.isfinite(loss.item())


def torchdistill_grid(work: Workload, cells: Cells, setting: Setting, device: torch.device) -> None:
    """Every cell from scratch with torchdistill."""
    teachers = {name: setting.place(model.backbone, device) for name, model in work.teachers.items()}
    channels = work.channels
    pixels = transforms.Compose(
        [
            *([] if work.side is None else [transforms.RandomResizedCrop(work.side)]),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize((0.5,) * channels, (0.5,) * channels),
        ]
    )
    for teacher, temperature in cells:
        student = setting.place(work.build(work.student, 0).backbone, device)
        config = _torchdistill_config(work, temperature, setting)
        in_memory = work.files is None
        images_of = {"train": PilImages(work, pixels) if in_memory else ImageFolder(str(work.files.root), pixels)}
        box = get_distillation_box(teachers[teacher], student, images_of, config, device, None, False, 1)
        for epoch in range(work.epochs):
            teachers[teacher].eval()
            box.pre_epoch_process(epoch=epoch)
            logger = MetricLogger(delimiter="  ")
            logger.add_meter("lr", SmoothedValue(window_size=1, fmt="{value}"))
            for images, labels, more in logger.log_every(box.train_data_loader, 100, f"Epoch: [{epoch}]"):
                if setting.channels_last:
                    images = images.contiguous(memory_format=torch.channels_last)
                with setting.autocast(device):
                    loss = box.forward_process(images.to(device), labels.to(device), more)
                box.post_forward_process(loss=loss)
                logger.update(loss=loss.item(), lr=box.optimizer.param_groups[0]["lr"])
            box.post_epoch_process()
        box.clean_modules()


def _torchdistill_config(work: Workload, temperature: float, setting: Setting) -> dict[str, object]:
    return {
        "num_epochs": work.epochs,
        "train_data_loader": {
            "dataset_id": "train",
            "sampler": {"class_or_func": RandomSampler},
            "kwargs": {"batch_size": work.batch_size, "num_workers": setting.workers},
        },
        "teacher": {"forward_proc": "forward_batch_only", "requires_grad": False},
        "student": {"forward_proc": "forward_batch_only"},
        "optimizer": {
            "key": "SGD",
            "kwargs": {"lr": work.learning_rate, "momentum": 0.9, "nesterov": True, "weight_decay": 5e-4},
        },
        "scheduler": {"key": "CosineAnnealingLR", "kwargs": {"T_max": work.epochs}},
        "criterion": {
            "key": "WeightedSumLoss",
            "kwargs": {
                "sub_terms": {
                    "kd": {
                        "criterion": {
                            "key": "KDLoss",
                            "kwargs": {
                                "student_module_path": ".", "student_module_io": "output", "teacher_module_path": ".",
                                "teacher_module_io": "output", "temperature": temperature, "alpha": 0.0,
                            },
                        },
                        "weight": 1.0,
                    }
                }
            },
        },
    }  # fmt: skip


GRIDS = {"timm": timm_grid, "torchdistill": torchdistill_grid}


def settings_to_try(precisions: Sequence[str]) -> list[Setting]:
    """Loader processes, memory layout and precision: what their documentation leaves to the user."""
    return [
        Setting(workers, precision == "bf16", channels_last)
        for precision in precisions
        for workers in sorted({0, 2, min(8, os.cpu_count() or 2)})
        for channels_last in (False, True)
    ]

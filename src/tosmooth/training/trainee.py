"""One model in training, with everything that belongs to it alone."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tosmooth.config import ModelConfig, TrainingConfig
from tosmooth.losses.distillation import distillation_loss
from tosmooth.models.build import ImageModel, build_image_model
from tosmooth.models.weights import load_weights, save_weights
from tosmooth.training.compute import Compute
from tosmooth.training.inputs import SharedInputs
from tosmooth.training.optimization import build_optimizer, learning_rate
from tosmooth.training.randomness import RandomStream

# logits (N, K), labels (N,), teacher logits by teacher name (N, K) → scalar loss
LossFunction = Callable[[Tensor, Tensor, Mapping[str, Tensor]], Tensor]


def label_smoothing_loss(alpha: float) -> LossFunction:
    """The teachers' loss: cross-entropy against labels smoothed by α."""

    def loss(logits: Tensor, labels: Tensor, _: Mapping[str, Tensor]) -> Tensor:
        return nn.functional.cross_entropy(logits, labels, label_smoothing=alpha)

    return loss


def distillation_from(teacher: str, temperature: float, objective: str, hard_weight: float) -> LossFunction:
    """A student's loss: distillation from one teacher of the group at one temperature."""

    def loss(logits: Tensor, labels: Tensor, teacher_logits: Mapping[str, Tensor]) -> Tensor:
        return distillation_loss(
            logits, teacher_logits[teacher], temperature, objective=objective, targets=labels, hard_weight=hard_weight
        )

    return loss


def build_model(
    config: ModelConfig,
    num_classes: int,
    *,
    channels: int,
    image_size: int | None,
    seed: int,
    checkpoint: Path | None = None,
) -> ImageModel:
    """A model as its section of the configuration describes it, its weights drawn from `seed` or loaded."""
    return build_image_model(
        config.name,
        num_classes,
        channels=channels,
        image_size=image_size,
        pretrained=config.pretrained,
        checkpoint=checkpoint or config.checkpoint,
        replace_head=config.replace_head,
        width=config.width,
        kwargs=config.kwargs,
        seed=seed,
    )


@dataclass
class Trainee:
    """A teacher or student in training: model, loss, optimiser, schedule, random stream, and its folder on disk."""

    name: str
    model: ImageModel
    loss_function: LossFunction
    config: TrainingConfig
    compute: Compute
    seed: int
    steps_per_epoch: int
    folder: Path
    select_by: str | None  # metric whose best epoch is kept, such as "val/top1"; None keeps the last
    step_count: int = 0
    failure: str | None = None
    selected_epoch: int | None = None
    best_score: float = float("-inf")
    last_record: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.model = self.compute.place(self.model)
        self.optimizer = build_optimizer(self.model, self.config.optimizer)
        self.random = RandomStream(self.seed, self.compute.device)
        self.parameters = [p for p in self.model.parameters() if p.requires_grad]
        # All of these stay on the device and are read only at intervals: reading one every step would make a GPU wait.
        self.stopped = torch.zeros((), device=self.compute.device)  # 1 from the first step that was not finite
        self._good_steps = torch.zeros((), device=self.compute.device)
        self._loss_sum = torch.zeros((), device=self.compute.device)
        self._last_loss = torch.zeros((), device=self.compute.device)  # up to and including the first that was not
        self._images = 0
        self.folder.mkdir(parents=True, exist_ok=True)
        self._metrics_path.unlink(missing_ok=True)

    @property
    def _metrics_path(self) -> Path:
        return self.folder / "metrics.jsonl"

    def current_learning_rate(self) -> float:
        """Learning rate of the step about to be taken."""
        return learning_rate(
            self.step_count,
            peak=self.config.optimizer.learning_rate,
            steps_per_epoch=self.steps_per_epoch,
            epochs=self.config.epochs,
            schedule=self.config.schedule,
        )

    def step(self, inputs: SharedInputs, labels: Tensor, teacher_logits: Mapping[str, Tensor]) -> None:
        """One forward, backward and update on a batch with labels (N,).

        Nothing here waits for the device. A loss or gradient that is not finite raises a flag there, which holds back
        this update and all later ones: the weights stay those of the last good step.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = self.current_learning_rate()
        with self.random:
            with self.compute.autocast():
                logits = self.compute.classify(self.model, inputs.of(self.model))
            loss = self.loss_function(logits.float(), labels, teacher_logits)
            self.compute.accelerator.backward(loss)
        self._flag(loss.detach(), self._gradient_norm(), len(labels))
        # Fused optimisers skip the update where this is 1: the hook that loss scaling uses.
        self.optimizer.found_inf = self.stopped  # type: ignore[attr-defined]
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.step_count += 1

    def _gradient_norm(self) -> Tensor:
        """The norm of all gradients, which are clipped to `gradient_clip` where that is set."""
        if self.config.gradient_clip is not None:
            return nn.utils.clip_grad_norm_(self.parameters, self.config.gradient_clip)
        return nn.utils.get_total_norm([p.grad for p in self.parameters if p.grad is not None])

    def _flag(self, loss: Tensor, gradient_norm: Tensor, images: int) -> None:
        running = self.stopped == 0
        self._last_loss = torch.where(running, loss, self._last_loss)
        self.stopped = torch.where((loss + gradient_norm).isfinite(), self.stopped, 1.0)
        good = self.stopped == 0
        self._good_steps += good
        self._loss_sum += torch.where(good, loss * images, 0.0)
        self._images += images

    def fail(self, epoch: int) -> None:
        """Mark this run as failed, with the step and the cause."""
        loss = self._last_loss.item()
        what = f"the loss became {loss}" if not math.isfinite(loss) else "the gradient became infinite or NaN"
        self.failure = (
            f"{self.name}: {what} in epoch {epoch + 1}, at step {int(self._good_steps) + 1}; "
            f"a lower learning rate or gradient_clip=1.0 usually helps"
        )

    def end_epoch(self, epoch: int, metrics: Mapping[str, float], images_per_second: float) -> None:
        """Write the epoch's record, and the weights when they are the best so far or the last."""
        self.last_record = {
            "epoch": epoch + 1,
            "train/loss": self._loss_sum.item() / max(1, self._images),
            "learning_rate": self.optimizer.param_groups[0]["lr"],
            "images_per_second": round(images_per_second, 1),
            **metrics,
        }
        self._loss_sum.zero_()
        self._images = 0
        with self._metrics_path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(self.last_record) + "\n")
        is_last = epoch + 1 == self.config.epochs
        if self.select_by is not None:
            if metrics[self.select_by] > self.best_score:
                self.best_score = metrics[self.select_by]
                self.selected_epoch = epoch + 1
                save_weights(self.model, self.folder / "model.safetensors")
            if is_last:
                save_weights(self.model, self.folder / "last.safetensors")
        elif is_last:
            self.selected_epoch = epoch + 1
            save_weights(self.model, self.folder / "model.safetensors")

    def restore_selected(self) -> None:
        """Put the kept weights back into the model, for the analysis that follows training."""
        load_weights(self.model, self.folder / "model.safetensors")

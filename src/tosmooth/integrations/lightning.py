"""A Lightning module that distils, and a callback that tracks η and calibration in any Lightning training.

For ``lightning.pytorch`` and for ``pytorch_lightning``, whose classes do not mix: the one that is imported already is
taken; if both or neither are, ``lightning.pytorch`` where it is installed. Install with
``pip install "tosmooth[lightning]"``.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from tosmooth.integrations.batches import IGNORED, Parts, labels_of, parts_of
from tosmooth.integrations.libraries import require
from tosmooth.integrations.recording import ForwardRecorder
from tosmooth.integrations.teacher import FrozenTeacher
from tosmooth.integrations.tracking import OF_DIFFUSION, Reference, TrainingTracker
from tosmooth.losses.distillation import DistillationLoss, Objective
from tosmooth.models.image_model import logits_of

_GROUPS = {
    "ece": "cal/ece_val",
    "brier": "cal/brier_val",
}  # of the others, those of η are of diffusion, the rest of val


def _namespace() -> str:
    names = ("lightning.pytorch", "pytorch_lightning")
    imported = [name for name in names if sys.modules.get(name) is not None]
    if imported:
        return imported[0]
    only_other = importlib.util.find_spec("lightning") is None and importlib.util.find_spec(names[1]) is not None
    return names[1] if only_other else names[0]


_library = require(_namespace(), "tosmooth[lightning]")


class DistillationModule(_library.LightningModule):  # type: ignore[misc, name-defined]
    """A student that learns from a teacher; logs `train/loss`, `val/loss` and `val/top1`.

    Batches are ``(inputs, labels)`` or dictionaries of the student's arguments with `labels`; labels of −100 do not
    count. The teacher is no part of the module: checkpoints hold the student alone, DDP sees the student alone.

    Args:
        student: a module that gives logits (N, K) or (B, L, K), or an object with `.logits`.
        teacher: likewise, from the same inputs. It is put into eval mode and frozen, and moved to the student's device.
        temperature: T > 0.
        objective: a registered name or a callable; for this and all others see `tosmooth.distillation_loss`.
        objective_kwargs: further keyword arguments of the objective.
        hard_weight: w in [0, 1], the weight of the hard labels.
        label_smoothing: smoothing of the hard labels, in [0, 1).
        topk: how many of the teacher's classes to keep.
        optimizer: from the student's parameters to what `configure_optimizers` returns; None = AdamW with a learning
            rate of 1e-3.
        teacher_inputs: from a batch's inputs to the teacher's, where they differ (another normalisation): given the
            inputs, or a dictionary of the arguments, and returns the same.

    Raises:
        ValueError: settings that `tosmooth.distillation_loss` refuses.
        ModelError: a teacher that shares parameters with the student, or has other classes.
    """

    def __init__(
        self,
        student: nn.Module,
        teacher: nn.Module,
        temperature: float,
        *,
        objective: str | Objective = "hinton",
        objective_kwargs: Mapping[str, Any] | None = None,
        hard_weight: float = 0.0,
        label_smoothing: float = 0.0,
        topk: int | None = None,
        optimizer: Callable[[Iterable[nn.Parameter]], Any] | None = None,
        teacher_inputs: Callable[[Any], Any] | None = None,
    ) -> None:
        super().__init__()
        self.distillation = DistillationLoss(
            temperature,
            objective=objective,
            objective_kwargs=objective_kwargs,
            hard_weight=hard_weight,
            label_smoothing=label_smoothing,
            topk=topk,
        )
        self.teacher = FrozenTeacher(teacher, student)
        self.student = student
        self._optimizer, self._teacher_inputs = optimizer, teacher_inputs

    def forward(self, *inputs: Any, **named_inputs: Any) -> Any:
        """What the student answers."""
        return self.student(*inputs, **named_inputs)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """The distillation loss of a batch, its mean over the rows that count."""
        loss, _, parts = self._loss(batch)
        self.log("train/loss", loss.detach(), batch_size=_count(parts))
        return loss

    def validation_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Logs the distillation loss and the accuracy in percent, their means over all rows that count."""
        loss, logits, parts = self._loss(batch)
        count = _count(parts)
        self.log("val/loss", loss, batch_size=count, sync_dist=True)
        if parts.labels is not None:
            kept = parts.labels != IGNORED
            right = ((logits.argmax(-1) == parts.labels) & kept).sum() / kept.sum().clamp(min=1)
            self.log("val/top1", 100 * right, batch_size=count, sync_dist=True, prog_bar=True)

    def configure_optimizers(self) -> Any:
        """What `optimizer` gives."""
        parameters = [parameter for parameter in self.student.parameters() if parameter.requires_grad]
        return torch.optim.AdamW(parameters, lr=1e-3) if self._optimizer is None else self._optimizer(parameters)

    def _loss(self, batch: Any) -> tuple[Tensor, Tensor, Parts]:
        parts = parts_of(batch, self.student)
        inputs, named_inputs, labels = parts
        logits = logits_of(self.student(*inputs, **named_inputs))
        if self._teacher_inputs is not None:
            if named_inputs:
                named_inputs = self._teacher_inputs(dict(named_inputs))
            else:
                inputs = (self._teacher_inputs(inputs[0]),)
        taught = self.teacher.logits(logits, *inputs, **named_inputs)
        return self.distillation(logits, taught, labels), logits, parts


class DiffusionCallback(_library.Callback):  # type: ignore[misc, name-defined]
    """Tracks a classifier over validation epochs, within any Lightning module: see `TrainingTracker`.

    It watches the forward pass that `validation_step` makes, and logs `val/nll`, `cal/ece_val`, `cal/brier_val`,
    `diffusion/eta_difference`, and `diffusion/eta_…`, `…/errors_…` and (if asked for) `…/d_prime_…` of `s1` and of
    `s2`, all over the samples of all processes. The sanity check before training is left out.

    Args:
        num_classes: K.
        similar: mask (K, K), as `similar_classes` makes it of the unsmoothed teacher; None = no η.
        dissimilar: the mask of the other classes, from the same call.
        reference: centroids of a student at T₀ = 1, or "first": η is then the movement since the first validation.
        model: from the Lightning module to the classifier; None = its `student`, else its `model`, else itself.
        layer: the classifier's last linear layer, where it is ambiguous.
        dataloader: which of several validation loaders is tracked.
        debias: distances freed of sampling noise; see `diffusion_index`.
        separation: d′ as well; see `TrainingTracker`.

    Attributes:
        tracker: the `TrainingTracker`; its `centroids` are those of this process.
        history: what each validation gave, in order.

    Raises:
        ValueError: as `TrainingTracker`.
        ModelError: in training: the last linear layer is not found, or did not run once a batch.
    """

    def __init__(
        self,
        num_classes: int,
        similar: Tensor | None = None,
        dissimilar: Tensor | None = None,
        *,
        reference: Reference = "first",
        model: Callable[[nn.Module], nn.Module] | None = None,
        layer: str | None = None,
        dataloader: int = 0,
        debias: bool = False,
        separation: bool = False,
    ) -> None:
        super().__init__()
        self.tracker = TrainingTracker(
            num_classes, similar, dissimilar, reference=reference, debias=debias, separation=separation
        )
        self.history: list[dict[str, float]] = []
        self._model, self._layer, self._dataloader = model, layer, dataloader
        self._recorder: ForwardRecorder | None = None

    def on_validation_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        """Begin to watch."""
        if trainer.sanity_checking:
            return
        self.tracker.reset()
        self._recorder = ForwardRecorder(self._classifier(pl_module), self.tracker.num_classes, self._layer)

    def on_validation_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Add the batch."""
        if self._recorder is None:
            return
        seen = self._recorder.take()
        if dataloader_idx != self._dataloader:
            return
        labels = labels_of(batch)
        if labels is None:
            raise ValueError("DiffusionCallback needs batches with labels")
        self.tracker.update(*seen, labels)

    def on_validation_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Log what the epoch gave."""
        if self._recorder is None:
            return
        self._stop()
        numbers = self.tracker.compute()
        self.history.append(numbers)
        for name, value in numbers.items():
            if name not in {"top1", "top5"}:  # modules log their own accuracy
                group = "diffusion" if name.startswith(OF_DIFFUSION) else "val"
                pl_module.log(_GROUPS.get(name, f"{group}/{name}"), value, sync_dist=True)

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        """Leave no hooks behind."""
        self._stop()

    def _stop(self) -> None:
        if self._recorder is not None:
            self._recorder.close()
            self._recorder = None

    def _classifier(self, module: Any) -> nn.Module:
        if self._model is not None:
            return self._model(module)
        found = next((getattr(module, name) for name in ("student", "model") if hasattr(module, name)), module)
        return found if isinstance(found, nn.Module) else module  # type: ignore[no-any-return]


def _count(parts: Parts) -> int | Tensor:
    """Rows of a batch that count; of labels a tensor, left on their device: to read it is to wait for all before it."""
    if parts.labels is not None:
        return (parts.labels != IGNORED).sum()
    first = next(value for value in (*parts.inputs, *parts.named_inputs.values()) if isinstance(value, Tensor))
    return len(first)

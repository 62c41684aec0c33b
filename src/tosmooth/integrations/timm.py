"""timm's distillation tasks with tosmooth's objectives; drop-ins for the classes of `timm.task` of the same names.

Arguments, weights, results, teacher, checkpoints and DDP are timm's. What differs is the distillation loss: any
objective, T² wherever the student is softened, top-k teachers, in float32 under autocast too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from tosmooth.errors import ModelError
from tosmooth.integrations.libraries import require
from tosmooth.integrations.teacher import FrozenTeacher, check_apart
from tosmooth.losses.distillation import DistillationLoss, Objective, distillation_loss
from tosmooth.models.image_model import logits_of

_task = require("timm.task", "timm>=1.0.31", "LogitDistillationTask", "TokenDistillationTask")


class _Distilling(_task.TrainingTask):  # type: ignore[misc, name-defined]
    """What both tasks add to timm's."""

    def __init__(
        self,
        student_model: nn.Module,
        *args: Any,
        objective: str | Objective = "hinton",
        objective_kwargs: Mapping[str, Any] | None = None,
        topk: int | None = None,
        **kwargs: Any,
    ) -> None:
        settings: dict[str, Any] = {"objective": objective, "objective_kwargs": objective_kwargs, "topk": topk}
        DistillationLoss(kwargs.get("temperature", 1.0), **settings)  # refuses what is wrong, before any work
        super().__init__(student_model, *args, **kwargs)
        DistillationLoss(self.temperature, **settings)  # which may have come by position
        check_apart(self.teacher.model, student_model)
        self.objective_settings = settings
        # In a list, to be no second child: it is the task's own teacher, which the task moves and compiles.
        self._frozen = [FrozenTeacher(self.teacher)]

    def _teach(self, logits: Tensor, input: Tensor, target: Tensor) -> Tensor:
        """The distillation loss of the student's logits (N, K) on a batch."""
        with torch.no_grad():
            seen = self.teacher.normalize_input(input, self.student_mean, self.student_std)
        taught = self._frozen[0].logits(logits, seen)
        # Mixed targets (N, K), as of Mixup, are not the classes that some objectives ask for.
        classes = None if target.is_floating_point() else target
        return distillation_loss(logits, taught, self.temperature, targets=classes, **self.objective_settings)

    def _result(self, output: Tensor, task_loss: Tensor, name: str, distill_loss: Tensor) -> dict[str, Tensor]:
        total = self.task_loss_weight * task_loss + self.distill_loss_weight * distill_loss
        return {"loss": total, "output": output, "task_loss": task_loss, name: distill_loss}


class LogitDistillationTask(_Distilling, _task.LogitDistillationTask):  # type: ignore[misc, name-defined]
    """`timm.task.LogitDistillationTask` with tosmooth's distillation loss.

    Its arguments are timm's, with their names, order and defaults. As in timm both losses weigh 1 unless said
    otherwise: for distillation alone, ``task_loss_weight=0``. Keywords beyond those of timm:

    Args:
        objective: a registered name or a callable; for this and the next two see `tosmooth.distillation_loss`.
        objective_kwargs: further keyword arguments of the objective.
        topk: how many of the teacher's classes to keep.

    Raises:
        ValueError: settings that `tosmooth.distillation_loss` refuses.
        ModelError: a teacher that shares parameters with the student, or has other classes.
    """

    def forward(self, input: Tensor, target: Tensor) -> dict[str, Tensor]:
        """Loss, output, task_loss and kd_loss of images (N, C, H, W) with targets (N,) or (N, K)."""
        logits = logits_of(self.trainable_module(input))
        return self._result(logits, self.criterion(logits, target), "kd_loss", self._teach(logits, input, target))


class TokenDistillationTask(_Distilling, _task.TokenDistillationTask):  # type: ignore[misc, name-defined]
    """`timm.task.TokenDistillationTask` (distilled DeiT) with tosmooth's distillation loss on the second head.

    Args and errors: those of `LogitDistillationTask`; and ``distill_type="hard"``, which learns the teacher's most
    likely class, as in timm, and has no objective.
    """

    def forward(self, input: Tensor, target: Tensor) -> dict[str, Tensor]:
        """Loss, output (of the main head), task_loss and distill_loss of images (N, C, H, W) with their targets."""
        if self.distill_type == "hard":
            return super().forward(input, target)  # type: ignore[misc, no-any-return]
        outputs = self.trainable_module(input)
        if not isinstance(outputs, tuple) or len(outputs) != 2:
            raise ModelError(
                "a student with a distillation head must return (logits, distillation logits) in training; got "
                f"{type(outputs).__name__}"
            )
        main, second = outputs
        return self._result(main, self.criterion(main, target), "distill_loss", self._teach(second, input, target))

"""Where a group's teacher logits come from: the teachers themselves, or what they said before."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

import torch
from torch import Tensor

from tosmooth.data.batches import Batch
from tosmooth.models.build import ImageModel
from tosmooth.training.compute import Compute
from tosmooth.training.inputs import SharedInputs


class Teaching(ABC):
    """The logits (N, K), float32, of each distinct teacher for a batch."""

    @abstractmethod
    def logits(self, batch: Batch, inputs: SharedInputs) -> Mapping[str, Tensor]:
        """Logits by teacher name."""


class LiveTeachers(Teaching):
    """Each teacher runs once on the batch: eval mode, no graph.

    Args:
        teachers: by the name the students' loss functions use; frozen here.
        compute: the run's device and the precision of frozen teachers.
    """

    def __init__(self, teachers: Mapping[str, ImageModel], compute: Compute) -> None:
        for teacher in teachers.values():
            teacher.eval().requires_grad_(False)
        self._teachers, self._compute = teachers, compute

    def logits(self, batch: Batch, inputs: SharedInputs) -> Mapping[str, Tensor]:
        """Logits of this very batch."""
        with torch.no_grad(), self._compute.teacher_autocast():
            return {name: teacher.classify(inputs.of(teacher)).float() for name, teacher in self._teachers.items()}

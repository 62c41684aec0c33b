"""Where a group's teacher logits come from: the teachers themselves, or what they said before."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from itertools import islice

import torch
from torch import Tensor

from tosmooth.data.batches import Batch, Batches
from tosmooth.errors import CacheError
from tosmooth.models.build import ImageModel
from tosmooth.models.features import PenultimateFeatures
from tosmooth.training.compute import Compute
from tosmooth.training.inputs import SharedInputs
from tosmooth.training.teacher_cache import CachedTeacher, TeacherCache


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
            found = {name: self._compute.classify(model, inputs.of(model)) for name, model in self._teachers.items()}
        return {name: logits.float() for name, logits in found.items()}


class CachedTeachers(Teaching):
    """Each teacher's stored logits of the views that the batch shows; no teacher runs.

    Args:
        teachers: filled caches, by the name the students' loss functions use.
    """

    def __init__(self, teachers: Mapping[str, CachedTeacher]) -> None:
        self._teachers = teachers

    def logits(self, batch: Batch, inputs: SharedInputs) -> Mapping[str, Tensor]:
        """Stored logits.

        Raises:
            CacheError: the batch does not say which views it shows.
        """
        if batch.views is None:
            raise CacheError("these batches show fresh views, for which nothing is stored; give them StoredViews")
        with torch.no_grad():
            return {name: teacher.logits(batch.indices, batch.views) for name, teacher in self._teachers.items()}


def fill(
    cache: TeacherCache,
    model: ImageModel,
    batches: Batches,
    compute: Compute,
    *,
    layer: str | None = None,
    on_batch: Callable[[int, int], None] = lambda view, images: None,
) -> None:
    """Compute the missing shards of a cache, view by view; after a stop, it goes on with the first that is missing.

    Args:
        cache: to be filled.
        model: the teacher, on the device; put into eval mode and frozen.
        batches: the training split in order, `EachView` by `EachView`, in batches of the cache's batch size.
        compute: device and precision of the teacher.
        layer: name of the teacher's last layer, where features are stored.
        on_batch: told the view (from 0) and the images done, for progress.

    Raises:
        CacheError: as `TeacherCache.filling` and `TeacherCache.write`.
    """
    model.eval().requires_grad_(False)
    features = PenultimateFeatures(model, model.num_classes, layer) if cache.stamp.content == "features" else None
    with cache.filling(), features or nullcontext(), torch.no_grad():
        for shard in cache.missing:
            steps = -(-(shard.last - shard.first) // cache.batch_size)
            rows = []
            for loaded in islice(batches.epoch(shard.view, start=shard.first // cache.batch_size), steps):
                images = compute.put(loaded).images
                with compute.teacher_autocast():
                    rows.append(model(images) if features is None else features(images)[1])
                on_batch(shard.view, len(images))
            cache.write(shard, torch.cat(rows))

"""Where a group's teacher answers come from: the teachers themselves, or what they said before."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from tosmooth.data.batches import Batch, Batches
from tosmooth.errors import CacheError
from tosmooth.memory import blaming
from tosmooth.models.features import PenultimateFeatures
from tosmooth.models.study_model import HiddenStateModel, StudyModel
from tosmooth.training.compute import Compute
from tosmooth.training.forward import Answer, Hidden, SharedInputs
from tosmooth.training.processes import Processes
from tosmooth.training.teacher_cache import CachedTeacher, OnHost, TeacherCache

IN_TEACHERS = "where its teachers answer live: a smaller batch_size or teacher, or stored answers (cache), needs less"


class Teaching(ABC):
    """What each distinct teacher answers to a batch: logits (N, K), float32; or hidden states, for the fused loss."""

    @abstractmethod
    def answers(self, batch: Batch, inputs: SharedInputs) -> Mapping[str, Answer]:
        """Answers by teacher name."""


class LiveTeachers(Teaching):
    """Each teacher runs once on the batch: eval mode, no graph.

    Args:
        teachers: by the name the students' loss functions use; frozen here.
        compute: the run's device and the precision of frozen teachers.
        fused: answer with hidden states; all teachers have them, then.
    """

    def __init__(self, teachers: Mapping[str, StudyModel], compute: Compute, *, fused: bool = False) -> None:
        for teacher in teachers.values():
            teacher.eval().requires_grad_(False)
        self._teachers, self._compute, self._fused = teachers, compute, fused

    def answers(self, batch: Batch, inputs: SharedInputs) -> Mapping[str, Answer]:
        """Answers to this very batch."""
        with blaming(IN_TEACHERS), torch.no_grad(), self._compute.teacher_autocast():
            return {name: self._answer(model, inputs.of(model)) for name, model in self._teachers.items()}

    def _answer(self, model: StudyModel, prepared: Any) -> Answer:
        if self._fused and isinstance(model, HiddenStateModel):
            return Hidden(model.hidden(prepared).float(), model.last_layer)
        return self._compute.classify(model, prepared).float()


class CachedTeachers(Teaching):
    """Each teacher's stored logits of the views that the batch shows; no teacher runs.

    Args:
        teachers: filled caches, by the name the students' loss functions use.
        fused: answer with hidden states; all caches hold those, then.
    """

    def __init__(self, teachers: Mapping[str, CachedTeacher], *, fused: bool = False) -> None:
        self._teachers, self._fused = teachers, fused

    def answers(self, batch: Batch, inputs: SharedInputs) -> Mapping[str, Answer]:
        """Stored answers.

        Raises:
            CacheError: the batch does not say which views it shows, or its images are mixed.
        """
        if batch.mixed:
            raise CacheError("these batches show mixed images, for which nothing is stored; give them LiveTeachers")
        if batch.views is None:
            raise CacheError("these batches show fresh views, for which nothing is stored; give them StoredViews")
        with torch.no_grad():
            asked = batch.indices, batch.views, batch.on_host
            return {name: self._answer(teacher, *asked) for name, teacher in self._teachers.items()}

    def _answer(self, teacher: CachedTeacher, indices: Tensor, views: Tensor, on_host: OnHost) -> Answer:
        if self._fused and teacher.head is not None:
            return Hidden(teacher.cache.rows(indices, views, on_host), teacher.head)
        return teacher.logits(indices, views, on_host)


class GivenTeachers(Teaching):
    """Teachers known only by their outputs: the same logits for every view of an image.

    Args:
        outputs: (N, K) float32 on the device, by teacher name; N training images in their order.
    """

    def __init__(self, outputs: Mapping[str, Tensor]) -> None:
        self._outputs = outputs

    def answers(self, batch: Batch, inputs: SharedInputs) -> Mapping[str, Answer]:
        """The rows of the batch's images."""
        return {name: logits[batch.indices] for name, logits in self._outputs.items()}


def fill(
    cache: TeacherCache,
    model: StudyModel,
    batches: Batches,
    compute: Compute,
    *,
    layer: str | None = None,
    on_batch: Callable[[int, int], None] = lambda view, samples: None,
    note: Callable[[str], None] = lambda text: None,
) -> None:
    """Compute the missing shards of a cache, view by view; after a stop, it goes on with the first that is missing.

    Several processes compute a shard each at a time. Images that cannot be read leave their rows empty.

    Args:
        cache: to be filled.
        model: the teacher, on the device; put into eval mode and frozen.
        batches: the training split in order, `EachView` by `EachView`, in batches of the cache's batch size.
        compute: device and precision of the teacher.
        layer: name of the teacher's last layer, where features are stored.
        on_batch: told the view (from 0) and the samples done, for progress.
        note: told that another process is waited for.

    Raises:
        CacheError: as `TeacherCache.filling` and `TeacherCache.store`.
    """
    model.eval().requires_grad_(False)
    processes = compute.processes
    with _filling(cache, processes, note), _rows(model, cache.stamp.content, layer) as rows_of, torch.no_grad():
        missing = cache.missing
        for start in range(0, len(missing), processes.world):
            written: list[tuple[str, str, set[int]]] = []
            for shard in missing[start + processes.rank : start + processes.rank + 1]:
                absent = set(range(shard.first, shard.last))
                rows = torch.zeros(len(absent), cache.stamp.width, device=compute.device)
                steps = -(-len(absent) // cache.batch_size)
                for loaded in islice(batches.epoch(shard.view, start=shard.first // cache.batch_size), steps):
                    batch = compute.put(loaded)
                    on_batch(shard.view, batch.whole * min(processes.world, len(missing) - start))
                    if not batch.counted:
                        continue
                    with compute.teacher_autocast():
                        found = rows_of(batch.inputs)
                    rows[batch.indices - shard.first] = found.float()
                    absent -= set(batch.indices.tolist())
                written.append((shard.file, cache.store(shard, rows, absent), absent))
            for other in processes.gather(written):
                for file, digest, samples in other:
                    cache.list_shards({file: digest}, samples, main=processes.main)


@contextmanager
def _rows(model: StudyModel, content: str, layer: str | None) -> Iterator[Callable[[Any], Tensor]]:
    """What is stored of a batch: its logits, or what enters the last layer."""
    if content == "logits":
        yield model
    elif isinstance(model, HiddenStateModel):
        yield model.hidden
    else:
        with PenultimateFeatures(model, model.num_classes, layer) as features_of:
            yield lambda inputs: features_of(inputs)[1]


@contextmanager
def _filling(cache: TeacherCache, processes: Processes, note: Callable[[str], None]) -> Iterator[None]:
    """Claim the cache for all processes of the run; rank 0 holds the lock."""
    if processes.main:
        with ExitStack() as stack:
            processes.on_main(lambda: stack.enter_context(cache.filling(note, waits=processes.world == 1)))
            yield
    else:
        processes.on_main(lambda: None)
        cache.reload()
        yield

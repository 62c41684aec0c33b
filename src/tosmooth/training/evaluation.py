"""One pass over a split in eval mode: metrics, and class centroids from the same forward passes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from tosmooth.analysis.calibration import ClassificationMetrics
from tosmooth.analysis.centroids import ClassCentroids
from tosmooth.analysis.exact import host_of
from tosmooth.analysis.separation import ClassSeparation
from tosmooth.analysis.temperature import TemperatureFit
from tosmooth.data.batches import Batches
from tosmooth.errors import DataError
from tosmooth.folder.columns import OF_EVERY_PASS, column
from tosmooth.models.features import PenultimateFeatures
from tosmooth.models.last_layer import find_last_layer
from tosmooth.models.study_model import HiddenStateModel, StudyModel
from tosmooth.training.compute import Compute
from tosmooth.training.processes import Processes

Kept = tuple[Tensor, Tensor, Tensor]  # features (n, D), labels (n,) and indices (n,) of some samples, on the CPU


@dataclass(frozen=True)
class Evaluation:
    """What one pass yields.

    Attributes:
        metrics: accuracy, likelihood and calibration.
        centroids: of the penultimate features of every class; None where not asked for.
        features: penultimate features (n, D) and labels (n,), on the CPU, of the classes that were to be kept.
        answers: (2, N) int32 on the CPU, by position in the split: the output that was most likely, and the label; −1
            where a sample could not be read, or was not judged.
        finite: whether all features were, and no logit was NaN; where not, centroids and metrics are not to be used.
        fit: fits a temperature to the logits, which it keeps; None where that was not asked for. All processes ask it.
    """

    metrics: ClassificationMetrics
    centroids: ClassCentroids | None
    features: tuple[Tensor, Tensor] | None
    answers: Tensor
    finite: bool = True
    fit: Callable[[], float | None] | None = None

    @property
    def temperature(self) -> float | None:
        """That fits the logits to the labels best; None where it was not asked for, or none does. Fitted when asked."""
        return self.fit() if self.fit is not None and self.finite else None

    @property
    def correct(self) -> Tensor:
        """(N,) int8 on the CPU, by position in the split: 1 = right, 0 = wrong, −1 = could not be read."""
        predicted, labels = self.answers.unbind()
        return (predicted == labels).to(torch.int8).masked_fill(labels < 0, -1)

    def columns(self, split: str) -> dict[str, float]:
        """The metrics under their column names of `split` ("val" or "test")."""
        if not self.finite:  # what answers nothing is never right
            known = {name: 0.0 if name.startswith("top") else math.nan for name in OF_EVERY_PASS}
        else:
            known = self.metrics.compute()
        return {column(split, name): known[name] for name in OF_EVERY_PASS}


def evaluate(
    model: StudyModel,
    batches: Batches,
    compute: Compute,
    *,
    centroids: bool = False,
    keep: Sequence[int] = (),
    layer: str | None = None,
    class_outputs: Tensor | None = None,
    judge: bool = True,
    fit: bool = False,
    temperature: float | None = None,
) -> Evaluation:
    """Metrics of a model on a split; centroids, and the features of some classes, from the same forward passes.

    The model is put into eval mode and left there.

    Args:
        model: on the device.
        batches: the split in order.
        compute: the device. The pass is in float32, whatever the precision of training.
        centroids: whether to accumulate the class centroids of the penultimate features.
        keep: classes whose features are handed back.
        layer: name of the model's last layer, where it is ambiguous.
        class_outputs: (C,) int64, the output that each followed class is; None: classes and outputs are the same.
            Centroids and kept features are those of the followed classes.
        judge: whether metrics are wanted; without them, a model that can leave out its last layer does.
        fit: whether somebody may ask for a temperature that fits the logits, which are kept for it.
        temperature: one that was fitted elsewhere; metrics have the calibration error at it, too.

    Raises:
        DataError: no sample of the split could be read.
    """
    return evaluate_together(
        [model],
        batches,
        compute,
        centroids=centroids,
        keep=[keep],
        layers=[layer],
        class_outputs=class_outputs,
        judge=judge,
        fit=fit,
        temperatures=[temperature],
    )[0]


def evaluate_together(
    models: Sequence[StudyModel],
    batches: Batches,
    compute: Compute,
    *,
    centroids: bool = False,
    keep: Sequence[Sequence[int]],
    layers: Sequence[str | None],
    class_outputs: Tensor | None = None,
    judge: bool = True,
    fit: bool = False,
    temperatures: Sequence[float | None] | None = None,
) -> list[Evaluation]:
    """`evaluate` of several models in one pass: a batch is read and decoded once, and each model runs on it in turn.

    Bit-equal to one pass a model. As in training, the activations of only one model are alive at a time.

    Args:
        models: on the device.
        batches: the split in order.
        compute: the device.
        centroids: as for `evaluate`, as are the others that are not said here.
        keep: of each model, the classes whose features are handed back.
        layers: of each model, the name of its last layer, where it is ambiguous.
        class_outputs: the same.
        judge: the same.
        fit: the same.
        temperatures: of each model, the one that was fitted elsewhere; None: of none.

    Raises:
        DataError: no sample of the split could be read.
    """
    asked = [
        _Asked(model, batches, compute, centroids, own, class_outputs, judge, fit, temperature)
        for model, own, temperature in zip(models, keep, temperatures or [None] * len(models), strict=True)
    ]
    with torch.no_grad(), ExitStack() as stack:
        readers = [
            stack.enter_context(_reading(model, layer, wanted=bool(centroids or own), logits=judge))
            for model, layer, own in zip(models, layers, keep, strict=True)
        ]
        for batch in batches.epoch(0):
            if not batch.counted:
                continue
            inputs, labels, indices = compute.put(batch)[:3]
            for one, read in zip(asked, readers, strict=True):
                one.add(*read(inputs), labels, indices)
    return [one.evaluation() for one in asked]


class _Asked:
    """One model in a pass: what is wanted of it, and what was gathered so far. Arguments as for `evaluate`."""

    def __init__(
        self,
        model: StudyModel,
        batches: Batches,
        compute: Compute,
        centroids: bool,
        keep: Sequence[int],
        class_outputs: Tensor | None,
        judge: bool,
        fit: bool,
        temperature: float | None,
    ) -> None:
        model.eval()
        self._size, self._compute = batches.size, compute
        self._wants_centroids, self._keep, self._judge = centroids, keep, judge
        self._classes = FollowedClasses(model.num_classes, class_outputs, compute.device)
        self._temperature = temperature
        self._metrics = ClassificationMetrics(model.num_classes, temperature)
        self._fitting = TemperatureFit(batches.size, model.num_classes) if fit else None
        self._follows = bool(centroids or keep or fit)  # what is followed refuses NaN, or leaves the device anyway
        self._seen, self._stopped = 0, False
        self._usable: list[Tensor] = []  # of each batch, a flag on the device
        self._centroids: ClassCentroids | None = None
        self._kept: list[Kept] = []
        self._judged: list[tuple[Tensor, Tensor]] = []

    def add(self, logits: Tensor | None, features: Tensor | None, labels: Tensor, indices: Tensor) -> None:
        """Add what the model says of a batch."""
        self._seen += len(labels)
        self._usable.append(_usable(logits, features))
        self._stopped = self._stopped or (self._follows and not self._usable[-1])
        if self._stopped:
            return
        if self._judge and logits is not None:
            self._metrics.update(logits.float(), labels, trusted=True)
            if self._fitting is not None:
                self._fitting.update(logits, labels, indices)
            self._judged.append((indices, torch.stack([logits.argmax(1), labels])))
        if features is not None and self._wants_centroids:
            self._centroids = self._centroids or ClassCentroids(self._classes.count, features.shape[1])
            self._centroids.update(features.float(), self._classes.of(labels))
        if features is not None and self._keep:
            self._kept.append(_of_classes(features, self._classes.of(labels), indices, self._keep))

    def evaluation(self) -> Evaluation:
        """What the pass has yielded, over all processes."""
        processes, metrics, kept, found = self._compute.processes, self._metrics, self._kept, self._centroids
        good = torch.stack(self._usable).tolist() if self._usable else []  # read once: a GPU would wait for each
        seen, finite = self._seen, all(good)
        # From the first batch that is not finite on, nothing counts as judged.
        answers = _by_position(self._judged if finite else self._judged[: good.index(False)], self._size)
        if processes.world > 1:
            answers = torch.stack(processes.gather(answers)).amax(0)
            found = _reduced(found, self._classes.count, self._compute)
            metrics, kept = _gathered(metrics, kept, processes)
            seen, finite = sum(processes.gather(seen)), all(processes.gather(finite))
        if not seen:
            raise DataError("nothing of the split could be read")
        if not finite:  # some of what they have seen is NaN
            metrics = ClassificationMetrics(metrics.num_classes, self._temperature)
        fitting = self._fitting
        fit = None if fitting is None else partial(fitting.compute, lambda own: sum(processes.gather(own)))
        return Evaluation(metrics, found, _joined(kept) if kept else None, answers, finite, fit)


class FollowedClasses:
    """Labels as classes that the analysis follows.

    Args:
        num_outputs: K.
        class_outputs: (C,) int64, the output that each class is; None: all outputs, in their order.
        device: of the labels.
    """

    def __init__(self, num_outputs: int, class_outputs: Tensor | None, device: torch.device) -> None:
        self.count = num_outputs if class_outputs is None else len(class_outputs)
        self._class_of: Tensor | None = None
        if class_outputs is not None:
            self._class_of = torch.full((num_outputs,), -100, device=device)
            self._class_of[class_outputs.to(device)] = torch.arange(len(class_outputs), device=device)

    def of(self, labels: Tensor) -> Tensor:
        """Labels (N,) in [0, K) → classes (N,) in [0, C), −100 where nobody follows the label."""
        return labels if self._class_of is None else self._class_of[labels]


# inputs on the device → logits (N, K) and penultimate features (N, D), each None where it is not wanted
_Read = Callable[[Any], tuple[Tensor | None, Tensor | None]]


@contextmanager
def _reading(model: StudyModel, layer: str | None, *, wanted: bool, logits: bool) -> Iterator[_Read]:
    """How a model is read: features only where wanted, and no logits where they are most of the work for nothing."""
    if not wanted:
        yield lambda inputs: (model(inputs), None)
    elif isinstance(model, HiddenStateModel) and not logits:
        yield lambda inputs: (None, model.hidden(inputs))
    else:
        with PenultimateFeatures(model, model.num_classes, layer) as features_of:
            yield features_of


def _by_position(judged: list[tuple[Tensor, Tensor]], size: int) -> Tensor:
    """Answers and labels (2, N) by position in the split, −1 where nothing was judged."""
    found = torch.full((2, size), -1, dtype=torch.int32)
    for indices, own in judged:
        found[:, indices.cpu()] = own.to("cpu", torch.int32)
    return found


def _reduced(found: ClassCentroids | None, num_classes: int, compute: Compute) -> ClassCentroids | None:
    """The centroids over the samples of all processes; a process without samples takes part with none."""
    width = max(compute.processes.gather(0 if found is None else found.num_features))
    if not width:
        return None
    found = found or ClassCentroids(num_classes, width)
    found.to(host_of(compute.device))
    found.reduce(compute.processes.sum)
    return found


def _usable(logits: Tensor | None, features: Tensor | None) -> Tensor:
    """Whether answers can be used, a flag on the device; logits may be −∞, of outputs that a model rules out."""
    flags = [] if logits is None else [~logits.isnan().any()]
    flags += [] if features is None else [features.isfinite().all()]
    return torch.stack(flags).all()


def _gathered(metrics: ClassificationMetrics, kept: list[Kept], processes: Processes) -> tuple[Any, list[Kept]]:
    """Metrics and kept features of all processes, in all of them; features in the order of the split."""
    gathered = processes.gather((metrics.on_host(), kept))
    whole, *others = (theirs for theirs, _ in gathered)
    for theirs in others:
        whole.merge(theirs)
    parts = [part for _, theirs in gathered for part in theirs]
    if not parts:
        return whole, []
    features, labels, indices = (torch.cat(tensors) for tensors in zip(*parts, strict=True))
    order = indices.argsort(stable=True)
    return whole, [(features[order], labels[order], indices[order])]


def features_of_classes(
    model: StudyModel,
    batches: Batches,
    compute: Compute,
    classes: Sequence[int],
    layer: str | None = None,
    class_outputs: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Penultimate features (n, D) and classes (n,) of the samples of some classes, on the CPU; n may be 0. Of images,
    only those run.

    Arguments as for `evaluate`.
    """
    model.eval()
    kept = []
    wanted = torch.tensor(classes, device=compute.device)
    followed = FollowedClasses(model.num_classes, class_outputs, compute.device)
    with torch.no_grad(), _reading(model, layer, wanted=True, logits=False) as read:
        for batch in batches.epoch(0):
            inputs, labels, indices = compute.put(batch)[:3]
            own = followed.of(labels)
            chosen = torch.isin(own, wanted)
            if not batch.counted or not chosen.any():
                continue
            alone = isinstance(inputs, Tensor)  # the tokens of a sentence are not read one by one
            _, features = read(inputs[chosen] if alone else inputs)
            assert features is not None
            features = features if alone else features[chosen]
            kept.append((features.float().cpu(), own[chosen].cpu(), indices[chosen].cpu()))
    if not kept:  # a word that training has often may not occur in a small split
        _, last = find_last_layer(model, model.num_classes, layer)
        return torch.zeros(0, last.weight.shape[1]), torch.zeros(0, dtype=torch.int64)
    return _joined(kept)


def separation_of(
    models: Sequence[StudyModel],
    batches: Batches,
    compute: Compute,
    found: Sequence[ClassSeparation],
    layers: Sequence[str | None],
    class_outputs: Tensor | None = None,
) -> list[Tensor]:
    """d′ of pairs of classes (C, C) on the CPU, of each model: a second pass over the split whose centroids its `found`
    was made with, the same pass for all of them.

    Other arguments as for `evaluate_together`.
    """
    with torch.no_grad(), ExitStack() as stack:
        readers = []
        for model, layer in zip(models, layers, strict=True):
            followed = FollowedClasses(model.eval().num_classes, class_outputs, compute.device)
            readers.append((stack.enter_context(_reading(model, layer, wanted=True, logits=False)), followed))
        for batch in batches.epoch(0):
            if not batch.counted:
                continue
            inputs, labels = compute.put(batch)[:2]
            for own, (read, followed) in zip(found, readers, strict=True):
                _, features = read(inputs)
                assert features is not None
                own.update(features, followed.of(labels))
    for own in found:
        if compute.processes.world > 1:
            own.reduce(compute.processes.sum)
    return [own.d_prime().cpu() for own in found]


def _of_classes(features: Tensor, labels: Tensor, indices: Tensor, classes: Sequence[int]) -> Kept:
    chosen = torch.isin(labels, torch.tensor(classes, device=labels.device))
    return features[chosen].float().cpu(), labels[chosen].cpu(), indices[chosen].cpu()


def _joined(parts: list[Kept]) -> tuple[Tensor, Tensor]:
    features, labels, _ = zip(*parts, strict=True)
    return torch.cat(features), torch.cat(labels)

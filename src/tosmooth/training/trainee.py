"""One model in training, with everything that belongs to it alone."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from tosmooth.config.schema import TrainingConfig
from tosmooth.errors import CheckpointError, ModelError
from tosmooth.files import write_text
from tosmooth.folder.paths import CURVE_FILE, LAST_WEIGHTS_FILE, WEIGHTS_FILE, epoch_file
from tosmooth.models.averaging import average_weights
from tosmooth.models.study_model import HiddenStateModel, StudyModel
from tosmooth.models.weights import load_weights, save_weights
from tosmooth.training.checkpoint import State
from tosmooth.training.compute import Compute
from tosmooth.training.forward import Answer, Hidden, SharedInputs, first_rows, logits_of
from tosmooth.training.graphs import RecordedStep
from tosmooth.training.loss_functions import LossFunction
from tosmooth.training.moving_average import average_of
from tosmooth.training.optimization import (
    build_optimizer,
    learning_rate,
    remembered,
    remind,
    set_learning_rate,
    step_unless,
)
from tosmooth.training.randomness import RandomStream, seed_of_rank

METERS = ("good_steps", "loss_sum", "last_loss", "images", "first")  # tensors on the device, beside the flag `stopped`
FIRST_ROWS = 1024  # of the first batch, where logits are never made whole


def averaged_epochs(config: TrainingConfig) -> range:
    """The epochs, from 1, whose weights are averaged in the end; none where the last or best epoch is kept as it is."""
    if config.average_last < 2:
        return range(0)
    return range(config.epochs - config.average_last + 1, config.epochs + 1)


class Share(NamedTuple):
    """This process's part of a batch that several processes work on.

    Attributes:
        images: how many images of the batch are here.
        total: how many the batch has, a scalar on the device.
        weight: by which the mean loss over the images here enters the average over processes, a scalar on the device.
    """

    images: int
    total: Tensor
    weight: Tensor


@dataclass
class Trainee:
    """A teacher or student in training: model, loss, optimiser, schedule, random stream, and its folder on disk."""

    name: str
    model: StudyModel
    loss_function: LossFunction
    config: TrainingConfig
    compute: Compute
    seed: int
    steps_per_epoch: int
    folder: Path
    select_by: str | None  # figure whose best epoch is kept, such as "val/top1"; None keeps the last
    lower_is_better: bool = False  # of that figure
    judged_by: str = "val/top1"  # what its epochs are compared by, also where the last one is kept
    fused: bool = False  # the loss works on hidden states; of models that have them
    looks_first: bool = (
        False  # note what an untrained student begins with: of losses that are 0 at its teacher's answers
    )
    step_count: int = 0
    failure: str | None = None
    selected_epoch: int | None = None
    best_score: float = float("-inf")  # of the figure; with its sign turned where lower is better
    records: list[dict[str, Any]] = field(default_factory=list)  # of the epochs so far, as in metrics.jsonl

    def __post_init__(self) -> None:
        self.model = self.compute.place(self.model)
        average = self.config.moving_average
        self.average = None if average is None else average_of(self.model, average)
        self.forward = self.compute.trainable(self.model)
        self.optimizer = build_optimizer(self.model.backbone, self.config.optimizer)
        # Dropout masks of several processes must differ; rank 0 draws what a process alone would draw.
        seed = seed_of_rank(self.seed, self.compute.processes.rank)
        self.random = RandomStream(seed, self.compute.device)
        self.parameters = [p for p in self.model.parameters() if p.requires_grad]
        # All of these stay on the device and are read only at intervals: reading one every step would make a GPU wait.
        self.stopped = torch.zeros((), device=self.compute.device)  # 1 from the first step that was not finite
        self._good_steps = torch.zeros((), device=self.compute.device)
        self._loss_sum = torch.zeros((), device=self.compute.device)
        self._last_loss = torch.zeros((), device=self.compute.device)  # up to and including the first that was not
        self._images = torch.zeros((), device=self.compute.device)
        # Of the untrained model on the first batch: loss, and norm of its gradient at the logits of a sample.
        self._first = torch.full((2,), math.nan, device=self.compute.device)
        self.recorded = self._to_be_recorded()

    def _to_be_recorded(self) -> RecordedStep | None:
        graphs = self.compute.graphs
        return None if graphs is None else graphs.of(self.optimizer, self.config.batch_size, self.name)

    @property
    def kept(self) -> StudyModel:
        """The model whose weights are judged, chosen among epochs, and kept: its moving average where there is one."""
        kept: StudyModel = self.model if self.average is None else self.average.module
        return kept

    def learning_rate(self, step: int) -> float:
        """Learning rate of a step, from 0."""
        return learning_rate(
            step,
            peak=self.config.optimizer.learning_rate,
            steps_per_epoch=self.steps_per_epoch,
            epochs=self.config.epochs,
            schedule=self.config.schedule,
        )

    def step(
        self,
        inputs: SharedInputs,
        labels: Tensor,
        answers: Mapping[str, Answer],
        share: Share | None = None,
    ) -> None:
        """One forward, backward and update on a batch with labels (N,), or on this process's `share` of it.

        A loss or gradient that is not finite raises a flag on the device, which holds back this update and all later
        ones: the weights stay those of the last good step. Nothing here waits for the device, but for optimisers that
        do not know such a flag: for them it is read.
        """
        set_learning_rate(self.optimizer, self.learning_rate(self.step_count))
        prepared = inputs.of(self.model)
        with self.random:
            if self.recorded is None:
                self._update(prepared, labels, answers, share)
            else:  # alone: several processes record no steps
                self.recorded.take(self._update, prepared, labels, answers)
        self.step_count += 1
        if self.average is not None:
            self.average.update(self.model, step=self.step_count)

    def _update(self, prepared: Any, labels: Tensor, answers: Mapping[str, Answer], share: Share | None = None) -> None:
        """What a step does on the device. Once it is recorded, its kernels run again, and nothing of this text."""
        if share is None:
            loss = self._loss(prepared, labels, answers)
        elif share.images:
            loss = self._loss(prepared, labels, answers) * share.weight
        else:
            loss = self._nothing(prepared)
        self.compute.accelerator.backward(loss)
        if self.looks_first and self.step_count == 0 and share is not None:
            own = self._first.nan_to_num() * share.images / share.total  # no part in the batch: nothing was looked at
            self._first = self.compute.processes.sum(own)
        if share is None:
            self._flag(loss.detach(), self._gradient_norm(), len(labels))
        else:  # the flag must rise in all processes or in none
            mean = self.compute.processes.sum(loss.detach() / self.compute.processes.world)
            self._flag(mean, self._gradient_norm(), share.total)
        step_unless(self.optimizer, self.parameters, self.stopped)
        self.optimizer.zero_grad(set_to_none=True)

    def _loss(self, prepared: Any, labels: Tensor, answers: Mapping[str, Answer]) -> Tensor:
        if self.fused and isinstance(self.model, HiddenStateModel):
            with self.compute.autocast():
                hidden = Hidden(self.model.hidden(prepared), self.model.last_layer)
                self._look_first(hidden, labels, answers)
                return self.loss_function(hidden, labels, answers)
        with self.compute.autocast():
            logits = self.forward(prepared).float()
        self._look_first(logits, labels, answers)
        return self.loss_function(logits, labels, answers)

    def _look_first(self, answer: Answer, labels: Tensor, answers: Mapping[str, Answer]) -> None:
        """Of the first batch of a student that nobody has trained: its loss, and the gradient at its logits."""
        if not self.looks_first or self.step_count:
            return
        if isinstance(answer, Hidden):
            answer, labels = first_rows(answer, FIRST_ROWS), labels[:FIRST_ROWS]
            answers = {name: first_rows(own, FIRST_ROWS) for name, own in answers.items()}
        logits = logits_of(answer).detach().float().requires_grad_()
        loss = self.loss_function(logits, labels, answers)
        (gradient,) = torch.autograd.grad(loss, logits)
        # The loss is a mean over n samples: each row is 1/n of its sample's gradient.
        self._first = torch.stack([loss.detach(), gradient.norm(dim=-1).sum()])

    def _nothing(self, prepared: Any) -> Tensor:
        """A loss of 0 with gradients of 0, in eval mode, so that a placeholder moves no statistics.

        Statistics that all processes share are exchanged in train mode alone, and the others wait for this one: there,
        the placeholder takes part.
        """
        self.model.train(self.compute.sync_batchnorm)
        with self.compute.autocast():
            logits = self.forward(prepared)
        self.model.train()
        return logits.float().sum() * 0.0

    def _gradient_norm(self) -> Tensor:
        """The norm of all gradients, which are clipped to `gradient_clip` where that is set."""
        if self.config.gradient_clip is not None:
            return nn.utils.clip_grad_norm_(self.parameters, self.config.gradient_clip)
        return nn.utils.get_total_norm([p.grad for p in self.parameters if p.grad is not None])

    def _flag(self, loss: Tensor, gradient_norm: Tensor, images: int | Tensor) -> None:
        running = self.stopped == 0
        self._last_loss.copy_(torch.where(running, loss, self._last_loss))  # in place: a recorded step knows addresses
        self.stopped.copy_(torch.where((loss + gradient_norm).isfinite(), self.stopped, 1.0))
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

    def end_epoch(self, epoch: int, metrics: Mapping[str, float], samples_per_second: float | None) -> None:
        """Write the epoch's record, and the weights when they are the best so far or the last. Only rank 0 writes.

        Args:
            epoch: from 0.
            metrics: on validation.
            samples_per_second: None where all of the epoch was seen by an earlier run.
        """
        self.records.append(
            {
                "epoch": epoch + 1,
                "train/loss": self._loss_sum.item() / max(1.0, self._images.item()),
                "learning_rate": self.learning_rate(self.step_count - 1),
                "samples_per_second": None if samples_per_second is None else round(samples_per_second, 1),
                **metrics,
            }
        )
        self._loss_sum.zero_()
        self._images.zero_()
        main = self.compute.processes.main
        if main:
            self._write_records()
        is_last = epoch + 1 == self.config.epochs
        best = self.improves(metrics)
        if best:
            self.best_score = self._score(metrics)
        if main and epoch + 1 in averaged_epochs(self.config):
            self._save(epoch_file(epoch + 1))
        if best or (is_last and self.select_by is None):
            self.selected_epoch = epoch + 1
            if main:
                self._save_kept()
        if is_last and self.select_by is not None and main:
            self._save(LAST_WEIGHTS_FILE)

    def improves(self, metrics: Mapping[str, float]) -> bool:
        """Whether these figures of an epoch are better than those of the one that is kept so far."""
        return self.select_by is not None and self._score(metrics) > self.best_score

    def _score(self, metrics: Mapping[str, float]) -> float:
        value = metrics[self.select_by or ""]
        return -value if self.lower_is_better else value

    def _save_kept(self) -> None:
        """The weights that are kept: these, or the mean of the last epochs'."""
        files = [self.folder / epoch_file(epoch) for epoch in averaged_epochs(self.config)]
        if not files:
            self._save(WEIGHTS_FILE)
            return
        own = {name: value.clone() for name, value in self.model.backbone.state_dict().items()}
        self.model.backbone.load_state_dict(average_weights(files), strict=False)  # tied tensors are in a file once
        self._save(WEIGHTS_FILE)
        self.model.backbone.load_state_dict(own)

    def _save(self, name: str) -> None:
        """Write the weights into the folder.

        Raises:
            ModelError: the disk is full or read-only; the checkpoints so far are safe.
        """
        try:
            save_weights(self.kept, self.folder / name)
        except ModelError as error:
            raise ModelError(f"{error}; the same command goes on from the last checkpoint") from None

    def forget_epochs(self) -> None:
        """Delete the weights of single epochs, once their mean is all that anyone will ask for."""
        for epoch in averaged_epochs(self.config):
            (self.folder / epoch_file(epoch)).unlink(missing_ok=True)

    def _write_records(self) -> None:
        lines = "".join(json.dumps(record) + "\n" for record in self.records)
        write_text(self.folder / CURVE_FILE, lines)

    def convergence(self) -> dict[str, float | None]:
        """How far a student has come, by column: what it began with, and what the last epoch still gained.

        `train/first_loss` and `train/first_gradient` are of the first batch, before any step: the loss, and the norm of
        its gradient at the logits of one sample, a mean. `train/last_gain` is how much better the last epoch's
        validation figure is than the one before, in points of the figure; None without a validation split.
        """
        if not self.looks_first:
            return {}
        loss, gradient = self._first.tolist()
        found = {"train/first_loss": loss, "train/first_gradient": gradient}
        gains: dict[str, float | None] = {"train/last_gain": None}
        figures = [record[self.judged_by] for record in self.records[-2:] if self.judged_by in record]
        if len(figures) == 2:
            before, last = figures
            gains["train/last_gain"] = before - last if self.lower_is_better else last - before
        return {name: value if math.isfinite(value) else None for name, value in found.items()} | gains

    @property
    def last_record(self) -> Mapping[str, Any]:
        """The record of the last epoch."""
        return self.records[-1]

    def restore_selected(self) -> None:
        """Put the kept weights into the model, for the analysis that follows training."""
        load_weights(self.model, self.folder / WEIGHTS_FILE)

    def state(self, streams: Sequence[list[Tensor]] | None = None) -> State:
        """Everything that the next steps and the results depend on.

        Args:
            streams: the states of this model's random stream in all processes, by rank; None: this one is alone.
        """
        tensors = {f"model.{name}": value for name, value in self.model.state_dict().items()}
        if self.average is not None:
            tensors |= {f"average.{name}": value for name, value in self.average.module.state_dict().items()}
        tensors |= {f"optimizer.{key}": value for key, value in remembered(self.optimizer, self.parameters)}
        for rank, stream in enumerate(streams or [self.random.state()]):
            tensors |= {f"random.{rank}.{number}": part for number, part in enumerate(stream)}
        tensors |= {f"meter.{name}": getattr(self, f"_{name}") for name in METERS} | {"meter.stopped": self.stopped}
        facts = {
            "step_count": self.step_count,
            "failure": self.failure,
            "selected_epoch": self.selected_epoch,
            "best_score": None if self.best_score == float("-inf") else self.best_score,
            "records": list(self.records),
        }
        # Copies: parameters that share their memory (tied layers) are written one by one.
        return State({name: _copied(value) for name, value in tensors.items()}, facts)

    def restore(self, state: State) -> None:
        """Go on from `state`.

        Raises:
            CheckpointError: it is of another model or optimiser.
        """
        parts: dict[str, dict[str, Tensor]] = {"model": {}, "optimizer": {}, "random": {}, "meter": {}}
        for name, value in state.tensors.items():
            part, _, key = name.partition(".")
            parts.setdefault(part, {})[key] = value
        try:
            self.model.load_state_dict(parts["model"])
            if self.average is not None:
                self.average.module.load_state_dict(parts["average"])
            self.stopped.copy_(parts["meter"]["stopped"])
            for name in METERS:
                if name in parts["meter"] or name != "first":  # earlier versions did not look at the first batch
                    getattr(self, f"_{name}").copy_(parts["meter"][name])
            for key, value in parts["optimizer"].items():
                remind(self.optimizer, self.parameters, key, value)
            facts = state.facts
            self.step_count, self.failure = facts["step_count"], facts["failure"]
            self.selected_epoch, self.records = facts["selected_epoch"], list(facts["records"])
            self.best_score = float("-inf") if facts["best_score"] is None else facts["best_score"]
            rank = self.compute.processes.rank
            streams = sorted((key, value) for key, value in parts["random"].items() if key.startswith(f"{rank}."))
            if streams:  # none where there were fewer processes: a new one starts its own
                self.random.go_to([value for _, value in streams])
            self.recorded = self._to_be_recorded()  # a recording is of what the optimiser remembered before
        except (LookupError, RuntimeError, ValueError) as error:
            raise CheckpointError(f"{self.name}: the checkpoint does not fit this model: {error}") from None
        if self.compute.processes.main:
            self._write_records()


def _copied(value: Tensor) -> Tensor:
    return value.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)

"""Trainers of Hugging Face transformers that distil, for classifiers and sequence-to-sequence models; and a callback.

The loss is `tosmooth.distillation_loss` on the student's logits; everything else is the library's Trainer. Install with
``pip install "tosmooth[hf]"``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from tosmooth.errors import MissingLibraryError
from tosmooth.integrations.batches import IGNORED, decoder_inputs
from tosmooth.integrations.libraries import require
from tosmooth.integrations.teacher import FrozenTeacher
from tosmooth.integrations.tracking import TrainingTracker
from tosmooth.losses.distillation import DistillationLoss, Objective
from tosmooth.models.image_model import logits_of

_library = require("transformers", "tosmooth[hf]")
if "num_items_in_batch" not in inspect.signature(_library.Trainer.compute_loss).parameters:
    raise MissingLibraryError(
        f"transformers {_library.__version__} is too old for these trainers, whose losses are means over all samples "
        'of a step (num_items_in_batch): pip install -U "transformers>=4.48"'
    )
_AUTO = require("transformers.models.auto.modeling_auto", "tosmooth[hf]")
_CAUSAL = set(_AUTO.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.values())


class DistillationTrainer(_library.Trainer):  # type: ignore[misc, name-defined]
    """`transformers.Trainer` whose loss is the distillation loss, for image (and other) classifiers.

    `eval_loss` is the distillation loss too. The teacher is kept out of the model: it is not trained, wrapped or saved.

    Args:
        *args: those of `transformers.Trainer`; its `label_smoothing_factor` smooths the hard labels.
        **kwargs: the same.
        teacher: any module that takes the student's arguments and gives logits (N, K), or an object with `.logits`. It
            is put into eval mode, frozen and moved to the student's device.
        temperature: T > 0.
        objective: a registered name or a callable; for this and all others see `tosmooth.distillation_loss`.
        objective_kwargs: further keyword arguments of the objective.
        hard_weight: w in [0, 1], the weight of the hard labels.
        topk: how many of the teacher's classes to keep.
        teacher_inputs: from the student's arguments to the teacher's, where they differ: another normalisation, or
            other names.

    Raises:
        ValueError: settings that `tosmooth.distillation_loss` refuses, `compute_loss_func`, or smoothed hard labels of
            weight 0.
        ModelError: a teacher that shares parameters with the student, or has other classes.
    """

    def __init__(
        self,
        *args: Any,
        teacher: nn.Module,
        temperature: float,
        objective: str | Objective = "hinton",
        objective_kwargs: Mapping[str, Any] | None = None,
        hard_weight: float = 0.0,
        topk: int | None = None,
        teacher_inputs: Callable[[dict[str, Any]], Mapping[str, Any]] | None = None,
        **kwargs: Any,
    ) -> None:
        settings: dict[str, Any] = {"objective": objective, "objective_kwargs": objective_kwargs, "topk": topk}
        DistillationLoss(temperature, hard_weight=hard_weight, **settings)  # refuses what is wrong, before any work
        if kwargs.get("compute_loss_func") is not None:
            raise ValueError("compute_loss_func would not be called: the loss is the distillation loss; leave it out")
        super().__init__(*args, **kwargs)
        smoothing = self.args.label_smoothing_factor
        if smoothing and not hard_weight:
            raise ValueError(
                f"label_smoothing_factor = {smoothing} smooths the hard labels, and hard_weight = 0 leaves them out; "
                "change one of the two"
            )
        self.label_smoother = None  # it is part of the distillation loss here
        self.distillation = DistillationLoss(
            temperature, hard_weight=hard_weight, label_smoothing=smoothing, reduction="sum", **settings
        )
        self.teacher = FrozenTeacher(teacher, self.model)
        self.teacher.to(self.args.device)
        self.teacher_inputs = teacher_inputs
        # Then the library counts the samples of all batches of a step, and leaves the division by their number to
        # compute_loss; it looks for the argument in the model's signature, whose loss is not asked for here.
        self.model_accepts_loss_kwargs = True

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """The distillation loss of a batch.

        Args:
            model: the student, perhaps wrapped.
            inputs: its arguments; `labels` may hold −100 and may be missing, if the objective does without them.
            return_outputs: return the student's outputs too.
            num_items_in_batch: labels other than −100 in all batches of the step, in all processes; the loss is the sum
                over this batch divided by it. None: the mean over this batch.
        """
        inputs = dict(inputs)
        labels = inputs.pop("labels", None)
        if labels is not None and inputs.get("decoder_input_ids") is None:
            made = decoder_inputs(model, labels)
            inputs |= {} if made is None else {"decoder_input_ids": made}
        outputs = model(**inputs)
        logits = logits_of(outputs)
        given = inputs if self.teacher_inputs is None else self.teacher_inputs(dict(inputs))
        with self.accelerator.autocast():
            taught = self.teacher.logits(logits, **given)
        if labels is not None and self._predicts_next(model):
            logits, taught, labels = logits[:, :-1], taught[:, :-1], labels[:, 1:]
        loss = self.distillation(logits, taught, labels) / self._divisor(logits, labels, num_items_in_batch)
        if not return_outputs:
            return loss
        # As dictionary: of anything else the library drops the first entry, which it takes for a loss.
        return loss, outputs if isinstance(outputs, dict) else {"logits": logits_of(outputs)}

    def _divisor(self, logits: Tensor, labels: Tensor | None, items: Tensor | int | None) -> Tensor:
        """What the sum over this batch is divided by, a 0-dimensional tensor of at least 1 a process."""
        if items is None:
            rows = logits.shape[:-1].numel() if labels is None else (labels != IGNORED).sum()
            return torch.as_tensor(rows, device=logits.device).clamp(min=1)
        count = torch.as_tensor(items, dtype=torch.float32, device=logits.device).flatten()[0].clamp(min=1)
        across = self.args.average_tokens_across_devices
        if self.args.n_gpu > 1:  # DataParallel: the outputs here are those of all devices; the count may be of one
            return count if across else count * self.args.n_gpu
        # The count is that of all processes, and gradients are averaged over them.
        return count / self._data_processes() if across else count

    def _data_processes(self) -> int:
        """Processes that see different batches."""
        same_batch = self.get_tp_size() if hasattr(self, "get_tp_size") else 1
        return max(1, int(self.accelerator.num_processes) // same_batch)

    def _predicts_next(self, model: nn.Module) -> bool:
        """Whether row i of the logits is about label i + 1: of causal language models."""
        student = self.accelerator.unwrap_model(model)
        encoder_decoder = getattr(getattr(student, "config", None), "is_encoder_decoder", False)
        return type(student).__name__ in _CAUSAL and not encoder_decoder


class Seq2SeqDistillationTrainer(DistillationTrainer, _library.Seq2SeqTrainer):  # type: ignore[misc, name-defined]
    """`transformers.Seq2SeqTrainer` whose loss is the word-level distillation loss, a mean over tokens.

    The arguments are those of `DistillationTrainer`. Teacher and student must have one vocabulary. Both see the same
    decoder inputs: the batch's `decoder_input_ids`, else what the student makes of the labels. Tokens whose label is
    −100 (padding) do not count.
    """

    def prediction_step(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        prediction_loss_only: bool,
        ignore_keys: list[str] | None = None,
        **gen_kwargs: Any,
    ) -> tuple[Any, Any, Any]:
        """As the library's; `eval_loss` is the distillation loss also where it generates (`predict_with_generate`)."""
        loss, predictions, labels = super().prediction_step(
            model, inputs, prediction_loss_only, ignore_keys=ignore_keys, **gen_kwargs
        )
        generated = self.args.predict_with_generate and not prediction_loss_only
        if generated and loss is not None:
            with torch.no_grad(), self.compute_loss_context_manager():
                loss = self.compute_loss(model, self._prepare_inputs(inputs)).detach()
        return loss, predictions, labels


class DiffusionCallback(_library.TrainerCallback):  # type: ignore[misc, name-defined]
    """Tracks a classifier at every evaluation of any `transformers.Trainer`: see `TrainingTracker`.

    It makes a pass of its own over the evaluation data. What it finds goes into the metrics that `evaluate` returns, as
    `eval_eta_s1`, `eval_ece` and so on, and into the trainer's log history. In several processes accelerate fills up
    the last batch with samples seen before, which count twice here.

    Args:
        tracker: with the classes, masks and reference.
        layer: the classifier's last linear layer, where it is ambiguous.

    Attributes:
        history: what each evaluation gave, in order.
    """

    def __init__(self, tracker: TrainingTracker, layer: str | None = None) -> None:
        self.tracker, self.layer = tracker, layer
        self.history: list[dict[str, float]] = []

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: Any = None, **kwargs: Any) -> None:
        """The pass, after an evaluation."""
        found = self.tracker.evaluate(kwargs["model"], kwargs["eval_dataloader"], layer=self.layer)
        self.history.append(found)
        named = {f"eval_{name}": value for name, value in found.items()}
        state.log_history.append({**named, "step": state.global_step})
        if metrics is not None:
            metrics.update(named)

"""Where the work is done and in which precision, on top of Accelerate."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any, TypeVar

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from tosmooth.config.schema import ComputeConfig
from tosmooth.data.batches import Batch
from tosmooth.errors import ConfigError, ModelError
from tosmooth.memory import free_memory
from tosmooth.models.study_model import StudyModel
from tosmooth.training.device import computes_in_bf16, exact_float32, find_device, has_bf16
from tosmooth.training.graphs import Graphs, no_graphs
from tosmooth.training.processes import Processes, lost_peers

Model = TypeVar("Model", bound=nn.Module)


def _classify(model: StudyModel, prepared: Any) -> torch.Tensor:
    return model.classify(prepared)


@cache
def _compiled_classify() -> Callable[[StudyModel, Any], torch.Tensor]:
    """One function for all models: those of one architecture share its graph, instead of compiling one each.

    Made when it is asked for: the compiler takes two seconds to import.
    """
    return torch.compile(_classify)


class _Classifier(nn.Module):
    """What is wrapped for several processes: a model without its preparation of inputs, which many models share."""

    def __init__(self, model: StudyModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, prepared: Any) -> Tensor:
        return self.model.classify(prepared)


def _unused(error: RuntimeError, model: nn.Module) -> list[str] | None:
    """The parameters that DistributedDataParallel waits for in vain, by name; None where the error is another one."""
    found = re.search(r"did not receive grad for rank \d+: ([\d ]+)", str(error))
    if found is None:
        return None
    trained = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    return [trained[int(number)] for number in found[1].split()]


@dataclass(frozen=True)
class Compute:
    """Device, precision and memory layout of a run, and the processes that share it."""

    accelerator: Accelerator
    device: torch.device
    precision: str  # "float32" or "bf16"
    teacher_precision: str  # the same, of frozen teachers
    channels_last: bool
    compiled: bool
    sync_batchnorm: bool = False
    processes: Processes = field(default_factory=Processes)
    graphs: Graphs | None = None  # where steps are to be recorded

    @classmethod
    def from_config(cls, config: ComputeConfig) -> Compute:
        """Resolve `auto` against this machine; `measured` counts as `auto` until a study has measured.

        Raises:
            ConfigError: the device asked for is not there, or something asked for is not to be had on it.
        """
        if config.threads is not None:
            torch.set_num_threads(config.threads)
        accelerator, device = find_device(config)
        if device.type == "cuda":
            exact_float32()
        processes = Processes.here(device)
        if processes.world > 1 and config.compile == "on":
            raise ConfigError(["compute.compile: on is not available in several processes; set compute.compile=off"])
        if processes.world > 1 and config.fused_loss == "on":
            raise ConfigError(["compute.fused_loss: on is not available in several processes; set it to auto"])
        if config.sync_batchnorm and device.type != "cuda":
            raise ConfigError(["compute.sync_batchnorm: true needs GPUs; on CPUs statistics are those of each process"])
        precision, teacher_precision = config.precision, config.teacher_precision
        if precision not in {"float32", "bf16"}:
            precision = "bf16" if has_bf16(device) else "float32"
        if teacher_precision not in {"float32", "bf16"}:
            # A frozen teacher only runs forward, which bf16 halves on CPUs that have the instructions (others emulate
            # it, slowly). Training gains less there, so models in training stay in float32 unless asked.
            teacher_precision = "bf16" if precision == "bf16" or computes_in_bf16(device) else "float32"
        compiled = config.compile == "on"
        graphs = Graphs(no_graphs(device, processes.world, compiled)) if config.graphs == "auto" else None
        return cls(
            accelerator,
            device,
            precision,
            teacher_precision,
            config.channels_last,
            compiled,
            config.sync_batchnorm,
            processes,
            graphs,
        )

    def place(self, model: Model) -> Model:
        """Move a model to the device, in this run's memory layout."""
        layout = torch.channels_last if self.channels_last else torch.contiguous_format
        return model.to(device=self.device, memory_format=layout)  # type: ignore[call-overload, no-any-return]

    def free_memory(self) -> int:
        """Bytes that are free on the device."""
        return free_memory(self.device)

    def put(self, batch: Batch) -> Batch:
        """A batch on the device."""
        # Apple's copies do not keep their source alive, and may read memory that holds something else by then.
        soon = self.device.type != "mps"
        inputs = batch.inputs.to(self.device, non_blocking=soon)
        labels, indices = (part.to(self.device, non_blocking=soon) for part in (batch.labels, batch.indices))
        views = None if batch.views is None else batch.views.to(self.device, non_blocking=soon)
        return batch._replace(inputs=inputs, labels=labels, indices=indices, views=views)

    def classify(self, model: StudyModel, prepared: Any) -> torch.Tensor:
        """Logits (N, K) of prepared inputs, through the compiled graph of the model's architecture if asked for.

        Raises:
            ConfigError: this machine cannot compile.
        """
        if not self.compiled:
            return model.classify(prepared)
        from torch._dynamo.exc import BackendCompilerFailed

        try:
            return _compiled_classify()(model, prepared)
        except BackendCompilerFailed as error:
            reason = str(error).strip().splitlines()[0]
            raise ConfigError([f"compute.compile: on does not work here ({reason}); set compute.compile=off"]) from None

    def trainable(self, model: StudyModel) -> Callable[[Any], Tensor]:
        """Prepared inputs → logits of a model to be trained; where there are several processes, in step with them.

        Their gradients are averaged while they are computed (DistributedDataParallel), and the buffers of rank 0 are
        everyone's. The model itself stays as it is: it is saved, evaluated and measured without a wrapper.
        """
        if self.processes.world == 1:
            return partial(self.classify, model)
        if self.sync_batchnorm:
            from timm.layers import convert_sync_batchnorm  # PyTorch's own drops the activations of timm's layers

            model.backbone = convert_sync_batchnorm(model.backbone)
        return self.in_step(model)

    def in_step(self, model: StudyModel) -> Callable[[Any], Tensor]:
        """Prepared inputs → logits, with gradients averaged over the process group; there must be one."""
        with lost_peers():
            here = [self.device.index] if self.device.type == "cuda" else None
            wrapped = nn.parallel.DistributedDataParallel(
                _Classifier(model), device_ids=here, gradient_as_bucket_view=True
            )

        def forward(prepared: Any) -> Tensor:
            try:
                return wrapped(prepared)  # type: ignore[no-any-return]
            except RuntimeError as error:
                if (unused := _unused(error, model)) is None:
                    raise
                raise ModelError(
                    f"{model.name}: {len(unused)} of its parameters had no part in a step (such as {unused[0]}), which "
                    "several processes cannot train together; run one process, --engine ray, or another model"
                ) from None

        return forward

    def autocast(self) -> AbstractContextManager[object]:
        """Mixed precision for a forward pass of a model in training. Accuracy, η and time per image are of float32."""
        return self._autocast(self.precision)

    def teacher_autocast(self) -> AbstractContextManager[object]:
        """Mixed precision for a forward pass of a frozen teacher."""
        return self._autocast(self.teacher_precision)

    def _autocast(self, precision: str) -> AbstractContextManager[object]:
        if precision == "float32":
            return nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16)

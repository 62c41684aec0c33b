"""A step must neither mix devices nor make the host wait for a GPU: looked at on any machine, with fake tensors.

Fake tensors have shapes, types and devices, but no numbers. Whatever asks for a number (`.item()`, a boolean index, a
branch on a tensor) or mixes devices is an error with them; `NoWaiting` adds the copies that wait. "meta" stands for the
GPU; what differs there alone (its kernels, its memory) is for `make gpu-check`.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensor,
    FakeTensorMode,
)
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes

from tosmooth.config.training import MixingConfig, MovingAverageConfig
from tosmooth.data.batches import Batch, ResidentBatches
from tosmooth.data.mixing import Mixing
from tosmooth.data.views import StoredViews, outcomes_of
from tosmooth.losses.distillation import DistillationLoss
from tosmooth.models import translation_marian
from tosmooth.models.build import build_image_model
from tosmooth.models.study_model import StudyModel
from tosmooth.models.translation_inputs import TokenInputs
from tosmooth.models.translation_model import TranslationModel
from tosmooth.recipes.reading import load_config
from tosmooth.training.compute import Compute
from tosmooth.training.forward import SharedInputs
from tosmooth.training.loop import _share
from tosmooth.training.loss_functions import distillation_from
from tosmooth.training.processes import Processes
from tosmooth.training.teacher_cache import CachedTeacher, Stamp, TeacherCache
from tosmooth.training.teaching import CachedTeachers, LiveTeachers, Teaching
from tosmooth.training.trainee import Trainee

OBJECTIVES = ["hinton", "teacher_only", "dkd", "logit_standard"]
IMAGES, BATCH, STEPS = 16, 8, 1
TOKENS, WIDTH = 28, 32


class NoWaiting(TorchDispatchMode):
    """Refuses copies between devices for which the host waits."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        to = (kwargs or {}).get("device")
        if func is torch.ops.aten._to_copy.default and to is not None and torch.device(to) != args[0].device:
            waits = torch.device(to).type == "cpu" or not (kwargs or {}).get("non_blocking")
            assert not waits, f"blocking copy {args[0].device} → {to}"
        return func(*args, **(kwargs or {}))


def place(self: Compute, model: nn.Module) -> nn.Module:
    """`Module.to`, which cannot swap fake parameters; tied ones stay tied."""
    moved: dict[int, tuple[nn.Parameter, nn.Parameter]] = {}  # with the old one, so that its id is not given again
    for module in model.modules():
        for name, own in module._parameters.items():
            if own is not None:
                new = nn.Parameter(own.detach().to(self.device), own.requires_grad)
                module._parameters[name] = moved.setdefault(id(own), (new, own))[0]
        module._buffers.update({k: b.to(self.device) for k, b in module._buffers.items() if b is not None})
    return model


def updated(parameters: list[Tensor], gradients: list[Tensor], *_: Any, found_inf: Tensor, **__: Any) -> None:
    """For PyTorch's fused optimisers, which fake tensors have not; these read the flag on the parameters' device."""
    torch._foreach_add_(parameters, [gradient + found_inf for gradient in gradients])


def copied(self: FakeTensor, memo: object) -> Tensor:
    """`copy.deepcopy`, which goes by memory."""
    new = self.detach().clone().requires_grad_(self.requires_grad)
    return nn.Parameter(new, self.requires_grad) if isinstance(self, nn.Parameter) else new


def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """What fake tensors and "meta" lack of a GPU."""
    enabled, autocast = torch.is_autocast_enabled, torch.autocast
    optimizer = importlib.import_module("torch.optim.optimizer")
    monkeypatch.setattr(Compute, "place", place)
    monkeypatch.setattr(FakeTensor, "__deepcopy__", copied, raising=False)
    monkeypatch.setattr(optimizer, "_get_fused_kernels_supported_devices", lambda: ["meta", "cpu"])
    for name in ("_fused_sgd_", "_fused_adam_", "_fused_adamw_"):
        monkeypatch.setattr(torch, name, updated)
    monkeypatch.setattr(torch, "is_autocast_enabled", lambda *of: of != ("meta",) and enabled(*of))
    monkeypatch.setattr(
        torch, "autocast", lambda of, **how: contextlib.nullcontext() if of == "meta" else autocast(of, **how)
    )


def on_the_cpu_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out what is looked for where nobody waits for it: labels of no class."""
    for module in ("distillation", "fused_linear"):
        monkeypatch.setattr(importlib.import_module(f"tosmooth.losses.{module}"), "check_labels", lambda *_: None)


def compute_on(device: str, precision: str) -> Compute:
    accelerator = Accelerator(cpu=True)
    return Compute(accelerator, torch.device(device), precision, precision, channels_last=True, compiled=False)


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[Compute]:
    """A device that is not the CPU, in float32: "meta" has no autocast."""
    stand_in(monkeypatch)
    compute = compute_on("meta", "float32")
    with FakeTensorMode():
        yield compute


@pytest.fixture
def bf16(monkeypatch: pytest.MonkeyPatch) -> Iterator[Compute]:
    """The CPU under autocast: no other device, but nothing may be read here either."""
    stand_in(monkeypatch)
    on_the_cpu_alone(monkeypatch)
    compute = compute_on("cpu", "bf16")
    with FakeTensorMode():
        yield compute


def steps(
    compute: Compute,
    recipe: str,
    student: StudyModel,
    teaching: Teaching,
    batches: Iterator[Batch],
    *,
    objective: str = "hinton",
    mixing: Mixing | None = None,
    options: Mapping[str, Any] | None = None,
    fused: bool = False,
    processes: Processes | None = None,
    before: Callable[[Batch], None] = lambda batch: None,
) -> int:
    """As `train_group` does it, for one student; how many steps it made."""
    section = load_config(recipe, []).student.model_copy(update=options or {})
    loss = distillation_from("t", 4.0, objective, 0.1)
    trainee = Trainee("s", student.train(), loss, section, compute, 0, 9, Path(), None, fused=fused, looks_first=True)
    with NoWaiting():
        for number, loaded in enumerate(batches):
            batch = compute.put(loaded)
            if mixing is not None:
                batch = mixing.of(batch, 0, number)
            before(batch)
            share = None if processes is None else _share(batch, processes)
            inputs = SharedInputs(batch.inputs, channels_last=True)
            trainee.step(inputs, batch.labels, teaching.answers(batch, inputs), share)
    return trainee.step_count


# Images


def image_model() -> StudyModel:
    return build_image_model("resnet8", 10, channels=1, image_size=28)


def image_batches(compute: Compute) -> Iterator[Batch]:
    images = torch.zeros(IMAGES, 1, 28, 28, dtype=torch.uint8, device=compute.device)
    labels = torch.zeros(IMAGES, dtype=torch.int64, device=compute.device)
    outcomes, views = outcomes_of("flip", None, (28, 28)), StoredViews(2, 0, 0)
    assert outcomes is not None
    batches = ResidentBatches(images, labels, None, outcomes, batch_size=BATCH, shuffle=True, views=views).epoch(0)
    next(batches)  # which brings the order and the draws of the whole epoch over, once
    return batches


def image_steps(compute: Compute, **options: Any) -> int:
    teaching = LiveTeachers({"t": compute.place(image_model())}, compute)
    return steps(compute, "fashion-mnist", image_model(), teaching, image_batches(compute), **options)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_images(gpu: Compute, objective: str) -> None:
    assert image_steps(gpu, objective=objective) == STEPS


def test_images_in_bf16(bf16: Compute) -> None:
    assert image_steps(bf16) == STEPS


@pytest.mark.parametrize(("kind", "objective"), [("mixup", "hinton"), ("cutmix", "dkd")])
def test_mixed_images(gpu: Compute, kind: str, objective: str) -> None:
    mixing = Mixing(MixingConfig(**{kind: 0.8}), 10, 0)
    with _disable_current_modes():
        transform = mixing._transform

    def drawn(images: list[Tensor]) -> dict[str, Any]:  # on the CPU, where nobody waits
        with _disable_current_modes():
            return type(transform).make_params(transform, images)  # type: ignore[operator]

    transform.make_params = drawn  # type: ignore[assignment]
    assert image_steps(gpu, mixing=mixing, objective=objective) == STEPS


def test_a_moving_average_and_clipped_gradients(gpu: Compute, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "Generator", lambda device=None: torch._C.Generator())  # "meta" has none
    options = {"moving_average": MovingAverageConfig(decay=0.9), "gradient_clip": 1.0}
    assert image_steps(gpu, options=options) == STEPS


class OneOfTwo(Processes):
    """A rank that need not wait for the other, whose part is as large as its own."""

    def sum(self, value: Tensor) -> Tensor:
        return value + value


def test_a_part_of_a_batch(gpu: Compute) -> None:
    assert image_steps(gpu, processes=OneOfTwo(world=2)) == STEPS


# Stored answers


def stored(folder: Path, samples: int, width: int, content: str) -> TeacherCache:
    """A filled cache, of real numbers."""
    stamp = Stamp("m", "t", "d", "flip", "outcomes", None, 2, 0, samples, content, width, "float32")  # type: ignore[arg-type]
    with _disable_current_modes():
        cache = TeacherCache(folder, stamp)
        with cache.filling():
            for shard in cache.missing:
                cache.write(shard, torch.zeros(shard.last - shard.first, width))
    cache._absent = frozenset({samples})  # one that no batch shows: whether one does is asked each time
    return cache


@pytest.mark.parametrize("resident", [True, False], ids=["resident", "mapped"])
def test_cached_answers(gpu: Compute, tmp_path: Path, resident: bool) -> None:
    cache = stored(tmp_path, IMAGES, 10, "logits")
    cache.resident = resident
    if resident:  # brought over once
        cache._on(gpu.device)
    teaching = CachedTeachers({"t": CachedTeacher(cache)})
    assert steps(gpu, "fashion-mnist", image_model(), teaching, image_batches(gpu)) == STEPS


# Sentences


def sentence_model() -> TranslationModel:
    words: Any = SimpleNamespace(pad=0, start=1, eos=2, unk=3, size=64)
    small = {"d_model": WIDTH, "encoder_layers": 1, "decoder_layers": 1}
    return TranslationModel(translation_marian.build("transformer_small", words, 8, small), "x")


def sentences() -> Iterator[Batch]:
    """One batch, every other token of which counts, of stored views."""
    ids, places = torch.ones(4, 7, dtype=torch.int64), torch.arange(0, TOKENS, 2)
    on_host = np.arange(0, TOKENS, 2), np.zeros(TOKENS // 2, dtype=np.int64)
    yield Batch(
        TokenInputs(ids, ids.bool(), ids, places), ids.flatten()[::2], places, torch.zeros_like(places), on_host=on_host
    )


def sentence_steps(compute: Compute, teaching: Teaching | None = None, *, fused: bool, **options: Any) -> int:
    if teaching is None:
        teaching = LiveTeachers({"t": compute.place(sentence_model())}, compute, fused=fused)
    return steps(compute, "translation-en-de", sentence_model(), teaching, sentences(), fused=fused, **options)


@pytest.mark.parametrize(
    ("fused", "objective"), [(True, name) for name in OBJECTIVES] + [(False, "hinton")], ids=lambda it: str(it)
)
def test_sentences(gpu: Compute, fused: bool, objective: str) -> None:
    assert sentence_steps(gpu, fused=fused, objective=objective) == 1


def test_sentences_in_bf16(bf16: Compute) -> None:
    assert sentence_steps(bf16, fused=True) == 1


@pytest.mark.parametrize("fused", [False, True], ids=["plain", "fused"])
def test_cached_sentences(gpu: Compute, tmp_path: Path, fused: bool) -> None:
    cache = stored(tmp_path, TOKENS, WIDTH, "features")
    cache.resident = False
    head = nn.Linear(WIDTH, 64).to(gpu.device)
    assert sentence_steps(gpu, CachedTeachers({"t": CachedTeacher(cache, head)}, fused=fused), fused=fused) == 1


# A loss of one's own loop


def test_the_loss_as_a_module_looks_at_its_temperature_once(monkeypatch: pytest.MonkeyPatch) -> None:
    on_the_cpu_alone(monkeypatch)
    loss = DistillationLoss(torch.tensor(2.0), hard_weight=0.5)
    with FakeTensorMode(allow_non_fake_inputs=True), NoWaiting():
        logits, labels = torch.zeros(4, 10), torch.zeros(4, dtype=torch.int64)
        assert loss(logits, logits, labels).shape == ()


# What the simulation is there for

# By name: what somebody might add to a step, and the error that it must be.
MUTANTS: dict[str, tuple[Callable[[Batch], object], type[Exception], str]] = {
    "a number": (lambda batch: batch.labels.sum().item(), DataDependentOutputException, "_local_scalar_dense"),
    "a branch": (lambda batch: bool(batch.labels.any()), DataDependentOutputException, "_local_scalar_dense"),
    "a boolean index": (lambda batch: batch.labels[batch.labels > 0], DynamicOutputShapeException, "nonzero"),
    "a copy back": (lambda batch: batch.labels.cpu(), AssertionError, "blocking copy meta → cpu"),
    "a copy there": (lambda batch: torch.zeros(3).to(batch.labels.device), AssertionError, "blocking copy cpu → meta"),
    "two devices": (lambda batch: batch.labels + torch.zeros(len(batch.labels)), RuntimeError, "at least two devices"),
}


@pytest.mark.parametrize("name", list(MUTANTS))
def test_it_finds(gpu: Compute, name: str) -> None:
    mutant, error, said = MUTANTS[name]
    with pytest.raises(error, match=said):
        image_steps(gpu, before=mutant)

"""Which device a configuration gets. There is no GPU here: what PyTorch says of one is set by hand."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from rich.console import Console
from torch import Tensor

from tosmooth.config.schema import ComputeConfig
from tosmooth.data.batches import Batch
from tosmooth.errors import ConfigError
from tosmooth.recipes.reading import load_config
from tosmooth.study.context import Context
from tosmooth.study.progress import StudyProgress
from tosmooth.training.compute import Compute
from tosmooth.training.device import APPLE_LEFT_ALONE, find_device, has_bf16, leaves_apple_alone


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that has worked on the CPU, on a machine that has a GPU without bf16."""
    Accelerator(cpu=True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation)


def test_auto_leaves_an_apple_gpu_alone_and_mps_asks_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert leaves_apple_alone(ComputeConfig())
    assert find_device(ComputeConfig())[1].type == "cpu"
    assert not leaves_apple_alone(ComputeConfig(device="mps"))
    assert find_device(ComputeConfig(device="mps"))[1].type == "mps"


def test_a_study_says_that_the_apple_gpu_is_left_alone(
    tiny_raw: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny_raw["compute"]["device"] = "auto"
    said = io.StringIO()
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    context = Context.join(load_config(tiny_raw), tmp_path, StudyProgress(Console(file=said)))
    assert context.compute.device.type == "cpu"
    assert APPLE_LEFT_ALONE in said.getvalue()


@pytest.mark.parametrize(("kind", "waits"), [("mps", True), ("meta", False)])
def test_copies_to_an_apple_gpu_wait_for_their_end(kind: str, waits: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """PyTorch issues 139550 and 189690: the others read a source that may be gone, and nobody is told."""
    asked, real = [], Tensor.to
    monkeypatch.setattr(Tensor, "to", lambda own, device, non_blocking: asked.append(non_blocking) or real(own, "meta"))
    compute = dataclasses.replace(Compute.from_config(ComputeConfig(device="cpu")), device=torch.device(kind))
    compute.put(Batch(torch.zeros(2, 1, 8, 8), torch.zeros(2), torch.arange(2), torch.zeros(2)))
    assert asked == [not waits] * 4


def test_a_machine_without_one_has_nothing_to_leave_alone() -> None:
    assert not leaves_apple_alone(ComputeConfig())


@pytest.mark.parametrize("asked", ["cuda", "auto"])
def test_a_process_that_worked_on_the_cpu_gets_the_gpu(cuda: None, asked: str) -> None:
    assert find_device(ComputeConfig(device=asked))[1] == torch.device("cuda", 0)


def test_a_process_that_worked_on_a_gpu_gets_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    Accelerator()
    monkeypatch.setitem(AcceleratorState._shared_state, "device", torch.device("cuda", 0))
    assert Compute.from_config(ComputeConfig(device="cpu")).device == torch.device("cpu")


def test_several_processes_are_told_that_they_work_on_another_device_already(
    cuda: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Accelerator, "num_processes", 2)
    with pytest.raises(ConfigError, match="these processes work on cpu already; start new ones for cuda"):
        find_device(ComputeConfig(device="cuda"))


def test_a_gpu_that_emulates_bf16_trains_in_float32(cuda: None) -> None:
    assert torch.cuda.is_bf16_supported()
    assert not has_bf16(torch.device("cuda", 0))
    found = Compute.from_config(ComputeConfig(device="cuda"))
    assert (found.precision, found.teacher_precision) == ("float32", "float32")


def test_float32_on_a_gpu_is_not_tf32(cuda: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)  # PyTorch's own choice, put back after the test
    torch.backends.cuda.matmul.allow_tf32 = True  # it is False otherwise, as it is again in the end
    Compute.from_config(ComputeConfig(device="cpu"))
    assert torch.backends.cudnn.allow_tf32  # whoever works on the CPU changes nothing of a GPU
    Compute.from_config(ComputeConfig(device="cuda"))
    assert not torch.backends.cudnn.allow_tf32
    assert not torch.backends.cuda.matmul.allow_tf32

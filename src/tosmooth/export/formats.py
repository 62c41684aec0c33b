"""The formats by name: who can have them, what they need, how they are written, and how what was written answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor

from tosmooth.errors import ConfigError, ModelError, did_you_mean
from tosmooth.export import huggingface, huggingface_translation, onnx, state_dict, torch_export
from tosmooth.export.subject import Subject
from tosmooth.folder.paths import VOCABULARY_FOLDER
from tosmooth.models.weights import load_weights, weights_hash
from tosmooth.tasks.base import Task

TOLERANCE = 1e-3  # of logits, relative to the largest one: above any reordering of float32 sums, below any mistake
ONNX_PACKAGES = ("onnx", "onnxscript", "onnxruntime")


@dataclass(frozen=True)
class Format:
    """One form of a model on disk.

    Attributes:
        write: writes it into a folder.
        answers: logits (N, K) that what was written gives for N inputs, such as images (N, C, H, W) uint8.
        packages: what has to be installed.
        words: what it is, for the model card.
    """

    write: Callable[[Subject, Path], None]
    answers: Callable[[Subject, Path, Tensor], Tensor]
    words: str
    packages: tuple[str, ...] = ()


FORMATS: dict[str, Format] = {
    "safetensors": Format(
        state_dict.write_safetensors, state_dict.answers_of_safetensors, "weights by the names of the model's library"
    ),
    "state_dict": Format(
        state_dict.write_pytorch, state_dict.answers_of_pytorch, "the same as a PyTorch file (`weights_only=True`)"
    ),
    "huggingface": Format(huggingface.write, huggingface.answers, "a folder for `from_pretrained` and the hub"),
    "onnx": Format(onnx.write, onnx.answers, "an ONNX program of raw images", ONNX_PACKAGES),
    "torch_export": Format(torch_export.write, torch_export.answers, "a `torch.export` program of raw images"),
}  # fmt: skip


def named_formats(texts: Sequence[str]) -> list[str]:
    """Formats as they are called here, from what was typed: ` torch-export` → `torch_export`; each once."""
    return list(dict.fromkeys(text.strip().replace("-", "_") for text in texts))


def check_formats(formats: Sequence[str], task: Task | None = None, model: str = "") -> None:
    """Look for all mistakes in a list of formats, before any work.

    Args:
        formats: by name.
        task: of the model, where that is known already.
        model: its name.

    Raises:
        ConfigError: unknown or repeated formats, packages that are missing, formats that this model cannot have.
    """
    mistakes = [] if formats else ["--format: no format given; " + did_you_mean("", FORMATS)]
    for name in dict.fromkeys(formats):
        if name not in FORMATS:
            mistakes.append(f"--format: unknown format {name!r}; {did_you_mean(name, FORMATS)}")
            continue
        absent = [package for package in FORMATS[name].packages if find_spec(package) is None]
        if absent:
            mistakes.append(f"--format: {name} needs {', '.join(absent)}, not installed: pip install 'tosmooth[onnx]'")
        refusal = None if task is None else _refusal(name, task, model)
        if refusal:
            mistakes.append(f"--format: {refusal}")
    if mistakes:
        raise ConfigError(mistakes)


def _refusal(name: str, task: Task, model: str) -> str | None:
    """Why this model cannot have that format; None where it can."""
    if name not in task.export_formats:
        return f"{name}: a model of task: {task.name} has no such form; export it as {' or '.join(task.export_formats)}"
    if name == "huggingface" and huggingface.library_of(model) is None:
        return (
            f"huggingface: {model!r} is no model of timm or transformers, and no library opens such a folder; use "
            "safetensors, onnx or torch_export"
        )
    return None


def write_and_compare(subject: Subject, name: str, folder: Path) -> float:
    """Write one format, open it again, and compare it with the model on real inputs.

    Returns:
        The largest difference of any logit.

    Raises:
        ModelError: it cannot be written, or answers otherwise than the model.
    """
    if subject.translates:
        return _translation(subject, name, folder)
    form = FORMATS[name]
    form.write(subject, folder)
    with torch.no_grad():
        expected = subject.model(subject.inputs)
    found = form.answers(subject, folder, subject.inputs)
    difference = float((found - expected).abs().max()) if found.shape == expected.shape else float("inf")
    return _accepted(subject, name, difference, float(expected.abs().max()))


def _translation(subject: Subject, name: str, folder: Path) -> float:
    if name == "huggingface":
        huggingface_translation.write(subject, folder)
        return _accepted(subject, name, huggingface_translation.difference(subject, folder), 1.0)
    state_dict.write_safetensors(subject, folder)
    subject.pairs.vocabulary.save(folder / VOCABULARY_FOLDER)
    again = subject.fresh_model()
    load_weights(again, folder / state_dict.SAFETENSORS)
    return _accepted(subject, name, 0.0 if weights_hash(again) == weights_hash(subject.model) else float("inf"), 1.0)


def _accepted(subject: Subject, name: str, difference: float, scale: float) -> float:
    if not difference <= TOLERANCE * max(1.0, scale):
        raise ModelError(
            f"{subject.model.name}: what was written as {name} answers otherwise than the model: on "
            f"{subject.task.metric.samples} of the data, logits differ by up to {difference:.3g}; "
            "nothing was exported"
        )
    return difference

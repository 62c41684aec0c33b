"""ONNX: the model with its preparation as one file for onnxruntime and its kin."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tosmooth.errors import ModelError
from tosmooth.export.preprocessing import labels

if TYPE_CHECKING:
    from tosmooth.export.subject import Subject

FILE = "model.onnx"
INPUT, OUTPUT = "images", "logits"
LARGEST_FILE = 1_900_000_000  # bytes; the format holds 2 GiB, and larger weights lie in a file beside it


def write(subject: Subject, folder: Path) -> None:
    """Write `model.onnx`: input `images` (batch, C, H, W) uint8, output `logits` (batch, K) float32.

    Class names stand in its metadata under `labels`, as JSON.

    Raises:
        ModelError: an operation of the model has no counterpart in ONNX.
    """
    name = subject.model.name
    try:
        with _quiet():
            program = torch.onnx.export(
                subject.program,
                dynamo=True,
                input_names=[INPUT],
                output_names=[OUTPUT],
                dynamic_shapes=({0: "batch"},),
                verbose=False,
            )
            assert program is not None
            program.model.metadata_props["labels"] = json.dumps(labels(subject))
            size = sum(tensor.numel() * tensor.element_size() for tensor in subject.model.state_dict().values())
            program.save(str(folder / FILE), external_data=size > LARGEST_FILE)
    except Exception as error:  # the exporter raises its own, onnxscript's and those of its passes
        reason = " ".join(str(error).split())[:300]
        raise ModelError(f"{name}: cannot be written as ONNX: {type(error).__name__}: {reason}") from None


def answers(subject: Subject, folder: Path, images: Tensor) -> Tensor:
    """Logits (N, K) that onnxruntime computes from the written file, on the CPU."""
    import onnxruntime

    session = onnxruntime.InferenceSession(folder / FILE, providers=["CPUExecutionProvider"])
    return torch.from_numpy(session.run([OUTPUT], {INPUT: images.numpy()})[0])


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's remarks on its own versions and passes; errors are exceptions and come through."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before = logging.root.manager.disable
        logging.disable(logging.WARNING)
        try:
            yield
        finally:
            logging.disable(before)

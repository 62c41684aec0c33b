"""Reading checkpoint files of any origin, with nothing executed."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from tosmooth.errors import ModelError

_WRAPPERS = ("state_dict", "model_state_dict", "model")  # keys under which training scripts keep the weights
_PREFIXES = ("module.", "_orig_mod.", "backbone.", "model.")  # DataParallel, torch.compile, a wrapping module


def read_checkpoint(path: Path) -> tuple[dict[str, Tensor], Mapping[str, str]]:
    """Tensors by name, and the metadata of a safetensors file (empty for a PyTorch file).

    Raises:
        ModelError: no such file, damaged, more than tensors in it, or none.
    """
    if not path.is_file():
        raise ModelError(f"{path}: no such file; a checkpoint is a .safetensors or PyTorch file")
    try:
        if path.suffix == ".safetensors":
            with safe_open(path, "pt") as file:
                return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ModelError(
            f"{path}: holds more than tensors, or is no PyTorch file, and is not opened because it could run code; "
            f"save the model's state_dict, best as .safetensors"
        ) from error
    except (
        Exception
    ) as error:  # what a damaged file makes the readers raise has no end: SafetensorError, AssertionError …
        raise ModelError(f"{path}: cannot be read as a checkpoint, it may be damaged: {error}") from error
    for key in _WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
            break
    tensors = {k: v for k, v in content.items() if isinstance(v, Tensor)} if isinstance(content, Mapping) else {}
    if not tensors:
        raise ModelError(f"{path}: holds no tensors by name; expected a state_dict, alone or under {_WRAPPERS[0]!r}")
    return tensors, {}


def without_prefixes(state: dict[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Strip wrappers' prefixes that all names share and that the model itself does not use."""
    stripped = True
    while stripped:
        stripped = False
        for prefix in _PREFIXES:
            if state and all(k.startswith(prefix) for k in state) and not any(k.startswith(prefix) for k in own):
                state = {k.removeprefix(prefix): v for k, v in state.items()}
                stripped = True
    return state

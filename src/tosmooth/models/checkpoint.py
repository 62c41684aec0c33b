"""Reading checkpoint files of any origin, with nothing executed."""

from __future__ import annotations

import pickle
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from tosmooth.errors import ModelError, TosmoothError

_DEEPEST = 4  # levels of mappings that are looked through: `checkpoint` → `model` → tensors is usual


@dataclass(frozen=True)
class Checkpoint:
    """The tensors of a file.

    Attributes:
        path: of the file.
        places: tensors by name, by the keys under which they stand, joined by dots; "" is the file itself.
        metadata: of a safetensors file; of a PyTorch file none.
        arguments: of the training script, under `args`, where it left them: numbers, texts and lists of them by name.
    """

    path: Path
    places: Mapping[str, dict[str, Tensor]]
    metadata: Mapping[str, str]
    arguments: Mapping[str, Any] = field(default_factory=dict)

    @property
    def largest(self) -> dict[str, Tensor]:
        """The place with the most tensors: of a file that tosmooth wrote, all there are."""
        return max(self.places.values(), key=len)


def read_checkpoint(path: Path) -> Checkpoint:
    """All tensors of a file that stand under names, wherever in it.

    What the file is, its first bytes say, and not its name.

    Raises:
        ModelError: no such file, empty, damaged, another kind of file, a type in it that is not harmless, no tensors.
    """
    if not path.is_file():
        raise ModelError(f"{path}: no such file; a checkpoint is a .safetensors or PyTorch file")
    try:
        with path.open("rb") as file:
            head = file.read(64)
        if not head:
            raise ModelError(f"{path}: is empty (0 bytes); copy or save it again")
        if head[8:9] == b"{":  # behind the length of the header; no PyTorch file has one there
            with safe_open(path, "pt") as tensors:
                named = {name: tensors.get_tensor(name) for name in tensors.keys()}  # noqa: SIM118
                places, metadata, arguments = {"": named} if named else {}, tensors.metadata() or {}, {}
        else:
            _refuse_others(path, head)
            # Not by its path: by its name PyTorch would read it as .safetensors.
            # What it would warn of ends in an error of ours, or is of no concern.
            quietly = warnings.catch_warnings(action="ignore", category=UserWarning)
            with quietly, torch.serialization.safe_globals(_harmless()), path.open("rb") as file:
                content: Any = torch.load(file, map_location="cpu", weights_only=True)
            places, metadata, arguments = _places(content), {}, _arguments(content)
    except ModelError:
        raise
    except pickle.UnpicklingError as error:
        raise _refused(path, str(error)) from error
    except TosmoothError:  # a signal's
        raise
    except (
        Exception
    ) as error:  # what a damaged file makes the readers raise has no end: SafetensorError, AssertionError …
        if "TorchScript" in str(error):
            raise ModelError(
                f"{path}: is a TorchScript program, which could run code; save the state_dict of the model that it was "
                "made from"
            ) from error
        raise ModelError(f"{path}: cannot be read as a checkpoint, it may be damaged: {error}") from error
    if not places:
        raise ModelError(f"{path}: holds no tensors by name; expected a state_dict, alone or under a key")
    return Checkpoint(path, places, metadata, arguments)


def _places(
    content: Any, where: str = "", depth: int = 0, seen: set[int] | None = None
) -> dict[str, dict[str, Tensor]]:
    """Tensors by name, by the keys that lead there; what stands in several places, or within itself, counts once."""
    seen = set() if seen is None else seen
    if not isinstance(content, Mapping) or id(content) in seen:
        return {}
    seen.add(id(content))
    named = {key: value for key, value in content.items() if isinstance(key, str)}
    tensors = {key: value.detach() for key, value in named.items() if isinstance(value, Tensor)}
    found = {where: tensors} if tensors else {}
    if depth < _DEEPEST:
        for key, value in named.items():
            found |= _places(value, f"{where}.{key}" if where else key, depth + 1, seen)
    return found


def _arguments(content: Any) -> dict[str, Any]:
    """What a training script left under `args`, in a `Namespace` or a dictionary, as far as it is plain."""
    found = content.get("args") if isinstance(content, Mapping) else None
    found = found.entries if isinstance(found, _Namespace) else found
    if not isinstance(found, Mapping):
        return {}
    return {key: value for key, value in found.items() if isinstance(key, str) and _is_plain(value)}


def _is_plain(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(isinstance(one, bool | int | float | str) for one in value)
    return value is None or isinstance(value, bool | int | float | str)


class _Unread:
    """Stands for an object that is not wanted: whatever the file says of it is dropped."""

    def __new__(cls, *_: Any) -> _Unread:
        return object.__new__(cls)

    def __init__(self, *_: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        pass


class _Namespace(_Unread):
    """Stands for the arguments of a script: what they were called and what they were, and no object."""

    entries: Mapping[Any, Any] = {}

    def __setstate__(self, state: Any) -> None:
        if isinstance(state, Mapping):
            self.entries = dict(state)


class _Plain:
    """Stands for a mapping of another type: its entries go into a plain dictionary."""

    def __new__(cls, *_: Any) -> Any:
        return {}


_NAMESPACES = ("argparse.Namespace", "types.SimpleNamespace")
_UNREAD = (
    *(f"{module}.multiarray.{name}" for module in ("numpy.core", "numpy._core") for name in ("scalar", "_reconstruct")),
    *(f"numpy.{name}" for name in ("dtype", "ndarray")),
    *(
        f"builtins.{name}" for name in ("list", "dict", "tuple", "int", "float", "str", "bool")
    ),  # what a defaultdict makes
    *(
        f"{module}.{name}"
        for module in ("pathlib", "pathlib._local")
        for name in ("Path", "PosixPath", "WindowsPath", "PurePath", "PurePosixPath", "PureWindowsPath")
    ),
)
_PLAIN = (
    "collections.defaultdict",
    *(
        f"{package}.AttributeDict"
        for package in (
            "lightning.fabric.utilities.data",
            "lightning.pytorch.utilities.parsing",
            "lightning_fabric.utilities.data",
            "pytorch_lightning.utilities.parsing",
        )
    ),
)


def _harmless() -> list[Any]:
    """Types that training scripts leave beside the weights, each with what is made of it instead.

    Of the script's arguments the plain ones are kept. Nothing else of theirs is wanted, so nothing of theirs is made:
    neither NumPy nor a path sees what the file says.
    """
    stand_ins = ((_Unread, _UNREAD), (_Plain, _PLAIN), (_Namespace, _NAMESPACES))
    return [(stand_in, name) for stand_in, names in stand_ins for name in names]


def _refuse_others(path: Path, head: bytes) -> None:
    """Files that are often given by mistake, by their first bytes."""
    kinds = {
        b"version https://git-lfs": "a pointer of Git LFS, not the file itself; fetch it with `git lfs pull`",
        b"\x89HDF": "an HDF5 file, as Keras writes it; give weights of PyTorch or .safetensors",
        b"<": "a web page or XML, not weights; download the file itself",
        b"{": "a JSON text, not weights; give the .safetensors or PyTorch file that it belongs to",
    }
    for start, kind in kinds.items():
        if head.lstrip().startswith(start):
            raise ModelError(f"{path}: is {kind}")


def _refused(path: Path, reason: str) -> ModelError:
    """Of a file with a type that is not on the list, by the words of PyTorch's reader."""
    found = re.search(r"GLOBAL (\S+)", reason)
    what = f"a {found[1]} beside or instead of tensors" if found else "more than tensors, or is no PyTorch file"
    return ModelError(
        f"{path}: holds {what}, and is not opened because it could run code; open it where it was made and save the "
        "model's state_dict alone, best as .safetensors"
    )

"""Weights on disk: safetensors out, safetensors or PyTorch in, and nothing executed while reading.

What is saved is the backbone's state dict alone, so the file opens in the library the backbone came from. What an
`ImageModel` does to images beforehand stands in the file's metadata, and comes back with the weights.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
from collections.abc import Collection, Mapping
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from tosmooth.errors import ModelError, OtherModelError
from tosmooth.files import sync_file, sync_folder, temporary_of
from tosmooth.folder.sums import check_weights
from tosmooth.models import timm_models, torchvision_models
from tosmooth.models.arguments import in_words, input_of, says_normalisation
from tosmooth.models.checkpoint import Checkpoint, read_checkpoint
from tosmooth.models.image_model import ImageModel, InputSpec
from tosmooth.models.last_layer import final_layers
from tosmooth.models.selection import grouped, left_out, select
from tosmooth.models.study_model import StudyModel

_INPUT = "tosmooth.input"
_OURS = "tosmooth.weights"  # of other models


def save_weights(module: nn.Module, path: Path) -> None:
    """Write a model's weights as safetensors, atomically: `path` holds the old file or the new one, never half of it.

    Args:
        module: a `StudyModel` (its backbone is saved) or any module; DDP and torch.compile are looked through.
            Tensors that share memory are written once.

    Raises:
        ModelError: the file cannot be written.
    """
    model = _unwrapped(module)
    metadata = {_OURS: "1"}
    if isinstance(model, ImageModel):  # in place of it: of two entries, safetensors writes any of the two first
        metadata = {_INPUT: json.dumps(dataclasses.asdict(model.input))}
    temporary = temporary_of(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.unlink(missing_ok=True)  # a link of this name could lead anywhere
        safetensors.torch.save_file(_each_once(backbone_of(model).state_dict()), temporary, metadata=metadata)
        sync_file(temporary)
        temporary.replace(path)
        sync_folder(path.parent)
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{path}: the weights could not be written: {error}") from error
    finally:
        with contextlib.suppress(OSError):  # there may be no folder, or a file in its place
            temporary.unlink()


def load_weights(model: nn.Module, path: Path, *, replace_head: bool = False, ema: bool = False) -> None:
    """Load a checkpoint into a model, in place and completely or not at all.

    What was left out of the file is in a `StudyModel`'s `notes` afterwards. An `ImageModel` prepares images as the file
    says: as `save_weights` notes it, or as the arguments of a training script do (`input_of`).

    Args:
        model: a `StudyModel` (its backbone gets the weights) or any module.
        path: ``.safetensors``, or a PyTorch file (read with ``weights_only=True``) of tensors by name, which may stand
            under any key and carry prefixes such as "module." or "student."; see `select`.
        replace_head: where the class count differs, or the checkpoint has no last layer, keep the model's own.
        ema: take the averaged weights of a file that has plain ones, too. Of files that `save_weights` wrote, which
            have one kind, it is of no concern.

    Raises:
        ModelError: no such file, unreadable, another class count, other shapes, missing or unexpected tensors, numbers
            that are not finite, no averaged weights.
        StudyError: weights of a study that are not what it wrote.
    """
    check_weights(Path(path))
    model = _unwrapped(model)
    backbone = backbone_of(model)
    checkpoint = read_checkpoint(Path(path))
    own = backbone.state_dict()
    heads = _head_keys(backbone, model.num_classes if isinstance(model, StudyModel) else None)
    # Tables of positions: the library that made the backbone writes them to no file, and has them from the start.
    computed = set(getattr(backbone, "_keys_to_ignore_on_save", None) or ())
    state, notes = weights_for(backbone, checkpoint, ema=ema, optional=computed | (heads if replace_head else set()))
    state = _fit_head(state, own, heads, path, replace_head)
    _check_names(state, own, computed | (heads if replace_head else set()), path)
    metadata = checkpoint.metadata
    spec = _input_spec(metadata[_INPUT], path) if _INPUT in metadata else None
    told = spec is not None or says_normalisation(checkpoint.arguments)
    backbone.load_state_dict(state, strict=False)
    if isinstance(model, ImageModel) and spec is None:
        spec = input_of(checkpoint.arguments, model.input)
        notes = notes if spec is None else (*notes, f"{path}: its arguments say {in_words(spec)}; images are shown so")
    if isinstance(model, StudyModel):
        model.notes = notes
    if isinstance(model, ImageModel) and spec is not None:
        model.use_input(spec)
        model.told = model.told or told


def weights_for(
    backbone: nn.Module, checkpoint: Checkpoint, *, ema: bool = False, optional: Collection[str] = ()
) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """A file's tensors by the names of a backbone, read as the library that it came from reads them; and notes.

    Args:
        backbone: the network, with whatever number of classes.
        checkpoint: the file.
        ema: as for `load_weights`.
        optional: names that the file need not have.

    Raises:
        ModelError: there are no averaged weights, or several that fit; or numbers that are not finite.
    """
    own = backbone.state_dict()
    found = select(checkpoint, own, ema=ema and not {_INPUT, _OURS} & set(checkpoint.metadata), optional=optional)
    state, notes = found.state, found.notes
    library = type(backbone).__module__.partition(".")[0]
    reading = {"torchvision": torchvision_models.as_read, "timm": timm_models.as_read}.get(library)
    if reading is not None and any(name not in own for name in state):
        state, dropped = reading(backbone, state)
        notes = (*notes, left_out(checkpoint, grouped(dropped))) if dropped else notes
    _check_numbers(state, own, checkpoint.path)
    return state, notes


def _each_once(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors by name; those that are one and the same stand under the first of their names.

    The library's own `save_model` also lists the other names, in an order that is another one in every process. So
    equal weights would not be equal files, and the names are of no use: a model knows what it has tied.
    """
    found: dict[str, Tensor] = {}
    seen = set()
    for name, tensor in sorted(state.items()):
        place = (tensor.device, tensor.data_ptr(), tensor.shape, tensor.stride())
        if not tensor.numel() or place not in seen:
            found[name] = tensor.contiguous()
        seen.add(place)
    return found


def weights_hash(module: nn.Module) -> str:
    """SHA-256 (hex) over names, types, shapes and bytes of a model's weights and buffers, in the order of the names."""
    digest = hashlib.sha256()
    for name, tensor in sorted(backbone_of(_unwrapped(module)).state_dict().items()):
        digest.update(f"{name}|{tensor.dtype}|{tuple(tensor.shape)}|".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def backbone_of(module: nn.Module) -> nn.Module:
    """The backbone of a `StudyModel`; any other module is its own."""
    return module.backbone if isinstance(module, StudyModel) else module


def _unwrapped(module: nn.Module) -> nn.Module:
    while True:
        inner = getattr(module, "_orig_mod", None)
        if isinstance(module, nn.DataParallel | nn.parallel.DistributedDataParallel):
            inner = module.module
        if not isinstance(inner, nn.Module):
            return module
        module = inner


def _fit_head(
    state: dict[str, Tensor], own: Mapping[str, Tensor], head: set[str], path: Path, replace_head: bool
) -> dict[str, Tensor]:
    """Sort out tensors of another shape: a last layer of another class count may be dropped, all else is an error."""
    other = [k for k in state if k in own and state[k].shape != own[k].shape]
    heads = [k for k in other if k in head and state[k].shape[1:] == own[k].shape[1:]]
    if wrong := [k for k in other if k not in heads]:
        shapes = "; ".join(f"{k}: {tuple(state[k].shape)} there, {tuple(own[k].shape)} here" for k in wrong[:5])
        raise OtherModelError(f"{path}: {len(wrong)} tensors have other shapes than the model's: {shapes}")
    if heads and not replace_head:
        theirs, ours = state[heads[0]].shape[0], own[heads[0]].shape[0]
        raise ModelError(
            f"{path}: was trained for {theirs} classes, this model has {ours} ({heads[0]}); "
            f"replace_head=true keeps the other layers and starts a new last layer"
        )
    return {k: v for k, v in state.items() if k not in heads}


def _head_keys(backbone: nn.Module, num_classes: int | None) -> set[str]:
    return {f"{name}.{kind}" for name in final_layers(backbone, num_classes) for kind in ("weight", "bias")}


def _check_names(state: Mapping[str, Tensor], own: Mapping[str, Tensor], allowed: set[str], path: Path) -> None:
    unexpected = [k for k in state if k not in own]
    present = {(own[k].data_ptr(), own[k].shape) for k in state if k in own}
    # A tensor that shares its memory with a loaded one comes with it; batch counters are absent from old files.
    missing = [
        k
        for k, tensor in own.items()
        if k not in state
        and k not in allowed
        and (tensor.data_ptr(), tensor.shape) not in present
        and not k.endswith("num_batches_tracked")
    ]
    if missing or unexpected:
        parts = [
            f"{len(names)} {kind} ({', '.join(names[:5])}{', …' if len(names) > 5 else ''})"
            for kind, names in (("missing", missing), ("unexpected", unexpected))
            if names
        ]
        raise OtherModelError(f"{path}: is not of this model; tensors {' and '.join(parts)}")


def _check_numbers(state: Mapping[str, Tensor], own: Mapping[str, Tensor], path: Path) -> None:
    """Refuse what a model of ordinary floats cannot hold; masks of its own may be infinite."""
    for name, tensor in state.items():
        if name not in own or not own[name].is_floating_point():
            continue
        if tensor.is_meta:
            raise ModelError(f"{path}: {name} has a shape and no numbers (it was saved from the meta device)")
        if tensor.is_quantized or tensor.layout != torch.strided or not tensor.is_floating_point():
            kind = str(tensor.dtype if tensor.layout == torch.strided else tensor.layout).removeprefix("torch.")
            raise ModelError(
                f"{path}: {name} is {kind}, the model has floats; give the weights from before they were quantised or "
                "pruned"
            )
        wrong = ~tensor.to(own[name].dtype).isfinite()
        if not wrong.any():
            continue
        if tensor.shape == own[name].shape and not own[name].isfinite()[wrong.to(own[name].device)].any():
            continue
        raise _not_finite(str(path), name, tensor, wrong)


def check_published(model: nn.Module, name: str) -> None:
    """Refuse a library's weights, or a local folder's, that are not all finite.

    Raises:
        ModelError: some are not.
    """
    for key, parameter in model.named_parameters():
        wrong = ~parameter.detach().isfinite()
        if wrong.any():
            raise _not_finite(name, key, parameter.detach(), wrong)


def _not_finite(source: str, name: str, tensor: Tensor, wrong: Tensor) -> ModelError:
    what = "NaN" if tensor.isnan().any() else "infinite"
    too_large = tensor.dtype == torch.float16 and what == "infinite"
    why = "they were too large for float16" if too_large else "its training diverged, or it is damaged"
    count = int(wrong.sum())
    found = f"{count:,} of the {tensor.numel():,} numbers of {name} {'is' if count == 1 else 'are'} {what}"
    return ModelError(f"{source}: {found}: {why}; give weights from before that")


def _input_spec(text: str, path: Path) -> InputSpec:
    with contextlib.suppress(ValueError, TypeError):
        return InputSpec(**json.loads(text))
    raise ModelError(f"{path}: its metadata {_INPUT!r} is damaged: {text[:80]!r}")

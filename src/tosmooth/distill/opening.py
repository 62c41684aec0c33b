"""A teacher as it comes: a published model with its own weights, or a file; with all of its own outputs."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tosmooth.audit.teacher import published_classes
from tosmooth.config.schema import ModelConfig
from tosmooth.distill.classes import TeacherClasses
from tosmooth.errors import ModelError, OtherModelError
from tosmooth.export.preprocessing import LABELS
from tosmooth.models import torchvision_models
from tosmooth.models.build import build_image_model
from tosmooth.models.checkpoint import read_checkpoint
from tosmooth.models.image_model import ImageModel
from tosmooth.models.last_layer import final_layers
from tosmooth.models.weights import backbone_of, weights_for
from tosmooth.untrusted import UnreadableError, read_json

IMAGENET = 1000  # classes of ImageNet-1K, whose synsets and words timm knows in their usual order


def has_published_weights(name: str) -> bool:
    """Whether a model's library publishes weights for it."""
    source, _, rest = name.partition(":")
    if source == "timm":
        import timm

        found = timm.get_pretrained_cfg(rest)
        return found is not None and bool(found.url or found.hf_hub_id)
    return source in {"torchvision", "hf"} and find_spec({"hf": "transformers"}.get(source, source)) is not None


def classes_of(section: ModelConfig, weights: Path | None) -> TeacherClasses:
    """How many outputs a teacher has, and what they are called, as far as anything says so.

    Args:
        section: its architecture.
        weights: the file of its weights; None: the library's own.

    Raises:
        ModelError: the library has no weights for it, or the file is not of this model.
    """
    if weights is not None:
        return TeacherClasses(*_of_file(section, weights))
    count = published_classes(section.name)
    if count is None:
        raise ModelError(f"{section.name}: its library does not say how many classes its weights know")
    return TeacherClasses(count, _published_names(section.name, count))


def open_teacher(section: ModelConfig, weights: Path | None, count: int, channels: int) -> ImageModel:
    """The teacher with all of its `count` outputs, on the CPU, in eval mode.

    Raises:
        ModelError: it cannot be built or fetched, or the weights do not fit.
    """
    try:
        model = build_image_model(
            section.name,
            count,
            channels=channels,
            pretrained=weights is None,
            checkpoint=weights,
            width=section.width,
            kwargs=section.kwargs,
            ema=section.ema,
            seed=0,
        )
    except OtherModelError as error:
        raise OtherModelError(
            f"{error}. Are they of another architecture than --teacher-model {section.name}?"
        ) from None
    return model.requires_grad_(False).eval()


def choose_outputs(teacher: ImageModel, index: tuple[int, ...], fresh: ImageModel, images: Tensor) -> ImageModel:
    """The teacher with only some of its outputs, in another order: rows of its last layer, so nothing is approximated.

    Args:
        teacher: with all of its outputs.
        index: those to keep, (K,).
        fresh: the same architecture with K outputs, whatever its weights; it becomes the result.
        images: (n, C, H, W) uint8, on which both must agree.

    Raises:
        ModelError: its outputs do not come from rows of a last linear layer alone.
    """
    rows = torch.tensor(index)
    state = dict(backbone_of(teacher).state_dict())
    for name in final_layers(backbone_of(teacher), teacher.num_classes):
        for key in (f"{name}.weight", f"{name}.bias"):
            if key in state:
                state[key] = state[key][rows]
    try:
        backbone_of(fresh).load_state_dict(state)
    except RuntimeError as error:
        raise _inseparable(teacher) from error
    fresh.use_input(teacher.input)
    fresh.requires_grad_(False).eval()
    with torch.no_grad():
        expected, found = teacher(images)[:, rows], fresh(images)
    if not torch.allclose(found, expected, rtol=1e-3, atol=1e-3 * float(expected.abs().max().clamp(min=1))):
        raise _inseparable(teacher)
    return fresh


def _inseparable(teacher: ImageModel) -> ModelError:
    return ModelError(
        f"{teacher.name}: its outputs cannot be chosen one by one, as they are not rows of one last linear layer; "
        "fine-tune it on the data (--fine-tune)"
    )


def _of_file(section: ModelConfig, weights: Path) -> tuple[int, tuple[tuple[str, ...], ...]]:
    """K by the shape of the last layer, and names where an export of tosmooth has left them beside the weights."""
    probe = backbone_of(build_image_model(section.name, 2, width=section.width, kwargs=section.kwargs, seed=0))
    state, _ = weights_for(probe, read_checkpoint(weights), ema=section.ema)
    heads = final_layers(probe, 2)
    found = {int(state[f"{name}.weight"].shape[0]) for name in heads if f"{name}.weight" in state}
    if len(found) != 1:
        raise ModelError(
            f"{weights}: has no last layer of {section.name} ({', '.join(heads) or 'none found'}); --teacher-model "
            "says which architecture the weights are of"
        )
    count = found.pop()
    return count, _names_beside(weights.with_name(LABELS), count) or _names_of_library(section.name, count)


def _names_of_library(name: str, count: int) -> tuple[tuple[str, ...], ...]:
    """Names of the weights that a model's library publishes, where they have as many classes as a file has."""
    try:
        return _published_names(name, count) if ":" in name and published_classes(name) == count else ()
    except ModelError:  # it publishes none, or they cannot be asked
        return ()


def _names_beside(path: Path, count: int) -> tuple[tuple[str, ...], ...]:
    """Names from a file beside the weights: output → name, name → output, or names in order; none, if there is no file.

    Raises:
        ModelError: it says nothing of these outputs; their order would be a guess that it contradicts.
    """
    if not path.is_file():
        return ()
    try:
        found = read_json(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, UnreadableError) as error:
        raise ModelError(f"{path}: cannot be read: {error}; mend it, or move it away from the weights") from None
    if isinstance(found, list):
        found = dict(enumerate(found))
    if isinstance(found, Mapping) and all(type(value) is int for value in found.values()):
        found = {index: name for name, index in found.items()}
    names = _by_index(found, count) if isinstance(found, Mapping) and len(found) == count else ()
    if not names:
        raise ModelError(
            f'{path}: does not name the {count} outputs of the weights beside it; expected {{"0": name, …}} or a list '
            f"of {count} names. Mend it, or move it away from the weights"
        )
    return names


def _by_index(found: Any, count: int) -> tuple[tuple[str, ...], ...]:
    """Names from a mapping of output → name, if it has all of them."""
    if not isinstance(found, Mapping):
        return ()
    names = {str(key): value for key, value in found.items()}
    whole = all(isinstance(names.get(str(index)), str) for index in range(count))
    return tuple((names[str(index)],) for index in range(count)) if whole else ()


def _published_names(name: str, count: int) -> tuple[tuple[str, ...], ...]:
    source, _, rest = name.partition(":")
    if source == "timm":
        import timm

        config = timm.get_pretrained_cfg(rest)
        labels, words = (list(getattr(config, key, None) or ()) for key in ("label_names", "label_descriptions"))
        if isinstance(getattr(config, "label_descriptions", None), dict):
            words = [config.label_descriptions.get(label, "") for label in labels]
        if len(labels) == count:
            return tuple(_names(words[i] if i < len(words) else "", label) for i, label in enumerate(labels))
        return _imagenet() if count == IMAGENET else ()
    if source == "torchvision":
        known = torchvision_models.published_weights(rest).meta["categories"]
        synsets = _imagenet() if count == IMAGENET else ((),) * count
        return tuple((word, *more) for word, more in zip(known, synsets, strict=True))
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(str(Path(rest).expanduser()), trust_remote_code=False)
    found = _by_index(config.id2label, count)
    return () if all(names == (f"LABEL_{i}",) for i, names in enumerate(found)) else found


def _imagenet() -> tuple[tuple[str, ...], ...]:
    """Words and synsets of ImageNet-1K, in the usual order (synsets sorted)."""
    from timm.data import ImageNetInfo

    known = ImageNetInfo()
    synsets, words = known.label_names(), known.label_descriptions()
    return tuple(_names(word, synset) for word, synset in zip(words, synsets, strict=True))


def _names(words: str, label: str) -> tuple[str, ...]:
    """`tench, Tinca tinca` and its synset: each synonym, all of them together, and the label."""
    return tuple(dict.fromkeys(name for name in (words.partition(",")[0], label, words, *words.split(", ")) if name))

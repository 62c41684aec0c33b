"""From the arguments of `tosmooth audit` to the audit: what kind of teacher, which data, every mistake at once."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from tosmooth.analysis.mixed_answers import ImageMixing
from tosmooth.analysis.mixing_rules import ways_left
from tosmooth.audit.images import FOLDERS_OF_IMAGES, overrides_for, size_is_open, wrong_size
from tosmooth.audit.logits_files import SUFFIXES, holds_logits
from tosmooth.audit.result import Audit
from tosmooth.audit.saved import audit_logits
from tosmooth.config.types import MixingStrength
from tosmooth.data.registry import image_sources
from tosmooth.errors import ConfigError, did_you_mean
from tosmooth.models.names import wrong_model_name
from tosmooth.recipes import DEFAULT_RECIPE, OWN_IMAGES
from tosmooth.recipes.reading import load_config

SPLITS = ("train", "validation", "test")
MOST_TEMPERATURES = 20


def audit_teacher(
    teacher: str,
    source: str | None,
    overrides: Sequence[str],
    *,
    data: str | None = None,
    path: Path | None = None,
    split: str = "train",
    temperatures: str = "1,2,3,4,8,64",
    training_data: bool | None = None,
    rescaled: bool | None = None,
    ema: bool = False,
    teacher_model: str | None = None,
    image_size: int | None = None,
    mixup: float | None = None,
    cutmix: float | None = None,
) -> Audit:
    """Audit what the command line names.

    Args:
        teacher: a file of saved logits or of weights, or a published model's name.
        source: recipe or YAML file whose data and teacher are meant; of no concern for saved logits. None: for a folder
            of images what `tosmooth distill` reads it by, else the default recipe.
        overrides: `key=value` texts.
        data: a data source instead of the recipe's, or a folder of images.
        path: its root folder.
        split: "train", "validation" or "test".
        temperatures: comma-separated numbers.
        training_data: whether the teacher was trained on these samples, where the caller knows.
        rescaled: whether saved logits were multiplied after training, where the caller knows.
        ema: take the averaged weights of a file that has plain ones, too.
        teacher_model: architecture of a file of weights; None: the recipe's.
        image_size: side of the images that the teacher is shown, in pixels; None: as its weights say, or as it is right
            on most of them.
        mixup: a of Beta(a, a) by which the teacher's training blended images; 0: it did not. None: not known.
        cutmix: the same of pasted images.

    Raises:
        ConfigError: mistakes in the arguments, all of them.
        TosmoothError: a file or model that cannot be used.
    """
    mistakes: list[str] = []
    values = _temperatures(temperatures, mistakes)
    kind = _kind(teacher, mistakes)
    if split not in SPLITS:
        mistakes.append(f"--split: unknown split {split!r}; {did_you_mean(split, SPLITS)}")
    if data is not None and data not in image_sources() and path is None and Path(data).expanduser().is_dir():
        data, path = "folder", Path(data)
    if data is not None and data not in image_sources():
        mistakes.append(
            f"--data: {data!r} is neither a folder nor a data source; {did_you_mean(data, image_sources())}"
        )
    if path is not None and not path.expanduser().exists():
        mistakes.append(f"--path: {path} does not exist")
    if rescaled is not None and kind in {"weights", "published"}:
        mistakes.append("--rescaled, --own-logits: of saved logits; a model answers with logits of its own")
    if ema and kind in {"logits", "published"}:
        mistakes.append("--ema: of a file of weights")
    if teacher_model is not None:
        if kind in {"logits", "published"}:
            mistakes.append("--teacher-model: of a file of weights")
        elif (reason := wrong_model_name(teacher_model)) is not None:
            mistakes.append(f"--teacher-model: {reason}")
    if image_size is not None:
        if kind == "logits":
            mistakes.append("--image-size: of a model; saved logits have seen their images")
        mistakes += wrong_size(image_size)
    mixing = _mixing(mixup, cutmix, mistakes)
    if (mixup is not None or cutmix is not None) and kind == "logits":
        mistakes.append("--mixup, --cutmix: of a model; saved logits of whole images say nothing of mixed ones")
    if mistakes:
        raise ConfigError(mistakes)

    if kind == "logits":
        return audit_logits(Path(teacher), values, training_data=training_data, rescaled=rescaled)
    from tosmooth.audit.teacher import audit_published, audit_weights  # and with it all that runs models

    # Data and a model that were both named are read as `tosmooth distill` reads them.
    both_named = data is not None and (kind == "published" or teacher_model is not None)
    of_any_size = data in FOLDERS_OF_IMAGES or (source is None and both_named)
    size_open = of_any_size and size_is_open(source, overrides)
    source = source or (OWN_IMAGES if of_any_size else DEFAULT_RECIPE)
    settings = overrides_for(data, path, split, size_open=size_open)
    settings += shown_to_teacher(teacher_model, image_size)
    config = load_config(source, [*settings, *overrides])
    if kind == "published":
        return audit_published(
            config, teacher, split, values, training_data=training_data, own_size=size_open, mixing=mixing
        )
    return audit_weights(
        config, Path(teacher), split, values, training_data=training_data, own_size=size_open, ema=ema, mixing=mixing
    )


def shown_to_teacher(teacher_model: str | None, image_size: int | None) -> list[str]:
    """The `key=value` texts of a teacher's architecture and of the size that it is shown."""
    found = [] if teacher_model is None else [f"teacher.model={json.dumps({'name': teacher_model})}"]
    return found if image_size is None else [*found, f"teacher.model.kwargs.input_size={image_size}"]


def _mixing(mixup: float | None, cutmix: float | None, mistakes: list[str]) -> tuple[ImageMixing, ...] | None:
    """How the training may have mixed images, as far as that was said."""
    for name, strength in (("mixup", mixup), ("cutmix", cutmix)):
        try:
            TypeAdapter(MixingStrength | None).validate_python(strength)
        except ValidationError:
            mistakes.append(
                f"--{name}: {strength:g}, must be the a of Beta(a, a) in the training, from 0.001 to 100, or 0 for not "
                "at all; often 0.2 or 1"
            )
    return None if mistakes else ways_left(mixup, cutmix)


def _kind(teacher: str, mistakes: list[str]) -> str | None:
    """Whether it is "logits", "weights" or "published"; None where there is no such file, which fits any option."""
    file = Path(teacher)
    if file.is_file():
        return "logits" if holds_logits(file) else "weights"
    if ":" not in teacher:
        mistakes.append(
            f"{teacher}: no such file; give saved logits ({', '.join(SUFFIXES)}), saved weights, or a published model "
            "such as timm:resnet50.a1_in1k"
        )
        return None
    if (reason := wrong_model_name(teacher)) is not None:
        mistakes.append(reason)
    return "published"


def _temperatures(text: str, mistakes: list[str]) -> list[float]:
    try:
        values = sorted({float(part) for part in text.split(",")})
    except ValueError:
        values = []
    if not values or len(values) > MOST_TEMPERATURES or not all(0 < value < math.inf for value in values):
        mistakes.append(
            f"--temperatures: {text[:80]!r}, must be 1 to {MOST_TEMPERATURES} numbers above 0, comma-separated; for "
            "example 1,2,4"
        )
    return values

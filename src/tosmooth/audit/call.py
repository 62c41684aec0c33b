"""From the arguments of `tosmooth audit` to the audit: what kind of teacher, which data, every mistake at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from tosmooth.audit.images import FOLDERS_OF_IMAGES, overrides_for, size_is_open
from tosmooth.audit.logits_files import SUFFIXES, holds_logits
from tosmooth.audit.result import Audit
from tosmooth.audit.saved import audit_logits
from tosmooth.data.registry import image_sources
from tosmooth.errors import ConfigError, TosmoothError, did_you_mean
from tosmooth.models.build import validate_model_name
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
    if rescaled is not None and kind != "logits":
        mistakes.append("--rescaled, --own-logits: of saved logits; a model answers with logits of its own")
    if ema and kind != "weights":
        mistakes.append("--ema: of a file of weights")
    if mistakes:
        raise ConfigError(mistakes)

    if kind == "logits":
        return audit_logits(Path(teacher), values, training_data=training_data, rescaled=rescaled)
    from tosmooth.audit.teacher import audit_published, audit_weights  # and with it all that runs models

    size_open = data in FOLDERS_OF_IMAGES and size_is_open(source, overrides)
    source = source or (OWN_IMAGES if data in FOLDERS_OF_IMAGES else DEFAULT_RECIPE)
    config = load_config(source, [*overrides_for(data, path, split, size_open=size_open), *overrides])
    if kind == "published":
        return audit_published(config, teacher, split, values, training_data=training_data, own_size=size_open)
    return audit_weights(config, Path(teacher), split, values, training_data=training_data, own_size=size_open, ema=ema)


def _kind(teacher: str, mistakes: list[str]) -> str:
    """Whether it is "logits", "weights" or "published"."""
    file = Path(teacher)
    if file.is_file():
        return "logits" if holds_logits(file) else "weights"
    if ":" not in teacher:
        mistakes.append(
            f"{teacher}: no such file; give saved logits ({', '.join(SUFFIXES)}), saved weights, or a published model "
            "such as timm:resnet50.a1_in1k"
        )
        return "logits"
    try:
        validate_model_name(teacher)
    except TosmoothError as error:
        mistakes.append(str(error))
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

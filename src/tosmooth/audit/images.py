"""Which images an audit looks at, and how large: one rule for `tosmooth audit` and for the audit inside `distill`.

All of the training images, as nothing is trained in an audit, and as large as the teacher wants to see them; unless
somebody has said otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tosmooth.config.schema import StudyConfig
from tosmooth.data.augmentation import eval_transform, transformed
from tosmooth.data.base import SKIP_HINT, ImageSplit
from tosmooth.errors import DataError
from tosmooth.models.image_model import LARGEST_SIDE, ImageModel
from tosmooth.models.study_model import StudyModel
from tosmooth.recipes.reading import read_source

if TYPE_CHECKING:
    from torch import Tensor

    from tosmooth.study.bench import Bench

AUDITED_VIEW = "resize_center_crop"  # of photographs, whatever a study evaluates on
FOLDERS_OF_IMAGES = ("folder", "cub200", "huggingface")  # sources of photographs of any size
USUAL_SIZE = 224  # pixels, where no model says what it wants to see


def wrong_size(side: int) -> list[str]:
    """What is wrong with the size of `--image-size`."""
    if 1 < side <= LARGEST_SIDE:
        return []
    return [f"--image-size: {side}, must be the side of the teacher's images in pixels, from 2 to {LARGEST_SIDE}"]


def is_said(key: str, overrides: Sequence[str]) -> bool:
    """Whether one of these `key=value` texts is about that key."""
    return any(text.partition("=")[0].strip() == key for text in overrides)


def size_is_open(source: str | None, overrides: Sequence[str]) -> bool:
    """Whether nobody has said how large images are shown, so that it is for the models to say.

    Args:
        source: the recipe or YAML file that was named; None: none was.
        overrides: `key=value` texts.

    Raises:
        ConfigError: the recipe cannot be read.
    """
    section = {} if source is None else read_source(source).get("data")
    named = isinstance(section, dict) and section.get("image_size") is not None
    return not named and not is_said("data.image_size", overrides)


def wanted_size(model: StudyModel) -> int | None:
    """Side of the images that a model wants to see, in pixels; None where it does not say."""
    return model.input.size if isinstance(model, ImageModel) else None


def largest(*sides: int | None) -> int:
    """Side of the images that models share, in pixels: the largest that one of them wants to see, so that none is shown
    enlarged images."""
    return max(filter(None, sides), default=USUAL_SIZE)


def with_data(config: StudyConfig, **settings: Any) -> StudyConfig:
    """The same configuration with other settings of its data, which are not checked again."""
    return config.model_copy(update={"data": config.data.model_copy(update=settings)})


def sized_for(bench: Bench, model: StudyModel) -> Bench:
    """The same bench with images as large as a model wants them."""
    return replace(bench, config=with_data(bench.config, image_size=largest(wanted_size(model))))


def readable(
    bench: Bench, split: ImageSplit, numbers: Sequence[int], sides: Sequence[int | None] | None = None
) -> Iterator[tuple[int, list[Tensor]]]:
    """Some images of a split with the evaluation transform, (C, H, W) uint8 each, once for each size.

    Args:
        bench: whose transform it is, and whether images that cannot be read are skipped.
        split: of images.
        numbers: which ones.
        sides: of the square crops, in pixels; None: the one of the configuration.

    Raises:
        DataError: an image cannot be read, and `data.on_error` does not skip it; or it is smaller than the crop.
    """
    section = bench.config.data
    transforms = [eval_transform(section.eval_transform, side) for side in sides or (section.image_size,)]
    for number in numbers:
        try:
            image = split[number]
        except DataError as error:
            if section.on_error == "raise":
                raise DataError(f"{error}; {SKIP_HINT}") from None
            continue
        yield number, [transformed(image, transform, split.describe(number)) for transform in transforms]


def overrides_for(data: str | None, path: Path | None, split: str, *, size_open: bool) -> list[str]:
    """The `key=value` texts of data that were named: they go before those of the user.

    Args:
        data: the source's name; None: the recipe's.
        path: its folder, if it was given.
        split: that is audited.
        size_open: by `size_is_open`.
    """
    found = []
    if data is not None:
        found.append(f"data.source={data}")
        if split != "validation":
            found.append("data.validation=0")
        if data in FOLDERS_OF_IMAGES:
            found += [f"data.eval_transform={AUDITED_VIEW}", "data.train_augmentation=none"]
            if size_open:
                found.append(f"data.image_size={USUAL_SIZE}")  # until the teacher is there
    if path is not None:
        found.append("data.path='{}'".format(str(path).replace("'", "''")))  # as YAML reads it back, whatever it holds
    return found

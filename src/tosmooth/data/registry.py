"""Data sources by name, and the one door to all of them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tosmooth.errors import DataError
from tosmooth.registry import Registry

if TYPE_CHECKING:  # names are known to configurations, which are read without PyTorch
    from tosmooth.data.base import ImageData, ImageSplit, RawImages


@dataclass(frozen=True)
class SourceRequest:
    """What a source function is asked for."""

    path: Path | None = None
    download: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)

    def need_path(self, source: str, what: str) -> Path:
        """The path.

        Raises:
            DataError: none was given; `what` says what it should hold.
        """
        if self.path is None:
            raise DataError(f"data.path: the source {source!r} needs one: {what}")
        return self.path.expanduser()

    def no_options(self, source: str) -> None:
        """Refuse options a source does not know.

        Raises:
            DataError: there are any.
        """
        if self.options:
            raise DataError(f"data.options: the source {source!r} takes none, got {', '.join(self.options)}")


SourceFunction = Callable[[SourceRequest], "RawImages"]
_MODULES = {
    "cifar10": "torchvision_sets",
    "cifar100": "torchvision_sets",
    "cub200": "cub200",
    "fashion_mnist": "torchvision_sets",
    "fashion_mnist_sample": "fashion_mnist_sample",
    "folder": "folder",
    "huggingface": "huggingface",
}
IMAGE_SOURCES: Registry[SourceFunction] = Registry(
    "data_sources",
    "data source",
    DataError,
    modules={name: f"tosmooth.data.{module}" for name, module in _MODULES.items()},
)


def register_image_source(name: str) -> Callable[[SourceFunction], SourceFunction]:
    """Make a source known by name: a function from a `SourceRequest` to `RawImages`.

    Raises:
        DataError: the name is taken.
    """

    def register(function: SourceFunction) -> SourceFunction:
        IMAGE_SOURCES.add(name, function)
        return function

    return register


def image_sources() -> tuple[str, ...]:
    """Names of all data sources and of those that packages add, sorted."""
    return IMAGE_SOURCES.names()


def load_image_data(
    source: str,
    *,
    path: Path | None = None,
    validation: float = 0.1,
    split_seed: int = 0,
    download: bool = False,
    options: Mapping[str, Any] | None = None,
    limit_train: int | None = None,
    limit_test: int | None = None,
    limit_validation: int | None = None,
    skip_unreadable: bool = False,
    unlabelled: Path | None = None,
) -> ImageData:
    """Load a data set and make three splits of it.

    Args:
        source: a registered name.
        path: root folder, for the sources that read one.
        validation: share of training split off for validation (stratified, seeded) where the source has none.
        split_seed: seed of that split and of the limits.
        download: let torchvision download into `path`.
        options: further options of the source.
        limit_train: use a stratified choice of this many training images (before validation is split off).
        limit_test: the same for test.
        limit_validation: the same for validation, where the source has such a split of its own.
        skip_unreadable: let the first training images be unreadable, as long as there is one that is not.
        unlabelled: a folder of further images, without labels, that only students of a teacher learn from.

    Raises:
        DataError: unknown source, missing or malformed files, an empty class, a label outside the classes, or images
            without labels that are not.
    """
    from tosmooth.data.base import ImageData, Subset, check_labels, readable
    from tosmooth.data.splits import split_off
    from tosmooth.data.unlabelled import RGB, distilled_on, unlabelled_images

    raw = IMAGE_SOURCES.find(source)(SourceRequest(path, download, dict(options or {})))
    if len(raw.classes) < 2:
        raise DataError(f"the source {source!r} has {len(raw.classes)} class; a classifier needs at least 2")
    for name, split in (("train", raw.train), ("validation", raw.validation), ("test", raw.test)):
        if split is not None:
            check_labels(split, name, raw.classes)
    if not len(raw.test):
        raise DataError(f"the source {source!r} has no test images")
    notes = [*raw.notes, *raw.unread]
    train = _limited(raw.train, "limit_train", limit_train, split_seed)
    test = _limited(raw.test, "limit_test", limit_test, split_seed)
    lost = sorted(set(range(len(raw.classes))) - set(train.labels.tolist()))
    if lost:
        raise DataError(
            f"data.limit_train: {limit_train} of {len(raw.train)} images leaves class {raw.classes[lost[0]]!r} "
            f"without one; raise it"
        )
    if raw.validation is not None:
        held_out = _limited(raw.validation, "limit_validation", limit_validation, split_seed)
        notes.append("validation: the source's own split")
    else:
        rest, part = split_off(train.labels, validation, split_seed)
        train, held_out = Subset(train, rest), Subset(train, part)
        notes.append(
            f"validation: {100 * validation:g} % of training, stratified, seed {split_seed}"
            if validation
            else "validation: none (data.validation: 0)"
        )
    limits = [(limit_train, raw.train, "training"), (limit_test, raw.test, "test")]
    if raw.validation is not None:
        limits.append((limit_validation, raw.validation, "validation"))
    for limit, whole, name in limits:
        if limit is not None and limit < len(whole):
            notes.append(f"limited to {limit} {name} images, stratified")
    unread, further = raw.unread, None
    if unlabelled is not None:
        every, left = unlabelled_images(unlabelled, raw)
        further = _limited(every, "limit_train", limit_train, split_seed)
        notes += [distilled_on(len(train), len(further), unlabelled), *left]
        unread = (*unread, *left)
    parts = [*raw.classes, *(split.digest() for split in (train, held_out, test, further) if split is not None)]
    fingerprint = hashlib.sha256("\0".join(parts).encode()).hexdigest()
    first = next(readable(train, range(len(train)), skip_unreadable), None)
    if first is None:
        raise DataError(f"the source {source!r}: none of the {len(train)} training images can be read")
    if further is not None and first.shape[0] != RGB:
        raise DataError(
            f"data.unlabelled: images of a folder are shown in colour, and those of {source!r} have "
            f"{first.shape[0]} channel; leave it out, or give the labelled images as a folder, too"
        )
    return ImageData(
        source=source,
        classes=raw.classes,
        channels=int(first.shape[0]),
        width=int(first.shape[-1]),
        train=train,
        validation=held_out,
        test=test,
        superclasses=raw.superclasses,
        fingerprint=fingerprint,
        notes=tuple(notes),
        unread=unread,
        unlabelled=further,
    )


def _limited(split: ImageSplit, option: str, limit: int | None, seed: int) -> ImageSplit:
    if limit is not None and limit < 1:
        raise DataError(f"data.{option}: {limit} is not a number of images; give 1 or more, or null for all")
    if limit is None or limit >= len(split):
        return split
    from tosmooth.data.base import Subset
    from tosmooth.data.splits import stratified_choice

    return Subset(split, stratified_choice(split.labels, limit, seed))

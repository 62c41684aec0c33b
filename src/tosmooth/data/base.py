"""What a data source hands out: splits of uint8 images with labels known in advance."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from tosmooth.data.splits import stratified_choice
from tosmooth.errors import DataError

if TYPE_CHECKING:
    from tosmooth.data.augmented import ViewPixels

NO_LABEL = -1  # of an image that nobody has labelled
SKIP_HINT = "data.on_error=skip leaves such images out, and the same command goes on"


class ImageSplit(ABC):
    """One split: images uint8 (C, H, W) by index, and all labels without decoding an image."""

    labels: Tensor  # (N,) int64
    stored: ViewPixels | None = None  # its views as pixels, where they were made once and for all

    def __len__(self) -> int:
        return len(self.labels)

    @abstractmethod
    def __getitem__(self, index: int) -> Tensor:
        """Image `index`, uint8 (C, H, W) with C in {1, 3}.

        Raises:
            DataError: the image is unreadable or truncated; the text names it.
        """

    @abstractmethod
    def describe(self, index: int) -> str:
        """Where image `index` comes from, for messages: a path, or "row 17 of the test split"."""

    def size_of(self, index: int) -> tuple[int, int] | None:
        """Width and height of image `index` in pixels, where they are known without decoding it."""
        return None

    def is_turned(self, index: int) -> bool:
        """Whether image `index` lies otherwise in its file than it is shown, as far as that is known undecoded."""
        return False

    def in_memory(self) -> tuple[Tensor, Tensor | None] | None:
        """All images as one uint8 tensor (M, C, H, W) and the row of each sample (None: in order); None if not held."""
        return None

    def digest(self, *, with_times: bool = False) -> str:
        """A hash of what the split holds: labels and names here; sources in memory add the pixels.

        Args:
            with_times: include when files were last changed. A copy of the data has other times, so the data set's
                fingerprint leaves them out; a cache of what was computed from the files wants them.
        """
        found = hashlib.sha256(self.labels.numpy().tobytes())
        for index in range(len(self)):
            found.update(self.describe(index).encode())
        return found.hexdigest()


class TensorSplit(ImageSplit):
    """Images held in memory.

    Args:
        images: uint8 (N, C, H, W).
        labels: (N,) int64.
        name: of the split, for messages.
    """

    def __init__(self, images: Tensor, labels: Tensor, name: str) -> None:
        if images.dtype != torch.uint8 or images.ndim != 4 or len(images) != len(labels):
            raise DataError(
                f"the {name} split needs uint8 images (N, C, H, W) and as many labels; "
                f"got {images.dtype} {tuple(images.shape)} and {len(labels)} labels"
            )
        self.images = images
        self.labels = labels.to(torch.int64)
        self.name = name

    def __getitem__(self, index: int) -> Tensor:
        return self.images[index]

    def describe(self, index: int) -> str:
        """The row of the split."""
        return f"row {index} of the {self.name} split"

    def size_of(self, index: int) -> tuple[int, int]:
        """All have the same."""
        return self.images.shape[3], self.images.shape[2]

    def in_memory(self) -> tuple[Tensor, Tensor | None]:
        """The images, in order."""
        return self.images, None

    def digest(self, *, with_times: bool = False) -> str:
        """A hash of pixels and labels."""
        found = hashlib.sha256(self.labels.numpy().tobytes())
        found.update(np.ascontiguousarray(self.images.numpy()).data)
        return found.hexdigest()


class Subset(ImageSplit):
    """Some images of another split, in the order of `indices`."""

    def __init__(self, split: ImageSplit, indices: Sequence[int] | Tensor) -> None:
        self.split = split
        self.indices = torch.as_tensor(indices, dtype=torch.int64)
        self.labels = split.labels[self.indices]

    def __getitem__(self, index: int) -> Tensor:
        return self.split[int(self.indices[index])]

    def describe(self, index: int) -> str:
        """Where the underlying split has it from."""
        return self.split.describe(int(self.indices[index]))

    def size_of(self, index: int) -> tuple[int, int] | None:
        """That of the underlying split's image."""
        return self.split.size_of(int(self.indices[index]))

    def is_turned(self, index: int) -> bool:
        """That of the underlying split's image."""
        return self.split.is_turned(int(self.indices[index]))

    def in_memory(self) -> tuple[Tensor, Tensor | None] | None:
        """The underlying split's images, and where these are among them."""
        whole = self.split.in_memory()
        if whole is None:
            return None
        images, rows = whole
        return images, self.indices if rows is None else rows[self.indices]

    def digest(self, *, with_times: bool = False) -> str:
        """A hash of the underlying split and the choice."""
        underlying = self.split.digest(with_times=with_times)
        return hashlib.sha256(underlying.encode() + self.indices.numpy().tobytes()).hexdigest()


def origin_of(split: ImageSplit) -> tuple[ImageSplit, Tensor]:
    """The split of the source that images are from, and their places in it."""
    places = torch.arange(len(split))
    while isinstance(split, Subset):
        places, split = split.indices[places], split.split
    return split, places


class Joined(ImageSplit):
    """One split after another."""

    def __init__(self, first: ImageSplit, second: ImageSplit) -> None:
        self.first, self.second = first, second
        self.labels = torch.cat([first.labels, second.labels])

    def _place(self, index: int) -> tuple[ImageSplit, int]:
        inside = index < len(self.first)
        return (self.first, index) if inside else (self.second, index - len(self.first))

    def __getitem__(self, index: int) -> Tensor:
        split, place = self._place(index)
        return split[place]

    def describe(self, index: int) -> str:
        """Where its own split has it from."""
        split, place = self._place(index)
        return split.describe(place)

    def size_of(self, index: int) -> tuple[int, int] | None:
        """That of its own split's image."""
        split, place = self._place(index)
        return split.size_of(place)

    def is_turned(self, index: int) -> bool:
        """That of its own split's image."""
        split, place = self._place(index)
        return split.is_turned(place)

    def digest(self, *, with_times: bool = False) -> str:
        """A hash of both."""
        both = [split.digest(with_times=with_times) for split in (self.first, self.second)]
        return hashlib.sha256("\0".join(both).encode()).hexdigest()


def shown_again(split: ImageSplit, count: int) -> Subset:
    """`count` images of a split of no more: all of them as often as they fit, and of the rest a share of each class."""
    rounds, rest = divmod(count, len(split))
    whole = torch.arange(len(split)).repeat(rounds)
    return Subset(split, torch.cat([whole, stratified_choice(split.labels, rest, seed=0)]))


@dataclass(frozen=True)
class RawImages:
    """What a source function returns: splits as the source has them, before validation is split off."""

    train: ImageSplit
    test: ImageSplit
    classes: tuple[str, ...]
    validation: ImageSplit | None = None
    superclasses: tuple[str, ...] | None = None
    notes: tuple[str, ...] = ()  # on how the source made its splits, in words for the report
    unread: tuple[str, ...] = ()  # what of the source was not read, in words


@dataclass(frozen=True)
class ImageData:
    """Train, validation and test: three things. Validation may be empty."""

    source: str
    classes: tuple[str, ...]
    channels: int
    width: int  # of the first training image, in pixels
    train: ImageSplit
    validation: ImageSplit
    test: ImageSplit
    superclasses: tuple[str, ...] | None  # one name per class
    fingerprint: str  # SHA-256 of labels, classes and names and sizes of files, or pixels of data in memory
    notes: tuple[str, ...]  # how the splits were made, and what was not read, in words for the report
    unread: tuple[str, ...] = ()  # the notes on what was not read, which are said on the terminal, too
    unlabelled: ImageSplit | None = None  # images without labels, to which only a teacher's answers are learnt

    @cached_property
    def taught(self) -> ImageSplit:
        """What students learn a teacher's answers to: the training images, and those without labels."""
        return self.train if self.unlabelled is None else Joined(self.train, self.unlabelled)

    @cached_property
    def untaught(self) -> ImageSplit:
        """What students without a teacher learn from: the training images, again until an epoch is as long."""
        return self.train if self.unlabelled is None else shown_again(self.train, len(self.taught))

    @property
    def num_classes(self) -> int:
        """K."""
        return len(self.classes)

    @property
    def num_outputs(self) -> int:
        """K: an image classifier has one output for each class."""
        return len(self.classes)

    @property
    def class_outputs(self) -> None:
        """Classes and outputs are the same."""
        return None


def readable(split: ImageSplit, indices: Iterable[int], skip: bool) -> Iterator[Tensor]:
    """Images of a split; those that cannot be read are left out if `skip` says so.

    Raises:
        DataError: one cannot be read, and they are not to be left out.
    """
    for index in indices:
        try:
            yield split[index]
        except DataError as error:
            if not skip:
                raise DataError(f"{error}; {SKIP_HINT}") from None


def check_labels(split: ImageSplit, name: str, classes: Sequence[str]) -> None:
    """Every label must be one of the classes, and (in training) every class must have an image.

    Raises:
        DataError: names the first offending image, or the empty classes.
    """
    labels = split.labels.numpy()
    wrong = np.flatnonzero((labels < 0) | (labels >= len(classes)))
    if len(wrong):
        first = int(wrong[0])
        raise DataError(
            f"{split.describe(first)}: label {labels[first]} is outside the {len(classes)} classes "
            f"(0 to {len(classes) - 1}); {len(wrong)} such labels in the {name} split"
        )
    empty = np.setdiff1d(np.arange(len(classes)), labels)
    if name == "train" and len(empty):
        names = ", ".join(classes[index] for index in empty[:5]) + (", …" if len(empty) > 5 else "")
        raise DataError(f"the train split has no image of {len(empty)} classes: {names}")

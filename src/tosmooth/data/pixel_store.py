"""Pixels that were made once, in files that are mapped into memory, for all processes and studies: image files as they
are decoded, or views of images as a training augmentation shows them.

A store is a folder: `stamp.json` says what its pixels depend on. A shard `images-<first>.bin` holds the bytes of some
images, (H, W, C) each, one after another; beside it, `images-<first>.json` has their sizes and the shard's checksum. A
shard is written whole or not at all, so filling can be stopped at any moment and goes on with the first one missing.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tosmooth.errors import CacheError, DataError
from tosmooth.files import file_digest, replacing, short_digest, write_text
from tosmooth.filling import alone_in, writing_to

FORMAT = 1
SHARD_IMAGES = 256
RGB = 3  # channels: all image files are shown in colour
UNREADABLE = (0, 0)  # the size of an image that could not be read


class UnfilledError(CacheError):
    """A store cannot be filled: the disk does not take it."""


@dataclass(frozen=True)
class Stamp:
    """All that stored pixels depend on. A store is used only where every field agrees.

    Attributes:
        files: SHA-256 of the images' names, sizes and times of change, and of what is done to them after decoding; of
            images in memory, that of their pixels.
        decoder: Pillow and its JPEG library, with their versions: another one may round otherwise.
        images: how many.
        format: of the files.
    """

    files: str
    decoder: str
    images: int
    format: int = FORMAT

    @property
    def key(self) -> str:
        """Short hash of all fields."""
        return short_digest(json.dumps(dataclasses.asdict(self), sort_keys=True))


class PixelStore:
    """The pixels of some images.

    Whoever uses what other processes have written calls `check` for each shard in `unchecked` first.

    Args:
        folder: of this store; made when it is first filled.
        stamp: what its pixels must depend on.
        places: (M,) int64, which images of a split are stored, ascending; None: the first to the last.
        channels: of all images.
        off: the setting that does without this store.

    Raises:
        CacheError: the folder holds other images, a shard has not the size that it should, or it is not readable.
            Nothing is changed then.
    """

    def __init__(
        self, folder: Path, stamp: Stamp, places: Tensor | None = None, *, channels: int = RGB, off: str
    ) -> None:
        self.folder, self.stamp, self._channels, self.off = folder, stamp, channels, off
        self.places = None if places is None else places.numpy()
        # By number of the shard: heights, widths, and where each image begins, (images, 3).
        self._index: dict[int, np.ndarray[Any, Any]] = {}
        self._mapped: dict[int, Tensor] = {}
        self._sums: dict[int, str] = {}  # SHA-256 that shards should have, of those not read yet
        self.reload()

    def __getstate__(self) -> dict[str, Any]:
        """For processes that are started anew: each maps the same files, and copies nothing."""
        return self.__dict__ | {"_mapped": {}}

    @property
    def shards(self) -> int:
        """How many there are when all is written."""
        return -(-self.stamp.images // SHARD_IMAGES)

    @property
    def missing(self) -> list[int]:
        """Numbers of the shards that are not written yet."""
        return [number for number in range(self.shards) if number not in self._index]

    @property
    def complete(self) -> bool:
        """Whether all images are there."""
        return not self.missing

    def image(self, place: int) -> Tensor | None:
        """An image as it was stored, uint8 (C, H, W); None where it is not here, or was not readable."""
        row = place
        if self.places is not None:
            row = int(np.searchsorted(self.places, place))
            if row == len(self.places) or self.places[row] != place:
                return None
        number, inside = divmod(row, SHARD_IMAGES)
        height, width, start = self._index[number][inside].tolist()
        if (height, width) == UNREADABLE:
            return None
        pixels = self._shard(number)[start : start + self._channels * height * width]
        return pixels.view(height, width, self._channels).permute(2, 0, 1)  # in the memory layout of a decoded file

    def _shard(self, number: int) -> Tensor:
        if number not in self._mapped:
            file = self._file(number)
            # Private: nobody can change the file, and all who only read share the system's pages. Unlike `np.memmap` it
            # keeps no file open, of which a process may have some hundred.
            self._mapped[number] = torch.from_file(str(file), shared=False, size=file.stat().st_size, dtype=torch.uint8)
        return self._mapped[number]

    def _file(self, number: int) -> Path:
        return self.folder / f"images-{number * SHARD_IMAGES:09d}.bin"

    def places_of(self, number: int) -> list[int]:
        """Which images a shard holds."""
        rows = range(number * SHARD_IMAGES, min((number + 1) * SHARD_IMAGES, self.stamp.images))
        return list(rows) if self.places is None else self.places[rows.start : rows.stop].tolist()

    # Filling

    @contextlib.contextmanager
    def filling(self, note: Callable[[str], None] = lambda text: None) -> Iterator[None]:
        """Claim the folder for filling, see `alone_in`; what is missing may be less then.

        Raises:
            UnfilledError: it cannot be written.
            CacheError: it holds something else.
        """
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(alone_in(self.folder, note, off=self.off))
            except CacheError as error:
                raise UnfilledError(str(error)) from None
            if not (self.folder / "stamp.json").exists():
                with self._writing():
                    write_text(self.folder / "stamp.json", json.dumps(dataclasses.asdict(self.stamp), indent=2) + "\n")
            self.reload()  # another study may just have finished
            yield

    def write(self, number: int, images: Iterable[Tensor | DataError]) -> None:
        """Store a shard, and make it count.

        Args:
            number: of the shard.
            images: those of `places_of`, uint8 (C, H, W); an error for one that cannot be read.

        Raises:
            UnfilledError: the disk refuses.
        """
        path, found, sizes = self._file(number), hashlib.sha256(), list[tuple[int, int]]()
        with self._writing():
            with replacing(path) as file:
                for image in islice(images, len(self.places_of(number))):
                    if isinstance(image, DataError):
                        sizes.append(UNREADABLE)
                        continue
                    pixels = np.ascontiguousarray(image.permute(1, 2, 0).numpy())
                    sizes.append(pixels.shape[:2])
                    found.update(pixels.data)
                    file.write(pixels.data)
            facts = {"sha256": found.hexdigest(), "sizes": sizes}
            write_text(path.with_suffix(".json"), json.dumps(facts) + "\n")
        self._index[number] = _index(sizes, self._channels)

    def _writing(self) -> contextlib.AbstractContextManager[None]:
        return writing_to(self.folder, UnfilledError, off=self.off)

    # Trust

    def reload(self) -> None:
        """Look again at what is there; of shards at their sizes alone, as reading them takes time, see `check`.

        Raises:
            CacheError: it is not what was written.
        """
        if (self.folder / "stamp.json").exists():
            there, own = self._read(self.folder / "stamp.json"), dataclasses.asdict(self.stamp)
            if differing := [name for name in own if there.get(name) != own[name]]:
                raise CacheError(
                    f"{self.folder} was made of other images ({', '.join(differing)} differ); delete it or move it away"
                )
        for number in self.missing:
            path = self._file(number)
            if not path.exists() or not path.with_suffix(".json").exists():
                continue
            facts = self._read(path.with_suffix(".json"))
            try:
                index = _index(facts["sizes"], self._channels)
                nbytes, wanted = self._channels * int(index[:, :2].prod(axis=1).sum()), str(facts["sha256"])
                sound = nbytes == path.stat().st_size and len(index) == len(self.places_of(number))
            except (KeyError, TypeError, ValueError):
                sound = False
            except OSError as error:
                raise _unreadable(path, error) from None
            if not sound:
                raise _damaged(path)
            self._index[number], self._sums[number] = index, wanted

    @property
    def unchecked(self) -> list[int]:
        """Numbers of the shards that are there, and that this process has neither written nor checked."""
        return list(self._sums)

    def check(self, number: int) -> None:
        """Read one of `unchecked`, and whether its content is what was written.

        Raises:
            CacheError: it is not.
        """
        path = self._file(number)
        try:
            sound = file_digest(path) == self._sums[number]
        except OSError as error:
            raise _unreadable(path, error) from None
        if not sound:
            raise _damaged(path)
        del self._sums[number]

    def _read(self, path: Path) -> dict[str, Any]:
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise CacheError(f"{path} is not readable ({error}); delete it, and its images are stored again") from None
        if not isinstance(found, dict):
            raise CacheError(f"{path} is damaged; delete it, and its images are stored again")
        return found


def _unreadable(path: Path, error: OSError) -> CacheError:
    return CacheError(f"{path} is not readable: {error.strerror or error}")


def _damaged(path: Path) -> CacheError:
    return CacheError(
        f"{path} is damaged: its content is not what was written; delete it and run again, and its images alone are "
        "stored again"
    )


def _index(sizes: Sequence[Sequence[int]], channels: int) -> np.ndarray[Any, Any]:
    """Heights, widths, and the byte at which each image begins, (images, 3)."""
    known = np.array(sizes, dtype=np.int64).reshape(-1, 2)
    nbytes = channels * known.prod(axis=1)
    return np.column_stack([known, np.cumsum(nbytes) - nbytes])

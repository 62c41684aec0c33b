"""What a teacher says to each view of each sample, on disk: computed once, read by every student of every study.

Raw logits are stored, so one cache serves every temperature, objective, student, seed and restart (softened or top-k
logits could not: at a high T the tail matters). Where a sample has more logits than penultimate features and a plain
linear layer makes the ones of the others, the features are stored instead and that layer is applied on reading.

A cache is a folder: `stamp.json` says what its rows depend on, `view-*.npy` are the shards (float16, mapped into memory
when read), `shards.json` lists the finished ones with their checksums. A shard is written whole or not at all, so
filling can be stopped at any moment and goes on with the first missing shard.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import io
import json
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
import torch
from torch import Tensor

from tosmooth.data.views import Numbers
from tosmooth.errors import CacheError
from tosmooth.files import file_digest, write_bytes, write_text
from tosmooth.filling import alone_in, writing_to

OnHost: TypeAlias = tuple[Numbers, Numbers | None] | None  # indices and views, see `Batch`

FORMAT = 1
SHARD_BYTES = 64 * 2**20


@dataclass(frozen=True)
class Stamp:
    """All that a stored row depends on. A cache is used only where every field agrees.

    Attributes:
        model: name of the teacher's architecture, for people.
        teacher: SHA-256 of the teacher's weights, buffers, structure and input specification.
        data: SHA-256 of the training split: pixels of images in memory; names, sizes and times of change of files.
        augmentation: name of the training augmentation.
        transforms: whose pixels: "outcomes" for numbered ones, else the version of torchvision.
        image_size: side of the training crop; None = as stored.
        views: V, stored views of each sample.
        view_seed: seed of the views.
        samples: N.
        content: "logits", or "features" where those are fewer.
        width: numbers in a row, K or D.
        precision: of the teacher's forward pass: "float32", or "bf16" with its last layer's; and whether batch
            normalisation was folded.
        format: of the files.
    """

    model: str
    teacher: str
    data: str
    augmentation: str
    transforms: str
    image_size: int | None
    views: int
    view_seed: int
    samples: int
    content: Literal["logits", "features"]
    width: int
    precision: str
    format: int = FORMAT

    @property
    def key(self) -> str:
        """Short hash of all fields."""
        return hashlib.sha256(json.dumps(dataclasses.asdict(self), sort_keys=True).encode()).hexdigest()[:16]

    @property
    def nbytes(self) -> int:
        """Size of all rows on disk."""
        return 2 * self.views * self.samples * self.width


class Shard(NamedTuple):
    """Samples `first` to `last` (exclusive) of one view."""

    view: int
    first: int
    last: int

    @property
    def file(self) -> str:
        """Its file name."""
        return f"view-{self.view:03d}-{self.first:09d}.npy"


def weights_digest(model: torch.nn.Module, *more: object) -> str:
    """SHA-256 of a model's weights and buffers by name, and of anything else that its output depends on."""
    found = hashlib.sha256(repr(more).encode())
    for name, value in sorted(model.state_dict().items()):
        found.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        found.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return found.hexdigest()


class TeacherCache:
    """One teacher's stored rows.

    Args:
        folder: of this cache; made when it is first filled.
        stamp: what its rows must depend on.
        batch_size: samples that the teacher sees at once while filling; a cache with rows keeps the one it began with.

    Attributes:
        resident: whether all rows are held on the device from the first reading on, or read from the mapped shards each
            time. Who has several caches decides, as only the sum of them fits or does not.

    Raises:
        CacheError: the folder holds rows of another teacher, data or augmentation; a shard is damaged; or the folder is
            not readable. Nothing is changed then.
    """

    def __init__(self, folder: Path, stamp: Stamp, *, batch_size: int = 500) -> None:
        self.folder, self.stamp = folder, stamp
        self.batch_size = batch_size
        self.resident = True
        self._done: dict[str, str] = {}
        self._absent: frozenset[int] = frozenset()
        self.reload()

    @property
    def shard_rows(self) -> int:
        """Rows of a shard: whole batches, so that whoever goes on with the filling computes the same ones."""
        return max(1, SHARD_BYTES // (2 * self.stamp.width * self.batch_size)) * self.batch_size

    @property
    def _per_view(self) -> int:
        return -(-self.stamp.samples // self.shard_rows)

    @property
    def shards(self) -> list[Shard]:
        """All shards, in the order of filling."""
        starts = range(0, self.stamp.samples, self.shard_rows)
        return [
            Shard(view, start, min(start + self.shard_rows, self.stamp.samples))
            for view in range(self.stamp.views)
            for start in starts
        ]

    @property
    def missing(self) -> list[Shard]:
        """Shards not written yet."""
        return [shard for shard in self.shards if shard.file not in self._done]

    @property
    def complete(self) -> bool:
        """Whether every row is there."""
        return len(self._done) == self.stamp.views * self._per_view

    # Reading

    def rows(self, indices: Tensor, views: Tensor, on_host: OnHost = None) -> Tensor:
        """The rows of samples (N,) in views (N,), float32 (N, width), on the device of `indices`.

        Args:
            indices: of the samples.
            views: which view of each.
            on_host: both once more, as `Batch` has them; None: they are fetched, for which a GPU waits.

        Raises:
            CacheError: the cache is not filled yet.
        """
        if not self.complete:
            raise CacheError(f"{self.folder} is not filled: {len(self.missing)} of {len(self.shards)} shards missing")
        if self._absent and (met := self._absent & set(_fetched(indices, views, on_host)[0].tolist())):
            raise CacheError(
                f"training image {min(met)} could not be read when the teacher's logits were stored, but can be now; "
                f"delete {self.folder} to have them computed again"
            )
        if self.resident:
            return self._on(indices.device)[views * self.stamp.samples + indices].float()
        found = np.empty((len(indices), self.stamp.width), dtype=np.float16)
        sample, view = _fetched(indices, views, on_host)
        shard = view * self._per_view + sample // self.shard_rows
        for number in np.unique(shard):
            chosen = shard == number
            found[chosen] = self._mapped[number][sample[chosen] % self.shard_rows]
        rows = torch.from_numpy(found)
        if indices.is_cuda:
            rows = rows.pin_memory()  # else the copy waits
        return rows.to(indices.device, non_blocking=indices.device.type != "mps").float()

    @cached_property
    def _mapped(self) -> list[np.ndarray[Any, Any]]:
        return [np.load(self.folder / shard.file, mmap_mode="r", allow_pickle=False) for shard in self.shards]

    def _on(self, device: torch.device) -> Tensor:
        if device not in self._held:
            self._held[device] = torch.from_numpy(np.concatenate(self._mapped)).to(device)
        return self._held[device]

    @cached_property
    def _held(self) -> dict[torch.device, Tensor]:
        return {}

    # Filling

    @contextlib.contextmanager
    def filling(self, note: Callable[[str], None] = lambda text: None, *, waits: bool = True) -> Iterator[None]:
        """Claim the folder for filling, see `alone_in`.

        Raises:
            CacheError: the disk is too full, the folder cannot be written, or another study fills it and nobody waits.
        """
        needed = sum(2 * self.stamp.width * (shard.last - shard.first) for shard in self.missing)
        parent = next(path for path in (self.folder, *self.folder.parents) if path.exists())
        free = shutil.disk_usage(parent).free
        if needed > free:
            raise CacheError(
                f"the teacher cache needs {needed / 1e6:,.1f} MB, but {parent} has {free / 1e6:,.1f} MB free; make "
                "room, choose another cache.directory, or set cache=off"
            )
        with alone_in(self.folder, note, waits=waits):
            planned = self.batch_size
            self.reload()  # another process may just have finished
            if self.batch_size != planned and not self.complete:
                raise CacheError(
                    f"{self.folder} was just begun by another process, in batches of {self.batch_size}; run again"
                )
            if not self._done:  # also of one that was begun in batches that memory did not hold
                text = {"batch_size": self.batch_size, "stamp": dataclasses.asdict(self.stamp)}
                with self._writing():
                    write_text(self.folder / "stamp.json", json.dumps(text, indent=2) + "\n")
            yield

    def reload(self) -> None:
        """Look at what is there: another process that has the lock may have found more."""
        planned = self.batch_size
        if (self.folder / "stamp.json").exists():
            self._check_stamp()
        self._check_shards()
        if not self._done:
            self.batch_size = planned

    def write(self, shard: Shard, rows: Tensor) -> None:
        """Store the rows (last − first, width) of one shard, and make it count.

        Raises:
            CacheError: as `store`.
        """
        self.list_shards({shard.file: self.store(shard, rows)})

    def store(self, shard: Shard, rows: Tensor, absent: Collection[int] = ()) -> str:
        """Store the rows (last − first, width) of one shard; `list_shards` makes it count.

        Args:
            shard: which rows.
            rows: what the teacher said.
            absent: samples that could not be read; whatever stands in their rows is never handed out.

        Returns:
            The shard's checksum.

        Raises:
            CacheError: a row is not finite or too large for float16, or the disk refuses.
        """
        expected = (shard.last - shard.first, self.stamp.width)
        if tuple(rows.shape) != expected:
            raise ValueError(f"shard {shard.file} has rows {tuple(rows.shape)}; expected {expected}")
        half = rows.to(torch.float16, copy=True)
        half[[sample - shard.first for sample in absent]] = 0
        wrong = (~half.isfinite()).any(1).nonzero()
        if len(wrong):
            sample = shard.first + int(wrong[0])
            raise CacheError(
                f"the {self.stamp.content} of the teacher {self.stamp.model} are not finite or beyond float16 for "
                f"training sample {sample} (view {shard.view}); check the teacher, or set cache=off"
            )
        buffer = io.BytesIO()
        np.save(buffer, half.cpu().numpy(), allow_pickle=False)
        content = buffer.getvalue()
        with self._writing():
            write_bytes(self.folder / shard.file, content)
        return hashlib.sha256(content).hexdigest()

    def list_shards(self, written: Mapping[str, str], absent: Collection[int] = (), *, main: bool = True) -> None:
        """Make written shards count.

        Args:
            written: checksums by file name.
            absent: samples that could not be read.
            main: whether this process is the one that writes the list.
        """
        self._done |= written
        self._absent |= frozenset(absent)
        if main:
            with self._writing():
                if self._absent:
                    write_text(self.folder / "absent.json", json.dumps({"samples": sorted(self._absent)}) + "\n")
                write_text(self.folder / "shards.json", json.dumps(self._done, indent=2) + "\n")
        self.__dict__.pop("_mapped", None)

    def _writing(self) -> contextlib.AbstractContextManager[None]:
        return writing_to(self.folder)

    # Trust

    def _check_stamp(self) -> None:
        there = self._read("stamp.json")
        if not isinstance(there.get("stamp"), dict) or not isinstance(there.get("batch_size"), int):
            raise CacheError(f"{self.folder / 'stamp.json'} is damaged; delete {self.folder} to have it computed again")
        own, stored = dataclasses.asdict(self.stamp), there["stamp"]
        differing = [name for name in own if own[name] != stored.get(name)]
        if differing:
            shown = "; ".join(f"{n}: {_short(stored.get(n))} there, {_short(own[n])} here" for n in differing)
            raise CacheError(f"{self.folder} was computed for something else ({shown}); delete it or move it away")
        self.batch_size = there["batch_size"]

    def _check_shards(self) -> None:
        """Take over the finished shards; one that was deleted counts as missing and is computed again.

        Raises:
            CacheError: one was changed after it was written.
        """
        if not (self.folder / "shards.json").exists():
            return
        self._done = {}
        if (self.folder / "absent.json").exists():
            self._absent = frozenset(self._read("absent.json").get("samples", ()))
        listed = self._read("shards.json")
        for shard in self.shards:
            path = self.folder / shard.file
            if shard.file not in listed or not path.exists():
                continue
            try:
                found = file_digest(path)
            except OSError as error:
                raise CacheError(f"{path} is not readable: {error.strerror or error}") from None
            if found != listed[shard.file]:
                raise CacheError(
                    f"{path} is damaged: its content is not what was written; delete it and run again, and it alone is "
                    "computed again"
                )
            self._done[shard.file] = found

    def _read(self, name: str) -> dict[str, Any]:
        try:
            found = json.loads((self.folder / name).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise CacheError(
                f"{self.folder / name} is not readable ({error}); delete {self.folder} to have it computed again"
            ) from None
        if not isinstance(found, dict):
            raise CacheError(f"{self.folder / name} is damaged; delete {self.folder} to have it computed again")
        return found


def _fetched(indices: Tensor, views: Tensor, on_host: OnHost) -> tuple[Numbers, Numbers]:
    if on_host is not None and on_host[1] is not None:
        return on_host[0], on_host[1]
    return indices.cpu().numpy(), views.cpu().numpy()


def _short(value: object) -> str:
    text = str(value)
    return f"{text[:10]}…" if len(text) > 24 else text


@dataclass(frozen=True)
class CachedTeacher:
    """A cache, and what turns its rows into logits: nothing, or the teacher's last layer."""

    cache: TeacherCache
    head: torch.nn.Linear | None = None

    def logits(self, indices: Tensor, views: Tensor, on_host: OnHost = None) -> Tensor:
        """Logits (N, K), float32; arguments as for `TeacherCache.rows`."""
        rows = self.cache.rows(indices, views, on_host)
        return rows if self.head is None else self.head(rows)

"""Whether a study's image files are decoded once and for all, or each time that they are looked at."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.data import Dataset

from tosmooth.data.base import ImageData, Subset, origin_of
from tosmooth.data.files import FileSplit
from tosmooth.data.pixel_store import RGB, PixelStore, Stamp, UnfilledError
from tosmooth.errors import DataError
from tosmooth.files import path_safe
from tosmooth.memory import free_memory
from tosmooth.study.context import Context
from tosmooth.study.pixel_filling import DISK_SHARE, check_store, decoder, fill_store, free_disk, missing_bytes
from tosmooth.tasks.base import StudyData

OFF = "data.in_memory=off"
MEMORY_SHARE = 0.5  # of what is free: a mapped file that memory does not hold is read from the disk again and again
LEAST_DECODINGS = 10_000  # of a training: fewer are done in less time than anyone waits for
MEASURED = 500  # images of a split whose size is read, to reckon from


class _Files(NamedTuple):
    """Image files of one origin, and which of them a study uses, ascending."""

    split: FileSplit
    places: Tensor

    @property
    def nbytes(self) -> int:
        """About what their pixels take, by the sizes that the beginnings of some of the files state."""
        some = self.places[:: -(-len(self.places) // MEASURED)].tolist()
        sizes = [size for place in some if (size := self.split.size_of(place)) is not None]
        return round(sum(w * h for w, h in sizes) / max(1, len(sizes)) * RGB * len(self.places))


def decode_once(context: Context) -> None:
    """Have the image files of a study decoded into the cache before its first training, where that is wanted.

    From then on its splits hand out what is stored: the same pixels, bit for bit. `data.in_memory: auto` wants it where
    memory holds them and the training is long enough, or finds them decoded. Several processes read what is there, and
    decode nothing.

    Raises:
        CacheError: a store is damaged or of other images; or, with `data.in_memory: on`, it cannot be filled.
        DataError: an image cannot be read, and such are not to be left out.
    """
    if "files" in context.looked_for_pixels:
        return
    wanted, fills = context.config.data.in_memory, may_decode_once(context)
    files = [] if wanted == "off" else _files_of(context.data)
    found = [(own, _store(own, context.cache_directory)) for own in files]
    usable = [(own, store) for own, store in found if fills or store.complete]
    if usable and (wanted == "on" or _fits(context, usable)):
        try:
            for own, store in usable:
                _use(context, own, store)
        except UnfilledError as error:
            if wanted == "on":
                raise
            context.progress.note_once(f"images are decoded each time that they are looked at: {error}")
    context.looked_for_pixels.add("files")


def _store(files: _Files, directory: Path) -> PixelStore:
    stamp = Stamp(Subset(files.split, files.places).digest(with_times=True), decoder(), len(files.places))
    return PixelStore(
        directory / f"images-{path_safe(files.split.root.name)}-{stamp.key}", stamp, files.places, off=OFF
    )


def _use(context: Context, files: _Files, store: PixelStore) -> None:
    """Have a split hand out what is stored, once it is."""
    if not store.complete and context.compute.processes.world == 1:
        _fill(context, files, store)
    elif not store.complete:
        context.progress.note_once("several processes decode no images once and for all; a run of one process does")
    if store.complete:
        check_store(context, store, "checking decoded images")
        files.split.pixels = store


def may_decode_once(context: Context) -> bool:
    """Whether a study has image files, and it is wanted or pays to decode them once, if memory and disk hold them.

    What is decoded already is used in any case, if memory holds it.
    """
    wanted = context.config.data.in_memory
    return wanted != "off" and bool(_files_of(context.data)) and (wanted == "on" or _pays(context))


def _files_of(data: StudyData) -> list[_Files]:
    """The files of all splits; nothing of what is in memory, or comes out of another kind of file."""
    found: dict[int, tuple[FileSplit, list[Tensor]]] = {}
    if not isinstance(data, ImageData):
        return []
    for split in (data.train, data.validation, data.test, data.unlabelled):
        origin, places = (None, None) if split is None else origin_of(split)
        if isinstance(origin, FileSplit) and places is not None and len(places):
            found.setdefault(id(origin), (origin, []))[1].append(places)
    return [_Files(split, torch.unique(torch.cat(places))) for split, places in found.values()]


def _pays(context: Context) -> bool:
    """Whether the models that are still to train would have files decoded often enough."""
    teachers = context.unfinished([own for own in context.plan.teachers if not own.given])
    seeds = {cell.seed for cell in context.unfinished(context.plan.students)}
    of_teachers = len({own.seed for own in teachers}) * context.config.teacher.epochs * len(context.data.train)
    return of_teachers + len(seeds) * context.config.student.epochs * len(context.taught) >= LEAST_DECODINGS


def _fits(context: Context, usable: list[tuple[_Files, PixelStore]]) -> bool:
    """Whether memory holds the pixels, and the disk those that are not there yet; said, where they do not."""
    whole = sum(own.nbytes for own, _ in usable)
    to_write = sum(missing_bytes(store, own.nbytes) for own, store in usable)
    memory, directory = free_memory(torch.device("cpu")), context.cache_directory
    for needed, free, share, where in (
        (whole, memory, MEMORY_SHARE, "memory"),
        (to_write, free_disk(directory), DISK_SHARE, f"disk of {directory}"),
    ):
        if needed > share * free:
            context.progress.note_once(
                f"images are decoded each time that they are looked at: decoded once they take about "
                f"{needed / 1e9:,.1f} GB, more than {100 * share:g} % of the {free / 1e9:,.1f} GB free ({where}); "
                "data.in_memory=on does it all the same"
            )
            return False
    return True


def _fill(context: Context, files: _Files, store: PixelStore) -> None:
    fill_store(
        context,
        store,
        _Reading(files.split),
        store.places_of,
        nbytes=files.nbytes,
        title="decoding images",
        what=f"{len(files.places):,} images of {files.split.root} are decoded once",
        otherwise="reads the files each time",
    )


class _Reading(Dataset[list[Tensor | DataError]]):
    """Images by their place."""

    def __init__(self, split: FileSplit) -> None:
        self.split = split

    def __len__(self) -> int:
        return len(self.split)

    def __getitem__(self, place: int) -> list[Tensor | DataError]:
        try:
            return [self.split[place]]
        except DataError as error:
            return [error]

"""Whether a study's image files are decoded once and for all, or each time that they are looked at."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import PIL
import torch
from PIL import features
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from tosmooth.data.base import SKIP_HINT, ImageData, Subset, origin_of
from tosmooth.data.batches import dead_loader, is_of_dead_loader, leave_signals
from tosmooth.data.decoded import CHANNELS, SHARD_IMAGES, DecodedImages, Stamp, UnfilledError
from tosmooth.data.files import FileSplit
from tosmooth.errors import DataError
from tosmooth.files import path_safe
from tosmooth.memory import free_memory
from tosmooth.study.context import Context
from tosmooth.study.teacher_answers import cache_directory
from tosmooth.tasks.base import StudyData

MEMORY_SHARE = 0.5  # of what is free: a mapped file that memory does not hold is read from the disk again and again
DISK_SHARE = 0.25  # of what is free, that nobody has been asked about
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
        return round(sum(w * h for w, h in sizes) / max(1, len(sizes)) * CHANNELS * len(self.places))


def decode_once(context: Context) -> None:
    """Have the image files of a study decoded into the cache before its first training, where that is wanted.

    From then on its splits hand out what is stored: the same pixels, bit for bit. `data.in_memory: auto` wants it where
    memory holds them and the training is long enough. Several processes read what is there, and decode nothing.

    Raises:
        CacheError: a store is damaged or of other images; or, with `data.in_memory: on`, it cannot be filled.
        DataError: an image cannot be read, and such are not to be left out.
    """
    if context.looked_at_files:
        return
    if may_decode_once(context):
        wanted, files = context.config.data.in_memory, _files_of(context.data)
        directory = cache_directory(context)
        stores = [_store(own, directory) for own in files]
        if wanted == "on" or _fits(context, files, stores, directory):
            try:
                for own, store in zip(files, stores, strict=True):
                    _use(context, own, store)
            except UnfilledError as error:
                if wanted == "on":
                    raise
                context.progress.note_once(f"images are decoded each time that they are looked at: {error}")
    context.looked_at_files.append(True)


def _store(files: _Files, directory: Path) -> DecodedImages:
    stamp = Stamp(Subset(files.split, files.places).digest(with_times=True), _decoder(), len(files.places))
    return DecodedImages(directory / f"images-{path_safe(files.split.root.name)}-{stamp.key}", stamp, files.places)


def _use(context: Context, files: _Files, store: DecodedImages) -> None:
    """Have a split hand out what is stored, once it is."""
    if not store.complete and context.compute.processes.world == 1:
        _fill(context, files, store)
    elif not store.complete:
        context.progress.note_once("several processes decode no images once and for all; a run of one process does")
    if store.complete:
        files.split.pixels = store


def may_decode_once(context: Context) -> bool:
    """Whether a study has image files, and it is wanted or pays to decode them once, if memory and disk hold them."""
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


def _fits(context: Context, files: list[_Files], stores: list[DecodedImages], directory: Path) -> bool:
    """Whether memory holds the pixels, and the disk those that are not there yet; said, where they do not."""
    whole = sum(own.nbytes for own in files)
    to_write = sum(own.nbytes for own, store in zip(files, stores, strict=True) if not store.complete)
    memory, disk = free_memory(torch.device("cpu")), _free_disk(directory)
    for needed, free, share, where in (
        (whole, memory, MEMORY_SHARE, "memory"),
        (to_write, disk, DISK_SHARE, f"disk of {directory}"),
    ):
        if needed > share * free:
            context.progress.note_once(
                f"images are decoded each time that they are looked at: decoded once they take about "
                f"{needed / 1e9:,.1f} GB, more than {100 * share:g} % of the {free / 1e9:,.1f} GB free ({where}); "
                "data.in_memory=on does it all the same"
            )
            return False
    return True


def _free_disk(directory: Path) -> int:
    directory = directory.absolute()
    return shutil.disk_usage(next(path for path in (directory, *directory.parents) if path.exists())).free


def _decoder() -> str:
    return (
        f"Pillow {PIL.__version__}, jpeg {features.version('jpg')}, libjpeg-turbo {features.version('libjpeg_turbo')}"
    )


def _fill(context: Context, files: _Files, store: DecodedImages) -> None:
    progress, count = context.progress, len(files.places)
    needed = round(files.nbytes * len(store.missing) / -(-count // SHARD_IMAGES))
    if needed > (free := _free_disk(store.folder)):
        raise UnfilledError(
            f"{count:,} decoded images need about {needed / 1e9:,.1f} GB, but {store.folder.parent} has "
            f"{free / 1e9:,.1f} GB free; make room, choose another cache.directory, or set data.in_memory=off"
        )
    progress.note(
        f"{count:,} images of {files.split.root} are decoded once, into {store.folder}: about {needed / 1e9:,.2f} GB "
        "(data.in_memory=off reads the files each time)"
    )
    progress.stage("decoding images", epochs=1, cost=0.0)
    with store.filling(progress.note):
        missing = store.missing
        places = [place for number in missing for place in store.places_of(number)]
        images = _decoded(context, files.split, places)
        for number in missing:
            store.write(number, images)
            progress.batch(0, len(store.places_of(number)))
    progress.end_stage()


def _decoded(context: Context, split: FileSplit, places: list[int]) -> Iterator[Tensor | DataError]:
    """These images in their order, by the study's loader processes; errors, where images may be left out."""
    section = context.config.data
    loader: DataLoader[Any] = DataLoader(
        _Reading(split),
        sampler=places,
        batch_size=None,
        collate_fn=_as_it_is,
        num_workers=section.workers,
        worker_init_fn=leave_signals,
        generator=torch.Generator(),  # its draw must not come from the stream that drives dropout
    )
    try:
        for image in loader:
            if isinstance(image, DataError) and section.on_error == "raise":
                raise DataError(f"{image}; {SKIP_HINT}")
            yield image
    except (RuntimeError, OSError, EOFError) as error:
        if section.workers and is_of_dead_loader(error, reading=True):
            raise dead_loader(error) from None
        raise


class _Reading(Dataset[Any]):
    """Images by their place; errors as values, since raised in a worker they arrive wrapped in its traceback."""

    def __init__(self, split: FileSplit) -> None:
        self.split = split

    def __len__(self) -> int:
        return len(self.split)

    def __getitem__(self, place: int) -> Tensor | DataError:
        try:
            return self.split[place]
        except DataError as error:
            return error


def _as_it_is(image: Any) -> Any:
    return image

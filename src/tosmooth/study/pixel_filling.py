"""How the pixels of a study are stored: what their decoder is, whether the disk has room, filling and checking."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import PIL
import torch
from PIL import features
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from tosmooth.data.base import SKIP_HINT
from tosmooth.data.batches import dead_loader, is_of_dead_loader, leave_signals
from tosmooth.data.pixel_store import PixelStore, UnfilledError
from tosmooth.errors import DataError
from tosmooth.study.context import Context

DISK_SHARE = 0.25  # of what is free, that nobody has been asked about


def free_disk(directory: Path) -> int:
    """Bytes that are free where a folder is, or would be."""
    directory = directory.absolute()
    return shutil.disk_usage(next(path for path in (directory, *directory.parents) if path.exists())).free


def decoder() -> str:
    """What decodes image files here: another version may round otherwise."""
    return (
        f"Pillow {PIL.__version__}, jpeg {features.version('jpg')}, libjpeg-turbo {features.version('libjpeg_turbo')}"
    )


def missing_bytes(store: PixelStore, nbytes: int) -> int:
    """What is still to be written of a store that takes `nbytes` in all."""
    return round(nbytes * len(store.missing) / max(1, store.shards))


def fill_store(
    context: Context,
    store: PixelStore,
    images: Dataset[list[Tensor | DataError]],
    requests: Callable[[int], Sequence[Any]],
    *,
    nbytes: int,
    title: str,
    what: str,
    otherwise: str,
) -> None:
    """Fill what is missing of a store, by the study's loader processes; said before.

    Where another study was filling it, that one is waited for, and only what is missing then is said and needs room.

    Args:
        context: of the study, in one process.
        store: to be filled.
        images: some of them at each request; errors as values, since raised in a worker they arrive wrapped.
        requests: what to ask for, so that the images of a shard come in their order.
        nbytes: about what the whole store takes.
        title: of the stage.
        what: for people: "1,200 images of cats are decoded once".
        otherwise: what happens without: "reads the files each time".

    Raises:
        UnfilledError: the disk does not take it.
        DataError: an image cannot be read, and such are not to be left out.
    """
    progress = context.progress
    with store.filling(progress.note):
        if not (missing := store.missing):
            return
        needed = missing_bytes(store, nbytes)
        if needed > (free := free_disk(store.folder)):
            raise UnfilledError(
                f"{what}: that needs about {needed / 1e9:,.1f} GB, but {store.folder.parent} has {free / 1e9:,.1f} GB "
                f"free; make room, choose another cache.directory, or set {store.off}"
            )
        progress.note(f"{what}, into {store.folder}: about {needed / 1e9:,.2f} GB ({store.off} {otherwise})")
        progress.stage(title, epochs=1, cost=0.0)
        made = _made(context, images, [request for number in missing for request in requests(number)])
        for number in missing:
            store.write(number, made)
            progress.batch(0, len(store.places_of(number)))
        progress.end_stage()


def check_store(context: Context, store: PixelStore, title: str) -> None:
    """Read the shards that this process did not write, and whether they are what was written, before they are used.

    Here and not where a shard is first looked at: that is in loader processes, of which each would read them all.

    Args:
        context: of the study.
        store: all of it filled.
        title: of the stage; there is none where nothing is to be read.

    Raises:
        CacheError: a shard is damaged.
    """
    if not store.unchecked:
        return
    context.progress.stage(title, epochs=1, cost=0.0)
    for number in store.unchecked:
        store.check(number)
        context.progress.batch(0, len(store.places_of(number)))
    context.progress.end_stage()


def _made(
    context: Context, images: Dataset[list[Tensor | DataError]], requests: list[Any]
) -> Iterator[Tensor | DataError]:
    """What was asked for, in its order; errors, where images may be left out."""
    section = context.config.data
    loader: DataLoader[Any] = DataLoader(
        images,
        sampler=requests,
        batch_size=None,
        collate_fn=_as_it_is,
        num_workers=section.workers,
        worker_init_fn=leave_signals,
        generator=torch.Generator(),  # its draw must not come from the stream that drives dropout
    )
    try:
        for some in loader:
            for image in some:
                if isinstance(image, DataError) and section.on_error == "raise":
                    raise DataError(f"{image}; {SKIP_HINT}")
                yield image
    except (RuntimeError, OSError, EOFError) as error:
        if section.workers and is_of_dead_loader(error, reading=True):
            raise dead_loader(error) from None
        raise


def _as_it_is(images: Any) -> Any:
    return images

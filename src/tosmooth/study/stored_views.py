"""Whether the views that teachers are asked about once are stored as pixels, too, or made each time they are shown."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from tosmooth.data.augmentation import SIZELESS
from tosmooth.data.augmented import ViewPixels
from tosmooth.data.base import ImageData
from tosmooth.data.batches import SeededBatches
from tosmooth.data.pipeline import ImagePipeline
from tosmooth.data.pixel_store import PixelStore, Stamp, UnfilledError
from tosmooth.data.views import EachView
from tosmooth.files import path_safe
from tosmooth.study.context import Context
from tosmooth.study.decoded_images import LEAST_DECODINGS
from tosmooth.study.pixel_filling import DISK_SHARE, check_store, decoder, fill_store, free_disk, missing_bytes

OFF = "cache.pixels=off"


@dataclass(frozen=True, kw_only=True)
class ViewStamp(Stamp):
    """All that stored views depend on: `files` are the images that students are taught with.

    Attributes:
        augmentation: name of the training augmentation.
        transforms: whose pixels: "outcomes" for numbered ones, else the version of torchvision.
        arithmetic: the version of PyTorch, which resizes.
        image_size: side of the training crop; None = as stored.
        views: V, views of each image.
        view_seed: their seed.
    """

    augmentation: str
    transforms: str
    arithmetic: str
    image_size: int | None
    views: int
    view_seed: int


def transforms_of(context: Context) -> str:
    """Whose pixels views are: "outcomes" for numbered ones, else the version of torchvision."""
    if context.pipeline.training_outcomes(context.taught) is not None:
        return "outcomes"
    import torchvision

    return f"torchvision {torchvision.__version__}"


def store_views(context: Context) -> None:
    """Have the stored views of a study written as pixels into the cache before they are shown, where that is wanted.

    From then on batches of these views are read from there: the same pixels, bit for bit. What is there whole is used,
    however little is left to train. Several processes read what is there, and write nothing.

    Raises:
        CacheError: a store is damaged or of other images; or, with `cache.pixels: on`, it cannot be filled.
        DataError: an image cannot be read, and such are not to be left out.
    """
    if "views" in context.looked_for_pixels:
        return
    context.looked_for_pixels.add("views")
    wanted = context.config.cache.pixels
    fills = may_store_views(context)  # asked in all processes, whatever each finds on its disk
    if not _reads_views(context):
        if wanted == "on":
            context.progress.note_once(
                "cache.pixels=on stores nothing: no limited number of views is read image by image here"
            )
        return
    store = _store(context)
    if not store.complete:
        if not fills or not _has_room(context, missing_bytes(store, _nbytes(context))):
            return
        if context.compute.processes.world > 1:
            context.progress.note_once("several processes write no pixels of views; a run of one process does")
            return
        try:
            _fill(context, store)
        except UnfilledError as error:
            if wanted == "on":
                raise
            context.progress.note_once(f"views are made each time that they are shown: {error}")
            return
    check_store(context, store, "checking stored views")
    context.taught.stored = ViewPixels(store, _views(context))


def may_store_views(context: Context) -> bool:
    """Whether a study shows a limited number of views, and it is wanted or pays to store them, if the disk has room."""
    return _reads_views(context) and (context.config.cache.pixels == "on" or _pays(context))


def _reads_views(context: Context) -> bool:
    """Whether a study shows a limited number of views image by image, and may read them as pixels."""
    wanted = context.config.cache.pixels
    if wanted == "off" or context.stored_views is None or not isinstance(context.data, ImageData):
        return False
    if wanted == "on":
        return isinstance(context.training_batches(context.config.student, 0, split=context.taught), SeededBatches)
    return context.taught.in_memory() is None


def _pays(context: Context) -> bool:
    """Whether the students that are still to train would see views often enough for these to be stored."""
    seeds = {cell.seed for cell in context.unfinished(context.plan.students)}
    epochs = len(seeds) * context.config.student.epochs
    # Where outcomes are numbered, a view is the image or its mirror image: `data.in_memory` stores that once for both.
    worth = context.pipeline.training_outcomes(context.taught) is None and epochs > _views(context).count
    return worth and epochs * len(context.taught) >= LEAST_DECODINGS


def views_to_store(context: Context) -> int:
    """Bytes of the pixels that a study stores of its views, as if none were there; 0 where it stores none."""
    nbytes = _nbytes(context) if may_store_views(context) else 0
    return nbytes if _has_room(context, nbytes) else 0


def _has_room(context: Context, nbytes: int) -> bool:
    """Whether the disk may be asked for so much; where it is wanted in any case, whoever writes finds out."""
    return context.config.cache.pixels == "on" or nbytes <= DISK_SHARE * free_disk(context.cache_directory)


def _nbytes(context: Context) -> int:
    section, data = context.config.data, context.data
    assert isinstance(data, ImageData)
    width, height = section.image_size or 0, section.image_size or 0
    if section.train_augmentation in SIZELESS:
        # Batches hold images of one size, so the first has that of all.
        width, height = data.taught.size_of(0) or (data.width, data.width)
    return _views(context).count * len(data.taught) * data.channels * width * height


def _views(context: Context) -> EachView:
    assert context.stored_views is not None
    return EachView(context.stored_views, context.config.cache.view_seed)


def _store(context: Context) -> PixelStore:
    section, data, views = context.config.data, context.data, _views(context)
    assert isinstance(data, ImageData)
    stamp = ViewStamp(
        files=data.taught.digest(with_times=True),
        decoder=decoder(),
        images=views.count * len(data.taught),
        augmentation=section.full_augmentation,
        transforms=transforms_of(context),
        arithmetic=f"torch {torch.__version__}",
        image_size=section.image_size,
        views=views.count,
        view_seed=views.view_seed,
    )
    folder = context.cache_directory / f"views-{path_safe(data.source)}-{stamp.key}"
    return PixelStore(folder, stamp, channels=data.channels, off=OFF)


def _fill(context: Context, store: PixelStore) -> None:
    assert isinstance(context.pipeline, ImagePipeline)
    images = context.pipeline.all_views(context.taught, _views(context))

    def requests(shard: int) -> list[range]:
        places = store.places_of(shard)
        return images.requests(places[0], places[-1] + 1)

    fill_store(
        context,
        store,
        images,
        requests,
        nbytes=_nbytes(context),
        title="storing views",
        what=f"{images.count} views of {len(context.taught):,} images are made once",
        otherwise="makes them each time",
    )

"""Training and test of images that nobody has parted."""

from __future__ import annotations

from collections.abc import Sequence

from tosmooth.data.base import ImageSplit, RawImages, Subset
from tosmooth.data.splits import split_off
from tosmooth.errors import DataError

TEST_SHARE = 0.2
LEAST_IMAGES = 5  # of a class: one of five is held out


def parted(whole: ImageSplit, classes: tuple[str, ...], what: str, places: Sequence[object]) -> RawImages:
    """A share of all images becomes the test split, always the same.

    Args:
        whole: N images.
        classes: K names.
        what: the images, in words.
        places: where each class lies, for messages.

    Raises:
        DataError: a class has too few images.
    """
    few = [index for index in range(len(classes)) if int((whole.labels == index).sum()) < LEAST_IMAGES]
    if few:
        raise DataError(
            f"{places[few[0]]}: fewer than {LEAST_IMAGES} images, too few to hold some out for the test; add some, or "
            "part training and test yourself (train/ and val/)"
        )
    rest, part = split_off(whole.labels, TEST_SHARE, seed=0)
    note = f"test: {100 * TEST_SHARE:g} % of {what}, stratified, always the same"
    return RawImages(Subset(whole, rest), Subset(whole, part), classes, notes=(note,))

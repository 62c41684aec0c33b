"""How many photographs were turned upright, as EXIF says: a teacher that ignored it has seen them lying."""

from __future__ import annotations

from tosmooth.data.base import ImageSplit

MOST = 4000  # images whose files' beginnings are read; of more, every so manyth


def turned_in_words(split: ImageSplit) -> str | None:
    """`96 of 256 training images lay otherwise and are shown upright (EXIF)`; None where all stand upright.

    Args:
        split: the training images.
    """
    looked_at = range(0, len(split), max(1, -(-len(split) // MOST)))
    count = sum(split.is_turned(index) for index in looked_at)
    if not count:
        return None
    which = "training images" if len(looked_at) == len(split) else "training images that were looked at"
    lay = "lay otherwise and is" if count == 1 else "lay otherwise and are"
    return f"{count:,} of {len(looked_at):,} {which} {lay} shown upright, as EXIF says"

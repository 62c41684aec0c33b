"""Groups of similar classes from what is written down: labels of classes, or the endings of their names."""

from __future__ import annotations

import re
from collections.abc import Hashable, Sequence

from torch import Tensor


def groups_by_label(labels: Sequence[Hashable | None]) -> list[list[int]]:
    """Classes with equal labels form a group.

    Args:
        labels: one for each of the K classes: a super-class, a parent; None is in no group.

    Returns:
        Class indices of each group, groups in the order of their first class; for `similarity.masks_from_groups`.
    """
    groups: dict[Hashable, list[int]] = {}
    for index, label in enumerate(labels):
        if label is not None:
            groups.setdefault(label, []).append(index)
    return list(groups.values())


def name_ending(name: str) -> str | None:
    """The last word of a class's name, in lower case; None where there is none.

    "Black footed Albatross" → "albatross", "001.Black_footed_Albatross" → "albatross". Words end at white space,
    underscores, dots and slashes; hyphens join ("Chuck-will's-widow" is one word).
    """
    words = [word for word in re.split(r"[\s_./\\]+", name) if word]
    return words[-1].casefold() if words else None


def groups_by_ending(names: Sequence[str]) -> list[list[int]]:
    """Classes whose names end in the same word form a group: all albatrosses, all warblers (CUB-200-2011).

    Args:
        names: of the K classes.

    Returns:
        Class indices of each group; a class that shares its ending with none is alone in its group.
    """
    return groups_by_label([name_ending(name) for name in names])


def agreement(similar: Tensor, other: Tensor) -> tuple[float, float]:
    """How far another source names the same pairs similar.

    Args:
        similar: S1 of one source, (K, K) bool, row π.
        other: S1 of another source, (K, K) bool.

    Returns:
        The share of the first source's pairs (π, k) that the other has too, and the share that chance would give: what
        the other names similar among all pairs of different classes. Both in [0, 1], NaN where there are no pairs.

    Raises:
        ValueError: the shapes differ, or are not (K, K).
    """
    if similar.shape != other.shape or similar.ndim != 2 or similar.shape[0] != similar.shape[1]:
        raise ValueError(f"need two masks (K, K); got {tuple(similar.shape)} and {tuple(other.shape)}")
    pairs, classes = int(similar.sum()), len(similar)
    if pairs == 0 or classes < 2:
        return float("nan"), float("nan")
    return int((similar & other).sum()) / pairs, int(other.sum()) / (classes * (classes - 1))

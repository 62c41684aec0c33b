"""Which classes are similar, and which dissimilar, to each class: S1 and S2."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from tosmooth.analysis.centroids import ClassCentroids
from tosmooth.analysis.diffusion import BLOCK, relative_rows

FEWEST_CLASSES = 3  # beside a class there must be one that is similar and one that is not


def default_similar_count(num_classes: int) -> int:
    """m = min(5, max(1, ⌊(K − 1)/3⌋)): classes in S1, and in S2."""
    return min(5, max(1, (num_classes - 1) // 3))


def similar_classes(
    centroids: Tensor | ClassCentroids | Sequence[Tensor | ClassCentroids], m: int
) -> tuple[Tensor, Tensor]:
    """The m nearest and the m farthest classes of each class, by relative centroid distance.

    Args:
        centroids: (K, D), or an accumulator; NaN rows (empty classes) belong to no set and have none, and where too
            few classes are left, S1 is filled before S2. Of several models, a sequence of such: the mean of their
            relative distances decides, and a class that is empty in one is empty.
        m: size of both sets, at least 1, with 2·m ≤ K − 1 so that they are disjoint.

    Returns:
        Two boolean masks (K, K), row π: S1(π) and S2(π), disjoint. Ties go to the lower class index.

    Raises:
        ValueError: no (K, D) floats, fewer than 3 classes, m does not fit, or the models' class counts differ.
    """
    given = [centroids] if isinstance(centroids, Tensor | ClassCentroids) else list(centroids)
    models = [one.centroids if isinstance(one, ClassCentroids) else one for one in given]
    if any(one.ndim != 2 or not one.is_floating_point() for one in models):
        raise ValueError(f"centroids must be floats (K, D), got {[(one.dtype, tuple(one.shape)) for one in models]}")
    if len({len(one) for one in models}) != 1:
        raise ValueError(f"need models of the same classes, got {[len(one) for one in models]}")
    classes = len(models[0])
    if classes < FEWEST_CLASSES:
        raise ValueError(f"similar and dissimilar classes need at least {FEWEST_CLASSES} classes, got {classes}")
    if not 1 <= m <= (classes - 1) // 2:
        raise ValueError(f"m must be in [1, {(classes - 1) // 2}] for {classes} classes, got {m}")
    present = torch.stack([~torch.isnan(one).any(1) for one in models]).all(0)
    itself = torch.eye(classes, dtype=torch.bool, device=present.device)
    allowed = present[:, None] & present[None, :] & ~itself
    similar, dissimilar = torch.zeros_like(allowed), torch.zeros_like(allowed)
    infinity, size = float("inf"), max(1, BLOCK // classes)
    for rows in (slice(start, start + size) for start in range(0, classes, size)):
        distances = torch.stack([relative_rows(one, rows) for one in models]).mean(0)
        nearest = distances.masked_fill(~allowed[rows], infinity).argsort(dim=1, stable=True)[:, :m]
        farthest = distances.masked_fill(~allowed[rows], -infinity).argsort(dim=1, stable=True, descending=True)[:, :m]
        similar[rows] = similar[rows].scatter(1, nearest, True) & allowed[rows]
        dissimilar[rows] = dissimilar[rows].scatter(1, farthest, True) & allowed[rows] & ~similar[rows]
    return similar, dissimilar


def farthest_classes(
    centroids: Tensor | ClassCentroids | Sequence[Tensor | ClassCentroids], allowed: Tensor, m: int
) -> Tensor:
    """Of the allowed classes, the m farthest from each class by relative centroid distance: S2 where groups give S1.

    Args:
        centroids: (K, D), or an accumulator; empty classes (NaN) are in no set and have none. Of several models, a
            sequence of such: the mean of their relative distances decides.
        allowed: (K, K) bool, row π: the classes of other groups than π's.
        m: at least 1; where fewer classes are allowed, all of them are taken.

    Returns:
        Boolean mask (K, K), a part of `allowed`. Ties go to the lower class index.

    Raises:
        ValueError: m is below 1, or the shapes do not fit.
    """
    given = [centroids] if isinstance(centroids, Tensor | ClassCentroids) else list(centroids)
    models = [one.centroids if isinstance(one, ClassCentroids) else one for one in given]
    classes = len(allowed)
    if m < 1 or allowed.shape != (classes, classes) or any(len(one) != classes for one in models):
        raise ValueError(
            f"need m of at least 1, a mask (K, K) and K centroids; got m = {m}, {tuple(allowed.shape)} and "
            f"{[len(one) for one in models]}"
        )
    present = torch.stack([~torch.isnan(one).any(1) for one in models]).all(0)
    allowed = allowed.to(present.device) & present[:, None] & present[None, :]
    farthest, size = torch.zeros_like(allowed), max(1, BLOCK // classes)
    for rows in (slice(start, start + size) for start in range(0, classes, size)):
        distances = torch.stack([relative_rows(one, rows) for one in models]).mean(0)
        order = distances.masked_fill(~allowed[rows], -float("inf")).argsort(dim=1, stable=True, descending=True)
        farthest[rows] = farthest[rows].scatter(1, order[:, :m], True) & allowed[rows]
    return farthest


def masks_from_groups(groups: Sequence[Sequence[int]], num_classes: int) -> tuple[Tensor, Tensor]:
    """S1 = the other members of a class's group, S2 = the classes of all other groups (our choice for S2).

    Args:
        groups: class indices of each group. A class alone in its group has an empty S1; a class in no group has both
            sets empty and is in none.
        num_classes: K.

    Returns:
        Two boolean masks (K, K), row π.

    Raises:
        ValueError: an index is outside the classes, a class is in two groups or twice in one, fewer than two groups
            have members, or no group has two: S1 or S2 would be empty for every class.
    """
    group_of = torch.full((num_classes,), -1)
    for number, members in enumerate(groups):
        for index in members:
            if not 0 <= index < num_classes:
                raise ValueError(f"class {index} is outside [0, {num_classes})")
            if group_of[index] >= 0:
                raise ValueError(f"class {index} is in two groups, or twice in one")
            group_of[index] = number
    sizes = [len(members) for members in groups if len(members)]
    if len(sizes) < 2 or max(sizes) < 2:
        raise ValueError(f"need at least two groups, one with two classes or more; the groups' sizes are {sizes}")
    grouped = (group_of >= 0)[:, None] & (group_of >= 0)[None, :]
    same = group_of[:, None] == group_of[None, :]
    return grouped & same & ~torch.eye(num_classes, dtype=torch.bool), grouped & ~same

"""How far a difference in accuracy may be off when both students and images are samples of larger populations.

Students of one block share their seed; all students answer the same images. So answers are crossed: block × image. An
interval over seeds alone takes the images as fixed, McNemar's test takes the students as fixed. Here both are drawn.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

PERCENT = 100.0


@dataclass(frozen=True)
class CrossedVariance:
    """Variance of a mean difference in accuracy, and its parts; shares squared (times 10⁴: points squared).

    Attributes:
        variance: the sum of the parts that are known.
        block: what blocks (seeds) contribute, σ²_block / B; NaN with one block, where nobody can know it.
        image: what the sample of images contributes, σ²_image / n. With one block the error is in it.
        error: what is peculiar to one block on one image, σ²_error / (B n); 0 with one block.
        mean: the mean difference, a share in [−1, 1].
        blocks: B, those that both settings have.
        images: n, those that all students could be judged on.
    """

    variance: float
    block: float
    image: float
    error: float
    mean: float
    blocks: int
    images: int


def _answers(correct: ArrayLike, name: object) -> NDArray[np.float64]:
    """1 right, 0 wrong, NaN not judged: (B, n)."""
    answers = np.asarray(correct)
    if answers.ndim == 1:
        answers = answers[None]
    if answers.ndim != 2:
        raise ValueError(f"{name}: answers must be (blocks, images), got the shape {answers.shape}")
    if answers.dtype == bool:
        return answers.astype(np.float64)
    answers = answers.astype(np.float64)
    answers = np.where(answers == -1, np.nan, answers)
    known = answers[~np.isnan(answers)]
    if not np.isin(known, (0.0, 1.0)).all():
        raise ValueError(
            f"{name}: an answer is right (1), wrong (0) or not judged (−1 or NaN), got {np.unique(known)[:5]}"
        )
    return answers


def _parts(a: NDArray[np.float64], b: NDArray[np.float64]) -> CrossedVariance:
    """Of answers without gaps; the blocks in which a or b is missing altogether are NaN."""
    both = ~(np.isnan(a[:, 0]) | np.isnan(b[:, 0]))
    images = a.shape[1]
    if both.sum() < 2:
        # Without two common blocks the answers of each setting are averaged first: image and error stay together.
        of_image = (a[both] - b[both])[0] if both.any() else np.nanmean(a, axis=0) - np.nanmean(b, axis=0)
        variance = float(of_image.var(ddof=1)) / images
        return CrossedVariance(variance, math.nan, variance, 0.0, float(of_image.mean()), int(both.sum()), images)
    difference = a[both] - b[both]  # (B, n)
    blocks, mean = len(difference), float(difference.mean())
    of_block, of_image = difference.mean(axis=1), difference.mean(axis=0)
    square_block = images * float(((of_block - mean) ** 2).sum()) / (blocks - 1)
    square_image = blocks * float(((of_image - mean) ** 2).sum()) / (images - 1)
    left = float(((difference - mean) ** 2).sum()) - square_block * (blocks - 1) - square_image * (images - 1)
    square_error = max(0.0, left) / ((blocks - 1) * (images - 1))
    block = max(0.0, square_block - square_error) / (blocks * images)
    image = max(0.0, square_image - square_error) / (blocks * images)
    error = square_error / (blocks * images)
    return CrossedVariance(block + image + error, block, image, error, mean, blocks, images)


def crossed_variance(correct_a: ArrayLike, correct_b: ArrayLike) -> CrossedVariance:
    """Variance of accuracy(a) − accuracy(b) for new seeds and new images of the same populations.

    With D[b, i] the difference on image i in block b, and the mean squares of a two-way layout with random effects:

        Var(mean D) = (MS_block + MS_image − MS_error) / (B n)

    Estimates of moments; a part that comes out below 0 counts as 0. So the variance is never below that of blocks
    alone, MS_block / (B n), nor below that of images alone, MS_image / (B n). With one block only images are known, and
    the variance is that of McNemar's normal approximation.

    An image that some student could not be judged on is left out for all.

    Args:
        correct_a: (B, n) booleans, or 1, 0 and −1 or NaN where an image could not be judged; (n,) is one block.
        correct_b: (B, n), the same blocks and images in the same order.

    Returns:
        The variance and its parts, in shares squared: times 10⁴ for points (percent) squared.

    Raises:
        ValueError: the shapes differ, a value is none of those above, or fewer than two images are left.

    Source: two-way random effects by the analysis of variance, Searle, Casella and McCulloch, Variance Components
    (1992), chapter 4.
    """
    a, b = _answers(correct_a, "correct_a"), _answers(correct_b, "correct_b")
    if a.shape != b.shape:
        raise ValueError(f"both must have the same blocks and images; got {a.shape} and {b.shape}")
    judged = ~(np.isnan(a).any(axis=0) | np.isnan(b).any(axis=0))
    if judged.sum() < 2:
        raise ValueError(
            f"two images or more are needed, {int(judged.sum())} of {a.shape[1]} could be judged everywhere"
        )
    return _parts(a[:, judged], b[:, judged])


def image_variances(correct: Mapping[Hashable, ArrayLike]) -> NDArray[np.float64]:
    """What the sample of images contributes to the variance of each difference: the matrix for `compare_settings`.

    The image part of `crossed_variance` for each pair, σ²_image / n in points squared. The block part is not in it:
    `compare_settings` has that from the scores, with the error of single answers in it. Only for pairs with fewer than
    two blocks in common is the error of single answers in the matrix, as nothing tells it from images there.

    Args:
        correct: by column, (B, n) answers as for `crossed_variance`. All columns have the same blocks and images. A
            block whose answers are all NaN or −1 is a student that failed.

    Returns:
        (C, C) in the order of the mapping, symmetric, 0 on the diagonal.

    Raises:
        ValueError: shapes differ, a column has no student, or fewer than two images could be judged by all students.
    """
    answers = {column: _answers(values, column) for column, values in correct.items()}
    shapes = {values.shape for values in answers.values()}
    if len(shapes) > 1:
        raise ValueError(f"all settings must have the same blocks and images; got {sorted(shapes)}")
    failed = [np.isnan(values).all(axis=1) for values in answers.values()]
    empty = [column for column, gone in zip(answers, failed, strict=True) if gone.all()]
    if empty:
        raise ValueError(f"no student of {empty} has an answer")
    gaps = [np.isnan(values[~gone]).any(axis=0) for values, gone in zip(answers.values(), failed, strict=True)]
    judged = ~np.any(gaps, axis=0) if gaps else np.zeros(0, dtype=bool)
    if judged.sum() < 2:
        raise ValueError(f"two images or more are needed, {int(judged.sum())} could be judged by all students")
    kept = [values[:, judged] for values in answers.values()]
    variances = np.zeros((len(kept), len(kept)))
    for i, a in enumerate(kept):
        for j in range(i):
            variances[i, j] = variances[j, i] = _parts(a, kept[j]).image * PERCENT**2
    return variances

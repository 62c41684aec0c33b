"""Does a teacher know the data at all? If not, are its classes in another order?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.stats import binomtest

from tosmooth.terminal import quoted

CHANCE_LEVEL = 0.01  # of the one-sided test that a teacher agrees with the labels more than by chance
ORDER_LEVEL = 0.001  # of the test that another order is better: it is looked for, where chance is only looked at
LEAST_PER_CLASS = 5  # samples: with fewer, an assignment of classes fits anything
FAR_BETTER = 2.0  # times the accuracy in the order as it is
LEAST_FOUND = 0.5  # accuracy in the other order


@dataclass(frozen=True)
class Agreement:
    """How a teacher's predictions agree with the labels.

    Attributes:
        accuracy: share of agreements, in [0, 1].
        chance: the share that independent predictions of the same frequencies would have.
        above_chance: whether the agreements cannot be explained by chance.
        order: for each class of the data the output that stands for it, where another order fits better than by chance;
            None where none does.
        accuracy_in_order: accuracy under `order`, on samples that did not choose it.
        far_better: whether that is so much more that the order as it is cannot be meant.
    """

    accuracy: float
    chance: float
    above_chance: bool
    order: tuple[int, ...] | None
    accuracy_in_order: float | None
    far_better: bool = False


class Confusion:
    """Counts of (label, predicted class), in two halves: one may choose an order, the other says how good it is.

    Args:
        num_classes: K.
    """

    def __init__(self, num_classes: int) -> None:
        self._halves = np.zeros((2, num_classes, num_classes), dtype=np.int64)
        self._seen = np.zeros(num_classes, dtype=np.int64)

    def update(self, labels: NDArray[np.int64], predictions: NDArray[np.int64]) -> None:
        """Add a batch of labels (N,) and predicted classes (N,), both in [0, K)."""
        for label, prediction in zip(labels, predictions, strict=True):  # every other sample of a class
            self._halves[self._seen[label] % 2, label, prediction] += 1
            self._seen[label] += 1

    def agreement(self) -> Agreement:
        """What the counts say.

        Raises:
            ValueError: nothing was added.
        """
        whole = self._halves.sum(axis=0)
        count = int(whole.sum())
        if not count:
            raise ValueError("no sample was added")
        hits = int(np.trace(whole))
        chance = float((whole.sum(axis=1) / count) @ (whole.sum(axis=0) / count))
        above = binomtest(hits, count, min(chance, 1.0), alternative="greater").pvalue < CHANCE_LEVEL
        order, found = self._best_order()
        far = found is not None and found >= max(LEAST_FOUND, FAR_BETTER * hits / count)
        return Agreement(hits / count, chance, bool(above), order, found, far)

    def _best_order(self) -> tuple[tuple[int, ...] | None, float | None]:
        choosing, judging = self._halves
        if self._seen.min() < LEAST_PER_CLASS:
            return None, None
        rows, columns = linear_sum_assignment(choosing, maximize=True)
        found = float(judging[rows, columns].sum() / judging.sum())
        moved = rows != columns
        gained, lost = int(judging[rows, columns][moved].sum()), int(judging[rows, rows][moved].sum())
        if not gained or binomtest(gained, gained + lost, 0.5, alternative="greater").pvalue >= ORDER_LEVEL:
            return None, None
        return tuple(int(column) for column in columns), found


def question(teacher: str, agreement: Agreement, classes: Sequence[str], suggestion: str | None) -> str:
    """The error of a teacher that does not know the data, as a question about the order of its classes.

    Args:
        teacher: its name.
        agreement: what was counted.
        classes: of the data.
        suggestion: where a class map of a better order was written; None where there is none.
    """
    count = len(classes)
    said = (
        f"{teacher} is right on {100 * agreement.accuracy:.1f} % of the data's training images "
        f"({100 * agreement.chance:.1f} % would be chance): are its classes in another order than the data's"
    )
    if agreement.far_better and agreement.order is not None and agreement.accuracy_in_order is not None:
        return (
            f"{said}? In another order of its {count} outputs it would be right on "
            f"{100 * agreement.accuracy_in_order:.1f} %. That order was written as a class map; look whether it makes "
            f"sense, and if so: --class-map {quoted(suggestion)}"
        )
    return (
        f"{said}, or are these other classes, or images of another kind or size (--image-size)? No order of its "
        "outputs fits. Say which of its classes is which of yours (--class-map FILE), or fine-tune it on the data "
        "first (--fine-tune)"
    )


def others(agreement: Agreement, classes: Sequence[str]) -> list[str]:
    """A warning where some classes, but not most, look as if they stood in each other's places."""
    if agreement.order is None or agreement.accuracy_in_order is None:
        return []
    moved = [name for place, name in enumerate(classes) if agreement.order[place] != place]
    shown = ", ".join(moved[:6]) + (", …" if len(moved) > 6 else "")
    return [
        f"the teacher's outputs for {shown} look as if they stood in each other's places: in another order it would be "
        f"right on {100 * agreement.accuracy_in_order:.1f} % instead of {100 * agreement.accuracy:.1f} %. If they do, "
        "--class-map says so; if not, a class map of the order as it is silences this"
    ]

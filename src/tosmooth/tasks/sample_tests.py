"""Two models of one seed, compared on the same validation samples: what is kept of each, and the test."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tosmooth.folder.judged import read_correct
from tosmooth.folder.translations import Translations, read_translations

if TYPE_CHECKING:  # a task is known without SciPy
    from tosmooth.analysis.inference import Interval

FEWEST_SENTENCES = 100  # fewer can agree by accident, and resampling them would call that certain


class SampleTest(ABC):
    """A test of two models on the same samples.

    Attributes:
        name: in sentences.
    """

    name: str

    @abstractmethod
    def read(self, folder: Path) -> Any | None:
        """What a model did on the validation split, from its folder; None where nothing was kept."""

    @abstractmethod
    def compare(self, best: Any, other: Any) -> tuple[Interval, float] | None:
        """The difference (best − other, in points) with its interval over samples, and p; None where it cannot be told.

        Args:
            best: what `read` found of one model.
            other: of the other.
        """


class RightOrWrong(SampleTest):
    """McNemar's exact test on which samples were right, and a bootstrap of the difference over samples."""

    name = "McNemar's test"

    def read(self, folder: Path) -> NDArray[np.int8] | None:
        """(N,): 1 = right, 0 = wrong, −1 = could not be read."""
        return read_correct(folder, "val")

    def compare(self, best: NDArray[np.int8], other: NDArray[np.int8]) -> tuple[Interval, float]:
        """In points of accuracy."""
        from tosmooth.analysis.inference import Interval, mcnemar, paired_bootstrap

        both = (best >= 0) & (other >= 0)
        a, b = best[both] == 1, other[both] == 1
        share = paired_bootstrap(a, b)
        return Interval(100 * share.mean, 100 * share.low, 100 * share.high, share.n), mcnemar(a, b)


class WholeTranslations(SampleTest):
    """sacrebleu's paired bootstrap over sentences.

    Right or wrong by token would say little: after an early mistake the rest of a sentence differs.
    """

    name = "paired bootstrap of BLEU"

    def read(self, folder: Path) -> Translations | None:
        """The translations of the validation split.

        Raises:
            StudyError: the file is damaged (named).
        """
        return read_translations(folder)

    def compare(self, best: Translations, other: Translations) -> tuple[Interval, float] | None:
        """In points of BLEU. None: other sentences, or too few of them."""
        from tosmooth.analysis.inference import Interval
        from tosmooth.analysis.translation_metrics import bootstrap_difference

        if list(best.references) != list(other.references) or len(best.references) < FEWEST_SENTENCES:
            return None
        found = bootstrap_difference(best.statistics, other.statistics)
        return Interval(found.difference, found.low, found.high, found.sentences), found.p

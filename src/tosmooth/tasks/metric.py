"""What a task's models are compared by, and what else is measured of them: columns, and how sentences speak of them."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tosmooth.folder.columns import OF_EVERY_PASS, column

if TYPE_CHECKING:  # a metric is asked for its name without NumPy and SciPy
    import pandas as pd

    from tosmooth.tasks.sample_tests import SampleTest


@dataclass(frozen=True)
class Figure:
    """One measured figure, as tables show it.

    Attributes:
        name: "top1".
        title: of its column, behind the split's: "top-1".
        unit: "%", "nats", or nothing.
        decimals: in tables of single models.
        factor: from the number in the files to the one that is shown.
        on: the splits that tables of all models show it on; the model card shows both.
        whole_title: where there is room for it; None: as `title`.
    """

    name: str
    title: str
    unit: str = ""
    decimals: int = 2
    factor: float = 1.0
    on: tuple[str, ...] = ("test",)
    whole_title: str | None = None

    @property
    def heading(self) -> str:
        """With its unit: "Top-1, %"."""
        return capital(self.whole_title or self.title) + (f", {self.unit}" if self.unit else "")


@dataclass(frozen=True)
class Metric:
    """The figure that a study's settings are compared by.

    Attributes:
        name: of the column, behind its split: "top1" → `val/top1`, `test/top1`.
        words: in running text: "top-1", "BLEU".
        unit: what follows a figure in running text: " %", or nothing.
        title: at the beginning of a caption or a figure's axis: "Top-1 accuracy, %".
        noun: the shortest name that a sentence can have as its subject: "accuracy", "BLEU".
        quantity: the whole name, in the middle of a sentence: "top-1 accuracy", "BLEU".
        samples: what it is measured on: "images", "sentences".
        lower_is_better: as of a perplexity.
        bounds: between which it lies; charts draw no interval beyond.
        after_epoch: what models in training are judged by, where this takes more than a pass over the samples, such as
            translating; None: this, or top-1 accuracy where one pass does not yield it.
        sample_test: compares two models of one seed on the same samples; None: nothing does, but of top-1 accuracy.
    """

    name: str
    words: str
    unit: str
    title: str
    noun: str
    quantity: str
    samples: str
    lower_is_better: bool = False
    bounds: tuple[float, float] = (-math.inf, math.inf)
    after_epoch: Metric | None = None
    sample_test: SampleTest | None = None

    @property
    def val(self) -> str:
        """Its column on validation."""
        return column("val", self.name)

    @property
    def test(self) -> str:
        """Its column on test."""
        return column("test", self.name)

    @property
    def in_percent(self) -> str:
        """What a caption says of its figures, after the name of their split."""
        return " in percent" if self.unit else ""

    @property
    def key(self) -> str:
        """Of its figures and tables among the files of a report."""
        return re.sub(r"[^a-z0-9._-]+", "-", self.noun.lower())[:60].strip("-.") or "metric"

    @property
    def sign(self) -> int:
        """+1 where more is better, −1 where less is: sign · figure is a score of which more is better."""
        return -1 if self.lower_is_better else 1

    @property
    def ahead(self) -> str:
        """Where a better figure lies: "above" a worse one, or "below"."""
        return "below" if self.lower_is_better else "above"

    @property
    def falls(self) -> str:
        """What getting worse looks like: accuracy falls, a perplexity rises."""
        return "rises" if self.lower_is_better else "falls"

    @property
    def fall(self) -> str:
        """The same behind "does not"."""
        return "rise" if self.lower_is_better else "fall"

    @property
    def judged_by(self) -> Metric:
        """What models in training are judged by after each epoch."""
        if self.after_epoch is not None:
            return self.after_epoch
        return self if self.name in OF_EVERY_PASS else replace(TOP1, samples=self.samples)

    @property
    def counts_right(self) -> bool:
        """Whether it is the share of samples that are right, of which chance gives 1/K."""
        return self.name == TOP1.name

    @property
    def compared_by(self) -> SampleTest | None:
        """The test of two models of one seed on the same samples."""
        if self.sample_test is None and self.counts_right:
            from tosmooth.tasks.sample_tests import RightOrWrong

            return RightOrWrong()
        return self.sample_test

    def best(self, scores: pd.Series) -> Any:
        """The index of the best figure; the first of equals. Missing ones have no say."""
        return (self.sign * scores).idxmax()


TOP1 = Metric("top1", "top-1", " %", "Top-1 accuracy, %", "accuracy", "top-1 accuracy", "images", bounds=(0.0, 100.0))


def figures_of(metric: Metric) -> tuple[Figure, ...]:
    """The metric, and what every pass yields besides: of a task that names no figures of its own."""
    passes = (
        Figure("top1", "top-1", "%", on=("val", "test")),
        Figure("top5", "top-5", "%"),
        Figure("nll", "NLL", "nats", 3),
        Figure("ece", "ECE", "%", 1, 100.0, whole_title="calibration error (ECE)"),
    )
    own = Figure(metric.name, metric.words, metric.unit.strip(), on=("val", "test"))
    return passes if metric.name in OF_EVERY_PASS else (own, *passes)


def capital(text: str) -> str:
    """The text with a capital letter at its beginning; the others as they are: "BLEU" stays."""
    return text[:1].upper() + text[1:]

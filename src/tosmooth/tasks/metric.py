"""What a task's models are compared by: its column in the tables, and how sentences speak of it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """The figure that a study's settings are compared by; more is better.

    Attributes:
        name: of the column, behind its split: "top1" → `val/top1`, `test/top1`.
        words: in running text: "top-1", "BLEU".
        unit: what follows a figure in running text: " %", or nothing.
        title: at the beginning of a caption or a figure's axis: "Top-1 accuracy, %".
        noun: the shortest name that a sentence can have as its subject: "accuracy", "BLEU".
        quantity: the whole name, in the middle of a sentence: "top-1 accuracy", "BLEU".
        samples: what it is measured on: "images", "sentences".
    """

    name: str
    words: str
    unit: str
    title: str
    noun: str
    quantity: str
    samples: str

    @property
    def val(self) -> str:
        """Its column on validation."""
        return f"val/{self.name}"

    @property
    def test(self) -> str:
        """Its column on test."""
        return f"test/{self.name}"

    @property
    def in_percent(self) -> str:
        """What a caption says of its figures, after the name of their split."""
        return " in percent" if self.unit else ""

    @property
    def key(self) -> str:
        """Of its figures and tables among the files of a report."""
        return self.noun.lower()


TOP1 = Metric("top1", "top-1", " %", "Top-1 accuracy, %", "accuracy", "top-1 accuracy", "images")
BLEU = Metric("bleu", "BLEU", "", "BLEU", "BLEU", "BLEU", "sentences")
# The share of target tokens that a model would choose, given the reference so far: beside BLEU in the tables, and what
# translations are judged by after each epoch, when nothing is translated yet.
TOKENS = Metric("top1", "token accuracy", " %", "Token accuracy, %", "token accuracy", "token accuracy", "sentences")

# Here, because a report knows its study's metric without loading the task and all that trains it.
METRICS = {"image_classification": TOP1, "translation": BLEU}


def capital(text: str) -> str:
    """The text with a capital letter at its beginning; the others as they are: "BLEU" stays."""
    return text[:1].upper() + text[1:]

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
    """

    name: str
    words: str
    unit: str
    title: str

    @property
    def val(self) -> str:
        """Its column on validation."""
        return f"val/{self.name}"

    @property
    def test(self) -> str:
        """Its column on test."""
        return f"test/{self.name}"


TOP1 = Metric("top1", "top-1", " %", "Top-1 accuracy, %")
BLEU = Metric("bleu", "BLEU", "", "BLEU")

METRICS = {"image_classification": TOP1, "translation": BLEU}


def metric_of(task: object) -> Metric:
    """The metric of a task by its name, as `study.yaml` has it; accuracy for studies of versions that had one task."""
    return METRICS.get(str(task), TOP1)

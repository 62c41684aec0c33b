"""Names of the columns in a study's tables, and what they hold."""

from __future__ import annotations

# What one pass over a split yields of every model, and so is known after every epoch: accuracies in percent, the
# likelihood in nats a sample, the calibration error as a share.
OF_EVERY_PASS = ("top1", "top5", "nll", "ece")
_CALIBRATION = {"val": "cal/ece_val", "test": "cal/ece"}  # it has a group of its own


def column(split: str, figure: str) -> str:
    """The column of a figure on "val" or "test": `val/top1`, `cal/ece`."""
    return _CALIBRATION[split] if figure == "ece" else f"{split}/{figure}"

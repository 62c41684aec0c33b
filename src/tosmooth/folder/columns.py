"""Names of the columns in a study's tables, and what they hold."""

from __future__ import annotations

# What one pass over a split yields of every model, and so is known after every epoch: accuracies in percent, the
# likelihood in nats a sample, the calibration error as a share.
OF_EVERY_PASS = ("top1", "top5", "nll", "ece")
_CALIBRATION = {"val": "cal/ece_val", "test": "cal/ece"}  # it has a group of its own


def column(split: str, figure: str) -> str:
    """The column of a figure on "val" or "test": `val/top1`, `cal/ece`."""
    return _CALIBRATION[split] if figure == "ece" else f"{split}/{figure}"


# How a student's training went: what it began with, and what its last epoch still gained.
CONVERGENCE = ("train/first_loss", "train/first_gradient", "train/last_gain")

# What smoothing may cost beside accuracy: the temperature that fits a model's validation logits best; on test, the
# calibration error at it and the area under the risk-coverage curve, as shares; macro F1, the share of right answers of
# the worst class, and the share of samples on which student and teacher answer alike, in percent.
TEMPERATURE = "cal/temperature"
ECE_FITTED, AURC = "cal/ece_fitted", "cal/aurc"
MACRO_F1, WORST_CLASS, AGREEMENT = "test/macro_f1", "test/worst_class", "test/agreement"
COSTS = (TEMPERATURE, ECE_FITTED, AURC, MACRO_F1, WORST_CLASS, AGREEMENT)
COSTS_ON_TEST = COSTS[1:]

# Class and model names are text even where they look like numbers or like a missing value ("1", "NA", "null").
TEXT_COLUMNS = (
    "cell", "objective", "student", "teacher", "status", "failure", "selection", "name", "role", "split", "class_name",
    "image", "relation", "reference", "verdict", "bleu_signature",
)  # fmt: skip
RESULT_COLUMNS = ("cell", "objective", "label_smoothing", "temperature", "student", "seed", "status")
GRID_COLUMNS = ("label_smoothing", "temperature", "seed")  # numbers that every cell has
_FIGURES = ("train/", "val/", "test/", "cal/", "diffusion/")  # groups of measured figures, whatever the task
_NUMBERS = {
    *GRID_COLUMNS, "teacher_seed", "selected_epoch", "parameters", "eta_s1", "eta_s2", "n", "mean", "low", "high", "p",
    "class_index", "x", "y", "bin", "confidence", "accuracy", "count", "compactness", "compactness_val", "stability",
    "mi_similar", "mi_dissimilar", "smoothness", "teacher_ece", "teacher_gap", "ece", "gap", "p_holm", "reference_eta",
    "eta", "eta_low", "eta_high", "change", "change_low", "change_high", "top1_change", "top1_low", "top1_high",
    "top1_p", "top1_p_holm", "learning_rate", "factor",
}  # fmt: skip


def holds_numbers(name: str) -> bool:
    """Whether a column of a study's tables must hold numbers."""
    return name in _NUMBERS or name.startswith(_FIGURES)

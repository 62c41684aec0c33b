"""The examples of docs/library.md run as they stand, and give what their comments say."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
import torch

from tests.docs.conftest import ROOT

TEXT = (ROOT / "docs" / "library.md").read_text(encoding="utf-8")
EXAMPLES = {
    title: "".join(re.findall(r"```python\n(.*?)```", body, flags=re.DOTALL))
    for title, body in re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", TEXT, flags=re.DOTALL | re.MULTILINE)
}
GIVES: dict[str, Callable[[dict[str, Any]], bool]] = {
    "The loss": lambda names: names["student"].weight.grad.abs().sum() > 0 and names["teacher"].weight.grad is None,
    "The loss from hidden states": lambda names: names["student_weight"].grad.shape == (5000, 32),
    "Penultimate features": lambda names: names["logits"].shape == (4, 10) and names["features"].shape == (4, 1024),
    "The diffusion index and the projection": lambda names: (
        names["eta"].shape == (10,) and names["points"].shape == (500, 2) and bool(torch.isfinite(names["eta"]).all())
    ),
    "Which setting may be the best": lambda names: (
        names["found"].could_be_best == ["b", "c"]
        and [round(value, 2) for value in (names["gap"].mean, names["gap"].low, names["gap"].high)] == [0.5, 0.34, 0.66]
    ),
    "Calibration in any loop": lambda names: {"ece", "nll", "brier", "top1", "top5"} <= names["numbers"].keys(),
}


@pytest.mark.parametrize("title", GIVES)
def test_examples_run_and_stay_short(title: str) -> None:
    code = EXAMPLES[title]
    assert len([line for line in code.splitlines() if line.strip()]) < 15
    names: dict[str, Any] = {}
    exec(compile(code, "docs/library.md", "exec"), names)
    assert GIVES[title](names)


def test_no_example_is_left_out() -> None:
    assert {title for title, code in EXAMPLES.items() if code} == set(GIVES)
    assert len(re.findall("^```python", TEXT, flags=re.MULTILINE)) == len(GIVES), "one example a section"


def test_there_is_an_example_of_each_piece() -> None:
    for name in ("distillation_loss", "fused_linear_distillation", "PenultimateFeatures", "diffusion_index",
                 "PenultimateProjection"):  # fmt: skip
        assert name in "".join(EXAMPLES.values())

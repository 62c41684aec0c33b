"""A loss that overflows: its student stops where it stands, the others of its group never notice."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from tests.faults.conftest import Whole
from tests.faults.studies import changed, content, finish, log_of

TOO_COLD = 1e-38  # logits divided by it are infinite


@pytest.mark.faults
def test_a_student_that_fails_is_marked_and_the_others_keep_their_bits(whole: Whole, tmp_path: Path):
    finish(changed(student={"temperatures": [1, 8, TOO_COLD]}), tmp_path)
    study = tmp_path / "small"
    cells = pd.read_csv(study / "results.csv")
    failed = cells[cells.status == "failed"]
    assert sorted(failed.temperature) == [TOO_COLD] * 4
    assert failed.failure.str.contains("the loss became (?:nan|inf) in epoch 1, at step 1;").all()
    assert failed[["val/top1", "test/top1"]].isna().all(axis=None)
    assert (cells[cells.temperature > TOO_COLD].status == "done").all()
    assert log_of(tmp_path).count("failed: ") == 4

    found = content(study)
    for name, weights in whole.content.items():
        if name.startswith("students/") and name.endswith("model.safetensors"):
            assert all(torch.equal(value, found[name][key]) for key, value in weights.items()), name

    page = (study / "report.html").read_text(encoding="utf-8")
    assert "4 of 12 students did not finish and are left out" in page
    for reason in failed.failure:
        assert reason.partition(": ")[2] in page


@pytest.mark.faults
def test_the_weights_of_a_failed_student_stay_those_of_its_last_good_step(tmp_path: Path):
    """Held back on the device at once, not at the next look: no NaN ever reaches the weights that are kept."""
    finish(changed(student={"temperatures": [1, TOO_COLD], "seeds": [0]}), tmp_path)
    for path in (tmp_path / "small" / "students").rglob("*.safetensors"):
        assert all(torch.isfinite(value).all() for value in load_file(path).values()), path

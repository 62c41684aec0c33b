"""A trained study whose settings cannot differ: the answer is that they are as good as one another, not "open"."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest

from tests.conftest import TINY
from tosmooth.recipes.reading import load_config
from tosmooth.study.progress import StudyProgress
from tosmooth.study.run import run_study
from tosmooth.study.summary import headline_of


@pytest.mark.rule("R9")
@pytest.mark.slow
def test_equal_arms_are_as_good_as_one_another(tmp_path: Path, silent: StudyProgress):
    """With both weights of dkd at 0, hard labels alone teach: neither α nor T changes a weight."""
    raw = copy.deepcopy(TINY)
    raw["data"] |= {"limit_train": 150, "limit_test": 100}
    raw["teacher"]["epochs"] = 1
    raw["student"] |= {
        "objectives": ["dkd"], "objective_options": {"dkd": {"alpha": 0, "beta": 0}}, "hard_weight": 0.2, "epochs": 1,
    }  # fmt: skip
    found = run_study(load_config(raw), tmp_path, silent)
    assert found.cells.groupby("seed")["test/top1"].nunique().eq(1).all()
    assert found.verdict is not None
    facts = found.verdict["answer"]
    assert {row["relation"] for row in facts["settings"]} == {"best", "tied"}
    assert facts["smooth"]["verdict"] == "does not matter"
    assert facts["temperature"]["as_good"] == [1.0, 8.0]
    assert not facts["contradicted"]
    assert "smoothing does not matter" in str(headline_of(found))

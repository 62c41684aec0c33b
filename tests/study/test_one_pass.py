"""Finished models are looked at together: one pass over a split, and every number that of a pass alone."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from tosmooth.recipes.reading import load_config
from tosmooth.study import measuring, on_test
from tosmooth.study.progress import StudyProgress
from tosmooth.study.run import run_study

KEPT = ("model.safetensors", "judged.safetensors", "separation.json", "reliability.json")
TABLES = ("results.csv", "teachers.csv", "controls.csv", "analysis/calibration.csv")


def read_by(
    most: int, raw: dict[str, Any], root: Path, silent: StudyProgress, monkeypatch: pytest.MonkeyPatch
) -> tuple[dict[str, bytes], list[int]]:
    """What a study writes whose passes hold so many parameters, and how many models each pass over the test had."""
    sizes, real = [], on_test.evaluate_together

    def counted(models: Any, *arguments: Any, **named: Any) -> Any:
        sizes.append(len(models))
        return real(models, *arguments, **named)

    with monkeypatch.context() as patch:
        patch.setattr(measuring, "MOST_TOGETHER", most)
        patch.setattr(on_test, "evaluate_together", counted)
        path = run_study(load_config(raw), root, silent).path
    kept = (file for name in KEPT for file in path.rglob(name))
    files = [*kept, *(path / name for name in TABLES)]
    return {str(file.relative_to(path)): file.read_bytes() for file in files}, sizes


@pytest.mark.usefixtures("unreported")
def test_models_read_together_have_the_figures_of_models_read_alone(
    tiny_raw: dict[str, Any], tmp_path: Path, silent: StudyProgress, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny_raw["data"] |= {"limit_train": 200, "limit_test": 100}
    tiny_raw["teacher"]["epochs"] = tiny_raw["student"]["epochs"] = 1
    tiny_raw["student"] |= {"temperatures": [8], "controls": ["cross_entropy"]}
    together, one_pass = read_by(2**28, tiny_raw, tmp_path / "together", silent, monkeypatch)
    alone, passes = read_by(1, tiny_raw, tmp_path / "alone", silent, monkeypatch)
    assert (one_pass, passes) == ([8], [1] * 8)  # 2 teachers, 2 α × 2 seeds, 2 controls
    assert {name for name in together if name.endswith("separation.json")}
    assert together == alone
    tiny_raw["compute"]["eval_batch_size"] = 37
    smaller, _ = read_by(2**28, tiny_raw, tmp_path / "smaller", silent, monkeypatch)
    assert all(smaller[name] == together[name] for name in together if name.endswith("model.safetensors"))
    assert_frame_equal(*(pd.read_csv(io.BytesIO(found["results.csv"])) for found in (smaller, together)), rtol=1e-9)

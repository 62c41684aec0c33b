"""A study that keeps moving averages: its figures, teachers and controls are those of the averaged weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tosmooth.config.schema import StudyConfig
from tosmooth.recipes.reading import load_config
from tosmooth.study.context import Context
from tosmooth.study.progress import StudyProgress
from tosmooth.study.single import evaluate_weights
from tosmooth.study.stages import train_grid
from tosmooth.training.optimization import copies_of_weights

AVERAGES = ["teacher.moving_average={decay: 0.9, warmup: false}", "student.moving_average=0.95"]
SMALL = ["data.limit_train=170", "data.limit_test=60", "student.seeds=0", "student.temperatures=8"]


def trained(config: StudyConfig, root: Path, progress: StudyProgress) -> dict[str, tuple[str, Path]]:
    """Role and folder of each trained model, by name."""
    with progress, Context.open(config, root, progress) as context:
        train_grid(context)
        roles = {teacher.name: ("teacher", context.folder(teacher)) for teacher in context.plan.teachers}
        return roles | {cell.name: ("student", context.folder(cell)) for cell in context.plan.students}


def test_what_is_judged_in_each_epoch_is_what_is_saved(tiny_raw: dict[str, Any], tmp_path: Path, silent):
    raw = tiny_raw | {"selection": "last"}
    config = load_config(raw, [*AVERAGES, *SMALL, "student.controls=cross_entropy", "cache=off"])
    plain = load_config(raw, [*SMALL, "student.controls=cross_entropy", "cache=off"])
    models = trained(config, tmp_path / "averaged", silent)
    assert {role for role, _ in models.values()} == {"teacher", "student"}
    assert len(models) == 5  # with the control
    without = trained(plain, tmp_path / "plain", StudyProgress(silent.console))
    for name, (role, folder) in models.items():
        last = json.loads((folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()[-1])
        record = json.loads((folder / "result.json").read_text(encoding="utf-8"))
        found = evaluate_weights(config, folder / "model.safetensors", role, "validation")
        assert found["nll"] == pytest.approx(last["val/nll"], rel=1e-5)
        assert found["nll"] == pytest.approx(record["val/nll"], rel=1e-5)
        other = json.loads((without[name][1] / "result.json").read_text(encoding="utf-8"))
        assert abs(other["val/nll"] - record["val/nll"]) > 1e-3, name


def test_it_is_counted_where_memory_and_disk_are(tiny_raw: dict[str, Any]):
    config = load_config(tiny_raw, [*AVERAGES, "student.optimizer.name=adamw"])
    assert (copies_of_weights(config.teacher), copies_of_weights(config.student)) == (3, 4)

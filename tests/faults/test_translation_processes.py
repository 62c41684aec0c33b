"""A study of sentences in two processes: the numbers of one, up to the order in which floats are added."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from safetensors.torch import load_file

from tests.faults.test_processes import WEIGHTS, run
from tests.tasks.sentences import SMALL_MODEL, raw_study, write_pairs
from tosmooth.recipes.reading import load_config
from tosmooth.study.single import evaluate_weights


@pytest.mark.faults
def test_sentences_in_two_processes_give_the_numbers_of_one(tmp_path: Path):
    pairs = write_pairs(tmp_path / "pairs.tsv", train=120, held_out=8, known=2)
    # No dropout, of which each process has its own stream. SGD, as Adam makes whole steps out of the last bits of
    # gradients that are zero but for rounding (the biases of the keys).
    model = {**SMALL_MODEL, "kwargs": {**SMALL_MODEL["kwargs"], "dropout": 0.0}}
    own = {"model": model, "epochs": 2, "optimizer": {"name": "sgd", "learning_rate": 0.1}}
    raw = raw_study(
        data={"source": "tsv", "path": str(pairs), "limit_train": None, "limit_test": None},
        teacher={**own, "label_smoothing": [0.1]},
        student=own,
        translation={"beam": 1},
        compute={"threads": 1, "teacher_precision": "float32", "fused_loss": "off"},
    )
    raw |= {"name": "shared", "cache": "off"}
    one, two = (run(raw, tmp_path / str(count), count) for count in (1, 2))
    weights = sorted(path.relative_to(one) for path in one.rglob("model.safetensors"))
    assert len(weights) >= 2
    for path in weights:
        ours, theirs = load_file(one / path), load_file(two / path)
        assert max(float((ours[key] - theirs[key]).abs().max()) for key in ours) < WEIGHTS
    known, shared = (pd.read_csv(study / "results.csv") for study in (one, two))
    assert list(known.cell) == list(shared.cell)
    assert shared["test/bleu"].notna().all()

    # What `evaluate` says of the same weights is what the study has measured, sentences unlike training included.
    cell = known.iloc[0]
    found = evaluate_weights(
        load_config(str(one / "study.yaml")), one / "students" / cell.cell / "model.safetensors", "student", "test"
    )
    for name in ("bleu", "top1", "top1_novel"):
        assert found[name] == pytest.approx(cell[f"test/{name}"], nan_ok=True)

"""A replay on study folders of known curves: found, lost to a late bloomer, undecided between seeds, and refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from tests.fake_study.folder import SPREAD, Variant, write_study
from tosmooth.errors import ConfigError, StudyError
from tosmooth.folder.results import StudyResults
from tosmooth.search.replay import replay
from tosmooth.search.summary import print_replay

Curve = Callable[[float, int, int, int], float]  # (α, T, seed, epoch from 1) → validation top-1
EPOCHS = 4


def write_grid(folder: Path, curve: Curve, variant: Variant | None = None) -> Path:
    """A finished study of 2 α × 4 T, with the epochs' records that its students would have left."""
    write_study(folder, variant)
    for row in pd.read_csv(folder / "results.csv").to_dict(orient="records"):
        student = folder / "students" / row["cell"]
        student.mkdir(parents=True)
        records = [
            {"epoch": e, "val/top1": curve(row["label_smoothing"], int(row["temperature"]), int(row["seed"]), e)}
            for e in range(1, EPOCHS + 1)
        ]
        (student / "metrics.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records), encoding="utf-8")
    return folder


def steady(alpha: float, temperature: int, seed: int, epoch: int) -> float:
    """The smoothed teacher at T = 1 leads from the first epoch on; T = 64 is last."""
    return 80 + epoch + 2 * (alpha > 0 and temperature == 1) - 0.01 * temperature + SPREAD[seed]


def late_bloomer(alpha: float, temperature: int, seed: int, epoch: int) -> float:
    """T = 64 with the unsmoothed teacher is last for two epochs and first in the end: 90 against 86."""
    if (alpha, temperature) == (0.0, 64):
        return {1: 60.0, 2: 70.0, 3: 85.0, 4: 90.0}[epoch] + SPREAD[seed]
    return steady(alpha, temperature, seed, epoch)


def test_a_winner_that_leads_from_the_start_is_found(tmp_path: Path):
    """8 → 2 → 1 at 12/32 of the grid; seeds only shift all curves alike, so every resample agrees."""
    found = replay(write_grid(tmp_path / "study", steady), 0.4, 3)
    winner = {"objective": "hinton", "label_smoothing": 0.1, "temperature": 1.0, "student": "resnet8"}
    assert found["picked"] == winner | {"val/top1": pytest.approx(85.99)}
    assert found["picked"] == found["grid_winner"]
    assert (found["hit"], found["regret"]) == (True, 0.0)
    assert (found["cost"]["student_epochs"], found["cost"]["full_grid_student_epochs"]) == (12 * 6, 32 * 6)
    assert [len(rung["kept"]) for rung in found["rungs"]] == [2, 1, 1]
    boot = found["bootstrap"]
    assert (boot["hit_share"], boot["regret_mean"], boot["units"]) == (1.0, 0.0, 6)
    assert found["sentences"][0] == (
        "At 38 % of the grid's student training, a search would have found the grid's winner by validation: the "
        "smoothed teacher (α = 0.1) at T = 1 (85.99 % validation top-1)."
    )


def test_a_late_bloomer_is_lost_and_the_regret_told(tmp_path: Path):
    """90 − 85.99 = 4.01 points, in every resample."""
    found = replay(write_grid(tmp_path / "study", late_bloomer), 0.4, 3)
    assert not found["hit"]
    assert (found["picked"]["temperature"], found["grid_winner"]["temperature"]) == (1.0, 64.0)
    assert found["regret"] == pytest.approx(4.01)
    assert found["bootstrap"]["hit_share"] == 0.0
    assert found["bootstrap"]["regret_mean"] == pytest.approx(4.01)
    assert "would have missed" in found["sentences"][0]
    assert "4.01 points behind" in found["sentences"][0]


def test_with_the_budget_of_the_whole_grid_nothing_is_lost(tmp_path: Path):
    found = replay(write_grid(tmp_path / "study", late_bloomer), 1.0, 3)
    assert (found["hit"], found["regret"], found["bootstrap"]["hit_share"]) == (True, 0.0, 1.0)


def test_resampling_shows_a_hit_that_hangs_on_one_seed(tmp_path: Path):
    """α = 0.1, T = 1 is cut after epoch 1 unless seed 0 is drawn, whose early lead hides that of T = 2.

    All seeds: 10/6 > 0.5, so it is kept and wins. A resample of 6 lacks seed 0 with probability (5/6)⁶ = 0.335; then
    T = 2 and 3 of α = 0 lead after epoch 1, by 0.5, and α = 0.1 at T = 1 is dropped although it would win by 3.
    """

    def curve(alpha: float, temperature: int, seed: int, epoch: int) -> float:
        if (alpha, temperature) == (0.1, 1):
            return 83.0 if epoch == EPOCHS else 70.0 + 10.0 * (seed == 0)
        return 70.5 + 0.01 * temperature if alpha == 0 and temperature in (2, 3) and epoch < EPOCHS else 70.0

    found = replay(write_grid(tmp_path / "study", curve, Variant(seeds=6)), 0.4, 3)
    assert found["hit"]
    assert found["bootstrap"]["hit_share"] == pytest.approx(1 - (5 / 6) ** 6, abs=0.03)
    missed = 1 - found["bootstrap"]["hit_share"]
    assert found["bootstrap"]["regret_mean"] == pytest.approx(missed * (83.0 - 70.53), abs=0.1)
    assert replay(tmp_path / "study", 0.4, 3)["bootstrap"] == found["bootstrap"]  # its random numbers are fixed


def test_one_seed_is_not_resampled(tmp_path: Path):
    found = replay(write_grid(tmp_path / "study", steady, Variant(seeds=1)), 0.4, 3)
    assert found["bootstrap"] is None
    assert "nothing can be said about how much of that is chance" in found["sentences"][1]


def test_the_last_epoch_counts_where_the_study_keeps_the_last(tmp_path: Path):
    """A candidate whose best epoch lies behind it wins with `best`, and loses with `last`."""

    def curve(alpha: float, temperature: int, seed: int, epoch: int) -> float:
        return 95.0 - 10 * (epoch - 1) if (alpha, temperature) == (0.0, 3) else steady(alpha, temperature, seed, epoch)

    for selection, expected in (("auto", 3.0), ("last", 1.0)):
        folder = write_grid(tmp_path / selection, curve, Variant(config={"selection": selection}))
        assert replay(folder, 1.0)["grid_winner"]["temperature"] == expected


def test_failed_students_are_left_out(tmp_path: Path):
    failed = tuple(f"hinton-a0.1-T1-resnet8-s{seed}" for seed in range(6))
    found = replay(write_grid(tmp_path / "study", steady, Variant(failed=failed)), None, 3)
    assert len(found["candidates"]) == 7
    assert found["picked"]["temperature"] == 1.0
    assert found["picked"]["label_smoothing"] == 0.0


def test_a_real_study(tiny_study: StudyResults):
    """Its winner is the one that its frozen advice recommends, with the same figure."""
    found = replay(tiny_study.path)
    assert tiny_study.advice is not None
    recommended = tiny_study.advice["recommendation"]
    assert all(found["grid_winner"][key] == recommended[key] for key in ("objective", "label_smoothing", "temperature"))
    assert found["grid_winner"]["val/top1"] == pytest.approx(recommended["mean"])
    assert found["regret"] >= 0
    console = Console(width=120, no_color=True)
    with console.capture() as captured:
        print_replay(found, console)
    assert "student-epochs" in captured.get()


def test_what_cannot_be_replayed_is_refused(tmp_path: Path):
    with pytest.raises(StudyError, match="is not a study"):
        replay(tmp_path)
    folder = write_grid(tmp_path / "study", steady)
    with pytest.raises(ConfigError, match="--budget: must be a share"):
        replay(folder, float("nan"))
    student = folder / "students" / "hinton-a0-T1-resnet8-s0" / "metrics.jsonl"
    for text, message in (
        ('{"epoch": 1, "test/top1": 3}\n', "has no val/top1 for epoch 1; a replay needs the validation figures"),
        ('{"epoch": 2, "val/top1": 3}\n', "is damaged in line 1"),
        ('{"epoch": 1, "val/top1": NaN}\n', "has no val/top1 for epoch 1"),
        ("[" * 100_000, "is damaged in line 1"),
        ('{"epoch": 1, "val/top1": 3}\n', "one number of epochs, found 1, 4"),
    ):
        student.write_text(text, encoding="utf-8")
        with pytest.raises(StudyError, match=message):
            replay(folder)
    student.unlink()
    with pytest.raises(StudyError, match=r"metrics\.jsonl cannot be read: No such file"):
        replay(folder)


@pytest.mark.parametrize("name", ["../../secret", "..", "/etc/passwd", "a\x1b[2Jb"])
def test_names_of_students_lead_to_no_other_place(tmp_path: Path, name: str):
    folder = write_grid(tmp_path / "study", steady)
    table = pd.read_csv(folder / "results.csv")
    table.loc[0, "cell"] = name
    table.to_csv(folder / "results.csv", index=False)
    with pytest.raises(StudyError, match="is no name of a student"):
        replay(folder)


def test_a_study_that_chose_on_test_is_refused(tmp_path: Path):
    folder = write_grid(tmp_path / "study", steady, Variant(config={"selection": "best_on_test"}))
    with pytest.raises(StudyError, match="chose its epochs on the test split"):
        replay(folder)


def test_a_study_of_a_task_that_is_not_installed_is_refused(tmp_path: Path):
    folder = write_grid(tmp_path / "study", steady, Variant(config={"task": "not_installed"}))
    with pytest.raises(StudyError, match="not_installed, is not installed here"):
        replay(folder)

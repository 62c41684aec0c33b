from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from tests.fake_study.tables import diffusion_table, results_table
from tosmooth.advice.objectives import COLUMNS, compare_objectives, judge_objectives
from tosmooth.losses.objectives import reference_objective
from tosmooth.recipes.reading import load_config
from tosmooth.study.progress import StudyProgress
from tosmooth.study.run import run_study


def _grid(
    other: Callable[[float, float], tuple[float, float]],
    *,
    hinton: Callable[[float, float], tuple[float, float]] | None = None,
    seeds: int = 6,
    noise: float = 0.004,
    gain: float = 0.0,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """η and accuracy of two objectives: hinton diffuses at T = 64 under α = 0.1, unless told otherwise."""

    def diffusing(alpha: float, temperature: float) -> tuple[float, float]:
        return (0.1, -0.02) if alpha > 0 and temperature == 64 else (0.0, 0.0)

    etas = {"hinton": hinton or diffusing, "dkd": other}
    diffusion, results = [], []
    for name, function in etas.items():
        shift = gain if name == "dkd" else 0.0
        for parts, table in (
            (diffusion, diffusion_table(function, seeds=seeds, noise=noise)),
            (results, results_table(lambda a, t, s=shift: 80.0 + s, seeds=seeds)),
        ):
            parts.append(table.assign(objective=name, cell=table.cell.str.replace("hinton", name, n=1)))
    # The fixtures draw the same noise for both; another objective has noise of its own.
    diffusion[1]["eta_s1"] += [0.001 * (position % 5 - 2) for position in range(len(diffusion[1]))]
    results[1]["val/top1"] += [0.01 * (position % 7 - 3) for position in range(len(results[1]))]
    return pd.concat(diffusion), pd.concat(results)


def _judged(**settings) -> pd.Series:
    diffusion, results = _grid(**settings)
    table = compare_objectives(diffusion, results, ["hinton", "dkd"])
    assert set(table.objective) == {"dkd"}
    assert set(table.temperature) == {2.0, 64.0}
    return table[table.temperature == 64].iloc[0]


@pytest.mark.parametrize(
    ("etas", "verdict"),
    [((0.0, 0.0), "removes"), ((0.05, -0.01), "reduces"), ((0.1, -0.02), "does not"), ((0.2, -0.03), "does not")],
)
def test_the_verdict_follows_the_paired_difference(etas, verdict):
    row = _judged(other=lambda a, t: etas if t == 64 and a > 0 else (0.0, 0.0), gain=1.0)
    assert row.verdict == verdict
    assert row.change == pytest.approx(etas[0] - etas[1] - 0.12, abs=0.004)
    assert row.reference_eta == pytest.approx(0.12, abs=0.01)
    assert row.top1_change == pytest.approx(1.0, abs=0.03)
    assert row.top1_p_holm < 0.05


def test_each_student_model_is_a_question_of_its_own():
    diffusion, results = _grid(lambda a, t: (0.0, 0.0))
    tables = []
    for table in (diffusion, results):
        # A second model that does not diffuse at all: mixed with the first, half of the diffusion would be left.
        other = table.assign(student="resnet20", cell=table.cell.str.replace("resnet8", "resnet20"))
        if "eta_s1" in other:
            other["eta_s1"] = other["eta_s2"]
        tables.append(pd.concat([table.assign(student="resnet8"), other]))
    found = compare_objectives(*tables, ["hinton", "dkd"])
    at_64 = found[found.temperature == 64].set_index("student").verdict
    assert at_64.to_dict() == {"resnet8": "removes", "resnet20": "no diffusion"}
    told = {row["student"]: (row["verdict"], row["temperature"]) for row in judge_objectives(found)}
    assert told == {"resnet8": ("removes", 64.0), "resnet20": ("no diffusion", 64.0)}


def test_without_diffusion_there_is_nothing_to_remove():
    row = _judged(other=lambda a, t: (0.0, 0.0), hinton=lambda a, t: (0.0, 0.0))
    assert row.verdict == "no diffusion"
    assert row.top1_p_holm > 0.05


def test_noise_that_hides_the_answer_is_undecided():
    diffusion, results = _grid(lambda a, t: (0.05, 0.0) if t == 64 and a > 0 else (0.0, 0.0))
    own = diffusion.objective.eq("dkd") & diffusion.temperature.eq(64)
    diffusion.loc[own, "eta_s1"] += (diffusion.loc[own, "seed"] % 2 * 2 - 1) * 0.2
    table = compare_objectives(diffusion, results, ["hinton", "dkd"])
    assert table[table.temperature == 64].verdict.item() == "undecided"


def test_two_seeds_decide_nothing():
    assert _judged(other=lambda a, t: (0.0, 0.0), seeds=2).verdict == "undecided"


def test_holm_counts_every_comparison():
    diffusion, results = _grid(lambda a, t: (0.0, 0.0))
    table = compare_objectives(diffusion, results, ["hinton", "dkd"])
    assert (table.p_holm >= table.p).all()
    assert table.p_holm.min() == pytest.approx(2 * table.p.min())


def test_students_without_a_partner_are_left_out():
    diffusion, results = _grid(lambda a, t: (0.0, 0.0))
    lost = diffusion.objective.eq("hinton") & diffusion.seed.eq(3)
    table = compare_objectives(diffusion[~lost], results, ["hinton", "dkd"])
    assert set(table.n) == {5}


def test_with_several_teacher_seeds_a_teacher_seed_is_the_unit():
    diffusion, results = _grid(lambda a, t: (0.0, 0.0))
    results = results.assign(teacher_seed=results.seed % 3)
    table = compare_objectives(diffusion, results, ["hinton", "dkd"])
    assert set(table.n) == {3}


def test_no_validation_split_leaves_accuracy_out():
    diffusion, results = _grid(lambda a, t: (0.0, 0.0))
    table = compare_objectives(diffusion, results.drop(columns="val/top1"), ["hinton", "dkd"])
    assert table.top1_change.isna().all()


def test_one_objective_gives_no_table():
    diffusion, results = _grid(lambda a, t: (0.0, 0.0))
    assert compare_objectives(diffusion, results, ["hinton"]).empty
    assert compare_objectives(pd.DataFrame(), results, ["hinton", "dkd"]).empty


def test_the_reference_is_hinton_wherever_it_stands():
    assert reference_objective(["dkd", "hinton"]) == "hinton"
    assert reference_objective(["dkd", "teacher_only"]) == "dkd"


@pytest.mark.slow
def test_a_real_study_with_options_and_smoothed_hard_labels(tiny_raw, tmp_path: Path, silent: StudyProgress):
    """With both weights of dkd at 0 only the hard labels teach, so that T changes nothing: the options have arrived."""
    tiny_raw["data"] |= {"limit_train": 300, "limit_test": 100}
    tiny_raw["teacher"] |= {"epochs": 1, "label_smoothing": [0.1]}
    tiny_raw["student"] |= {
        "objectives": ["hinton", "dkd"], "objective_options": {"dkd": {"alpha": 0, "beta": 0}}, "epochs": 1,
        "seeds": [0], "hard_weight": 0.2, "label_smoothing": 0.1,
    }  # fmt: skip
    first = run_study(load_config(tiny_raw), tmp_path, silent)
    losses = first.cells.set_index(["objective", "temperature"])["train/loss"]
    assert losses["dkd", 1] == losses["dkd", 8]
    assert losses["hinton", 1] != losses["hinton", 8]
    assert {name.rsplit("-a", 1)[0] for name in first.cells.cell} == {"hinton", "dkd-alpha0-beta0"}
    table = pd.read_csv(first.path / "analysis" / "objectives.csv")
    assert list(table.columns) == COLUMNS
    assert (table.objective.tolist(), table.verdict.tolist()) == (["dkd"], ["undecided"])
    (told,) = json.loads((first.path / "analysis" / "objectives.json").read_text(encoding="utf-8"))["verdicts"]
    assert (told["objective"], told["verdict"]) == ("dkd", "undecided")
    page = (first.path / "report.html").read_text(encoding="utf-8")
    assert "dkd: too few seeds to compare it with hinton" in page.replace("\u00a0", " ")
    assert "Does another objective remove the drift?" in page
    assert "The three views side by side" in page

    tiny_raw["student"] |= {"objectives": ["hinton"], "objective_options": {}}
    last = run_study(load_config(tiny_raw), tmp_path, silent)
    assert set(last.cells.cell) == {name for name in first.cells.cell if name.startswith("hinton")}
    assert not (last.path / "analysis" / "objectives.csv").exists()
    assert "Does another objective remove the drift?" not in (last.path / "report.html").read_text(encoding="utf-8")

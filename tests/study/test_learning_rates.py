"""Each setting at its own learning rate: chosen by the first seeds' validation, and kept by all others."""

from __future__ import annotations

import copy
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from rich.console import Console

from tests.conftest import TINY
from tests.shared import Shared
from tosmooth.errors import ConfigError
from tosmooth.folder.paths import StudyDirectory
from tosmooth.folder.results import StudyResults, load_study
from tosmooth.recipes.reading import load_config
from tosmooth.report.learning_rates_table import learning_rates_table
from tosmooth.report.reading import read_study
from tosmooth.study.context import Context
from tosmooth.study.learning_rates import own_rates, settled
from tosmooth.study.plan import Cell, Plan, make_plan
from tosmooth.study.progress import StudyProgress
from tosmooth.study.run import run_study
from tosmooth.study.summary import headline_of
from tosmooth.tasks.metric import TOP1, Metric
from tosmooth.words.conclusions import conclusions

RATES = ["student.learning_rates=[0.01,1]", "student.learning_rate_seeds=1"]


def plan_of(raw: dict[str, Any], *overrides: str) -> Plan:
    return make_plan(load_config(raw, [*RATES, *overrides]))


def names(cells: tuple[Cell, ...]) -> set[str]:
    return {cell.name for cell in cells}


def test_one_rate_is_the_plan_that_it_always_was(tiny_raw):
    plan = make_plan(load_config(tiny_raw))
    assert plan.trials == ()
    assert plan.students == plan.cells
    assert {cell.rate for cell in plan.cells} == {1.0}


def test_only_the_first_seeds_try_all_rates(tiny_raw):
    plan = plan_of(tiny_raw)
    assert [len(group) for group in plan.trials] == [8]
    assert {cell.seed for cell in plan.trials[0]} == {0}
    assert names(plan.trials[0]) - names(plan.cells) == {f"{cell.name}-lr0.01" for cell in plan.groups[0]}
    assert len(plan.students) == 12
    assert [len(group) for group in plan_of(tiny_raw, "student.learning_rate_seeds=5").trials] == [8, 8]


def test_teachers_of_further_seeds_have_no_trials(tiny_raw):
    plan = plan_of(tiny_raw, "teacher.seeds=[0,7]")
    assert {cell.teacher_seed for cell in plan.trials[0]} == {0}
    assert len(plan.trials[0]) == 8
    rates = {cell.setting: 0.01 for cell in plan.cells if cell.label_smoothing > 0}
    chosen = plan.at_rates(rates)
    assert "hinton-a0.1-T8-resnet8-s1-t7-lr0.01" in names(chosen.cells)
    assert "hinton-a0-T8-resnet8-s1-t7" in names(chosen.cells)
    assert chosen.at_rates({cell.setting: 1.0 for cell in plan.cells}) == plan


def test_without_the_recipes_own_rate_the_nearest_one_is_shared(tiny_raw):
    plan = make_plan(load_config(tiny_raw, ["student.learning_rates=[0.1,3,0.2]"]))
    assert {cell.rate for cell in plan.cells} == {3.0}
    assert all(cell.name.endswith("-lr3") for cell in plan.cells)


def scored(plan: Plan, value: Any, metric: Metric = TOP1) -> dict[Any, float]:
    def record(cell: Cell) -> dict[str, Any] | None:
        found = value(cell)
        return found if found is None or isinstance(found, dict) else {"status": "done", metric.val: found}

    return own_rates(plan, record, metric)


def test_the_best_mean_over_the_first_seeds_is_chosen(tiny_raw):
    plan = plan_of(tiny_raw, "student.learning_rate_seeds=2")
    # At T = 8 the low rate is better on average, though worse with seed 1; at T = 1 the high one is.
    found = scored(plan, lambda c: 50 + (c.rate < 1) * ((4 if c.seed == 0 else -1) if c.temperature == 8 else -1))
    assert {setting[2]: rate for setting, rate in found.items()} == {1.0: 1.0, 8.0: 0.01}
    assert len(found) == 4


def test_a_metric_of_which_less_is_better_turns_the_choice(tiny_raw):
    plan = plan_of(tiny_raw)
    perplexity = Metric("ppl", "perplexity", "", "Perplexity", "perplexity", "perplexity", "words", True)
    found = scored(plan, lambda c: c.rate, perplexity)
    assert set(found.values()) == {0.01}
    assert set(scored(plan, lambda c: c.rate).values()) == {1.0}


def test_of_equals_the_one_nearest_to_the_recipes_rate_is_kept(tiny_raw):
    plan = make_plan(load_config(tiny_raw, ["student.learning_rates=[4,0.5,0.25]"]))
    assert set(scored(plan, lambda c: 50.0).values()) == {0.5}


def test_a_rate_at_which_a_student_failed_is_not_chosen_unless_all_are_such(tiny_raw):
    plan = plan_of(tiny_raw)
    failed = {"status": "failed", "failure": "its loss is not finite"}
    found = scored(plan, lambda c: failed if c.rate == 1 and c.temperature == 8 else 50.0 * c.rate)
    assert {setting[2]: rate for setting, rate in found.items()} == {1.0: 1.0, 8.0: 0.01}
    assert set(scored(plan, lambda c: failed).values()) == {1.0}


def test_a_rate_waits_for_all_its_trials(tiny_raw):
    plan = plan_of(tiny_raw, "student.learning_rate_seeds=2")
    none = scored(plan, lambda c: None if c.label_smoothing > 0 and c.seed == 1 else 50.0)
    assert {setting[1] for setting in none} == {0.0}
    # While a new rate is tried, the best of the others stays: a grid that grows keeps its students until it is known.
    grown = scored(plan, lambda c: None if c.rate == 1 else 50.0)
    assert set(grown.values()) == {0.01}


@pytest.mark.parametrize(
    "overrides", [["data.validation=0", "selection=last"], ["selection=best_on_test"]], ids=["no validation", "test"]
)
def test_where_nothing_may_choose_all_have_one_rate_and_it_is_said(tiny_raw, tmp_path, overrides):
    told = io.StringIO()
    config = load_config(tiny_raw, [*RATES, *overrides])
    with Context.open(config, tmp_path, StudyProgress(Console(file=told, width=200))) as context:
        assert context.config.student.learning_rates == [1.0]
        assert context.plan == make_plan(load_config(tiny_raw))
    assert "no validation split may choose between them, so all settings have 0.1" in told.getvalue()
    assert load_config(str(tmp_path / "tiny" / "study.yaml")).student.learning_rates == [1.0]


@pytest.mark.parametrize("value", ["[]", "[1,1]", "[0]", "[-1]", "[.inf]"])
def test_wrong_rates_are_one_mistake(tiny_raw, value):
    with pytest.raises(ConfigError, match=r"student\.learning_rates"):
        load_config(tiny_raw, [f"student.learning_rates={value}"])


@pytest.fixture(scope="module")
def study(shared: Shared) -> StudyResults:
    """A real study in which one of two rates is far too low to learn anything."""

    def run(root: Path) -> None:
        run_study(load_config(copy.deepcopy(TINY), RATES), root, StudyProgress(Console(quiet=True)))

    return load_study(shared.folder("learning-rates", run) / "tiny")


def test_a_study_chooses_on_the_first_seed_and_keeps_the_choice(study):
    trials = pd.read_csv(study.path / "analysis" / "learning_rates.csv")
    assert len(trials) == 8
    assert trials.seed.unique().tolist() == [0]
    best = trials.groupby(["label_smoothing", "temperature"])["val/top1"].max()
    kept = trials[trials.own].set_index(["label_smoothing", "temperature"])["val/top1"]
    assert kept.to_dict() == best.to_dict()
    by_factor = trials.pivot(index=["label_smoothing", "temperature"], columns="factor", values="val/top1")
    assert (by_factor[0.01] != by_factor[1.0]).any()  # a rate of its own is another training
    assert trials.groupby(["label_smoothing", "temperature"]).own.sum().tolist() == [1] * 4
    own = trials[trials.own].set_index(["label_smoothing", "temperature"]).learning_rate
    rows = study.cells
    assert len(rows) == 8
    assert [own[a, t] for a, t in zip(rows.label_smoothing, rows.temperature, strict=True)] == list(rows.learning_rate)
    assert trials["test/top1"].notna().all()


def test_students_at_the_recipes_rate_are_those_of_a_study_without_a_choice(study, tiny_study):
    kept = list(names(make_plan(load_config(TINY)).groups[0]))
    assert len(kept) == 4
    for name in kept:
        ours, theirs = (s.path / "students" / name / "model.safetensors" for s in (study, tiny_study))
        assert ours.read_bytes() == theirs.read_bytes()


def test_the_report_shows_both_rates_and_every_conclusion_names_them(study):
    files = read_study(study.path)
    table = learning_rates_table(files)
    assert table is not None
    assert [column.title for column in table.columns][2:] == [
        "validation at 0.001", "validation at 0.1", "own rate", "test at 0.1", "test at its own", "own less shared",
    ]  # fmt: skip
    trials = files.learning_rates.set_index(["label_smoothing", "temperature"])["test/top1"]
    for by, column in ((files.learning_rates.own, "test_own"), (files.learning_rates.factor == 1, "test_shared")):
        assert table.data[column].tolist() == trials[by.to_numpy()].tolist()
    words = "Students: SGD, each setting at the better of 0.001 and 0.1, "
    sentence = headline_of(study)
    for part in (sentence, conclusions(files.advice, files.wording)["effect"]):
        assert words in part
    assert ", learning rate 0." in sentence
    assert "Each setting at its own learning rate" in (study.path / "report.html").read_text(encoding="utf-8")


def test_who_goes_on_or_exports_comes_to_the_same_choice(study):
    plan = settled(plan_of(TINY), StudyDirectory(study.path), TOP1)
    assert names(plan.cells) == set(study.cells.cell)


def test_advice_knows_the_rate_of_its_choice(study):
    advice = json.loads((study.path / "analysis" / "advice.json").read_text(encoding="utf-8"))
    chosen = advice["recommendation"]
    same = study.cells[
        (study.cells.label_smoothing == chosen["label_smoothing"]) & (study.cells.temperature == chosen["temperature"])
    ]
    assert same.learning_rate.unique().tolist() == [chosen["learning_rate"]]
    assert advice["learning_rates"] == pytest.approx([0.001, 0.1])


def test_a_rate_at_which_a_student_failed_has_no_mean_in_the_table(study):
    files = read_study(study.path)
    trials = files.learning_rates.copy()
    trials["seed"] = [seed for seed, _ in enumerate(trials.seed)]  # no two are of one mean's seeds
    trials = pd.concat([trials, trials.assign(**{"val/top1": float("nan"), "test/top1": float("nan")})])
    table = learning_rates_table(replace(files, learning_rates=trials))
    assert table is not None
    assert table.data[["val_0.001", "val_0.1"]].isna().all(axis=None)


def test_learning_rates_by_layer_are_refused_before_work_where_models_tell_no_layers(
    tiny_raw: dict[str, Any], tmp_path: Path, silent: StudyProgress
):
    both = ["teacher.optimizer.layer_decay=0.7", "student.optimizer.layer_decay=0.7"]
    with pytest.raises(ConfigError) as caught:
        Context.join(load_config(tiny_raw, both), tmp_path, silent)
    assert [mistake.partition(":")[0] for mistake in caught.value.mistakes] == [
        "teacher.optimizer.layer_decay", "student.optimizer.layer_decay"
    ]  # fmt: skip
    assert "resnet8: its layers are not known to timm" in caught.value.mistakes[0]
    told = ["student.optimizer.layer_decay=0.7", "student.model={name: timm:test_vit, kwargs: {img_size: 32}}"]
    Context.join(load_config(tiny_raw, told), tmp_path, silent)

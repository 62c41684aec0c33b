from __future__ import annotations

import pandas as pd
import pytest

from tests.fake_study.tables import diffusion_table
from tests.tasks.sentences import raw_study
from tosmooth.recipes.reading import load_config
from tosmooth.study.diffusion import reference_cell, summarise_diffusion
from tosmooth.study.plan import make_plan


@pytest.mark.parametrize(
    ("temperatures", "objectives", "expected"),
    [
        ([1, 8], ["teacher_only", "hinton"], (1.0, "hinton")),
        ([0.5, 1, 8], ["hinton"], (1.0, "hinton")),
        ([2, 8], ["hinton"], (2.0, "hinton")),
        ([2, 8], ["teacher_only"], (2.0, "teacher_only")),
        ([1, 8], ["dkd", "teacher_only"], (1.0, "dkd")),
    ],
)
def test_the_reference_is_hinton_at_one_or_the_lowest_temperature(tiny_raw, temperatures, objectives, expected):
    tiny_raw["student"] |= {"temperatures": temperatures, "objectives": objectives}
    grid = make_plan(load_config(tiny_raw)).cells
    for cell in grid:
        found = reference_cell(cell, grid)
        assert (found.temperature, found.objective) == expected
        assert (found.teacher, found.seed) == (cell.teacher, cell.seed)


@pytest.mark.parametrize(
    ("objectives", "expected"),
    [
        (["sequence", "teacher_only"], "teacher_only"),
        (["sequence", "hinton"], "hinton"),
        (["sequence"], "sequence"),
    ],
)
def test_without_hinton_what_has_a_temperature_is_the_reference(objectives, expected):
    raw = raw_study(student={"objectives": objectives})
    grid = make_plan(load_config(raw)).cells
    assert {reference_cell(cell, grid).objective for cell in grid} == {expected}


def test_the_contrast_is_paired_by_seed_and_temperature():
    table = diffusion_table(lambda alpha, t: (0.3 * alpha * t, 0.01), noise=0.01)
    summary = summarise_diffusion(table).set_index(["label_smoothing", "temperature", "quantity"])
    difference = table.assign(d=table.eta_s1 - table.eta_s2).pivot(
        index="seed", columns=["label_smoothing", "temperature"]
    )["d"]
    by_hand = difference[0.1, 64.0] - difference[0.0, 64.0]
    assert summary.loc[(0.1, 64.0, "contrast"), "mean"] == pytest.approx(by_hand.mean())
    assert summary.loc[(0.1, 64.0, "contrast"), "n"] == 6
    assert summary.loc[(0.1, 64.0, "contrast"), "p"] == pytest.approx(2 / 64)
    assert (0.0, 64.0, "contrast") not in summary.index


def test_with_several_teacher_seeds_the_summary_is_over_teacher_seeds():
    table = diffusion_table(lambda a, t: (0.2 * a, 0.0), seeds=2, noise=0.01, teacher_etas=(0.0, 0.05, 0.1))
    summary = summarise_diffusion(table).set_index(["label_smoothing", "temperature", "quantity"])
    difference = table.assign(d=table.eta_s1 - table.eta_s2).pivot(
        index=["teacher_seed", "seed"], columns=["label_smoothing", "temperature"]
    )["d"]
    by_hand = (difference[0.1, 64.0] - difference[0.0, 64.0]).groupby("teacher_seed").mean()
    found = summary.loc[(0.1, 64.0, "contrast")]
    assert found["n"] == 3
    assert found["mean"] == pytest.approx(by_hand.mean())
    half = 4.302652729911275 * by_hand.std(ddof=1) / 3**0.5  # t of two degrees of freedom
    assert found["high"] - found["mean"] == pytest.approx(half)
    assert found["p"] == pytest.approx(2 / 8)


def test_a_seed_without_its_unsmoothed_partner_is_left_out_of_the_contrast():
    table = diffusion_table(lambda alpha, t: (0.1, 0.0))
    lost = table[~((table.label_smoothing == 0) & (table.seed == 3))]
    summary = summarise_diffusion(lost).set_index(["label_smoothing", "temperature", "quantity"])
    assert summary.loc[(0.1, 2.0, "contrast"), "n"] == 5
    assert summary.loc[(0.1, 2.0, "eta_s1"), "n"] == 6
    assert summarise_diffusion(pd.DataFrame()).empty

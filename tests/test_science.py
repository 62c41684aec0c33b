"""The tables of docs/science.md say what is in a study's tables, on constructed ones whose answer is known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from science.tables import FORMS, as_markdown, best_temperature, eta_against_accuracy, grid, interactions, own_rates
from tests.fake_study.tables import results_table

ALPHAS, TEMPERATURES = (0.0, 0.1, 0.3), (1.0, 2.0, 8.0, 64.0)


def moved(alpha: float, temperature: float) -> float:
    return alpha * np.log2(temperature) / 10


def tables(sign: float, noise: float = 0.0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Results whose top-1 changes by `sign` × 10 × movement, and the movement as η_S1."""
    random = np.random.default_rng(0)
    cells, etas = [], []
    for seed in range(6):
        for alpha in ALPHAS:
            for temperature in TEMPERATURES:
                identity = {
                    "cell": f"a{alpha:g}-T{temperature:g}-s{seed}",
                    "objective": "hinton",
                    "label_smoothing": alpha,
                    "temperature": temperature,
                    "seed": seed,
                }
                eta = moved(alpha, temperature)
                # The teacher's own level (80 + 30 α) must not count: only changes with T do.
                top1 = 80 + 30 * alpha + seed + sign * 10 * eta + random.normal(0, noise + 1e-9)
                cells.append(identity | {"student": "resnet8", "status": "done", "val/top1": top1, "test/top1": top1})
                for normalisation, debiased in FORMS:
                    form = {"split": "train", "normalisation": normalisation, "debiased": debiased}
                    values = {"reference_temperature": 1.0, "eta_s1": eta, "eta_s2": 0.0}
                    etas.append(identity | form | values)
    return pd.DataFrame(cells), pd.DataFrame(etas)


@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_eta_that_moves_with_accuracy_has_its_sign(sign: float):
    found = eta_against_accuracy(*tables(sign))
    assert len(found) == 6
    for text in found["smoothed teachers"]:
        value = float(text.split(" ± ")[0].replace("−", "-"))
        assert np.sign(value) == sign
        assert abs(value) > 0.9


def test_eta_without_a_part_in_accuracy_has_no_correlation():
    found = eta_against_accuracy(*tables(0.0, noise=1.0))
    value, half = (float(part) for part in found["all cells"][0].replace("−", "-").split(" ± "))
    assert abs(value) < half


def test_a_grid_is_written_with_its_intervals():
    table = grid(results_table(lambda a, t: 90.0 if t == 1 else 80.0, noise=0.01), "val/top1")
    assert list(table.columns) == ["T = 1", "T = 2", "T = 64"]
    assert table.loc["α = 0.1", "T = 1"] == "90.0 ± 0.0"
    assert as_markdown(table).splitlines()[2].startswith("| α = 0 | 90.0")


def test_what_an_advised_temperature_loses():
    results = results_table(lambda a, t: {1: 90.0, 2: 92.0, 64: 80.0}[t], noise=0.01)
    assert list(best_temperature(results, {0.0: None})["lost by the advice, test points"]) == ["–"]
    found = best_temperature(results, {0.0: 2.0, 0.1: 1.0})
    assert list(found["best T by validation"]) == ["2", "2"]
    assert found["lost by the advice, test points"][0] == "0"
    assert found["lost by the advice, test points"][1].startswith("+2.0")


def test_the_own_rate_is_in_bold_and_means_are_over_the_first_seeds():
    rows = [
        {
            "label_smoothing": 0.1,
            "temperature": t,
            "learning_rate": rate,
            "seed": seed,
            "own": (rate == 0.3) == (t == 64),
        }
        | {"test/top1": 80 + 10 * rate + seed}
        for t in (1.0, 64.0)
        for rate in (0.1, 0.3)
        for seed in (0, 1)
    ]
    assert as_markdown(own_rates(pd.DataFrame(rows))).splitlines() == [
        "| α | T | rate 0.1 | rate 0.3 |",
        "|---|--:|--:|--:|",
        "| 0.1 | 1 | **81.5** | 83.5 |",
        "| 0.1 | 64 | 81.5 | **83.5** |",
    ]


def test_interactions_are_those_of_the_advice():
    row = {"label_smoothing": 0.1, "temperature": 64.0, "mean": -1.25, "low": -2.0, "high": 0.04, "alike": False}
    found = interactions({"consequence": {"rows": [row]}})
    assert found.to_numpy().tolist() == [["0.1", "64", "−1.2 (−2.0 to +0.0)", "no"]]

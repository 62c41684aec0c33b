"""Does accuracy (or BLEU) fall where classes diffuse? The paper explains one by the other; a study says if both occur.

What smoothing adds to the effect of raising T is the interaction, for each seed:

    Δ(α, T) = [top1(α, T) − top1(α, T₀)] − [top1(0, T) − top1(0, T₀)]

in points of validation top-1 (of BLEU for translation), T₀ the lowest T of the grid; or 1, where the grid has it.
Two-sided paired t-tests over seeds, Holm-corrected over (α, T).

Students that were not trained as far as those of T₀ (`advice.convergence`) say nothing of T: what raising T seems to do
to them may be what the learning rate does. They are measured and not spoken of.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from tosmooth.advice.comparisons import scores_by_seed
from tosmooth.advice.convergence import farthest_off
from tosmooth.advice.effect import AlphaT
from tosmooth.advice.units import FEWEST_SEEDS, SIGNIFICANCE, reference_temperature
from tosmooth.analysis.inference import holm, t_interval
from tosmooth.tasks.metric import TOP1, Metric


@dataclass(frozen=True)
class Witness:
    """What students of diffused classes would show besides.

    Attributes:
        values: settings as rows, seeds as columns.
        sign: of its change where diffusion is at work.
        code: "errors" on similar classes, or "separation" from them.
    """

    values: pd.DataFrame
    sign: int
    code: str


def witnesses_of(done: pd.DataFrame) -> list[Witness]:
    """Errors on similar classes and d′ to them, as far as the finished cells of `results.csv` know them."""
    kinds = (("diffusion/errors_s1", 1, "errors"), ("diffusion/d_prime_s1", -1, "separation"))
    known = [kind for kind in kinds if kind[0] in done and done[kind[0]].notna().any()]
    return [Witness(scores_by_seed(done, column), sign, code) for column, sign, code in known]


def judge_consequence(
    scores: pd.DataFrame,
    shown: Collection[AlphaT],
    objective: str,
    student: str,
    metric: Metric = TOP1,
    unlike: Mapping[AlphaT, float] | None = None,
    witnesses: Collection[Witness] = (),
) -> dict[str, Any]:
    """What raising T costs the students of a smoothed teacher, over what it costs those of the unsmoothed one.

    Args:
        scores: settings as rows, seeds as columns, validation figures of the metric.
        shown: (α, T) at which systematic diffusion is shown.
        objective: whose students.
        student: which student model.
        metric: what the scores are.
        unlike: the (α, T) that were not trained as far as (α, T₀), and how far in comparison; α = 0 among them.
        witnesses: what has to change too where diffusion is the explanation.

    Returns:
        `verdict`: "loss", "gain" or "none"; None where nothing can be said, or no T was trained like T₀. `rows`: Δ with
        its interval, p, Holm's p and `alike`, by (α, T); empty where nothing can be said. With rows,
        `reference_temperature` and `unit`; `farthest_off`, the setting that was trained least alike, None where all
        were. With a verdict, `at`: the (α, T) with the largest Δ beyond chance; `diffuses`: whether systematic
        diffusion is shown there; `missing`: codes of the witnesses that do not bear it out.
    """
    nothing: dict[str, Any] = {"verdict": None, "rows": []}
    own = _students(scores, objective, student)
    temperatures = sorted(own.index.get_level_values("temperature").unique())
    alphas = own.index.get_level_values("label_smoothing").unique()
    if 0.0 not in alphas or not temperatures:
        return nothing
    base = reference_temperature(temperatures)
    rows = []
    for alpha, temperature in own.index:
        values = _interaction(own, (alpha, temperature), base)
        if len(values) < FEWEST_SEEDS:
            continue
        same = np.ptp(values) == 0
        p = float(values[0] == 0) if same else float(stats.ttest_1samp(values, 0).pvalue)
        rows.append({"label_smoothing": alpha, "temperature": temperature, "p": p} | asdict(t_interval(values)))
    if not rows:
        return nothing
    for row, adjusted in zip(rows, holm([row["p"] for row in rows]), strict=True):
        row["p_holm"] = adjusted
    unlike = unlike or {}
    off: dict[AlphaT, float] = {}  # of the rows' own students, and of their partners under the unsmoothed teacher
    for row in rows:
        both = ((row["label_smoothing"], row["temperature"]), (0.0, row["temperature"]))
        own_off = {place: unlike[place] for place in both if place in unlike}
        row["alike"], off = not own_off, off | own_off
    alike = [row for row in rows if row["alike"]]
    facts = nothing | {
        "rows": rows,
        "reference_temperature": base,
        "unit": scores.columns.name or "seed",
        "farthest_off": farthest_off(off),
    }
    if not alike:
        return facts
    found = [row for row in alike if row["p_holm"] < SIGNIFICANCE]
    strongest = max(found or alike, key=lambda row: abs(row["mean"]))
    verdict = "none" if not found else "loss" if metric.sign * strongest["mean"] < 0 else "gain"
    place = (strongest["label_smoothing"], strongest["temperature"])
    missing = []
    if verdict == "loss" and place in shown:
        for witness in witnesses:
            changes = witness.sign * _interaction(_students(witness.values, objective, student), place, base)
            if len(changes) >= FEWEST_SEEDS and not t_interval(changes).low > 0:
                missing.append(witness.code)
    return facts | {"verdict": verdict, "at": list(place), "diffuses": place in shown, "missing": missing}


def _students(table: pd.DataFrame, objective: str, student: str) -> pd.DataFrame:
    """The settings (α, T) of one objective and student model."""
    levels = table.index.get_level_values
    return table[(levels("objective") == objective) & (levels("student") == student)].droplevel(
        ["objective", "student"]
    )


def _interaction(own: pd.DataFrame, place: AlphaT, base: float) -> NDArray[np.float64]:
    """Δ(α, T) of each seed that has all four students; empty where Δ is none."""
    alpha, temperature = place
    needed = [(alpha, temperature), (alpha, base), (0.0, temperature), (0.0, base)]
    if alpha == 0 or temperature <= base or not all(key in own.index for key in needed):
        return np.empty(0)
    smoothed, smoothed_base, plain, plain_base = (own.loc[key] for key in needed)
    values: NDArray[np.float64] = ((smoothed - smoothed_base) - (plain - plain_base)).dropna().to_numpy()
    return values

"""From validation figures and diffusion to advice, by rules written down in `docs/advice.md`.

Nothing here sees the test split: advice is frozen first, and test figures are only added to the sentence afterwards.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from tosmooth.analysis.inference import Interval, holm, t_interval
from tosmooth.report.numbers import decimals_for, half_width, plus_minus
from tosmooth.study.effect import FEWEST_SEEDS, SIGNIFICANCE, Effect, judge_effect
from tosmooth.study.units import balanced, by_unit, unit_of, unit_word

KEY = ["objective", "label_smoothing", "temperature", "student"]
Setting = tuple[str, float, float, str]
METRIC = "val/top1"


@dataclass(frozen=True)
class Rules:
    """The numbers the advice depends on."""

    margin: float = 0.5  # top-1 points within which two settings may be called tied
    preview: bool = False
    selection: str = "best"


def describe(setting: Mapping[str, Any], *, several_objectives: bool = False) -> str:
    """`the smoothed teacher (α = 0.1) at T = 1`."""
    alpha = setting["label_smoothing"]
    which = f"the smoothed teacher (α = {alpha:g})" if alpha > 0 else "the unsmoothed teacher (α = 0)"
    how = f" with {setting['objective']}" if several_objectives else ""
    return f"{which} at T = {setting['temperature']:g}{how}"


def written(interval: Interval, unit: str = "") -> str:
    """`88.0 ± 0.2`: one decimal, or two where the half-width supports them; without an interval, the value alone."""
    return plus_minus(interval, decimals_for([half_width(interval)], otherwise=1, least=1, most=2)) + unit


def scores_by_seed(results: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Settings with a finished cell as rows, units (seeds, or teacher seeds) as columns; failed ones are missing."""
    done = balanced(results[results.status == "done"], KEY)
    units = by_unit(done, [metric], KEY, unit=unit_of(results)).rename(columns={"unit": unit_word(results)})
    return units.pivot_table(index=KEY, columns=unit_word(results), values=metric, dropna=False).dropna(how="all")


def compare_with(best: Setting, scores: pd.DataFrame, margin: float) -> list[dict[str, Any]]:
    """Every other setting against the best, paired by seed.

    `worse`: the paired t-test rejects after Holm's correction. `tied`: the 95 % interval of the difference lies within
    ± margin. `undecided`: neither, or fewer than three seeds; a weak test is no proof of equality.
    """
    rows: list[dict[str, Any]] = []
    for setting in scores.index:
        difference = (scores.loc[best] - scores.loc[setting]).dropna().to_numpy()
        interval = t_interval(difference) if len(difference) else Interval(math.nan, math.nan, math.nan, 0)
        p = math.nan
        if setting != best and len(difference) > 1:
            same = np.ptp(difference) == 0
            p = float(difference[0] == 0) if same else float(stats.ttest_1samp(difference, 0).pvalue)
        rows.append(
            dict(zip(KEY, setting, strict=True))
            | {"difference": interval.mean, "low": interval.low, "high": interval.high, "n": interval.n, "p": p}
        )
    tested = [row for row in rows if not math.isnan(row["p"])]
    for row, adjusted in zip(tested, holm([row["p"] for row in tested]) if tested else [], strict=True):
        row["p_holm"] = float(adjusted)
    for row in rows:
        row.setdefault("p_holm", math.nan)
        enough = row["n"] >= FEWEST_SEEDS
        within = enough and row["low"] >= -margin and row["high"] <= margin
        if tuple(row[key] for key in KEY) == best:
            row["relation"] = "best"
        elif within:
            row["relation"] = "tied"
        else:
            worse = enough and row["p_holm"] < SIGNIFICANCE and row["difference"] > 0
            row["relation"] = "worse" if worse else "undecided"
    return rows


def advise(results: pd.DataFrame, teachers: pd.DataFrame, diffusion: pd.DataFrame, rules: Rules) -> dict[str, Any]:
    """The advice, from validation figures only.

    Args:
        results: one row per cell, as in `results.csv`; test columns are not looked at.
        teachers: one row per teacher, as in `teachers.csv`.
        diffusion: `analysis/diffusion.csv`.

    Returns:
        The content of `analysis/advice.json`: the effect's verdict, the recommended setting, how sure that is, every
        other setting's difference to it, whether the paper's rule agrees, and caveats.
    """
    done = results[results.status == "done"]
    several = done.objective.nunique() > 1
    effect = judge_effect(diffusion, done.objective.iloc[0] if len(done) else "hinton")
    advice: dict[str, Any] = {
        "frozen_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "metric": METRIC,
        "selection": rules.selection,
        "margin": rules.margin,
        "effect": {"verdict": effect.verdict, "sentence": effect.sentence, "temperatures": list(effect.temperatures)},
    }
    if rules.selection == "best_on_test" or done[METRIC].isna().all():
        return advice | _advice_without_validation(results, teachers, effect, diffusion, rules)

    scores = scores_by_seed(done, METRIC)
    best: Setting = scores.mean(axis=1).idxmax()
    comparisons = compare_with(best, scores, rules.margin)
    chosen = dict(zip(KEY, best, strict=True))
    own = t_interval(scores.loc[best].dropna().to_numpy())
    rival = _rival(best, scores)
    headline = f"Distil from {describe(chosen, several_objectives=several)}: {written(own, ' %')} validation top-1"
    headline += _over(own.n, unit_word(results))
    if rival is not None:
        row = next(r for r in comparisons if tuple(r[key] for key in KEY) == rival)
        gap = Interval(row["difference"], row["low"], row["high"], row["n"])
        other = "smoothed" if rival[1] > 0 else "unsmoothed"
        headline += f", {written(gap)} points above the {other} teacher at its best T ({rival[2]:g})"
    return advice | {
        "recommendation": chosen | asdict(own),
        "rival": None if rival is None else dict(zip(KEY, rival, strict=True)),
        "headline": headline + ".",
        "comparisons": comparisons,
        "rule": _rule(best, comparisons),
        "confidence": _confidence(best, comparisons, own.n, rules, unit_word(results)),
        "caveats": _caveats(results, teachers, effect, diffusion, rules),
    }


def _over(number: int, word: str) -> str:
    return f" over {number} {word}s" if number > 1 else f" (one {word})"


def _rival(best: Setting, scores: pd.DataFrame) -> Setting | None:
    """The best setting on the other side: unsmoothed if the best is smoothed, and the other way round."""
    other_side = [setting for setting in scores.index if (setting[1] > 0) != (best[1] > 0)]
    return scores.loc[other_side].mean(axis=1).idxmax() if other_side else None


def _rule(best: Setting, comparisons: list[dict[str, Any]]) -> dict[str, Any]:
    """Does the paper's rule (smoothed teacher, lowest T) hold here?"""
    lowest = min(row["temperature"] for row in comparisons)
    following = [row for row in comparisons if row["label_smoothing"] > 0 and row["temperature"] == lowest]
    name = f"The paper's rule (smoothed teacher, T = {lowest:g})"
    if not following:
        return {"agrees": None, "sentence": f"{name} could not be checked: the grid has no such students."}
    if best[1] > 0 and best[2] == lowest:
        return {"agrees": True, "sentence": f"{name} holds on your data: it is the best setting by validation."}
    row = min(following, key=lambda r: r["difference"])
    gap = Interval(row["difference"], row["low"], row["high"], row["n"])
    if row["relation"] == "tied":
        return {"agrees": True, "sentence": f"{name} is as good as the best here, within the stated margin."}
    if row["relation"] == "worse":
        return {
            "agrees": False,
            "sentence": f"{name} does not hold on your data: it is {written(gap)} points behind.",
        }
    return {
        "agrees": None,
        "sentence": f"{name} is neither confirmed nor refuted: it is {written(gap)} points behind the best, "
        "which these seeds cannot tell from chance.",
    }


def _confidence(
    best: Setting, comparisons: list[dict[str, Any]], seeds: int, rules: Rules, unit: str
) -> dict[str, str]:
    """How sure the choice is, in one sentence."""
    others = [row for row in comparisons if row["relation"] != "best"]
    open_rows = [row for row in others if row["relation"] != "worse"]
    if rules.preview:
        return {"level": "low", "sentence": "Not sure at all: this is a preview, trained too briefly to conclude from."}
    if seeds < FEWEST_SEEDS:
        return {
            "level": "low",
            "sentence": f"Not sure: {seeds} {unit}{'s' * (seeds > 1)} cannot show how much is chance.",
        }
    if not open_rows:
        text = f"Sure: every other setting is worse beyond chance ({len(others)} comparisons, Holm-corrected)."
        return {"level": "high", "sentence": text}
    names = "; ".join(describe(row) for row in sorted(open_rows, key=lambda r: r["difference"])[:3])
    more = f" and {len(open_rows) - 3} more" if len(open_rows) > 3 else ""
    same_side = all((row["label_smoothing"] > 0) == (best[1] > 0) for row in open_rows)
    if all(row["relation"] == "tied" for row in open_rows):
        within = f"{rules.margin:g} points"
        text = f"Sure that nothing beats it by more than {within}; as good within that margin: {names}{more}."
        return {"level": "high", "sentence": text}
    if same_side:
        side = "smoothing the teacher" if best[1] > 0 else "leaving the teacher unsmoothed"
        text = f"Sure about {side}, less so about the exact setting: not told apart from it: {names}{more}."
        return {"level": "moderate", "sentence": text}
    text = f"Not sure: these are behind by less than chance allows to call: {names}{more}. More seeds would tell."
    return {"level": "low", "sentence": text}


def _caveats(
    results: pd.DataFrame, teachers: pd.DataFrame, effect: Effect, diffusion: pd.DataFrame, rules: Rules
) -> list[str]:
    """What a reader must know before relying on the advice."""
    found = []
    done = results[results.status == "done"]
    seeds, unit = done[unit_of(results)].nunique(), unit_word(results)
    if rules.preview:
        found.append("Preview: few images, few epochs, few seeds. Run the full study before you decide.")
    if seeds < 6:
        found.append(
            f"{seeds} {unit}{'s' * (seeds != 1)}: the exact sign-flip test cannot reach p < 0.05 with fewer than 6."
        )
    if len(done) < len(results):
        found.append(f"{len(results) - len(done)} of {len(results)} students did not finish and are left out.")
    if teachers.groupby("label_smoothing").size().max() == 1:
        found.append("One teacher per α: the conclusion holds for this pair of teachers, not for smoothing in general.")
    if METRIC in teachers and not teachers[METRIC].isna().all():
        best_student = scores_by_seed(done, METRIC).mean(axis=1).max()
        if best_student >= teachers[METRIC].max():
            found.append(
                "The best student is at least as good as the best teacher: a stronger teacher may change the picture."
            )
    if not diffusion.empty and not diffusion.reliable.astype(bool).all():
        found.append("Some classes have fewer than 20 samples on a split: η there is unreliable.")
    found += _sensitivity(diffusion, effect, str(done.objective.iloc[0]) if len(done) else "hinton")
    return found


def _sensitivity(diffusion: pd.DataFrame, effect: Effect, objective: str) -> list[str]:
    """Say so when another normalisation or the debiased distance turns the sign of the finding."""
    if effect.verdict not in {"shown", "opposite"} or diffusion.empty:
        return []
    rows = diffusion[
        (diffusion.objective == objective)
        & (diffusion.split == "train")
        & (diffusion.label_smoothing > 0)
        & diffusion.temperature.isin(effect.temperatures)
    ]
    means = rows.assign(d=rows.eta_s1 - rows.eta_s2).groupby(["normalisation", "debiased"]).d.mean()
    sign = 1 if effect.verdict == "shown" else -1
    turned = [f"{norm}{', debiased' if debiased else ''}" for (norm, debiased), d in means.items() if d * sign <= 0]
    return (
        [f"The sign of η_S1 − η_S2 depends on how η is computed: it turns with {'; '.join(turned)}."] if turned else []
    )


def _advice_without_validation(
    results: pd.DataFrame, teachers: pd.DataFrame, effect: Effect, diffusion: pd.DataFrame, rules: Rules
) -> dict[str, Any]:
    """No validation split: nothing can be selected honestly, so the paper's rule is all there is."""
    done = results[results.status == "done"]
    settings = [dict(zip(KEY, key, strict=True)) for key, _ in done.groupby(KEY)]
    lowest = min(setting["temperature"] for setting in settings)
    chosen = max((s for s in settings if s["temperature"] == lowest), key=lambda s: s["label_smoothing"])
    reason = (
        "the epoch was chosen on the test split, as the paper's scripts do, so test figures are optimistic"
        if rules.selection == "best_on_test"
        else "there is no validation split (data.validation: 0)"
    )
    nan = math.nan
    return {
        "recommendation": chosen | {"mean": nan, "low": nan, "high": nan, "n": int(done[unit_of(results)].nunique())},
        "rival": None,
        "headline": f"By the paper's rule alone, distil from {describe(chosen)}: {reason}, so nothing was "
        "selected on data.",
        "comparisons": [],
        "rule": {"agrees": None, "sentence": "The paper's rule was applied, not checked."},
        "confidence": {"level": "low", "sentence": f"Not sure: {reason}. Test figures are shown for every setting."},
        "caveats": [f"Selection: {reason}.", *_caveats(results, teachers, effect, diffusion, rules)],
    }


def final_verdict(advice: Mapping[str, Any], results: pd.DataFrame, *, preview: bool) -> dict[str, Any]:
    """The sentence to forward, with test figures of the settings that the frozen advice names.

    Returns:
        The content of `analysis/verdict.json`.
    """
    scores = scores_by_seed(results, "test/top1")
    several = results.objective.nunique() > 1
    chosen = advice["recommendation"]
    key = tuple(chosen[name] for name in KEY)
    own = t_interval(scores.loc[key].dropna().to_numpy())
    sentence = f"Distil from {describe(chosen, several_objectives=several)}: {written(own, ' %')} test top-1"
    sentence += _over(own.n, unit_word(results))
    test: dict[str, Any] = {"recommended": asdict(own)}
    rival = advice.get("rival")
    if rival is not None:
        other_key = tuple(rival[name] for name in KEY)
        other = t_interval(scores.loc[other_key].dropna().to_numpy())
        gap = t_interval((scores.loc[key] - scores.loc[other_key]).dropna().to_numpy())
        side = "smoothed" if rival["label_smoothing"] > 0 else "unsmoothed"
        above = "above" if gap.mean >= 0 else "below"
        shown = gap if gap.mean >= 0 else Interval(-gap.mean, -gap.high, -gap.low, gap.n)
        sentence += f", {written(shown)} points {above} the {side} teacher at its best T ({rival['temperature']:g})"
        test |= {"rival": rival | asdict(other), "difference": asdict(gap)}
    return {"sentence": f"{'Preview. ' if preview else ''}{sentence}.", "test": test, "preview": preview}

"""From validation figures and diffusion to advice, by rules written down in `docs/advice.md`.

Nothing here sees the test split: advice is frozen first, and test figures are only added to the sentence afterwards.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any

import pandas as pd

from tosmooth.advice.caveats import Rules, advice_caveats
from tosmooth.advice.comparisons import KEY, Evidence, Judged, compare_with, scores_by_seed
from tosmooth.advice.consequence import judge_consequence, witnesses_of
from tosmooth.advice.convergence import convergence, not_alike
from tosmooth.advice.effect import Effect, eta_intervals, judge_effect
from tosmooth.advice.paper_rule import judge_rule
from tosmooth.advice.settings import (
    SEQUENCE_WORDS,
    describe,
    describe_with_rate,
    rate_of,
    varied_keys,
    written,
)
from tosmooth.advice.units import FEWEST_SEEDS, Setting, reference_temperature, unit_of, unit_word
from tosmooth.analysis.inference import Interval, t_interval
from tosmooth.losses.objectives import has_temperature, leading_objective
from tosmooth.tasks.metric import TOP1, Metric
from tosmooth.words.students import of_students
from tosmooth.words.teachers import UNKNOWN


def advise(
    results: pd.DataFrame,
    teachers: pd.DataFrame,
    diffusion: pd.DataFrame,
    rules: Rules,
    judged: Judged | None = None,
) -> dict[str, Any]:
    """The advice, from validation figures only.

    Args:
        results: one row per cell, as in `results.csv`; test columns are not looked at.
        teachers: one row per teacher, as in `teachers.csv`.
        diffusion: `analysis/diffusion.csv`.
        rules: margin, metric and kind of study.
        judged: by cell, which validation images it got right, or what it made of the validation sentences; compared
            where there is one seed.

    Returns:
        The content of `analysis/advice.json`: the effect's verdict and η with intervals, the recommended setting, how
        sure that is, every other setting's difference to it, those not told apart from it, whether the paper's rule
        agrees, and caveats. Each student model is a question of its own: where there are several, all this is about
        the model of the best setting, and `by_student` has the answer for each.
    """
    varied, students = varied_keys(results), list(dict.fromkeys(results[results.status == "done"].student))
    if len(students) < 2 or "student" not in diffusion:
        return _advise(results, teachers, diffusion, rules, judged, varied)
    each = {
        student: _advise(results[results.student == student], teachers, diffusion[diffusion.student == student],
                         rules, judged, varied)
        for student in students
    }  # fmt: skip
    # Means that are not known (no validation split) leave the first model of the grid in place.
    sign = rules.metric.sign
    best = max(students, key=lambda s: sign * m if math.isfinite(m := each[s]["recommendation"]["mean"]) else -math.inf)
    kept = (
        "recommendation", "rival", "headline", "rule", "confidence", "effect",
        "smoothing", "training", "learning_rates",
    )  # fmt: skip
    return each[best] | {"by_student": {student: {key: each[student][key] for key in kept} for student in students}}


def _advise(
    results: pd.DataFrame,
    teachers: pd.DataFrame,
    diffusion: pd.DataFrame,
    rules: Rules,
    judged: Judged | None,
    varied: Collection[str],
) -> dict[str, Any]:
    """The advice for one student model."""
    done = results[results.status == "done"]
    objective = leading_objective(done.objective)
    effect, metric = judge_effect(diffusion, objective), rules.metric
    unknown = rules.smoothing == "unknown"
    if unknown:
        effect = replace(effect, sentence=f"Systematic diffusion is of students of smoothed teachers; {UNKNOWN}.")
    students = of_students(rules.training)
    advice: dict[str, Any] = {
        "frozen_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "metric": metric.val,
        "lower_is_better": metric.lower_is_better,
        "selection": rules.selection,
        "margin": rules.margin,
        "smoothing": rules.smoothing,
        "training": rules.training,
        "learning_rates": list(rules.rates),
        "effect": {
            "verdict": effect.verdict,
            "sentence": effect.sentence + students,
            "temperatures": list(effect.temperatures),
            "shown": [list(setting) for setting in effect.shown],
            "opposed": [list(setting) for setting in effect.opposed],
            "eta": eta_intervals(diffusion, objective),
        },
    }
    if rules.selection == "best_on_test" or done[metric.val].isna().all():
        return advice | _advice_without_validation(results, teachers, effect, diffusion, rules)

    scores = scores_by_seed(done, metric.val)
    best: Setting = metric.best(scores.mean(axis=1))
    evidence = _judged_settings(done, scores, judged or {})
    comparisons = compare_with(best, scores, rules.margin, evidence, metric)
    chosen = dict(zip(KEY, best, strict=True)) | rate_of(best, done)
    own = t_interval(scores.loc[best].dropna().to_numpy())
    rival = _rival(best, scores, metric)
    which = describe_with_rate(chosen, varied, rules.smoothing, rules.rates)
    headline = f"Distil from {which}: {written(own, metric.unit)} validation {metric.words}"
    headline += _over(own.n, unit_word(results))
    if rival is not None:
        row = next(r for r in comparisons if tuple(r[key] for key in KEY) == rival)
        gap = Interval(row["difference"], row["low"], row["high"], row["n"])
        if row["unit"] != "seeds":  # an interval over images has no place behind figures of students
            gap = Interval(row["difference"], math.nan, math.nan, 1)
        headline += f", {written(gap)} points {metric.ahead} {_other_side(rival, done)}"
    rule = judge_rule(best, scores, comparisons, rules, evidence)
    open_rows = sorted(
        (row for row in comparisons if row["relation"] in {"tied", "undecided"}), key=lambda row: row["difference"]
    )
    return advice | {
        "recommendation": chosen | asdict(own),
        "rival": None if rival is None else dict(zip(KEY, rival, strict=True)),
        "headline": f"{headline}.{students}",
        "comparisons": comparisons,
        "not_told_apart": [{key: row[key] for key in (*KEY, "relation")} for row in open_rows],
        "rule": (
            {"agrees": None, "sentence": f"The paper's rule could not be checked: {UNKNOWN}."}
            if unknown
            else rule | {"sentence": rule["sentence"] + students}
        ),
        "consequence": judge_consequence(
            scores,
            effect.shown,
            objective,
            best[3],
            metric,
            not_alike(convergence(results), objective, best[3]),
            witnesses_of(done),
            rules.training,
        ),
        "confidence": _confidence(best, comparisons, own.n, rules, varied, unit_word(results)),
        "caveats": advice_caveats(results, teachers, effect, diffusion, rules, best),
    }


def _judged_settings(done: pd.DataFrame, scores: pd.DataFrame, judged: Judged) -> dict[Setting, Evidence]:
    """What the one cell of a setting got right, or said; empty with several seeds, which say more than images do."""
    if scores.shape[1] > 1:
        return {}
    cells = done[done.cell.isin(list(judged))]
    return {tuple(row[key] for key in KEY): judged[row["cell"]] for _, row in cells.iterrows()}  # type: ignore[misc]


def _over(number: int, word: str) -> str:
    return f" over {number} {word}s" if number > 1 else f" (one {word})"


def _other_side(rival: Setting, results: pd.DataFrame) -> str:
    """The rival in words; α is named where several smoothed teachers could be meant."""
    objective, alpha, temperature, _ = rival
    several = alpha > 0 and (results["label_smoothing"].unique() > 0).sum() > 1
    if not has_temperature(objective):
        which = f"α = {alpha:g}, {SEQUENCE_WORDS}" if several else SEQUENCE_WORDS
        return f"the {'smoothed' if alpha > 0 else 'unsmoothed'} teacher at its best setting ({which})"
    which = f"α = {alpha:g}, T = {temperature:g}" if several else f"{temperature:g}"
    return (
        f"the {'smoothed' if alpha > 0 else 'unsmoothed'} teacher at its best {'setting' if several else 'T'} ({which})"
    )


def _rival(best: Setting, scores: pd.DataFrame, metric: Metric) -> Setting | None:
    """The best setting on the other side: unsmoothed if the best is smoothed, and the other way round."""
    other_side = [setting for setting in scores.index if (setting[1] > 0) != (best[1] > 0)]
    return metric.best(scores.loc[other_side].mean(axis=1)) if other_side else None


def _confidence(
    best: Setting,
    comparisons: list[dict[str, Any]],
    number: int,
    rules: Rules,
    varied: Collection[str],
    unit: str,
) -> dict[str, str]:
    """How sure the choice is, in one sentence."""
    others = [row for row in comparisons if row["relation"] != "best"]
    if rules.preview:
        return {"level": "low", "sentence": "Not sure at all: this is a preview, trained too briefly to conclude from."}
    if not others:
        return {"level": "low", "sentence": "Nothing was compared: the grid has one setting."}
    level, text = _how_sure(best, others, number, rules, varied, unit)
    if all((row["label_smoothing"] > 0) == (best[1] > 0) for row in others):
        kind = f"every teacher of this grid is {'smoothed' if best[1] > 0 else 'unsmoothed'}"
        text += f" Whether to smooth was not asked: {UNKNOWN if rules.smoothing == 'unknown' else kind}."
    return {"level": level, "sentence": text}


def _how_sure(
    best: Setting, others: list[dict[str, Any]], number: int, rules: Rules, varied: Collection[str], unit: str
) -> tuple[str, str]:
    open_rows = sorted((row for row in others if row["relation"] != "worse"), key=lambda row: row["difference"])
    names = "; ".join(describe(row, varied, rules.smoothing) for row in open_rows[:3])
    names += f" and {len(open_rows) - 3} more" if len(open_rows) > 3 else ""
    if number < FEWEST_SEEDS:
        text = f"Not sure: {number} {unit}{'s' * (number > 1)} cannot show how much is chance."
        return "low", text + _for_these_students(others, open_rows, names, rules.metric)
    if not open_rows:
        return "high", f"Sure: every other setting is worse beyond chance ({len(others)} comparisons, Holm-corrected)."
    if all(row["relation"] == "tied" for row in open_rows):
        within = f"{rules.margin:g} points"
        return "high", f"Sure that nothing beats it by more than {within}; as good within that margin: {names}."
    rivals = [row for row in others if (row["label_smoothing"] > 0) != (best[1] > 0)]
    if rivals and all(row["relation"] == "worse" for row in rivals):
        side = "smoothing the teacher" if best[1] > 0 else "leaving the teacher unsmoothed"
        return "moderate", f"Sure about {side}, less so about the exact setting: not told apart from it: {names}."
    return "low", f"Not sure: these are behind by less than chance allows to call: {names}. More seeds would tell."


def _for_these_students(
    others: list[dict[str, Any]], open_rows: list[dict[str, Any]], names: str, metric: Metric
) -> str:
    """What the samples of the one seed say; nothing about other seeds."""
    units = {row["unit"] for row in others}
    if len(units) != 1 or "seeds" in units:
        return ""
    (unit,) = units
    test = "" if metric.compared_by is None else f"{metric.compared_by.name}, "
    text = (
        f" Of these very students, judged on the same {others[0]['n']:,} validation {unit}, "
        f"{len(others) - len(open_rows)} of {len(others)} are worse ({test}Holm-corrected)"
    )
    return f"{text}; not told apart: {names}." if open_rows else f"{text}."


def _advice_without_validation(
    results: pd.DataFrame, teachers: pd.DataFrame, effect: Effect, diffusion: pd.DataFrame, rules: Rules
) -> dict[str, Any]:
    """No validation split: nothing can be selected honestly, so the paper's rule is all there is."""
    done = results[results.status == "done"]
    settings = [dict(zip(KEY, key, strict=True)) for key, _ in done.groupby(KEY)]
    settings = [setting for setting in settings if has_temperature(setting["objective"])] or settings
    lowest = reference_temperature(setting["temperature"] for setting in settings)
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
        "headline": f"By the paper's rule alone, distil from {describe(chosen, (), rules.smoothing)}: {reason}, so "
        "nothing was selected on data.",
        "comparisons": [],
        "rule": {"agrees": None, "sentence": "The paper's rule was applied, not checked."},
        "confidence": {"level": "low", "sentence": f"Not sure: {reason}. Test figures are shown for every setting."},
        "caveats": [f"Selection: {reason}.", *advice_caveats(results, teachers, effect, diffusion, rules)],
    }


def final_verdict(
    advice: Mapping[str, Any], results: pd.DataFrame, *, preview: bool, metric: Metric = TOP1
) -> dict[str, Any]:
    """The sentence to forward, with test figures of the settings that the frozen advice names.

    Returns:
        The content of `analysis/verdict.json`.
    """
    verdict = _with_test_figures(advice, results, preview, metric)
    each = advice.get("by_student") or {}
    if each:
        verdict["by_student"] = {name: _with_test_figures(own, results, preview, metric) for name, own in each.items()}
    return verdict


def _with_test_figures(
    advice: Mapping[str, Any], results: pd.DataFrame, preview: bool, metric: Metric
) -> dict[str, Any]:
    scores = scores_by_seed(results, metric.test)
    chosen = advice["recommendation"]
    key = tuple(chosen[name] for name in KEY)
    own = t_interval(scores.loc[key].dropna().to_numpy())
    smoothing, rates = advice.get("smoothing", "known"), advice.get("learning_rates") or ()
    which = describe_with_rate(chosen, varied_keys(results), smoothing, rates)
    sentence = f"Distil from {which}: {written(own, metric.unit)} test {metric.words}"
    sentence += _over(own.n, unit_word(results))
    test: dict[str, Any] = {"recommended": asdict(own)}
    rival = advice.get("rival")
    if rival is not None:
        other_key: Setting = tuple(rival[name] for name in KEY)  # type: ignore[assignment]
        other = t_interval(scores.loc[other_key].dropna().to_numpy())
        gap = t_interval((scores.loc[key] - scores.loc[other_key]).dropna().to_numpy())
        above = "above" if gap.mean >= 0 else "below"  # of the figures as they are: of a perplexity, below is better
        shown = gap if gap.mean >= 0 else Interval(-gap.mean, -gap.high, -gap.low, gap.n)
        side = _other_side(other_key, results)
        sentence += f", {written(shown)} points {above} {side}"
        test |= {"rival": rival | asdict(other), "difference": asdict(gap)}
    sentence = f"{'Preview. ' if preview else ''}{sentence}.{of_students(advice.get('training') or '')}"
    return {"sentence": sentence, "test": test, "preview": preview}

"""From validation figures and diffusion to advice, by rules written down in `docs/advice.md`.

The advice is frozen before the test split is read; what test says of it is added afterwards, and changes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import pandas as pd

from tosmooth.advice.answer import answer
from tosmooth.advice.blocks import Blocks, Correct, controls_of
from tosmooth.advice.caveats import Rules, advice_caveats
from tosmooth.advice.comparisons import KEY, Evidence, Judged, compare_with, scores_by_seed
from tosmooth.advice.consequence import judge_consequence, witnesses_of
from tosmooth.advice.convergence import convergence, not_alike
from tosmooth.advice.effect import Effect, eta_intervals, judge_effect
from tosmooth.advice.paper_rule import judge_rule, rule_of
from tosmooth.advice.units import Setting, reference_temperature, unit_of
from tosmooth.advice.until_sure import choice, looked_of
from tosmooth.analysis.inference import t_interval
from tosmooth.losses.objectives import has_temperature, leading_objective
from tosmooth.tasks.metric import TOP1, Metric


def advise(
    results: pd.DataFrame,
    teachers: pd.DataFrame,
    diffusion: pd.DataFrame,
    rules: Rules,
    judged: Judged | None = None,
    *,
    controls: pd.DataFrame | None = None,
    correct: Correct | None = None,
) -> dict[str, Any]:
    """The advice, from validation figures only.

    Args:
        results: one row per cell, as in `results.csv`; test columns are not looked at.
        teachers: one row per teacher, as in `teachers.csv`.
        diffusion: `analysis/diffusion.csv`.
        rules: margin, metric and kind of study.
        judged: by cell, which validation images it got right, or what it made of the validation sentences; compared
            where there is one seed.
        controls: one row per student without a teacher, as in `controls.csv`.
        correct: by student, which validation samples it got right: images are a sample as well, then.

    Returns:
        The content of `analysis/advice.json`: the effect's verdict and η with intervals, the recommended setting, the
        answer on validation (`answer`), every other setting's difference to the recommended one, whether the paper's
        rule agrees, and caveats. Each student model is a question of its own: where there are several, all this is
        about the model of the best setting, and `by_student` has the answer for each.
    """
    controls = pd.DataFrame() if controls is None else controls
    students = list(dict.fromkeys(results[results.status == "done"].student))
    if len(students) < 2 or "student" not in diffusion:
        return _advise(results, teachers, diffusion, rules, judged, controls, correct)
    each = {
        student: _advise(results[results.student == student], teachers, diffusion[diffusion.student == student],
                         rules, judged, controls_of(controls, student), correct)
        for student in students
    }  # fmt: skip
    # Means that are not known (no validation split) leave the first model of the grid in place.
    sign = rules.metric.sign
    best = max(students, key=lambda s: sign * m if math.isfinite(m := each[s]["recommendation"]["mean"]) else -math.inf)
    kept = ("recommendation", "answer", "rule", "effect", "smoothing", "training", "learning_rates")
    return each[best] | {"by_student": {student: {key: each[student][key] for key in kept} for student in students}}


def _advise(
    results: pd.DataFrame,
    teachers: pd.DataFrame,
    diffusion: pd.DataFrame,
    rules: Rules,
    judged: Judged | None,
    controls: pd.DataFrame,
    correct: Correct | None,
) -> dict[str, Any]:
    """The advice for one student model."""
    done = results[results.status == "done"]
    objective = leading_objective(done.objective)
    effect, metric = judge_effect(diffusion, objective), rules.metric
    advice: dict[str, Any] = {
        "frozen_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "metric": metric.val,
        "lower_is_better": metric.lower_is_better,
        "selection": rules.selection,
        "margin": rules.margin,
        "smoothing": rules.smoothing,
        "training": dict(rules.training),
        "learning_rates": list(rules.rates),
        "effect": asdict(effect) | {"temperatures": effect.temperatures, "eta": eta_intervals(diffusion, objective)},
    }
    if rules.selection == "best_on_test" or done[metric.val].isna().all():
        return advice | _advice_without_validation(results, teachers, effect, diffusion, rules)

    scores = scores_by_seed(done, metric.val)
    looked = looked_of(rules.until_sure)
    study = Blocks(done, controls, metric.val, metric, rules.margin, correct, looked.confidence)
    best: Setting = choice(study, looked.out) if rules.until_sure else metric.best(scores.mean(axis=1))
    evidence = _judged_settings(done, scores, judged or {})
    comparisons = compare_with(
        best, scores, rules.margin, evidence, metric, study.images, confidence=looked.confidence, out=looked.out
    )
    told = {"until_sure": dict(rules.until_sure)} if rules.until_sure else {}
    return advice | {
        "recommendation": dict(zip(KEY, best, strict=True))
        | _rate_of(best, done)
        | asdict(t_interval(scores.loc[best].dropna().to_numpy())),
        "answer": answer(
            done, controls, best, metric, "val",
            margin=rules.margin, smoothing=rules.smoothing, correct=correct, unlike=unlike_of(results, best[3]),
            confidence=looked.confidence, out=looked.out,
        ) | told,
        **told,
        "comparisons": comparisons,
        "rule": judge_rule(best, scores, comparisons, rules, evidence),
        "consequence": judge_consequence(
            scores,
            effect.shown,
            objective,
            best[3],
            metric,
            not_alike(convergence(results), objective, best[3]),
            witnesses_of(done),
        ),
        "caveats": advice_caveats(results, teachers, effect, diffusion, rules, best),
    }  # fmt: skip


def _rate_of(setting: Setting, done: pd.DataFrame) -> dict[str, float]:
    """The learning rate that a setting's students had; nothing of studies that do not say."""
    if "learning_rate" not in done:
        return {}
    objective, alpha, temperature, student = setting
    own = done[(done.objective == objective) & (done.student == student)]
    own = own[(own.label_smoothing == alpha) & (own.temperature == temperature)]
    return {"learning_rate": float(own.learning_rate.iloc[0])}


def unlike_of(results: pd.DataFrame, student: str) -> set[Setting]:
    """The settings of a student model that were not trained as far as T₀ of the same objective and α (R23)."""
    found = convergence(results)
    return {
        (objective, alpha, temperature, student)
        for objective in dict.fromkeys(found.objective)
        for alpha, temperature in not_alike(found, objective, student)
    }


def _judged_settings(done: pd.DataFrame, scores: pd.DataFrame, judged: Judged) -> dict[Setting, Evidence]:
    """What the one cell of a setting got right, or said; empty with several seeds, which say more than images do."""
    if scores.shape[1] > 1:
        return {}
    cells = done[done.cell.isin(list(judged))]
    return {tuple(row[key] for key in KEY): judged[row["cell"]] for _, row in cells.iterrows()}  # type: ignore[misc]


def _advice_without_validation(
    results: pd.DataFrame, teachers: pd.DataFrame, effect: Effect, diffusion: pd.DataFrame, rules: Rules
) -> dict[str, Any]:
    """No validation split: nothing can be selected honestly, so the paper's rule is all there is."""
    done = results[results.status == "done"]
    settings = [dict(zip(KEY, key, strict=True)) for key, _ in done.groupby(KEY)]
    settings = [setting for setting in settings if has_temperature(setting["objective"])] or settings
    lowest = reference_temperature(setting["temperature"] for setting in settings)
    chosen = max((s for s in settings if s["temperature"] == lowest), key=lambda s: s["label_smoothing"])
    nan = math.nan
    return {
        "recommendation": chosen | {"mean": nan, "low": nan, "high": nan, "n": int(done[unit_of(results)].nunique())},
        "answer": None,
        "comparisons": [],
        "rule": rule_of("not checked"),
        "caveats": advice_caveats(results, teachers, effect, diffusion, rules),
    }


def conclude(
    advice: Mapping[str, Any],
    results: pd.DataFrame,
    controls: pd.DataFrame,
    *,
    preview: bool,
    metric: Metric = TOP1,
    correct: Correct | None = None,
) -> dict[str, Any]:
    """What test says of the frozen advice; it changes nothing of it.

    Args:
        advice: frozen.
        results: one row per cell, with test figures.
        controls: one row per student without a teacher; may be empty.
        preview: whether the study is too short to conclude from.
        metric: of the study.
        correct: by student, which test samples it got right.

    Returns:
        The content of `analysis/verdict.json`: `answer` as `advice.answer` makes it, `preview`, and for several student
        models `by_student`.
    """

    def of(own: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "answer": _on_test(dict(own) | {"margin": advice.get("margin", 0.5)}, results, controls, metric, correct)
        }

    each = advice.get("by_student") or {}
    verdict = of(advice) | {"preview": preview}
    return verdict | ({"by_student": {name: of(own) for name, own in each.items()}} if each else {})


def answer_of(
    advice: Mapping[str, Any] | None,
    verdict: Mapping[str, Any] | None,
    results: pd.DataFrame,
    controls: pd.DataFrame,
    metric: Metric = TOP1,
) -> dict[str, Any] | None:
    """The answer that a study's files hold or allow: of test, of studies of earlier versions too; else of validation.

    Args:
        advice: `analysis/advice.json`, None or empty where it was not given yet.
        verdict: `analysis/verdict.json`, None or empty where test was not read yet.
        results: `results.csv`.
        controls: `controls.csv`; may be empty.
        metric: of the study.

    Returns:
        Facts as of `advice.answer`; None where there is no advice, or no figure of the recommended setting.
    """
    if not advice or not isinstance(advice.get("recommendation"), Mapping):
        return None
    if verdict and isinstance(verdict.get("answer"), Mapping):
        return dict(verdict["answer"])
    if verdict and metric.test in results and results[metric.test].notna().any():
        return _on_test({"margin": 0.5} | dict(advice), results, controls, metric, None)
    on_validation = advice.get("answer")
    if isinstance(on_validation, Mapping):
        return dict(on_validation) | {"learning_rate": advice["recommendation"].get("learning_rate")}
    return None


def _on_test(
    advice: Mapping[str, Any],
    results: pd.DataFrame,
    controls: pd.DataFrame,
    metric: Metric,
    correct: Correct | None,
) -> dict[str, Any] | None:
    """None where no student of the recommended setting has a figure."""
    recommended = advice["recommendation"]
    chosen: Setting = tuple(recommended[name] for name in KEY)  # type: ignore[assignment]
    own = results[results.student == chosen[3]]
    validated = isinstance(recommended.get("mean"), float) and math.isfinite(recommended["mean"])
    until_sure = advice.get("until_sure")
    done = own[own.status == "done"]
    if done.loc[(done[KEY] == list(chosen)).all(axis=1), metric.test].isna().all():
        return None
    facts = answer(
        done,
        controls_of(controls, chosen[3]),
        chosen,
        metric,
        "test",
        margin=advice["margin"],
        smoothing=advice.get("smoothing", "known"),
        correct=correct,
        unlike=unlike_of(own, chosen[3]),
        confidence=looked_of(until_sure).confidence,
    )
    # Test concludes by itself: a setting that validation left out is compared with the seeds that it has.
    facts |= {"until_sure": until_sure} if until_sure else {}
    return facts | {"learning_rate": recommended.get("learning_rate"), "validated": validated}

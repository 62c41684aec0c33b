"""What a study answers: is a teacher worth it, smooth it or not, at which T, what is risked, what would settle it.

Facts alone: verdicts, numbers and settings. The words are in `words.answer`, the rules in docs/advice.md.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any

import pandas as pd
from scipy import stats

from tosmooth.advice.blocks import Blocks, Correct
from tosmooth.advice.comparisons import KEY, relation
from tosmooth.advice.units import Setting, unit_word
from tosmooth.analysis.inference import t_interval
from tosmooth.analysis.more_blocks import seeds_needed
from tosmooth.analysis.multiple_comparison import Comparison
from tosmooth.config.types import Knowledge
from tosmooth.losses.objectives import has_temperature
from tosmooth.tasks.metric import Metric


def answer(
    done: pd.DataFrame,
    controls: pd.DataFrame,
    chosen: Setting,
    metric: Metric,
    split: str,
    *,
    margin: float,
    smoothing: Knowledge = "known",
    correct: Correct | None = None,
    unlike: Collection[Setting] = (),
    confidence: float = 0.95,
    out: Collection[Setting] = (),
) -> dict[str, Any]:
    """The answer for one student model, from the figures of one split.

    Args:
        done: the finished students of the grid of that model, as in `results.csv`.
        controls: its finished students without a teacher, as in `controls.csv`; may be empty.
        chosen: the recommended setting, chosen on validation.
        metric: what is compared.
        split: "val" or "test".
        margin: points that do not matter.
        smoothing: what is known of the teachers' α.
        correct: which samples each student got right; without some of them, the samples count as fixed.
        unlike: settings whose students were not trained as far as others: never called worse.
        confidence: of what is compared; more than 0.95 where several looks share the error (`advice.until_sure`).
        out: settings that have left the set at an earlier look: they are behind, whatever they look like now.

    Returns:
        `settings` (a row each: KEY, `mean`, `low`, `high` of its own figure, `behind` the best with `behind_low` and
        `behind_high`, `relation`: best, tied, worse or undecided, `expected_loss`), and a mapping for each question:
        `teacher`, `smooth`, `temperature`, `risk`, `settle`. All in points of the metric; None stands for what is not
        known.
    """
    column = metric.val if split == "val" else metric.test
    study = Blocks(done, controls, column, metric, margin, correct, confidence)
    comparison = study.compared()
    alike = [setting not in unlike for setting in study.settings]
    rows = _rows(study, comparison, alike, out)
    smooth = _smooth(rows, smoothing, study)
    facts: dict[str, Any] = {
        "split": split,
        "metric": column,
        "margin": margin,
        "unit": unit_word(done),
        "units": study.units,
        "teachers": study.teachers,
        "paired": study.of_teachers and study.seed_of_unit is not None,
        "samples": study.samples,
        "chosen": dict(zip(KEY, chosen, strict=True)),
        "settings": rows,
        "teacher": _teacher(study, chosen, comparison),
        "smooth": smooth,
        "temperature": _temperature(rows, smooth["verdict"], chosen),
        "risk": _of(rows, chosen).get("expected_loss"),
        "contradicted": _of(rows, chosen).get("relation") == "worse",
        "settle": _settle(study, comparison, smooth["verdict"], all(alike)),
    }
    if comparison is not None:
        facts |= {
            "residual_sd": _known(comparison.residual_sd),
            "degrees_of_freedom": comparison.degrees_of_freedom,
            "critical": _known(comparison.critical),
        }
    return facts


def _rows(
    study: Blocks, comparison: Comparison | None, alike: list[bool], out: Collection[Setting]
) -> list[dict[str, Any]]:
    sign = study.metric.sign
    means = sign * study.scores.mean(axis=1).to_numpy()
    ahead = means if comparison is None else (sign * comparison.means).to_numpy()
    left = [place for place, setting in enumerate(study.settings) if setting not in out] or range(len(ahead))
    best = max(left, key=lambda place: ahead[place])
    rows = []
    for place, setting in enumerate(study.settings):
        own = t_interval(study.scores_of(setting).to_numpy())
        row: dict[str, Any] = dict(zip(KEY, setting, strict=True))
        row |= {"mean": own.mean, "low": _known(own.low), "high": _known(own.high), "n": own.n}
        row |= {"behind": _known(means[best] - means[place]), "behind_low": None, "behind_high": None}
        row |= {"relation": "best" if place == best else "undecided", "expected_loss": None, "alike": alike[place]}
        if comparison is not None:
            if place != best:
                gap = comparison.difference(best, place)
                ends = sorted((sign * gap.low, sign * gap.high))
                row |= {"behind": sign * gap.mean, "behind_low": _known(ends[0]), "behind_high": _known(ends[1])}
                row["relation"] = "worse" if setting in out else relation(place, comparison)
                if row["relation"] == "worse" and not alike[place]:
                    row["relation"] = "undecided"
            row["expected_loss"] = _known(float(comparison.expected_loss[place]))
        rows.append(row)
    return rows


def _smooth(rows: list[dict[str, Any]], smoothing: Knowledge, study: Blocks) -> dict[str, Any]:
    """Which side is left among the settings that may be the best one."""
    sides = {side: [row for row in rows if (row["label_smoothing"] > 0) == side] for side in (True, False)}
    if smoothing == "unknown" or not all(sides.values()):
        return {"verdict": "not asked"}
    best = {side: min(own, key=lambda row: row["behind"]) for side, own in sides.items()}
    lost = best[False] if best[True]["behind"] <= best[False]["behind"] else best[True]
    left = {side for side, own in sides.items() if any(row["relation"] != "worse" for row in own)}
    # Of two settings the set keeps one in a tenth of all studies where neither is better (docs/statistics.md).
    told_apart = lost["behind_low"] is not None and lost["behind_low"] > 0
    if study.alone:
        verdict = "open"
    elif len(left) == 1 and told_apart:
        verdict = "yes" if True in left else "no"
    elif all(row["relation"] in {"best", "tied"} for row in best.values()):
        verdict = "does not matter"
    else:
        verdict = "open"
    names = {True: "smoothed", False: "unsmoothed"}
    found = {names[side]: {key: row[key] for key in (*KEY, "mean", "behind")} for side, row in best.items()}
    gap = {key: lost[key] for key in ("behind", "behind_low", "behind_high")}
    return {"verdict": verdict, **found, **gap}


def _temperature(rows: list[dict[str, Any]], smooth: str, chosen: Setting) -> dict[str, Any]:
    """Which T may be the best one under the teacher of the answer."""
    alpha = chosen[1]
    if smooth in {"yes", "no"} and (alpha > 0) != (smooth == "yes"):  # the other side was chosen on validation
        alpha = min(
            (row for row in rows if (row["label_smoothing"] > 0) == (smooth == "yes")), key=lambda row: row["behind"]
        )["label_smoothing"]
    own = [
        row
        for row in rows
        if row["label_smoothing"] == alpha and row["objective"] == chosen[0] and has_temperature(row["objective"])
    ]
    by = {
        relation: sorted(row["temperature"] for row in own if row["relation"] in kinds)
        for relation, kinds in (("as_good", {"best", "tied"}), ("open", {"undecided"}), ("behind", {"worse"}))
    }
    return {"label_smoothing": alpha, **by, "unlike": sorted(row["temperature"] for row in own if not row["alike"])}


def _teacher(study: Blocks, chosen: Setting, comparison: Comparison | None) -> dict[str, Any]:
    """The chosen setting against the best student without a teacher."""
    control = study.best_control
    if control is None or chosen not in study.settings:
        return {"verdict": "not asked"}
    compared = study.with_control(control)
    own = t_interval(control[study.column].to_numpy())
    facts: dict[str, Any] = {"mean": own.mean, "low": _known(own.low), "high": _known(own.high), "n": own.n}
    facts |= {key: control[key].iloc[0] for key in ("objective", "label_smoothing")}
    sign = study.metric.sign
    if compared is not None:
        gap = compared.difference(study.settings.index(chosen), len(study.settings))
        mean, low, high = sign * gap.mean, *sorted((sign * gap.low, sign * gap.high))
    else:
        mean, low, high = _over_teachers(study, chosen, control, comparison)
    facts |= {"difference": _known(mean), "difference_low": _known(low), "difference_high": _known(high)}
    margin = study.margin
    if study.alone or not (math.isfinite(low) and math.isfinite(high)):
        verdict = "open"
    elif low > 0:
        verdict = "better"
    elif high < 0:
        verdict = "worse"
    else:
        verdict = "as good" if -margin <= low and high <= margin else "open"
    return {"verdict": verdict, **facts}


def _over_teachers(
    study: Blocks, chosen: Setting, control: pd.DataFrame, comparison: Comparison | None
) -> tuple[float, float, float]:
    """Over teacher seeds that share student seeds: their means against the control's seeds, as two samples (Welch).

    Images are added. That students share seeds with the control is not used, so the interval is rather too wide.
    Controls are few, one a seed: the spread of students of one teacher stands for theirs.
    """
    ours, theirs = study.scores_of(chosen).to_numpy(), control[study.column].to_numpy(dtype=float)
    mean = study.metric.sign * float(ours.mean() - theirs.mean())
    if len(ours) < 2 or comparison is None or not math.isfinite(comparison.residual_sd):
        return mean, -math.inf, math.inf
    # Of one student: what is compared are means over the students of a teacher.
    of_one = comparison.residual_sd**2 * len(study.students_of(chosen)) / len(ours)
    parts = [
        (float(ours.var(ddof=1)) / len(ours), len(ours) - 1),
        (of_one / len(theirs), max(1, comparison.degrees_of_freedom)),
    ]
    images = study.image_variance(study.students_of(chosen), control)
    variance = sum(part for part, _ in parts) + images
    known = sum(part**2 / freedom for part, freedom in parts)
    if variance == 0:
        return mean, mean, mean
    half = float(stats.t.ppf(0.975, variance**2 / known if known else 1e9)) * math.sqrt(variance)
    return mean, mean - half, mean + half


def _settle(study: Blocks, comparison: Comparison | None, smooth: str, alike: bool) -> dict[str, Any]:
    """What would settle whether to smooth, where that is open; and whether it is known for new teachers."""
    if smooth == "not asked":
        return {"kind": "nothing"}
    if smooth != "open":
        return {"kind": "nothing" if study.teachers > 1 else "teachers"}
    if study.alone or comparison is None:
        return {"kind": "units", "number": None}
    try:
        number = seeds_needed(comparison, sides={i: s[1] > 0 for i, s in enumerate(study.settings)})
    except ValueError:  # the design has no such error: one teacher of a kind
        return {"kind": "teachers"}
    if number == 0:  # open because some were not trained alike, or because two sides are only just told apart
        return {"kind": "units", "number": None} if alike else {"kind": "training"}
    return {"kind": "samples"} if number is None else {"kind": "units", "number": number}


def _of(rows: list[dict[str, Any]], setting: Setting) -> dict[str, Any]:
    return next((row for row in rows if tuple(row[key] for key in KEY) == setting), {})


def _known(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None

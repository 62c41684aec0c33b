"""How often the set that may be best holds the truth, and how often it leaves one side.

`python -m science.comparison_simulation`: planted truths go through the whole procedure, beside the rule used before
(paired t-tests against the best mean, Holm). The table is for docs/statistics.md; 2,000 runs take about six minutes of
one core, `--quick` a tenth of that.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from tosmooth.analysis.crossed import image_variances
from tosmooth.analysis.inference import holm
from tosmooth.analysis.more_blocks import spent_confidence
from tosmooth.analysis.multiple_comparison import compare_settings

Floats = NDArray[np.float64]
HAIR = 1e-9  # by which the best one is better where "all others equal it": the hardest case for the set
LOOKS, PER_LOOK = 4, 3


@dataclass(frozen=True)
class Truth:
    """What is planted; the students' sd is 1 unless said otherwise.

    Attributes:
        name: of the row.
        means: (C,), the first half on one side, the second half on the other.
        blocks: B.
        sds: (C,) of single cells; None = 1.
        missing: share of cells that are lost.
        teachers: sd of what a teacher's luck adds to all its students; blocks are teacher seeds then.
        with_plots: whether the analysis is told of teachers.
        images: how many images are answered right or wrong; 0 = scores are normal.
        with_images: whether the analysis is told of images.
        looks: whether blocks come three at a time and settings that have left the set get no more.
    """

    name: str
    means: Floats
    blocks: int = 6
    sds: Floats | None = None
    missing: float = 0.0
    teachers: float = 0.0
    with_plots: bool = False
    images: int = 0
    with_images: bool = False
    looks: bool = False


def level(count: int, best: int = 0) -> Floats:
    """All equal, `best` by a hair."""
    means = np.zeros(count)
    means[best] = HAIR
    return means


def sloping(count: int, gap: float) -> Floats:
    """Each side falls by 0.3 a setting; the second side is `gap` below the first."""
    half = count // 2
    steps = -0.3 * np.arange(half)
    return np.concatenate([steps, steps - gap])


def halves(count: int, other: float) -> Floats:
    """Standard deviations: 1 on even settings, `other` on odd ones."""
    return np.where(np.arange(count) % 2 == 0, 1.0, other)


def lone(count: int, other: float) -> Floats:
    """Standard deviations: 1, but `other` for the last setting."""
    return np.where(np.arange(count) == count - 1, other, 1.0)


def truths() -> list[Truth]:
    """The rows of the table."""
    tied = np.array([0.0, -1, -1, -1, 0, -1, -1, -1])
    root = 3**0.5
    rows = [Truth(f"all equal, {c} settings, {b} blocks", np.zeros(c), b)
            for c, b in ((2, 6), (4, 2), (8, 2), (8, 3), (8, 6), (8, 12), (16, 4), (40, 6))]  # fmt: skip
    rows += [Truth(f"one side 1.5 sd better, 8 settings, {b} blocks", sloping(8, 1.5), b) for b in (2, 3, 4, 6, 12)]
    rows += [
        Truth("one side 1.5 sd better, 40 settings, 6 blocks", sloping(40, 1.5)),
        Truth("two tied, one on each side, 8 settings, 6 blocks", tied),
        Truth("two tied, one on each side, 8 settings, 12 blocks", tied, 12),
    ]
    for name, best in (("a precise one", 0), ("an imprecise one", 7)):
        rows += [
            Truth(f"variances 1 : 3, best is {name}, {b} blocks", level(8, best), b, halves(8, root))
            for b in (3, 6, 12)
        ]
        rows += [
            Truth(f"variances 1 : 9, best is {name}, {b} blocks", level(8, best), b, halves(8, 3.0)) for b in (3, 6, 12)
        ]
    rows += [
        Truth("variances 1 : 3, 4 settings, best is an imprecise one, 6 blocks", level(4, 3), 6, halves(4, root)),
        Truth("a lone setting of variance 3, the best, 6 blocks", level(8, 7), 6, lone(8, root)),
        Truth("a lone setting of variance 9, the best, 6 blocks", level(8, 7), 6, lone(8, 3.0)),
        Truth("a fifth of cells missing, all equal, 6 blocks", np.zeros(8), missing=0.2),
        Truth("a fifth of cells missing, one side 1.5 sd better, 6 blocks", sloping(8, 1.5), missing=0.2),
        Truth("300 images, all equal, 6 blocks", np.zeros(8), images=300, with_images=True),
        Truth("300 images, the same, images not counted", np.zeros(8), images=300),
    ]
    told = {"with_plots": True}
    for sd in (0.0, 1.0, 3.0):
        rows += [Truth(f"teachers {sd:g} sd apart, all equal, {b} of each", np.zeros(8), b, teachers=sd, **told)
                 for b in (3, 6)]  # fmt: skip
    rows += [
        Truth("teachers 3 sd apart, the same, teachers not counted, 3 of each", np.zeros(8), 3, teachers=3.0),
        *(
            Truth(f"teachers 1 sd apart, one side 3 sd better, {b} of each", sloping(8, 3.0), b, teachers=1.0, **told)
            for b in (4, 6)
        ),
        Truth("teachers 3 sd apart, one of each", np.zeros(8), 1, teachers=3.0, with_images=True, **told),
        Truth("until sure, all equal", np.zeros(8), 12, looks=True),
        Truth("until sure, best by a hair", level(8), 12, looks=True),
        Truth("until sure, one side 1.5 sd better", sloping(8, 1.5), 12, looks=True),
        Truth("until sure, one side 0.75 sd better", sloping(8, 0.75), 12, looks=True),
        Truth("until sure, two tied, one on each side", tied, 12, looks=True),
    ]
    return rows


def answers(truth: Truth, random: np.random.Generator) -> Floats:
    """(C, B, n): right or wrong. Images differ in difficulty, and in which setting they suit."""
    count = len(truth.means)
    ease = random.normal(1.0, 1.5, truth.images) + random.normal(0, 0.7, (count, 1, truth.images))
    seeds = random.normal(0, 0.05, (count, truth.blocks, 1))
    chance = 1 / (1 + np.exp(-(ease + seeds + truth.means[:, None, None])))
    return np.asarray(random.random(chance.shape) < chance, dtype=np.float64)


def scores(truth: Truth, random: np.random.Generator) -> Floats:
    """(B, C), NaN where a cell is lost."""
    count = len(truth.means)
    values = truth.means + random.normal(size=(truth.blocks, count)) * (1.0 if truth.sds is None else truth.sds)
    values += random.normal(0, 2, (truth.blocks, 1))
    values += np.repeat(random.normal(size=(truth.blocks, 2)) * truth.teachers, count // 2, axis=1)
    lost = random.random(values.shape) < truth.missing
    lost[0] = False
    return np.where(lost, np.nan, values)


def old_rule(values: Floats) -> list[int]:
    """Settings that paired t-tests against the best mean do not show to be worse: Holm, 5 %."""
    if len(values) < 2:
        return list(range(values.shape[1]))
    best = int(np.nanmean(values, axis=0).argmax())
    behind = values[:, [best]] - values
    number = (~np.isnan(behind)).sum(axis=0)
    mean = np.nanmean(behind, axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = mean / np.sqrt(np.nansum((behind - mean) ** 2, axis=0) / (number - 1) / number)
        p = np.where(number > 1, 2 * stats.t.sf(np.abs(t), np.maximum(number - 1, 1)), np.nan)
    others = [i for i in range(values.shape[1]) if i != best]
    adjusted = holm([float(p[i]) for i in others])
    return sorted([best, *(i for i, q in zip(others, adjusted, strict=True) if not q < 0.05)])


def until_sure(truth: Truth, values: Floats, sides: NDArray[np.int64]) -> list[int]:
    """The set after the last look; settings that leave it get no more blocks, and never come back."""
    there = np.full_like(values, np.nan)
    left = list(range(len(truth.means)))
    for look in range(1, LOOKS + 1):
        rows = slice((look - 1) * PER_LOOK, look * PER_LOOK)
        there[rows, left] = values[rows, left]
        found = compare_settings(pd.DataFrame(there[: rows.stop]), confidence=spent_confidence(LOOKS, look))
        left = [column for column in left if column in found.could_be_best] or left
        if len(set(sides[left])) == 1:
            break
    return left


def one_run(truth: Truth, random: np.random.Generator, sides: NDArray[np.int64]) -> tuple[list[Any], list[int]]:
    """Settings left by the new rule, and by the old one."""
    images = None
    if truth.images:
        correct = answers(truth, random)
        values = 100 * correct.mean(axis=2).T
        images = image_variances(dict(enumerate(correct))) if truth.with_images else None
    else:
        values = scores(truth, random)
        if truth.with_images:
            images = 0.2 * (1 - np.eye(len(truth.means)))
    if truth.looks:
        return until_sure(truth, values, sides), old_rule(values)
    plots = dict(enumerate(sides.tolist())) if truth.with_plots else None
    return compare_settings(pd.DataFrame(values), plots=plots, image_variance=images).could_be_best, old_rule(values)


def row(truth: Truth, runs: int) -> dict[str, str]:
    """One row of the table: shares over the runs, in percent."""
    random = np.random.default_rng(20240229)
    count = len(truth.means)
    sides = (np.arange(count) >= count // 2).astype(np.int64)
    best = np.flatnonzero(truth.means >= truth.means.max())
    held, one_side, false = np.zeros(2), np.zeros(2), np.zeros(2)
    for _ in range(runs):
        for rule, left in enumerate(one_run(truth, random, sides)):
            # Of several best ones: the chance of each by itself, which is what the confidence is about.
            held[rule] += np.isin(best, left).mean() / runs
            seen = set(sides[left])
            if len(seen) == 1:
                one_side[rule] += 1 / runs
                false[rule] += bool(set(sides[best]) - seen) / runs
    # One student of each says nothing of new ones: there, the set is about these students.
    coverage = f"{100 * held[0]:.1f}" if truth.blocks > 1 else "of these students"
    return {
        "truth": truth.name,
        "coverage": coverage,
        "one side left": f"{100 * one_side[0]:.1f}",
        "old rule": f"{100 * one_side[1]:.1f}",
        "false claims": f"{100 * false[0]:.1f}",
        "old rule's": f"{100 * false[1]:.1f}",
    }


def table(rows: Iterator[dict[str, str]]) -> Iterator[str]:
    """Lines of Markdown, each as soon as its row is there."""
    for number, one in enumerate(rows):
        if not number:
            yield f"| {' | '.join(one)} |"
            yield f"| --- |{' --: |' * (len(one) - 1)}"
        yield f"| {' | '.join(one.values())} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--quick", action="store_true", help="a tenth of the runs")
    given = parser.parse_args()
    runs = max(20, given.runs // 10) if given.quick else given.runs
    for line in table(row(truth, runs) for truth in truths()):
        print(line, flush=True)
    print(f"\n{runs} runs a row: a share of 95 % is known to ± {100 * 2 * (0.95 * 0.05 / runs) ** 0.5:.1f} points.")


if __name__ == "__main__":
    main()

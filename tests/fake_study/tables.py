"""Grids of explicit numbers, as input for the advice: what a study's tables look like for a given truth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

TEMPERATURES = (1.0, 2.0, 64.0)


def cell_name(alpha: float, temperature: float, seed: int) -> str:
    """What a study calls this student."""
    return f"hinton-a{alpha:g}-T{temperature:g}-resnet8-s{seed}"


def identity(alpha: float, temperature: float, seed: int) -> dict[str, Any]:
    """The first columns of a student's row, in the order of `results.csv`."""
    return {
        "cell": cell_name(alpha, temperature, seed),
        "objective": "hinton",
        "label_smoothing": alpha,
        "temperature": float(temperature),
        "student": "resnet8",
        "seed": seed,
    }


def results_table(
    score: Callable[[float, float], float],
    *,
    seeds: int = 6,
    noise: float = 0.1,
    test_shift: float = -1.0,
    teacher_offs: Sequence[float] = (0.0,),
) -> pd.DataFrame:
    """One row per cell, validation top-1 = score(α, T) plus seeded noise that the cells of a seed share in part.

    `teacher_offs`: points by which the smoothed teacher's students are off, one number per teacher seed.
    """
    random = np.random.default_rng(0)
    rows = []
    for (teacher_seed, off), seed in product(enumerate(teacher_offs), range(seeds)):
        shared = random.normal(0, noise)
        for alpha in (0.0, 0.1):
            for temperature in TEMPERATURES:
                value = score(alpha, temperature) + shared + random.normal(0, noise) + (off if alpha > 0 else 0.0)
                rows.append(
                    {
                        **identity(alpha, temperature, seed),
                        **({"teacher_seed": teacher_seed} if len(teacher_offs) > 1 else {}),
                        "status": "done",
                        "val/top1": value,
                        "test/top1": value + test_shift,
                    }
                )
    return pd.DataFrame(rows)


def diffusion_table(
    etas: Callable[[float, float], tuple[float, float]],
    *,
    seeds: int = 6,
    noise: float = 0.005,
    teacher_etas: Sequence[float] = (0.0,),
) -> pd.DataFrame:
    """η of every cell in its declared form: (η_S1, η_S2) = etas(α, T) plus seeded noise; 0 at T₀ = 1.

    `teacher_etas`: by how much η_S1 of the smoothed teacher's students is off, one number per teacher seed.
    """
    random = np.random.default_rng(1)
    rows = []
    for (teacher_seed, off), seed in product(enumerate(teacher_etas), range(seeds)):
        for alpha in (0.0, 0.1):
            for temperature in TEMPERATURES:
                s1, s2 = (0.0, 0.0) if temperature == 1 else etas(alpha, temperature)
                s1 += off if alpha > 0 and temperature != 1 else 0.0
                spread = 0.0 if temperature == 1 else noise
                rows.append(
                    {
                        **{key: value for key, value in identity(alpha, temperature, seed).items() if key != "student"},
                        **({"teacher_seed": teacher_seed} if len(teacher_etas) > 1 else {}),
                        "split": "train",
                        "normalisation": "mean_distance",
                        "debiased": False,
                        "reference_temperature": 1.0,
                        "eta_s1": s1 + random.normal(0, spread),
                        "eta_s2": s2 + random.normal(0, spread),
                        "reliable": True,
                    }
                )
    return pd.DataFrame(rows)


def teacher_rows(plain: float = 92.0, smoothed: float = 92.5) -> pd.DataFrame:
    return pd.DataFrame({"teacher": ["a0-s0", "a0.1-s0"], "label_smoothing": [0.0, 0.1], "val/top1": [plain, smoothed]})

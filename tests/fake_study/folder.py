"""Writes a small study directory from explicit numbers, as a finished run would leave it: input data for the report.

Nothing random: seeds deviate from a setting's mean by the fixed `SPREAD`, so every expected text can be worked by hand.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import torch
import yaml

from tests.fake_study.tables import cell_name, identity
from tosmooth.advice.advise import conclude
from tosmooth.folder.judged import keep_judged

SPREAD = (-0.2, 0.0, 0.2, -0.1, 0.1, 0.0)  # top-1 points by which a seed lies off its setting's mean
HOSTILE = "</script><script>alert(1)</script>"
CLASSES = ("T-shirt", "Trouser", "Pullover", "Dress", "Coat")

# Mean test top-1 by (α, T), in percent.
WITH_EFFECT = {(0.0, 1): 87.1, (0.0, 2): 87.3, (0.0, 3): 87.0, (0.0, 64): 86.7,
               (0.1, 1): 88.0, (0.1, 2): 87.2, (0.1, 3): 86.4, (0.1, 64): 84.9}  # fmt: skip
WITHOUT_EFFECT = {(0.0, 1): 87.1, (0.0, 2): 87.2, (0.0, 3): 87.1, (0.0, 64): 87.1,
                  (0.1, 1): 87.0, (0.1, 2): 87.1, (0.1, 3): 87.1, (0.1, 64): 87.0}  # fmt: skip


@dataclass
class Variant:
    """What differs between the studies of the tests."""

    effect: bool = True
    seeds: int = 6
    alphas: tuple[float, ...] = (0.0, 0.1)
    temperatures: tuple[float, ...] = (1, 2, 3, 64)
    classes: tuple[str, ...] = CLASSES
    name: str = "demo"
    preview: bool = False
    validation: bool = True
    failed: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()
    students: bool = False  # with their folders: learning curves, answers on test, and weights of 320,000 bytes
    skip: tuple[str, ...] = ()  # files left out, relative to the study
    config: dict[str, Any] = field(default_factory=dict)

    def top1(self, alpha: float, temperature: float) -> float:
        table = WITH_EFFECT if self.effect else WITHOUT_EFFECT
        known = table.get((alpha, temperature))  # type: ignore[call-overload]
        return known if known is not None else 86.0 - alpha - 0.01 * temperature

    def eta(self, alpha: float, temperature: float, quantity: str) -> float:
        """η grows with log T; with the effect, far more for the smoothed teacher."""
        slope = {"eta_s1": 0.02 if self.effect and alpha > 0 else 0.001, "eta_s2": -0.004 if self.effect else 0.001}
        return slope[quantity] * math.log2(temperature)


def write_study(folder: Path, variant: Variant | None = None) -> Path:
    """Write the study and return its folder."""
    v = variant or Variant()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "analysis").mkdir(exist_ok=True)
    cells = _cells(v)
    files: dict[str, Any] = {
        "study.yaml": _config(v),
        "environment.json": ENVIRONMENT,
        "results.csv": cells,
        "teachers.csv": _teachers(v),
        "analysis/diffusion.csv": _diffusion(v),
        "analysis/diffusion_summary.csv": _summary(v),
        "analysis/diffusion_classes.csv": _class_diffusion(v),
        "analysis/similarity.json": {
            "source": "geometry of the teacher with α = 0", "weaker_evidence": 0.0 not in v.alphas, "m": 1,
            "classes": list(v.classes), "similar": {str(i): [(i + 1) % len(v.classes)] for i in range(len(v.classes))},
            "dissimilar": {str(i): [(i + 2) % len(v.classes)] for i in range(len(v.classes))},
            "dissimilar_source": "the 1 farthest classes, by the geometry of the teacher with α = 0", "notes": [],
            "compared": [{"source": "super-classes of the data set", "share": 0.5, "chance": 0.25,
                          "similar": {str(i): [] for i in range(len(v.classes))}}],
        },
        "analysis/projection.csv": _projection(v),
        "analysis/projection.json": {
            "classes": [0, 2, 1], "names": [v.classes[0], v.classes[2], v.classes[1]], "similar": [0, 2], "other": 1,
            "plane": "algorithm 1", "seed": 0,
        },
        "analysis/calibration.csv": _calibration(v),
        "analysis/views.csv": _views(v),
        "analysis/views.json": _views_info(v),
        "analysis/inheritance.csv": _inheritance(v),
        "analysis/advice.json": _advice(v),
        "analysis/verdict.json": _verdict(v),
    }  # fmt: skip
    if v.unreadable:
        files["unreadable.csv"] = pd.DataFrame({"image": v.unreadable})
    for name, content in files.items():
        if name in v.skip:
            continue
        path = folder / name
        if isinstance(content, pd.DataFrame):
            content.to_csv(path, index=False)
        elif name.endswith(".yaml"):
            path.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
        else:
            path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    if v.students:
        _write_students(folder, v)
    return folder


EPOCHS = 3
CONFUSED = {(0, 2): 30, (2, 0): 20, (4, 2): 10}  # images of 100 a class, by (label, taken for); the others are right


def _write_students(folder: Path, v: Variant) -> None:
    """Curves that climb by two points an epoch to the kept figure; answers that are the same of all."""
    answers = torch.arange(len(v.classes)).repeat_interleave(100).repeat(2, 1)
    for (true, taken), count in CONFUSED.items():
        first = 100 * true
        answers[0, first : first + count] = taken
    answers[:, -1] = -1  # could not be read
    for _, cell in _cells(v).iterrows():
        student = folder / "students" / cell["cell"]
        student.mkdir(parents=True)
        lines = [{"epoch": e, "val/top1": cell["val/top1"] - 2 * (EPOCHS - e)} for e in range(1, EPOCHS + 1)]
        (student / "metrics.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")
        keep_judged(student, "test", (answers[0] == answers[1]).to(torch.int8), answers.to(torch.int32))
        (student / "model.safetensors").write_bytes(bytes(320_000))


ENVIRONMENT = {
    "tosmooth": "0.1.0", "python": "3.11.2", "torch": "2.9.0", "torchvision": "0.24.0", "timm": "1.0.20",
    "platform": "Linux", "cpu": "two cores", "threads": 2, "gpu": None, "git": "abc1234",
    "started": "2030-01-02T03:04:05+00:00", "finished": "2030-01-02T03:11:06+00:00", "seconds": 421.0, "device": "cpu",
    "precision": "float32", "command": "tosmooth study",
}  # fmt: skip


def _config(v: Variant) -> dict[str, Any]:
    return {
        "name": v.name, "description": "a small study", "preview": v.preview, "selection": "auto",
        "data": {"source": "fashion_mnist_sample", "validation": 0.1 if v.validation else 0},
        "teacher": {"model": {"name": "resnet20"}, "epochs": 15, "label_smoothing": list(v.alphas)},
        "student": {"model": {"name": "resnet8"}, "epochs": 5, "temperatures": list(v.temperatures),
                    "objectives": ["hinton"], "seeds": list(range(v.seeds))},
        "analysis": {"margin": 0.5},
    } | v.config  # fmt: skip


def _grid(v: Variant) -> list[tuple[float, int, int]]:
    return [(a, t, s) for s in range(v.seeds) for a in v.alphas for t in v.temperatures]


def _cells(v: Variant) -> pd.DataFrame:
    rows = []
    for alpha, temperature, seed in _grid(v):
        name = cell_name(alpha, temperature, seed)
        row: dict[str, Any] = identity(alpha, temperature, seed) | {
            "teacher": f"a{alpha:g}-s0", "teacher_seed": 0,
            "status": "failed" if name in v.failed else "done",
            "failure": f"{name}: the loss became infinite" if name in v.failed else None,
        }  # fmt: skip
        if name not in v.failed:
            # The seed's deviation grows with T, else paired differences would have no spread at all.
            top1 = v.top1(alpha, temperature) + SPREAD[seed] * (1 + 0.1 * v.temperatures.index(temperature))
            ece = 0.02 + 0.01 * math.log2(temperature) + alpha / 5
            row |= {
                "selected_epoch": 5, "selection": "best" if v.validation else "last", "parameters": 78042,
                "train/loss": 0.31, "test/top1": top1, "test/top5": 99.4, "test/nll": 0.35, "cal/ece": ece,
                "diffusion/eta_s1": v.eta(alpha, temperature, "eta_s1") + SPREAD[seed] / 50,
                "diffusion/eta_s2": v.eta(alpha, temperature, "eta_s2"), "cal/temperature": 1.5 - 4 * alpha,
                "cal/ece_fitted": 0.01 + SPREAD[seed] / 1000, "cal/aurc": 0.03 + alpha / 10,
                "test/macro_f1": top1 - 0.2, "test/worst_class": top1 - 20, "test/agreement": 92 - 10 * alpha,
            }  # fmt: skip
            if v.validation:
                row |= {"val/top1": top1 + 0.3, "val/top5": 99.5, "val/nll": 0.34, "cal/ece_val": ece}
        rows.append(row)
    return pd.DataFrame(rows)


def _teachers(v: Variant) -> pd.DataFrame:
    return pd.DataFrame(
        {"teacher": f"a{a:g}-s0", "label_smoothing": a, "seed": 0, "status": "done", "selected_epoch": 15,
         "selection": "best", "val/top1": 90.2 + 5 * a, "val/nll": 0.3, "cal/ece_val": 0.03 + a / 5,
         "test/top1": 90.0 + 5 * a, "test/top5": 99.6, "test/nll": 0.29, "cal/ece": 0.03 + a / 5,
         "cal/temperature": 1.5 - 4 * a, "cal/ece_fitted": 0.01, "cal/aurc": 0.02, "test/macro_f1": 90.0,
         "test/worst_class": 71.0}
        for a in v.alphas
    )  # fmt: skip


FORMS = [(norm, debiased) for norm in ("mean_distance", "within_spread", "none") for debiased in (False, True)]


def _splits(v: Variant) -> list[str]:
    return ["train", "val"] if v.validation else ["train"]


def _diffusion(v: Variant) -> pd.DataFrame:
    rows = []
    for alpha, temperature, seed in _grid(v):
        for split in _splits(v):
            for norm, debiased in FORMS:
                off = SPREAD[seed] / 50 if temperature > min(v.temperatures) else 0.0
                rows.append(
                    identity(alpha, temperature, seed)
                    | {"split": split,
                     "normalisation": norm, "debiased": debiased, "reference_temperature": float(min(v.temperatures)),
                     "eta_s1": v.eta(alpha, temperature, "eta_s1") + off,
                     "eta_s2": v.eta(alpha, temperature, "eta_s2"), "reliable": True}
                )  # fmt: skip
    return pd.DataFrame(rows)


def _summary(v: Variant) -> pd.DataFrame:
    """Intervals as explicit numbers: half widths of 0.003 for η and 0.004 for the contrast."""
    rows = []
    for alpha in v.alphas:
        for temperature in v.temperatures:
            s1, s2 = v.eta(alpha, temperature, "eta_s1"), v.eta(alpha, temperature, "eta_s2")
            values = {"eta_s1": (s1, 0.003), "eta_s2": (s2, 0.003), "eta_s1-eta_s2": (s1 - s2, 0.003)}
            if alpha > 0 and 0.0 in v.alphas:
                plain = v.eta(0.0, temperature, "eta_s1") - v.eta(0.0, temperature, "eta_s2")
                values["contrast"] = (s1 - s2 - plain, 0.004)
            for split in _splits(v):
                for norm, debiased in FORMS:
                    for quantity, (mean, half) in values.items():
                        one = v.seeds == 1
                        rows.append(
                            {"objective": "hinton", "student": "resnet8", "label_smoothing": alpha,
                             "temperature": float(temperature),
                             "split": split, "normalisation": norm, "debiased": debiased, "quantity": quantity,
                             "n": v.seeds, "mean": mean, "low": None if one else mean - half,
                             "high": None if one else mean + half, "p": None if one else 0.03125 if v.effect else 0.5}
                        )  # fmt: skip
    return pd.DataFrame(rows)


def _class_diffusion(v: Variant) -> pd.DataFrame:
    return pd.DataFrame(
        {"objective": "hinton", "student": "resnet8", "label_smoothing": a, "temperature": float(t), "seed": s,
         "split": split,
         "class_index": i, "class_name": name, "eta_s1": v.eta(a, t, "eta_s1") * (1.6 - 0.3 * i),
         "eta_s2": v.eta(a, t, "eta_s2")}
        for a, t, s in _grid(v) for split in _splits(v) for i, name in enumerate(v.classes)
    )  # fmt: skip


def _projection(v: Variant, points: int = 12) -> pd.DataFrame:
    """Three round clusters; the two similar ones approach each other with log T where there is an effect."""
    rows = []
    models = [("teacher", f"a{a:g}-s0", a, None) for a in v.alphas]
    models += [("student", cell_name(a, t, 0), a, t) for a in v.alphas for t in v.temperatures]
    for role, name, alpha, temperature in models:
        near = 1.5 - (0.1 * math.log2(temperature) if temperature and v.effect and alpha > 0 else 0)
        centres = {0: (-near / 2, 0.0), 2: (near / 2, 0.0), 1: (0.0, 3.0)}
        for split in _splits(v):
            for index, (cx, cy) in centres.items():
                identity = {"role": role, "name": name, "label_smoothing": alpha, "temperature": temperature, "seed": 0,
                            "split": split, "class_index": index, "class_name": v.classes[index]}  # fmt: skip
                rows.append(identity | {"kind": "centroid", "x": cx, "y": cy})
                for k in range(points):
                    # The golden angle fills a disc evenly without any chance.
                    radius, angle = 0.5 * math.sqrt((k + 0.5) / points), 2.39996 * k
                    x, y = cx + radius * math.cos(angle), cy + radius * math.sin(angle)
                    rows.append(identity | {"kind": "point", "x": round(x, 5), "y": round(y, 5)})
    return pd.DataFrame(rows)


def _calibration(v: Variant) -> pd.DataFrame:
    rows = []
    models = [("teacher", f"a{a:g}-s0", a, None, 0) for a in v.alphas]
    models += [("student", cell_name(a, t, s), a, float(t), s) for a, t, s in _grid(v)]
    for role, name, alpha, temperature, seed in models:
        for b in range(5, 15):
            confidence = (b + 0.5) / 15
            shift = alpha * 0.6 - 0.02 + (0.01 * math.log2(temperature) if temperature else 0)
            rows.append(
                {"role": role, "name": name, "label_smoothing": alpha, "temperature": temperature, "seed": seed,
                 "split": "test", "bin": b, "confidence": confidence, "accuracy": min(1.0, confidence + shift),
                 "count": 40 * (b - 3) ** 2}
            )  # fmt: skip
    return pd.DataFrame(rows)


def _views(v: Variant) -> pd.DataFrame:
    calibration = {"cal/ece": 0.05, "cal/ece_val": 0.06, "test/nll": 0.35, "val/nll": 0.34}
    teachers = [
        {"role": "teacher", "name": f"a{a:g}-s0", "teacher": f"a{a:g}-s0", "objective": None, "label_smoothing": a,
         "temperature": None, "teacher_seed": 0, "seed": 0, "compactness": 0.4 - 2 * a, "compactness_val": 0.5 - 2 * a,
         "stability": 0.9 + a / 2, "mi_similar": 2.5 - 8 * a, "mi_dissimilar": 3.0 - 8 * a, "smoothness": 0.05 + a}
        for a in v.alphas
    ]  # fmt: skip
    students = [
        {"role": "student", "name": cell_name(a, t, s), "teacher": f"a{a:g}-s0", "objective": "hinton",
         "label_smoothing": a, "temperature": float(t), "teacher_seed": 0, "seed": s, "compactness": 0.6 - a,
         "compactness_val": 0.7 - a, "smoothness": 0.5}
        for a, t, s in _grid(v)
    ]  # fmt: skip
    return pd.DataFrame(teachers + students).assign(**calibration)


def _views_info(v: Variant) -> dict[str, Any]:
    return {
        "similar": [v.classes[0], v.classes[2]], "dissimilar": [v.classes[0], v.classes[1]],
        "smoothness": {f"a{a:g}-s0": {f"{t:g}": 0.05 + a + 0.01 * t for t in v.temperatures} for a in v.alphas},
        "images": 900, "mi_images": 200, "mi_views": 8, "mi_augmentation": "shifts by up to 2 pixels",
    }  # fmt: skip


def _inheritance(v: Variant) -> pd.DataFrame:
    rows = []
    for a in v.alphas:
        for t in v.temperatures:
            row: dict[str, Any] = {
                "objective": "hinton", "student": "resnet8", "label_smoothing": a, "temperature": float(t),
                "n": v.seeds, "teacher_ece": 0.03 + a / 5, "ece": 0.03 + a / 4,
            }  # fmt: skip
            if a > 0 and 0.0 in v.alphas:
                row |= {"teacher_gap": a / 5, "gap": a / 4, "low": a / 4 - 0.004, "high": a / 4 + 0.004, "p": 0.01,
                        "p_holm": 0.04, "relation": "inherited"}  # fmt: skip
            rows.append(row)
    columns = ["teacher_gap", "gap", "low", "high", "p", "p_holm", "relation"]
    return pd.DataFrame(rows).reindex(columns=[*rows[0].keys() - set(columns), *columns])


def _best(v: Variant) -> tuple[float, int]:
    return max(((a, t) for a in v.alphas for t in v.temperatures), key=lambda key: v.top1(*key))


def _advice(v: Variant) -> dict[str, Any]:
    alpha, temperature = _best(v)
    best = v.top1(alpha, temperature)
    comparisons = [
        {"objective": "hinton", "label_smoothing": a, "temperature": t, "student": "resnet8",
         "difference": best - v.top1(a, t), "low": best - v.top1(a, t) - 0.13, "high": best - v.top1(a, t) + 0.13,
         "p": None if (a, t) == (alpha, temperature) else 0.002, "p_holm": None, "n": v.seeds,
         "relation": "best" if (a, t) == (alpha, temperature) else "worse" if best - v.top1(a, t) > 0.5 else "tied"}
        for a in v.alphas for t in v.temperatures
    ]  # fmt: skip
    place = {"label_smoothing": v.alphas[-1], "temperature": float(v.temperatures[-1])}
    s1, s2 = (v.eta(v.alphas[-1], v.temperatures[-1], quantity) for quantity in ("eta_s1", "eta_s2"))
    means = {"eta_s1": s1, "eta_s2": s2, "eta_s1-eta_s2": s1 - s2, "contrast": s1 - s2}
    etas = [
        place | {"quantity": quantity, "mean": mean, "low": mean - 0.004, "high": mean + 0.004, "n": v.seeds}
        for quantity, mean in means.items()
    ]
    at = list(place.values())
    effect = {"verdict": "shown", "reason": None, "at": None, "shown": [at], "temperatures": at[1:]}
    none = {"verdict": "not shown", "reason": "dissimilar", "at": at, "shown": [], "temperatures": []}
    behind = {"behind": {"mean": 0.1, "low": -0.1, "high": 0.3, "n": v.seeds}}
    return {
        "frozen_at": "2030-01-02T03:10:00+00:00", "metric": "val/top1", "selection": "best", "margin": 0.5,
        "effect": (effect if v.effect else none) | {"unit": "seed", "opposed": [], "eta": etas},
        "recommendation": {"objective": "hinton", "label_smoothing": alpha, "temperature": temperature,
                           "student": "resnet8", "mean": best + 0.3, "low": best + 0.15,
                           "high": best + 0.45, "n": v.seeds},
        "comparisons": comparisons,
        "rule": {"verdict": "best", "agrees": True, "temperature": 1.0} if v.effect
        else {"verdict": "undecided", "agrees": None, "temperature": 1.0} | behind,
        "consequence": {"verdict": None, "rows": []},
        "caveats": [{"code": "one teacher"}],
    }  # fmt: skip


def _verdict(v: Variant) -> dict[str, Any]:
    """What test says, from the same figures as `results.csv` holds them."""
    cells = _cells(v)
    if not (cells["status"] == "done").any():
        return {}
    return conclude(_advice(v), cells, pd.DataFrame(), preview=v.preview)

"""A zoo of small teachers of known α: what `tosmooth audit` says of them, against the truth.

    python -m science.audit_zoo train --folder ~/zoo --data digits --seeds 0 1 2      # goes on where it stopped
    python -m science.audit_zoo table --folder ~/zoo --output docs/science

What the teachers are: `science/zoo_teachers.py`.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from science.zoo_teachers import DATA, TRAPS, train
from tosmooth.analysis.label_smoothing import judge
from tosmooth.analysis.mixed_answers import SHARES, ImageMixing, MixedAnswers
from tosmooth.analysis.mixing_rules import AskedAboutMixed
from tosmooth.analysis.smoothing_statistics import SmoothingStatistics
from tosmooth.audit.mixed import KINDS

ALPHAS = (0.0, 0.05, 0.1, 0.3)
FRESH = 100  # seeds from here on were trained after the rules of docs/audit.md were fixed, but for "surest answers" …
MIXING = {
    "mixup1": ImageMixing(1),
    "mixup0.2": ImageMixing(0.2),
    "cutmix": ImageMixing(0, 1),
    "both": ImageMixing(0.2, 1),
}
MIXED, MIXED_ASIDE = 300, 302  # seeds that were asked about mixed images, and the one of them that was scored once
ASIDE = 202  # … and this one was scored once, when that was fixed too


def train_all(args: argparse.Namespace) -> None:
    """Train what is not there yet, at most for so many minutes."""
    folder = args.folder / args.data
    folder.mkdir(parents=True, exist_ok=True)
    begun = time.monotonic()
    models = args.models or DATA[args.data].models
    for seed, model, trap, alpha in itertools.product(args.seeds, models, args.traps, args.alphas):
        path = folder / f"{model}_{trap}_a{alpha:g}_s{seed}.npz"
        if path.exists():
            continue
        if time.monotonic() - begun > 60 * args.minutes:
            print("not at the end yet; the same command goes on")
            return
        np.savez(path, **train(args.data, model, trap, alpha, seed), alpha=alpha)
    print("all there")


def judged(folder: Path) -> pd.DataFrame:
    """What is said of every teacher of the zoo, a row for each and each kind of data it is shown."""
    rows = []
    for path in sorted(folder.glob("*/*.npz")):
        model, trap, _, seed = path.stem.split("_")
        with np.load(path) as found:
            arrays = {name: torch.from_numpy(found[name]) for name in found.files}
        shown = {
            "training": (arrays["logits"], arrays["labels"], True),
            "validation": (arrays["val_logits"], arrays["val_labels"], False),
            "validation, not said": (arrays["val_logits"], arrays["val_labels"], None),
        }
        if trap == "noise":
            shown["training, true labels"] = (arrays["logits"], arrays["true_labels"], True)
        truth, answers = float(arrays["alpha"]), answers_of(arrays)
        if answers is not None:
            shown["training, and mixed"] = shown["training, and mixed as was said"] = shown["training"]
        for split, (logits, labels, known) in shown.items():
            whole, asked = SmoothingStatistics(logits.shape[1]), None
            whole.update(logits, labels)
            if answers is not None and "mixed" in split:
                said = [MIXING.get(trap, ImageMixing())] if split.endswith("said") else None
                asked = AskedAboutMixed.of(answers, whole, said)
            estimate = judge(whole, training_data=known, rescaled=False, asked=asked)
            low, high = estimate.interval
            rows.append(
                {"data": path.parent.name, "model": model, "trap": trap, "alpha": truth, "seed": int(seed[1:])}
                | {"shown": split, "accuracy": estimate.evidence["accuracy"], "estimate": estimate.alpha}
                | {"low": low, "high": high, "covers": low <= truth <= high, "verdict": estimate.verdict}
                | {
                    key: estimate.evidence[key]
                    for key in ("moment", "median", "floor", "uneven", "uneven_nats", "tail", "surest")
                }
            )
    return pd.DataFrame(rows)


def answers_of(arrays: Mapping[str, torch.Tensor]) -> MixedAnswers | None:
    """A teacher's answers to mixed images; None of a zoo that was trained before any were asked about."""
    if "mix_logits" not in arrays:
        return None
    found = MixedAnswers(arrays["mix_logits"].shape[1])
    columns = [arrays[f"mix_{name}"] for name in ("logits", "first", "second", "share")]
    ways = list(itertools.product(KINDS, SHARES))
    for (kind, wanted), *part in zip(ways, *(column.chunk(len(ways)) for column in columns), strict=True):
        logits, first, second, share = part
        found.update(kind, wanted, float(share[0]), logits, first, second)
    return found


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """The same by what was done to the teachers, over models and seeds."""
    groups = rows.groupby(["shown", "data", "trap", "alpha"])
    table = groups.agg(
        teachers=("seed", "size"),
        accuracy=("accuracy", "mean"),
        estimate=("estimate", "mean"),
        low=("low", "mean"),
        high=("high", "mean"),
        covers=("covers", "mean"),
    )
    for verdict in ("smoothed", "not smoothed", "undecided"):
        table[verdict] = groups["verdict"].agg(lambda given, which=verdict: int((given == which).sum()))
    return table.reset_index()


def write_tables(args: argparse.Namespace) -> None:
    """`audit-zoo.csv`, one row a teacher, and `audit-zoo.md`, the summary."""
    rows = judged(args.folder)
    rows["wrong"] = [_wrong(row) for row in rows.to_dict("records")]
    rows["part"] = [_part(row) for row in rows.to_dict("records")]
    args.output.mkdir(parents=True, exist_ok=True)
    rows.round(4).to_csv(args.output / f"{args.name}.csv", index=False)
    lines = [
        "# Verdicts on teachers of known α",
        "",
        f"Written by `python -m science.audit_zoo table`; `{args.name}.csv` has a row for each teacher. Estimates,",
        "intervals and accuracies are means over models and seeds; *covers*: the share of intervals with the true α.",
        "",
    ]
    lines += ["## By what was done to the teacher, shown its training data", "", *_markdown(_short(rows)), ""]
    for shown, part in rows.groupby("shown", sort=False):
        lines += [
            f"## Shown: {shown}",
            "",
            *_markdown(_counts(part)),
            "",
            *_markdown(summary(part).drop(columns="shown")),
            "",
        ]
    (args.output / f"{args.name}.md").write_text("\n".join(lines), encoding="utf-8")
    print("\n".join(lines))


def _counts(rows: pd.DataFrame) -> pd.DataFrame:
    groups = rows.groupby("part")
    table = groups.agg(teachers=("seed", "size"), wrong=("wrong", "sum"), covers=("covers", "mean"))
    for verdict in ("smoothed", "not smoothed", "undecided"):
        table[verdict] = groups["verdict"].agg(lambda given, which=verdict: int((given == which).sum()))
    return table.reset_index()


def _part(row: Mapping[str, Any]) -> str:
    """Whether the bounds of the verdict were chosen on this teacher, or it was trained after the last of them was."""
    on_digits = row["data"] == "digits" and row["model"] in ("cnn", "mlp") and row["seed"] <= 2
    if on_digits or (row["data"] == "mixture" and row["seed"] == 0):
        return "calibration"
    if row["seed"] == MIXED:
        return "calibration"
    if row["seed"] in (ASIDE, MIXED_ASIDE):
        return "set aside"
    return "fresh" if row["seed"] >= FRESH else "verification"


def _short(rows: pd.DataFrame) -> pd.DataFrame:
    """A row for each trap, shown its training data: verdicts without and with smoothing, and the error of α̂."""
    found = []
    for (data, trap), part in rows[rows["shown"] == "training"].groupby(["data", "trap"]):
        row = {"data": data, "trap": trap}
        for name, some in (("α = 0", part[part["alpha"] == 0]), ("α > 0", part[part["alpha"] > 0])):
            counts = [int((some["verdict"] == verdict).sum()) for verdict in ("smoothed", "not smoothed", "undecided")]
            row[f"{name}: smoothed / not / undecided"] = " / ".join(map(str, counts))
        row["intervals with the true α"] = f"{int(part['covers'].sum())} of {len(part)}"
        fitted = part[part["accuracy"] >= 0.99]
        error = (fitted["estimate"] - fitted["alpha"]).abs()
        row["within 0.03, of those fitted"] = f"{int((error <= 0.03).sum())} of {len(error)}"
        row["largest error"] = f"{error.max():.3f}" if len(error) else "–"
        found.append(row)
    return pd.DataFrame(found)


def _wrong(row: Mapping[str, Any]) -> bool:
    return row["verdict"] == ("not smoothed" if row["alpha"] else "smoothed")


def _markdown(table: pd.DataFrame) -> list[str]:
    texts = [
        [f"{value:.3g}" if isinstance(value, float) else str(value) for value in row]
        for row in table.itertuples(index=False)
    ]
    rows = [list(table.columns), ["---"] * len(table.columns), *texts]
    return [f"| {' | '.join(row)} |" for row in rows]


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    training = commands.add_parser("train", help="train the teachers that are not there yet")
    training.add_argument("--folder", type=Path, required=True)
    training.add_argument("--data", choices=DATA, default="digits")
    training.add_argument("--models", nargs="+")
    training.add_argument("--traps", nargs="+", default=list(TRAPS))
    training.add_argument("--alphas", nargs="+", type=float, default=list(ALPHAS))
    training.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    training.add_argument("--minutes", type=float, default=60, help="stop after so many")
    training.set_defaults(run=train_all)
    table = commands.add_parser("table", help="judge all teachers, and write the tables")
    table.add_argument("--folder", type=Path, required=True)
    table.add_argument("--output", type=Path, default=Path("docs/science"))
    table.add_argument("--name", default="audit-zoo", help="of the two files")
    table.set_defaults(run=write_tables)
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()

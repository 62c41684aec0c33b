"""Put the tables of the last runs into docs/science.md: `python -m science.write_docs`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from science.run import BUDGETS, RUNS, STUDIES
from science.tables import (
    as_markdown,
    best_temperature,
    eta,
    eta_against_accuracy,
    grid,
    interactions,
    own_rates,
    witnesses,
)
from tosmooth.report.reading import read_study
from tosmooth.report.smoothing_view_tables import inheritance, sentences
from tosmooth.words.answer import forwarded
from tosmooth.words.conclusions import conclusions
from tosmooth.words.objectives import objective_sentences

DOCUMENT = Path(__file__).parents[1] / "docs" / "science.md"
ADVISED = {"smoothed": 1.0, "undecided": 1.0, "not smoothed": None}  # T, by the audit's verdict


def read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def audited(study: Path) -> str:
    """α̂ against the true α."""
    found = pd.read_csv(study / "analysis" / "audits.csv")
    table = {
        "true α": found["label_smoothing"].map("{:g}".format),
        "training accuracy, %": found["train/top1"].map("{:.1f}".format),
        "α̂": found["alpha"].map("{:.3f}".format),
        "interval": [f"{low:.3f} to {high:.3f}" for low, high in zip(found["low"], found["high"], strict=True)],
        "verdict": found["verdict"],
    }
    return as_markdown(pd.DataFrame(table))


def advised(study: Path) -> str:
    """The audits' advice against the measured best."""
    table = pd.read_csv(study / "analysis" / "audits.csv").drop_duplicates("label_smoothing")
    temperatures = {row.label_smoothing: ADVISED[str(row.verdict)] for row in table.itertuples()}
    return as_markdown(best_temperature(pd.read_csv(study / "results.csv"), temperatures))


def searched(study: Path) -> str:
    """What a search would have found."""
    rows = []
    for budget in BUDGETS:
        path = study / "analysis" / f"search-{budget:g}.json"
        if not path.is_file():  # the study has too few epochs for so small a budget
            continue
        found = read_json(path)
        boot = found["bootstrap"]
        rows.append(
            {
                "budget": f"{100 * budget:.0f} %",
                "cost": f"{100 * found['cost']['share']:.0f} % of the grid",
                "grid's winner found": "yes" if found["hit"] else "no",
                "points behind it": f"{found['regret']:.2f}",
                "found in resamples of seeds": f"{100 * boot['hit_share']:.0f} %",
                "points behind, mean": f"{boot['regret_mean']:.2f}",
            }
        )
    return as_markdown(pd.DataFrame(rows))


def said(study: Path) -> str:
    """The study's own words."""
    files = read_study(study)
    told = [] if files.answer is None else [forwarded(files.answer, files.wording)]
    return "\n".join(f"> {sentence}  " for sentence in [*told, *conclusions(files.advice, files.wording).values()])


def others(study: Path) -> str:
    """What other objectives change, in the study's own words."""
    files = read_study(study)
    return "\n".join(f"> {text}  " for text in objective_sentences(files.objectives, files.metric))


def inherited(study: Path) -> str:
    """The older views, and whether calibration is inherited, in the study's own words."""
    files = read_study(study)
    older = [text for _, text in sentences(files)[:2]]
    return "\n".join(f"> {text}  " for text in [*older, inheritance(files)])


def of_csv(make: Callable[..., pd.DataFrame], *names: str) -> Callable[[Path], str]:
    """A table made of a study's CSV files."""
    return lambda study: as_markdown(make(*(pd.read_csv(study / name) for name in names)))


TABLES: Mapping[str, Callable[[Path], str]] = {
    "said": said,
    "grid": of_csv(lambda results: grid(results, "test/top1"), "results.csv"),
    "rates": of_csv(own_rates, "analysis/learning_rates.csv"),
    "witnesses": of_csv(witnesses, "results.csv"),
    "interactions": lambda study: as_markdown(interactions(read_json(study / "analysis" / "advice.json"))),
    "eta": of_csv(lambda summary: eta(summary, "eta_s1-eta_s2"), "analysis/diffusion_summary.csv"),
    "eta-similar": of_csv(lambda summary: eta(summary, "eta_s1"), "analysis/diffusion_summary.csv"),
    "contrast": of_csv(lambda summary: eta(summary, "contrast"), "analysis/diffusion_summary.csv"),
    "explains": of_csv(eta_against_accuracy, "results.csv", "analysis/diffusion.csv"),
    "audit": audited,
    "advised": advised,
    "search": searched,
    "others": others,
    "views": inherited,
}


def main() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    for study in STUDIES:
        if not (RUNS / study / "analysis" / "verdict.json").is_file():
            print(f"{RUNS / study} is not there: its tables stay as they are")
            continue
        for name, make in TABLES.items():
            mark = f"{study}-{name}"
            if f"<!-- {mark} -->" not in text:
                continue
            text = re.sub(
                rf"<!-- {mark} -->.*?<!-- end -->",
                lambda _, mark=mark, make=make, study=study: f"<!-- {mark} -->\n{make(RUNS / study)}\n<!-- end -->",
                text,
                flags=re.S,
            )
    DOCUMENT.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

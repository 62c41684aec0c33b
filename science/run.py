"""Run a study of docs/science.md, audit its teachers, and replay searches on it: `python -m science.run digits`.

Started again, it goes on where it stopped, as any study does. Results lie in `runs/science/`; `python -m
science.write_docs` puts them into the document.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd

from tosmooth.audit.teacher import audit_weights
from tosmooth.config.schema import StudyConfig
from tosmooth.errors import ConfigError
from tosmooth.folder.writing import write_csv, write_json
from tosmooth.recipes.reading import load_config
from tosmooth.search.replay import replay
from tosmooth.study.run import run_study

ROOT = Path(__file__).parent
STUDIES = sorted(path.stem for path in (ROOT / "studies").glob("*.yaml"))
RUNS = Path("runs/science")
BUDGETS = (0.3, 0.4, 0.6)


def audits(config: StudyConfig, study: Path) -> pd.DataFrame:
    """Every teacher of a study, audited on its training images as if its smoothing were not known."""
    teachers = pd.read_csv(study / "teachers.csv")
    rows = []
    for teacher in teachers.itertuples():
        weights = study / "teachers" / str(teacher.teacher) / "model.safetensors"
        found = audit_weights(config, weights, "train", config.student.temperatures)
        low, high = found.smoothing.interval
        rows.append(
            {
                "teacher": teacher.teacher,
                "label_smoothing": teacher.label_smoothing,
                "train/top1": found.metrics["top1"],
                "alpha": found.smoothing.alpha,
                "low": low,
                "high": high,
                "verdict": found.smoothing.verdict,
                "reasons": " · ".join(found.smoothing.reasons),
            }
        )
    return pd.DataFrame(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", choices=STUDIES)
    parser.add_argument("overrides", nargs="*", help="for example compute.threads=1")
    given = parser.parse_args()
    config = load_config(str(ROOT / "studies" / f"{given.study}.yaml"), given.overrides)
    results = run_study(config, RUNS)
    write_csv(results.path / "analysis" / "audits.csv", audits(config, results.path))
    for budget in BUDGETS:
        try:
            write_json(results.path / "analysis" / f"search-{budget:g}.json", replay(results.path, budget))
        except ConfigError as error:  # fewer epochs than this budget needs
            print(error)
    print(f"{results.path} is done")


if __name__ == "__main__":
    main()

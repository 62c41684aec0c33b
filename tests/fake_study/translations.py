"""A study of translation on disk: that of images of `fake_study.folder` with BLEU for its figures, and translations."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from tests.fake_study.folder import Variant, write_study

SOURCES = [f"Save the file number {i}." for i in range(50)]
REFERENCES = [f"Speichern Sie die Datei Nummer {i}." for i in range(50)]


def write_translation_study(
    folder: Path,
    variant: Variant | None = None,
    *,
    splits: Sequence[str] = ("val", "test"),
    sources: Sequence[str] = SOURCES,
    target: str = "de",
) -> Path:
    """Write the study and return its folder. BLEU is the accuracy of the study of images less 60."""
    write_study(folder, variant)
    config = yaml.safe_load((folder / "study.yaml").read_text(encoding="utf-8"))
    config |= {"task": "translation"}
    config["data"] = {"source": "translation_sample", "text": {"source_language": "en", "target_language": target}}
    (folder / "study.yaml").write_text(yaml.safe_dump(config, allow_unicode=True), encoding="utf-8")
    for name in ("results.csv", "teachers.csv"):
        table = pd.read_csv(folder / name)
        for split in ("val", "test"):
            if f"{split}/top1" not in table:
                continue
            table[f"{split}/bleu"] = table[f"{split}/top1"] - 60
            table[f"{split}/chrf"] = table[f"{split}/bleu"] + 20
            table[f"{split}/bleu_novel"] = table[f"{split}/bleu"] - 5
            table[f"{split}/chrf_novel"] = table[f"{split}/chrf"] - 4
            table[f"{split}/top1"] = 41.5
            table[f"{split}/top1_novel"] = 37.25
        if "test" not in splits:
            table = table.drop(columns=[column for column in table if column.startswith("test/")])
        table.to_csv(folder / name, index=False)
    views = folder / "analysis" / "views.csv"
    pd.read_csv(views).assign(mi_similar=None, mi_dissimilar=None).to_csv(views, index=False)
    info = folder / "analysis" / "views.json"
    found = json.loads(info.read_text(encoding="utf-8")) | {
        "mi_images": None,
        "mi_views": None,
        "mi_augmentation": None,
    }
    info.write_text(json.dumps(found), encoding="utf-8")
    verdict = folder / "analysis" / "verdict.json"
    if verdict.is_file():
        verdict.write_text('{"preview": false}', encoding="utf-8")  # the answer is made of the figures, then
    for row in pd.read_csv(folder / "results.csv").itertuples():
        if row.status == "done":
            own = f"[{row.label_smoothing:g} {row.temperature:g} {row.seed}]"
            hypotheses = [f"Datei {i} {own}" for i in range(len(sources))]
            write_translations(folder / "students" / str(row.cell), dict.fromkeys(splits, hypotheses), sources)
    return folder


def write_translations(folder: Path, by_split: dict[str, list[str]], sources: Sequence[str] = SOURCES) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    content: dict[str, Any] = {
        split: {"sources": list(sources), "references": REFERENCES[: len(sources)], "hypotheses": hypotheses}
        for split, hypotheses in by_split.items()
    }
    (folder / "translations.json").write_text(json.dumps(content), encoding="utf-8")

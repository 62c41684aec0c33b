"""Which of the paper's tables is about the data and models of a study, and what differs all the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tosmooth.report.paper import PaperTable, paper_tables
from tosmooth.report.reading import StudyFiles
from tosmooth.tasks.published import section
from tosmooth.words.numbers import count_of

OTHER_NAMES = {"mobilenetv2_100": "mobilenet_v2"}  # timm's, of the paper's architectures
OBJECTIVE = "hinton"  # the paper's only one


def matching(files: StudyFiles, setting: tuple[str, str]) -> PaperTable | None:
    """The paper's table of the same data set, teacher and student as a setting (objective, student model), if any."""
    objective, student = setting
    published = files.task.published
    if published is None or objective != OBJECTIVE:
        return None
    dataset = published.dataset(files.config, files.similarity.get("classes"))
    pair = dataset, architecture(_model(files.config.get("teacher"))), architecture(student)
    return next((table for table in paper_tables(published) if table.pair == pair), None)


def architecture(name: str) -> str:
    """`torchvision:resnet50.IMAGENET1K_V1` → `resnet50`; the CIFAR-style `resnet50`, another network, stays apart."""
    library, colon, rest = name.partition(":")
    if not colon:
        return "transformer" if name == "transformer_small" else f"own {name}"
    known = rest.partition(".")[0]
    return OTHER_NAMES.get(known, known) if library in {"torchvision", "timm"} else name


def what_differs(files: StudyFiles, table: PaperTable) -> list[str]:
    """What a reader must know before reading the two tables against each other, in sentences."""
    published, found = files.task.published, []
    if published is None:
        return []
    if files.preview:
        found.append("This study is a preview: too short to be compared.")
    kept = set(files.done["selection"]) if "selection" in files.done else set()
    found += published.what_differs(files.config, kept)
    seeds = count_of(len(files.units), files.unit_word)
    found.append(f"The paper has one run a cell, whose spread is not known; this study has {seeds}.")
    for role, theirs in zip(("teacher", "student"), published.epochs.get(table.pair[0], ()), strict=False):
        own = section(files.config, role).get("epochs")
        if own != theirs:
            found.append(f"The paper’s {role}s were trained for {theirs} epochs, yours for {own}.")
    if files.split_name == "validation":
        found.append("Yours are of validation: the test split has not been read.")
    return found


def _model(value: Any) -> str:
    model = value.get("model") if isinstance(value, Mapping) else None
    return str(model.get("name", "")) if isinstance(model, Mapping) else str(model or "")

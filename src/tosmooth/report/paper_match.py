"""Which of the paper's tables is about the data and models of a study, and what differs all the same.

Known by the configuration and the classes, not by the study's name: a recipe may be renamed, and names may be anyone's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from tosmooth.report.paper import PaperTable, paper_tables, paper_translation_tables
from tosmooth.report.reading import StudyFiles
from tosmooth.tasks.metric import BLEU
from tosmooth.words.numbers import count_of

IMAGENET_CLASSES = 1000
SYNSET = re.compile(r"n\d{8}")
OTHER_NAMES = {"mobilenetv2_100": "mobilenet_v2"}  # timm's, of the paper's architectures
EPOCHS = {"imagenet-1k": (90, 200), "cub-200-2011": (90, 200)}  # of the authors' teachers and students
PIXELS = 224
OBJECTIVE = "hinton"  # the paper's only one


def matching(files: StudyFiles, setting: tuple[str, str]) -> PaperTable | None:
    """The paper's table of the same data set, teacher and student as a setting (objective, student model), if any."""
    objective, student = setting
    dataset = _dataset(files)
    if dataset is None or objective != OBJECTIVE:
        return None
    pair = dataset, architecture(_model(files.config.get("teacher"))), architecture(student)
    tables = paper_translation_tables() if files.metric is BLEU else paper_tables()
    return next((table for table in tables if table.pair == pair), None)


def _dataset(files: StudyFiles) -> str | None:
    """The paper's data set that a study was made on, as far as configuration and classes tell."""
    data = _section(files.config.get("data"))
    source = data.get("source")
    if files.metric is BLEU:
        text = _section(data.get("text"))
        of_texts = source == "parallel_text"
        return f"iwslt14-{text.get('source_language')}-{text.get('target_language')}" if of_texts else None
    if source == "cub200":
        return "cub-200-2011"
    classes = files.similarity.get("classes")
    if not isinstance(classes, list) or len(classes) != IMAGENET_CLASSES:
        return None
    return "imagenet-1k" if all(SYNSET.fullmatch(str(name)) for name in classes) else None


def architecture(name: str) -> str:
    """`torchvision:resnet50.IMAGENET1K_V1` → `resnet50`; the CIFAR-style `resnet50`, another network, stays apart."""
    library, colon, rest = name.partition(":")
    if not colon:
        return "transformer" if name == "transformer_small" else f"own {name}"
    known = rest.partition(".")[0]
    return OTHER_NAMES.get(known, known) if library in {"torchvision", "timm"} else name


def what_differs(files: StudyFiles, table: PaperTable) -> list[str]:
    """What a reader must know before reading the two tables against each other, in sentences."""
    found = []
    config = files.config
    data = _section(config.get("data"))
    if files.preview:
        found.append("This study is a preview: too short to be compared.")
    if files.metric is BLEU:
        found.append("The paper’s texts are the talks of IWSLT14; whether yours are, only you know.")
        found.append("Its BLEU was computed on its own tokens, yours by sacrebleu on the references as they are.")
    else:
        found.append(_selection(files))
    seeds = count_of(len(files.units), files.unit_word)
    found.append(f"The paper has one run a cell, whose spread is not known; this study has {seeds}.")
    for role, theirs in zip(("teacher", "student"), EPOCHS.get(table.pair[0], ()), strict=False):
        own = _section(config.get(role)).get("epochs")
        if own != theirs:
            found.append(f"The paper’s {role}s were trained for {theirs} epochs, yours for {own}.")
    if files.metric is not BLEU and data.get("image_size") != PIXELS:
        found.append(
            f"The paper’s images have {PIXELS} pixels a side, yours {data.get('image_size') or 'their own size'}."
        )
    if data.get("limit_train") or data.get("limit_test"):
        found.append(
            "Yours are of a part of the images." if files.metric is not BLEU else "Yours are of a part of the texts."
        )
    if files.split_name == "validation":
        found.append("Yours are of validation: the test split has not been read.")
    return found


def _selection(files: StudyFiles) -> str:
    kept = set(files.done["selection"]) if "selection" in files.done else set()
    if kept == {"best_on_test"}:
        return "Both keep the best epoch on the images that are reported, which flatters both."
    own = "the best epoch on a validation split" if kept == {"best"} else "the last epoch"
    return f"The paper keeps the best epoch on the images that it reports, this study {own}."


def _model(section: Any) -> str:
    model = _section(section).get("model")
    return str(model.get("name", "")) if isinstance(model, Mapping) else str(model or "")


def _section(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}

"""One model of a study in other programs' formats, each opened again and compared on real inputs before it is there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tosmooth.config.schema import dump_config
from tosmooth.export import huggingface, reload, tokenizer
from tosmooth.export.card import model_card
from tosmooth.export.folder import refuse_unless_ours, write_whole
from tosmooth.export.formats import check_formats, named_formats, write_and_compare
from tosmooth.export.preprocessing import LABELS, PREPROCESSING, labels, preprocessing, write_readable
from tosmooth.export.program import write_program
from tosmooth.export.subject import Subject, choose
from tosmooth.files import write_text
from tosmooth.tasks.find import find_task

CARD = "README.md"


@dataclass(frozen=True)
class Export:
    """What was exported.

    Attributes:
        path: the folder.
        model: name of the teacher or student.
        chosen: how it came to be this one, in a sentence.
        differences: by format, the largest difference of any logit to the model's own, on real inputs.
        files: all that was written, relative to the folder.
    """

    path: Path
    model: str
    chosen: str
    differences: dict[str, float]
    files: tuple[str, ...]


def export_model(
    study_path: str | Path,
    name_or_role: str | None = None,
    formats: Sequence[str] = ("safetensors",),
    output: str | Path = "export",
    *,
    force: bool = False,
) -> Export:
    """Write a student or teacher of a study in other formats, with class names, preparation and a model card.

    Each format is opened again by the library it is for, and compared with the model on real images or sentences of the
    study; where one answers otherwise, nothing is written.

    Args:
        study_path: folder of a study; also of `train-teacher` and `distill`.
        name_or_role: name of a teacher (`a0.1-s0`) or student (`hinton-a0.1-T1-resnet8-s0`); "student" or "teacher":
            the recommended setting's best seed by validation, never by test; None: "student".
        formats: of "safetensors", "state_dict" (PyTorch file), "huggingface", "onnx", "torch_export".
        output: folder to write; missing, empty, or an earlier export.
        force: an earlier export may have been changed since, or hold other files: they are lost.

    Raises:
        ConfigError: an unknown model or format, one that this model cannot have, or packages that are missing.
        StudyError: no study, no such model yet, other data than the study's, or a folder that must not be written.
        ModelError: a library cannot write the model, or what it wrote answers otherwise.
    """
    wanted = named_formats(formats)
    target = Path(output).resolve()
    check_formats(wanted)
    choice = choose(Path(study_path), name_or_role)
    check_formats(wanted, find_task(choice.config.task), choice.section.name)
    refuse_unless_ours(target, force=force)
    subject = choice.load()
    manifest = write_whole(target, lambda folder: _fill(folder, subject, wanted))
    differences = {name: entry["largest_difference"] for name, entry in manifest["formats"].items()}
    return Export(target, subject.owner.name, subject.chosen, differences, tuple(manifest["files"]))


def _fill(folder: Path, subject: Subject, formats: Sequence[str]) -> dict[str, Any]:
    """Write everything into an empty folder; returns the manifest's content."""
    differences = {name: write_and_compare(subject, name, folder) for name in formats}
    if subject.classifies:
        write_readable(folder / LABELS, labels(subject))
        write_readable(folder / PREPROCESSING, preprocessing(subject))
        write_program(subject, formats, folder)
    if subject.translates:
        tokenizer.write_and_check(subject, formats, folder)
    write_text(folder / reload.STUDY, dump_config(reload.portable_config(subject, formats)))
    write_text(folder / CARD, model_card(subject, formats))
    if "huggingface" in formats:  # a folder that can be passed on alone
        write_text(folder / huggingface.FOLDER / CARD, model_card(subject, ["huggingface"], hub_folder="."))
    return {
        "study": subject.config.name,
        "model": subject.owner.name,
        "role": subject.role,
        "chosen": subject.chosen,
        "formats": {name: {"largest_difference": value} for name, value in differences.items()},
    }

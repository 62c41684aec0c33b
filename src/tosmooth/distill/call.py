"""What `tosmooth distill` was asked for, and the study it starts from; every mistake at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tosmooth.config.schema import ModelConfig, StudyConfig
from tosmooth.data.registry import image_sources
from tosmooth.errors import ConfigError, TosmoothError, did_you_mean
from tosmooth.export.formats import check_formats, named_formats
from tosmooth.export.huggingface import library_of
from tosmooth.files import path_safe, unportable
from tosmooth.models.build import validate_model_name
from tosmooth.recipes import OWN_IMAGES
from tosmooth.recipes.reading import apply_override, find_mistakes, load_config, parse_override, read_source
from tosmooth.tasks.find import DEFAULT_TASK

LONGEST_NAME = 100
NO_TEACHER = "--teacher: {} is no file, nor a published model such as timm:resnet50.a1_in1k"
DECIDED = {
    "student.temperatures": "-T", "teacher.label_smoothing": "--alpha", "teacher.model.checkpoint": "--teacher",
    "teacher.checkpoints": "--teacher", "teacher.smoothing": "--alpha", "teacher.given": "--teacher",
    "teacher.train": "--fine-tune",
}  # fmt: skip  # keys that the options stand for


@dataclass(frozen=True)
class Call:
    """The arguments.

    Attributes:
        teacher: a published model's name, or a file of weights; None is a mistake.
        student: a model's name; None: the recipe's.
        source: recipe or YAML file that fills in the rest; None: `own-images`.
        overrides: `key=value` texts.
        data: a data source, or a folder of images; None: the recipe's.
        path: root folder of that source.
        teacher_model: architecture of a teacher that is a file; None: the recipe's.
        temperatures: as told; None: by the audit's advice.
        alphas: label smoothing of the teacher as far as known, or to fine-tune with; None: not told.
        class_map: file that says which of the teacher's classes is which of the data's.
        fine_tune: whether to train the teacher on the data first; None: where its classes are others.
        from_scratch: the student does not start from published weights.
        seed: of the student.
        formats: of the export, as `tosmooth.export_model` takes them.
        name: of the study's folder; None: made from data, teacher and student.
        mistakes: that were found in the arguments already.
    """

    teacher: str | None
    student: str | None = None
    source: str | None = None
    overrides: Sequence[str] = ()
    data: str | None = None
    path: Path | None = None
    teacher_model: str | None = None
    temperatures: tuple[float, ...] | None = None
    alphas: tuple[float, ...] | None = None
    class_map: Path | None = None
    fine_tune: bool | None = None
    from_scratch: bool = False
    seed: int = 0
    formats: Sequence[str] = ("safetensors",)
    name: str | None = None
    mistakes: tuple[str, ...] = ()

    @property
    def weights(self) -> Path | None:
        """The file that the teacher is; None for a published model."""
        path = None if self.teacher is None else Path(self.teacher).expanduser()
        return path if path is not None and path.is_file() else None

    @property
    def sets_image_size(self) -> bool:
        """Whether the images' size is for us to choose: nobody has said it."""
        return self.source is None and not any(text.startswith("data.image_size") for text in self.overrides)


def numbers(
    text: str, option: str, mistakes: list[str], *, below: float = math.inf, zero: bool = False
) -> tuple[float, ...]:
    """A comma-separated list of distinct numbers above 0 (or from 0), as typed on a command line."""
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError:
        values = ()
    fitting = [value for value in values if (value >= 0 if zero else value > 0) and value < below]
    if not values or len(set(fitting)) != len(values):
        least = "from 0" if zero else "above 0"
        most = f" and below {below:g}" if math.isfinite(below) else ""
        mistakes.append(f"{option}: {text[:80]!r}, must be different numbers {least}{most}, comma-separated")
    return values


def starting_config(call: Call) -> tuple[StudyConfig, dict[str, Any]]:
    """The study before anything is known of the teacher: it is to be trained, at T = 1.

    Returns:
        The checked configuration, and the raw mapping that later decisions go into.

    Raises:
        ConfigError: all mistakes of the call and of the configuration it makes.
    """
    mistakes, formats = list(call.mistakes), named_formats(call.formats)
    try:
        check_formats(formats, None)
    except ConfigError as error:
        mistakes += error.mistakes
    try:
        raw = read_source(call.source or OWN_IMAGES)
    except ConfigError as error:  # what else is wrong is looked for all the same
        mistakes += error.mistakes
        raw = read_source(OWN_IMAGES)
    if raw.get("task", DEFAULT_TASK) != DEFAULT_TASK:
        raise ConfigError([f"task: {raw['task']} is not distilled by these options; use tosmooth study"])
    _one_teacher(raw)
    _data(call, raw, mistakes)
    _teacher(call, raw, mistakes)
    _student(call, raw, mistakes)
    if call.class_map is not None and call.fine_tune:
        mistakes.append("--class-map: maps the teacher as it is; --fine-tune gives it new classes. Give one of them")
    if call.class_map is not None and not call.class_map.is_file():
        mistakes.append(f"--class-map: {call.class_map} is no file")
    for key, value in (
        ("student.temperatures", [1.0]),
        ("student.seeds", [call.seed]),
        ("student.models", []),
        ("teacher.train", True),
        ("teacher.label_smoothing", list(call.alphas or (0.0, 0.1))),
    ):
        apply_override(raw, key, value)
    for text in call.overrides:
        try:
            key, value = parse_override(text)
            apply_override(raw, key, value)
        except ConfigError as error:
            mistakes += error.mistakes
            continue
        if key in DECIDED:
            mistakes.append(f"{key}: the audit decides, or you with {DECIDED[key]}; use that instead")
    if not any(text.startswith("name=") for text in call.overrides):
        raw["name"] = call.name or _name(raw)
    student = _model_name(raw, "student")
    if "huggingface" in formats and library_of(student) is None:
        mistakes.append(f"--format: {student} has no Hugging Face folder; use safetensors or onnx")
    mistakes += [text for text in find_mistakes(raw) if not _told(text, mistakes)]
    if mistakes:
        raise ConfigError(mistakes)
    return load_config(raw), raw


def _told(text: str, mistakes: Sequence[str]) -> bool:
    """Whether a mistake of the configuration is one of the options' in other words."""
    options = {
        "data.path": "--data",
        "data.source": "--data",
        "teacher.model": "--teacher",
        "student.model": "--student",
        "student.temperatures": "--temperature",
        "teacher.label_smoothing": "--alpha",
        "student.seeds": "--seed",
    }
    return any(
        text.startswith(key) and any(known.startswith(option) for known in mistakes) for key, option in options.items()
    )


def _one_teacher(raw: dict[str, Any]) -> None:
    section = raw.get("teacher")
    if isinstance(section, dict):
        section["seeds"] = [0]
        for key in ("given", "checkpoints"):
            section.pop(key, None)


def _data(call: Call, raw: dict[str, Any], mistakes: list[str]) -> None:
    source, path = call.data, call.path
    if source is not None and source not in image_sources():
        if Path(source).expanduser().is_dir():
            if path is not None:
                mistakes.append(f"--path: --data {source} is the folder already")
            source, path = "folder", Path(source)
        else:
            mistakes.append(
                f"--data: {source!r} is neither a folder nor a data source; {did_you_mean(source, image_sources())}"
            )
            return
    if path is not None and not path.expanduser().exists():
        mistakes.append(f"--path: {path} does not exist")
        return
    if source is not None:
        apply_override(raw, "data.source", source)
    if path is not None:
        apply_override(raw, "data.path", str(path.expanduser().resolve()))
    named = any(text.startswith("data.path=") for text in call.overrides)
    if call.source is None and path is None and not named and source in {None, "folder"}:
        mistakes.append(
            "--data: give the folder of your images (train/<class>/… and val/<class>/…, or <class>/… alone)"
        )


def _teacher(call: Call, raw: dict[str, Any], mistakes: list[str]) -> None:
    if call.teacher is None:
        mistakes.append("--teacher: give a published model, such as timm:resnet50.a1_in1k, or a file of weights")
        return
    if call.weights is not None:
        if call.teacher_model is not None:
            apply_override(raw, "teacher.model", {"name": _wherever(call.teacher_model)})
        elif call.source is None:
            mistakes.append(f"--teacher-model: say which architecture {call.teacher} is of, such as timm:resnet50")
        else:
            apply_override(raw, "teacher.model.pretrained", False)
        apply_override(raw, "teacher.model.checkpoint", str(call.weights.resolve()))
        apply_override(raw, "teacher.model.replace_head", True)
        return
    if ":" not in call.teacher:
        mistakes.append(NO_TEACHER.format(call.teacher))
        return
    if call.teacher_model is not None:
        mistakes.append("--teacher-model: is for a --teacher that is a file of weights")
    try:
        validate_model_name(call.teacher)
    except TosmoothError as error:
        mistakes.append(f"--teacher: no such file, and {error}")
        return
    apply_override(raw, "teacher.model", {"name": _wherever(call.teacher), "pretrained": True})


def _student(call: Call, raw: dict[str, Any], mistakes: list[str]) -> None:
    from tosmooth.distill.opening import has_published_weights  # and with it PyTorch

    if call.student is not None:
        try:
            validate_model_name(call.student)
        except TosmoothError as error:
            mistakes.append(f"--student: {error}")
            return
        pretrained = has_published_weights(call.student)
        apply_override(raw, "student.model", {"name": _wherever(call.student), "pretrained": pretrained})
    if call.from_scratch:
        apply_override(raw, "student.model.pretrained", False)


def _wherever(name: str) -> str:
    """A model's name that means the same in every folder: `hf:mine`, where that is one, with its whole path."""
    folder = Path(name.removeprefix("hf:")).expanduser()
    return f"hf:{folder.resolve()}" if name.startswith("hf:") and folder.is_dir() else name


def _model_name(raw: dict[str, Any], role: str) -> str:
    section = raw.get(role)
    model = section.get("model") if isinstance(section, dict) else None
    return str(model.get("name") if isinstance(model, dict) else model)


def _name(raw: dict[str, Any]) -> str:
    data, parts = raw.get("data", {}), []
    parts.append(Path(str(data.get("path"))).name if data.get("path") else str(data.get("source", "data")))
    for role in ("teacher", "student"):
        name = _model_name(raw, role)
        prefix, _, rest = name.rpartition(":")
        parts.append(Path(rest).name if prefix == "hf" else rest)
    text = "-".join(filter(None, (path_safe(part).strip("_") for part in parts)))[:LONGEST_NAME].rstrip("-._")
    return f"images-{text}" if unportable(text) else text


def teacher_name(call: Call, section: ModelConfig) -> str:
    """How messages call the teacher."""
    return section.name if call.weights is None else str(call.teacher)

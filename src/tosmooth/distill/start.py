"""The study that a call starts from, before anything is known of the teacher; every mistake at once.

What the options say become `key=value` texts like those of the user, so one reader checks the whole.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from tosmooth.audit.images import AUDITED_VIEW, wrong_size
from tosmooth.config.schema import StudyConfig
from tosmooth.data.registry import image_sources
from tosmooth.distill.call import Call
from tosmooth.errors import ConfigError, TosmoothError, did_you_mean
from tosmooth.export.formats import check_formats, named_formats
from tosmooth.files import path_safe, unportable
from tosmooth.models.names import wrong_model_name
from tosmooth.recipes import DEFAULT_RECIPE, OWN_IMAGES, OWN_IMAGES_SCRATCH
from tosmooth.recipes.reading import load_config, read_source
from tosmooth.tasks.base import Task
from tosmooth.tasks.find import DEFAULT_TASK, find_task
from tosmooth.yaml_traps import dump

LONGEST_NAME = 100
NO_TEACHER = "--teacher: {} is no file, nor a published model such as timm:resnet50.a1_in1k"
RECIPE_ALPHA = 0.1  # of the one teacher of a recipe, where nothing else is asked for
DECIDED = {
    "student.temperatures": "-T", "teacher.label_smoothing": "--alpha", "teacher.model.checkpoint": "--teacher",
    "teacher.checkpoints": "--teacher", "teacher.smoothing": "--alpha", "teacher.given": "--teacher",
    "teacher.train": "--fine-tune",
}  # fmt: skip  # keys that the options stand for
OPTIONS = {
    "data.path": "--data", "data.source": "--data", "teacher.model": "--teacher", "student.model": "--student",
    "student.temperatures": "--temperature", "teacher.label_smoothing": "--alpha", "student.seeds": "--seed",
}  # fmt: skip  # whose mistakes are the configuration's, too

Settings = dict[str, Any]  # dotted key → value


def starting_config(call: Call) -> StudyConfig:
    """The study as far as the call says it.

    With a recipe's own models it is the whole study. With a teacher of one's own, that teacher is to be trained on the
    data, at T = 1 unless told: what becomes of it is decided when it has been looked at.

    Raises:
        ConfigError: all mistakes of the call and of the configuration it makes.
    """
    mistakes = list(call.mistakes)
    raw = _source(call, mistakes)
    settings = (_of_recipe if call.of_recipe else _of_options)(call, raw, mistakes)
    settings |= _by_outputs(call, raw, mistakes)
    settings |= _image_size(call, raw, mistakes)
    settings |= _unlabelled(call, mistakes)
    config = None
    try:
        config = load_config(raw, [*_texts(settings), *call.overrides])
    except ConfigError as error:
        mistakes += [text for text in error.mistakes if not _told(text, mistakes)]
    if config is not None and config.teacher.outputs and not call.outputs:
        mistakes.append("teacher.outputs: give the files as --teacher, which checks them against the data")
    student = call.student or _model_name(raw, "student") if config is None else config.student.model.name
    with suppress(TosmoothError):  # of the task, which the configuration has told
        task = find_task(str(raw.get("task", DEFAULT_TASK)) if config is None else config.task)
        mistakes += _wrong_formats(call, task, student)
    if config is None or mistakes:
        raise ConfigError(mistakes)
    if call.of_recipe or any(text.startswith("name=") for text in call.overrides):
        return config
    return config.model_copy(update={"name": call.name or _name(config)})


def formats_of(call: Call, task: Task) -> list[str]:
    """The formats of the export, as they are called here; none, where models of the task can have none."""
    return list(task.export_formats[:1]) if call.formats is None else named_formats(call.formats)


def _wrong_formats(call: Call, task: Task, student: str) -> list[str]:
    formats = formats_of(call, task)
    try:
        if formats or call.formats is not None:
            check_formats(formats, task, student)
    except ConfigError as error:
        return list(error.mistakes)
    return []


def _texts(settings: Settings) -> list[str]:
    def flow(value: Any) -> str:  # on one line; in a list, as a text alone would end with a mark
        return dump([value], default_flow_style=True, width=math.inf, allow_unicode=True).strip()[1:-1]

    return [f"{key}={flow(value)}" for key, value in settings.items()]


def _source(call: Call, mistakes: list[str]) -> dict[str, Any]:
    """The recipe or file as it is; where it cannot be read, ours, so that what else is wrong is found all the same."""
    usual = DEFAULT_RECIPE if call.of_recipe else OWN_IMAGES_SCRATCH if _from_nothing(call) else OWN_IMAGES
    try:
        return read_source(call.source or usual)
    except ConfigError as error:
        mistakes += error.mistakes
        return read_source(usual)


def _from_nothing(call: Call) -> bool:
    """Whether the student starts without weights: as told, or because nobody publishes any for it."""
    if call.student is None or call.from_scratch:
        return call.from_scratch
    from tosmooth.distill.opening import has_published_weights  # and with it PyTorch

    return wrong_model_name(call.student) is None and not has_published_weights(call.student)


def _told(text: str, mistakes: Sequence[str]) -> bool:
    """Whether a mistake of the configuration is one of the options' in other words."""
    return any(
        text.startswith(key) and any(known.startswith(option) for known in mistakes) for key, option in OPTIONS.items()
    )


def _of_recipe(call: Call, raw: Mapping[str, Any], mistakes: list[str]) -> Settings:
    """A recipe's own models: one teacher of one α, and one student model."""
    if call.teacher is not None and call.weights is None and not call.outputs:
        mistakes.append(NO_TEACHER.format(call.teacher))
    if call.alphas is not None and len(call.alphas) > 1:
        mistakes.append("--alpha: a recipe's own teacher has one")
    alpha, temperatures = (call.alphas or (RECIPE_ALPHA,))[0], call.temperatures or (1.0,)
    shown = "-".join(f"{value:g}" for value in temperatures)
    by = "-".join(path_safe(path.stem) for path in call.outputs) or f"a{alpha:g}-T{shown}"
    settings: Settings = {
        "name": call.name or f"{raw.get('name', 'study')}-distill-{by}-s{call.seed}",
        "teacher.label_smoothing": [alpha],
        "student.temperatures": list(temperatures),
        "student.seeds": [call.seed],
        "student.models": [],
    }
    section = raw.get("teacher")
    if isinstance(section, dict):
        if isinstance(section.get("seeds"), list):
            settings["teacher.seeds"] = section["seeds"][:1]
        if isinstance(given := section.get("given"), dict):
            one = {a: files[:1] if isinstance(files, list) else files for a, files in given.items()}
            settings["teacher.given"] = {a: files for a, files in one.items() if a == alpha and call.teacher is None}
    if call.weights is not None:
        settings |= {"teacher.train": False, "teacher.checkpoints": {alpha: str(call.weights)}}
    settings |= _averages(call, mistakes)
    return settings


def _of_options(call: Call, raw: Mapping[str, Any], mistakes: list[str]) -> Settings:
    """A teacher, a student or data of one's own."""
    if raw.get("task", DEFAULT_TASK) != DEFAULT_TASK:
        raise ConfigError([f"task: {raw['task']} is not distilled by these options; use tosmooth study"])
    if call.class_map is not None and call.fine_tune:
        mistakes.append("--class-map: maps the teacher as it is; --fine-tune gives it new classes. Give one of them")
    if call.class_map is not None and not call.class_map.is_file():
        mistakes.append(f"--class-map: {call.class_map} is no file")
    for key, option in DECIDED.items():
        if any(text.partition("=")[0].strip() == key for text in call.overrides):
            mistakes.append(f"{key}: the audit decides, or you with {option}; use that instead")
    return {
        "name": "images",  # until data and models are known
        "teacher.seeds": [0],
        "teacher.given": {},
        "teacher.checkpoints": {},
        **_data(call, mistakes),
        **_teacher(call, mistakes),
        **_student(call, mistakes),
        "student.temperatures": list(call.temperatures or (1.0,)),
        "student.seeds": [call.seed],
        "student.models": [],
        "teacher.train": True,
        "teacher.label_smoothing": list(call.alphas or (0.0, 0.1)),
    }


def _data(call: Call, mistakes: list[str]) -> Settings:
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
            return {}
    if path is not None and not path.expanduser().exists():
        mistakes.append(f"--path: {path} does not exist")
        return {}
    named = any(text.startswith("data.path=") for text in call.overrides)
    if call.source is None and path is None and not named and source in {None, "folder"}:
        mistakes.append(
            "--data: give the folder of your images (train/<class>/… and val/<class>/…, or <class>/… alone)"
        )
    settings: Settings = {} if source is None else {"data.source": source}
    return settings if path is None else settings | {"data.path": str(path.expanduser().resolve())}


def _teacher(call: Call, mistakes: list[str]) -> Settings:
    if call.teacher is None:
        mistakes.append("--teacher: give a published model, such as timm:resnet50.a1_in1k, or a file of weights")
        return {}
    if call.outputs:
        _averages(call, mistakes)
        return {"teacher.model.pretrained": False}
    if call.weights is not None:
        if call.teacher_model is not None:
            model: Settings = {"teacher.model": {"name": _wherever(call.teacher_model)}}
        else:
            model = {"teacher.model.pretrained": False}
            if call.source is None:
                mistakes.append(f"--teacher-model: say which architecture {call.teacher} is of, such as timm:resnet50")
        weights = {"teacher.model.checkpoint": str(call.weights.resolve()), "teacher.model.replace_head": True}
        return model | weights | _averages(call, mistakes)
    _averages(call, mistakes)
    if ":" not in call.teacher:
        mistakes.append(NO_TEACHER.format(call.teacher))
        return {}
    if call.teacher_model is not None:
        mistakes.append("--teacher-model: is for a --teacher that is a file of weights")
    if (reason := wrong_model_name(call.teacher)) is not None:
        mistakes.append(f"--teacher: no such file, and {reason}")
        return {}
    return {"teacher.model": {"name": _wherever(call.teacher), "pretrained": True}}


def _by_outputs(call: Call, raw: Mapping[str, Any], mistakes: list[str]) -> Settings:
    """A teacher known only by its outputs: students see each image in one way, as evaluation does."""
    if not call.outputs:
        return {}
    mistakes += [f"--teacher: {path} is no file" for path in call.outputs if not path.is_file()]
    unfit = {
        "--teacher-model": call.teacher_model, "--class-map": call.class_map, "--fine-tune": call.fine_tune,
        "--image-size": call.image_size,
    }  # fmt: skip
    mistakes += [
        f"{option}: is of a teacher that is a model, and outputs are none" for option in unfit if unfit[option]
    ]
    if len(call.alphas or ()) > 1:
        mistakes.append("--alpha: outputs are of one teacher, which has one")
    section = raw.get("data")
    shown = section.get("eval_transform", "none") if isinstance(section, dict) else "none"
    if call.source is None and shown != "none":
        shown = AUDITED_VIEW  # by a recipe of ours, which cannot know: what scripts usually evaluate on
    evaluation = [text.partition("=")[2].strip() for text in call.overrides if text.startswith("data.eval_transform=")]
    return {
        "teacher.outputs": [str(path.resolve()) for path in call.outputs],
        "teacher.seeds": [0], "teacher.given": {}, "teacher.checkpoints": {},
        "teacher.model.pretrained": False, "teacher.model.checkpoint": None, "teacher.train": False,
        "teacher.label_smoothing": list(call.alphas or (0.0,))[:1], "teacher.smoothing": "unknown",
        **dict.fromkeys(("data.train_augmentation", "data.eval_transform"), [shown, *evaluation][-1]), "cache": "off",
    }  # fmt: skip


def _averages(call: Call, mistakes: list[str]) -> Settings:
    if call.ema and call.weights is None:
        mistakes.append("--ema: is for a --teacher that is a file of weights")
    return {"teacher.model.ema": True} if call.ema and call.weights is not None else {}


def _image_size(call: Call, raw: Mapping[str, Any], mistakes: list[str]) -> Settings:
    if call.image_size is None:
        return {}
    mistakes += wrong_size(call.image_size)
    if raw.get("task", DEFAULT_TASK) != DEFAULT_TASK:
        mistakes.append("--image-size: is of images, and this recipe has none")
        return {}
    return {"teacher.model.kwargs.input_size": call.image_size}


def _unlabelled(call: Call, mistakes: list[str]) -> Settings:
    if call.unlabelled is None:
        return {}
    folder = call.unlabelled.expanduser()
    if not folder.is_dir():
        mistakes.append(f"--unlabelled: {folder} is no folder; give one with images, at any depth")
        return {}
    return {"data.unlabelled": str(folder.resolve())}


def _student(call: Call, mistakes: list[str]) -> Settings:
    from tosmooth.distill.opening import has_published_weights  # and with it PyTorch

    settings: Settings = {}
    if call.student is not None:
        if (reason := wrong_model_name(call.student)) is not None:
            mistakes.append(f"--student: {reason}")
            return {}
        pretrained = has_published_weights(call.student)
        settings["student.model"] = {"name": _wherever(call.student), "pretrained": pretrained}
    if call.from_scratch:
        settings["student.model.pretrained"] = False
    return settings


def _wherever(name: str) -> str:
    """A model's name that means the same in every folder: `hf:mine`, where that is one, with its whole path."""
    folder = Path(name.removeprefix("hf:")).expanduser()
    return f"hf:{folder.resolve()}" if name.startswith("hf:") and folder.is_dir() else name


def _model_name(raw: Mapping[str, Any], role: str) -> str:
    section = raw.get(role)
    model = section.get("model") if isinstance(section, dict) else None
    return str(model.get("name") if isinstance(model, dict) else model)


def _name(config: StudyConfig) -> str:
    """Of the study's folder: after its data and its models."""
    parts = [config.data.source if config.data.path is None else config.data.path.name]
    for name in (config.teacher.called, config.student.model.name):
        prefix, _, rest = name.rpartition(":")
        parts.append(Path(rest).name if prefix == "hf" else rest)
    text = "-".join(filter(None, (path_safe(part).strip("_") for part in parts)))[:LONGEST_NAME].rstrip("-._")
    return f"images-{text}" if unportable(text) else text

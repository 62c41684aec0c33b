"""From a recipe's name or a YAML file and `key=value` overrides to a checked `StudyConfig`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, TypeAdapter, ValidationError

from tosmooth.config.schema import (
    SECTIONS,
    AnalysisConfig,
    StudentConfig,
    StudyConfig,
    TeacherConfig,
    TrainingConfig,
)
from tosmooth.config.types import known_task
from tosmooth.data.augmentation import check_transforms
from tosmooth.data.registry import image_sources
from tosmooth.data.translation.registry import translation_sources
from tosmooth.errors import ConfigError, ModelError, did_you_mean
from tosmooth.files import path_safe
from tosmooth.losses.fused_linear import OBJECTIVES as FUSED
from tosmooth.losses.objectives import SEQUENCE, check_topk, option_mistakes
from tosmooth.models.translation import validate_translation_model_name
from tosmooth.models.translation_marian import ARCHITECTURES
from tosmooth.recipes import DEFAULT_RECIPE, recipe_text
from tosmooth.tasks.find import find_task
from tosmooth.terminal import shown
from tosmooth.untrusted import UnreadableError, check_plain, read_yaml

LONGEST_SHOWN = 300  # characters of a wrong value, or of its key, that a message repeats

# What `--quick` changes: the same pipeline end to end in about a minute. Its numbers are a preview and say so.
QUICK_OVERRIDES: Mapping[str, Any] = {
    "preview": True,
    "data.limit_train": 4000,
    "data.limit_test": 2000,
    "teacher.epochs": 4,
    "student.epochs": 2,
    "student.seeds": [0, 1],
}
# Of sentences: the same, and nothing that only long trainings have.
QUICK_TRANSLATION: Mapping[str, Any] = {
    **QUICK_OVERRIDES,
    "data.limit_train": 2000,
    "data.limit_validation": 200,
    "data.limit_test": 200,
    "teacher.average_last": 1,
    "student.average_last": 1,
    "teacher.schedule.warmup_steps": 20,
    "student.schedule.warmup_steps": 10,
}


def read_source(source: str) -> dict[str, Any]:
    """The raw mapping of a recipe's name or a YAML file's path.

    Raises:
        ConfigError: neither a recipe nor a file, or not a YAML mapping.
    """
    name = _shortened(shown(source))
    text = _text_of(Path(source), name) if Path(source).suffix in {".yaml", ".yml"} else recipe_text(source)
    try:
        raw = read_yaml(text)
    except UnreadableError as error:
        raise ConfigError([f"{name} {_shortened(shown(str(error)))}"]) from None
    if not isinstance(raw, dict):
        raise ConfigError([f"{name}: expected a mapping of keys to values, found {type(raw).__name__}"])
    return raw


def _text_of(path: Path, name: str) -> str:
    try:
        if not path.is_file():
            raise ConfigError([f"{name}: no such file"])
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ConfigError([f"{name} is not readable as YAML: it is no UTF-8 text"]) from None
    except OSError as error:
        raise ConfigError([f"{name}: cannot be read: {error.strerror}"]) from None


def parse_override(text: str) -> tuple[str, Any]:
    """Split `student.epochs=3` into its dotted key and its value, read as YAML.

    Raises:
        ConfigError: there is no `=`, or the value is not YAML.
    """
    key, separator, value = text.partition("=")
    if not separator or not key:
        raise ConfigError([f"override {_shortened(repr(text))}: expected key=value, for example student.epochs=3"])
    try:
        return key.strip(), read_yaml(value)
    except UnreadableError as error:
        raise ConfigError([f"override {_shortened(repr(text))}: the value {_shortened(shown(str(error)))}"]) from None


def apply_override(raw: dict[str, Any], key: str, value: Any) -> None:
    """Set a dotted key in place; on the way, `model: resnet8` grows into `model: {name: resnet8}`."""
    *parents, last = key.split(".")
    node = raw
    for parent in parents:
        child = node.get(parent)
        if isinstance(child, str) and parent == "model":
            child = {"name": child}
        node[parent] = child if isinstance(child, dict) else {}
        node = node[parent]
    node[last] = value


def load_config(
    source: str | Mapping[str, Any] = DEFAULT_RECIPE, overrides: Sequence[str] = (), *, quick: bool = False
) -> StudyConfig:
    """Read, override and check a study's configuration.

    Args:
        source: a recipe's name, the path of a YAML file, or a mapping.
        overrides: `key=value` texts, applied in order after `quick`.
        quick: apply `QUICK_OVERRIDES` and add `-quick` to the name.

    Raises:
        ConfigError: lists every mistake found, each with its key, what was given and what would be right.
    """
    raw = _apart(read_source(source)) if isinstance(source, str) else _own_copy(source)
    mistakes: list[str] = []
    if quick:
        raw["name"] = f"{raw.get('name', 'study')}-quick"
        for key, value in (QUICK_TRANSLATION if raw.get("task") == "translation" else QUICK_OVERRIDES).items():
            apply_override(raw, key, value)
    for text in overrides:
        try:
            apply_override(raw, *parse_override(text))
        except ConfigError as error:
            mistakes += error.mistakes
    try:
        check_plain(raw)  # once more: overrides may have nested it
    except UnreadableError as error:
        raise ConfigError([*mistakes, f"with the overrides, the configuration {error}"]) from None
    mistakes += find_mistakes(raw)
    if mistakes:
        raise ConfigError(mistakes)
    return StudyConfig.model_validate(raw)


def _own_copy(source: Mapping[str, Any]) -> Any:
    try:
        check_plain(source)
    except UnreadableError as error:
        raise ConfigError([f"the configuration {error}"]) from None
    return _apart(source)


def _apart(value: Any) -> Any:
    """A copy in which nothing stands twice: an override of one place must not reach those that an alias repeats."""
    if isinstance(value, Mapping):
        return {key: _apart(entry) for key, entry in value.items()}
    return [_apart(entry) for entry in value] if isinstance(value, list | tuple) else value


def find_mistakes(raw: Mapping[str, Any]) -> list[str]:
    """Every mistake of a raw configuration: unknown keys, wrong types and values, and sections that contradict."""
    try:
        StudyConfig.model_validate(raw)
        mistakes = []
    except ValidationError as error:
        mistakes = [_sentence(e["loc"], e["type"], e["msg"], e.get("input")) for e in error.errors()]
    except (OSError, RuntimeError) as error:  # of a path too long for the system, or below the home of nobody
        return [f"a path in the configuration cannot be used: {_shortened(shown(str(error)))}"]
    reported = {mistake.partition(":")[0] for mistake in mistakes}
    return mistakes + [m for m in _contradictions(raw) if m.partition(":")[0] not in reported]


def _shortened(text: str) -> str:
    return text if len(text) <= LONGEST_SHOWN else f"{text[: LONGEST_SHOWN // 2]} … {text[-LONGEST_SHOWN // 2 :]}"


def _sentence(location: tuple[int | str, ...], kind: str, message: str, given: Any) -> str:
    key = _shortened(shown(".".join(str(part) for part in location if part not in {"[key]"})))
    if kind == "extra_forbidden":
        fields = _fields_at(location[:-1])
        return f"{key}: unknown key; {did_you_mean(str(location[-1]), fields)}"
    if kind == "missing":
        return f"{key}: required, but not given"
    message = shown(message.removeprefix("Value error, ").removeprefix("Input "))
    named = isinstance(given, str) and repr(given) in message
    got = "" if isinstance(given, dict) or named else f" (got {_shortened(repr(given))})"
    return f"{key}: {_shortened(message)}{got}"


def _fields_at(location: Iterable[int | str]) -> list[str]:
    """The field names of the section a location leads to, for the nearest match of an unknown key."""
    section: type[BaseModel] = StudyConfig
    for part in location:
        annotation = section.model_fields[str(part)].annotation if str(part) in section.model_fields else None
        nested = [a for a in (annotation, *get_args(annotation)) if isinstance(a, type) and issubclass(a, BaseModel)]
        if not nested:
            break
        section = nested[0]
    return list(section.model_fields)


def _contradictions(raw: Mapping[str, Any]) -> Iterable[str]:
    """Mistakes between keys and between sections; keys that are wrong by themselves are left out of the picture."""
    sections: dict[str, Any] = {}
    for name, section in SECTIONS.items():
        given = raw.get(name, {})
        try:
            sections[name] = TypeAdapter(section).validate_python(given)
        except ValidationError as error:
            wrong = {e["loc"][0] for e in error.errors() if e["loc"]}
            with contextlib.suppress(ValidationError, AttributeError):  # a required key may be among the wrong ones
                sound = {key: value for key, value in given.items() if key not in wrong}
                sections[name] = TypeAdapter(section).validate_python(sound)
    data, teacher = sections.get("data"), sections.get("teacher")
    task = str(raw.get("task", "image_classification"))
    translation = task == "translation"
    usable = _usable(task)
    if data is not None and usable:
        yield from _of_other_task(data.source, task)
    if data is not None:
        has_own = data.source in {"huggingface", "folder", *translation_sources()}  # may come with a validation split
        if raw.get("selection") == "best" and data.validation == 0 and not has_own:
            yield "selection: best needs a validation split; set data.validation above 0, or selection=last"
        if data.source in {"folder", "cub200", "parallel_text", "tsv"} and data.path is None:
            yield f"data.path: the source {data.source!r} needs the folder of the data"
        if data.source == "cub200" and data.eval_transform == "none":
            yield "data.eval_transform: images of 'cub200' differ in size and need one; for example resize_center_crop"
        yield from check_transforms(data.train_augmentation, data.eval_transform, data.image_size)
    if teacher is not None:
        unknown = [alpha for alpha in teacher.checkpoints if alpha not in teacher.label_smoothing]
        if unknown:
            yield f"teacher.checkpoints: {unknown[0]} is not in teacher.label_smoothing {teacher.label_smoothing}"
        yield from _wrong_given(teacher)
        if teacher.smoothing != "known" and teacher.train:
            yield f"teacher.smoothing: {teacher.smoothing!r} is of given teachers (train: false); here α is known"
        if not teacher.train and len(teacher.seeds) > 1 and set(teacher.label_smoothing) - set(teacher.given):
            yield (
                f"teacher.seeds: a given teacher is one teacher; {len(teacher.seeds)} seeds of it would be the same, "
                "again. Give one seed, or one file per seed in teacher.given"
            )
        if not teacher.train:
            missing = [a for a in teacher.label_smoothing if a not in teacher.checkpoints and a not in teacher.given]
            if missing and teacher.model.checkpoint is None and not teacher.model.pretrained:
                yield f"teacher.train: false needs a checkpoint for each α; none for {', '.join(map(str, missing))}"
    if (compute := sections.get("compute")) is not None and compute.fused_loss == "on" and not translation:
        yield "compute.fused_loss: on is of task: translation; image models make their logits themselves"
    if (student := sections.get("student")) is not None:
        other = [name for name in student.objectives if name not in (*FUSED, SEQUENCE)]
        if other and translation and compute is not None and compute.fused_loss == "on":
            yield f"compute.fused_loss: on has no {other[0]!r}, but {', '.join(FUSED)}; set it to auto or off"
        if SEQUENCE in student.objectives and not translation:
            yield f"student.objectives: {SEQUENCE!r} is of task: translation; its labels are the teacher's translations"
        yield from _student_contradictions(student)
    if sections.get("analysis") is not None:
        yield from _similarity_contradictions(sections["analysis"])
    for name in ("teacher", "student"):
        training = sections.get(name)
        if training is None:
            continue
        if usable:
            yield from _wrong_models(name, training, task)
        if training.average_last > 1 and raw.get("selection", "auto") not in {"auto", "last"}:
            yield f"{name}.average_last: the mean of the last epochs needs selection: last, not {raw['selection']}"
        if training.average_last > training.epochs:
            yield f"{name}.average_last: {training.average_last} of {training.epochs} epochs; give at most as many"
        if training.schedule.warmup_epochs >= training.epochs:
            yield (
                f"{name}.schedule.warmup_epochs: {training.schedule.warmup_epochs:g} leaves nothing of "
                f"{training.epochs} epochs; give fewer"
            )


def _usable(task: str) -> bool:
    try:
        known_task(task)
    except ValueError:
        return False
    return True


def _of_other_task(source: str, task: str) -> Iterable[str]:
    """A data source of another task than the study's."""
    built_in = {"image_classification": image_sources, "translation": translation_sources}
    own = built_in[task]() if task in built_in else find_task(task).data_sources()
    if source not in own:
        yield f"data.source: {source!r} does not go with task: {task}; {did_you_mean(source, own)}"


def _wrong_models(name: str, training: TrainingConfig, task: str) -> Iterable[str]:
    """Models of another task, and arguments that no model of this one takes."""
    models = training.all_models if isinstance(training, StudentConfig) else [training.model]
    for number, model in enumerate(models):
        key = f"{name}.model" if number == 0 else f"{name}.models.{number - 1}"
        if task == "image_classification":
            if model.name in ARCHITECTURES:
                yield f"{key}.name: {model.name!r} translates sentences; task: translation goes with it"
            elif model.pretrained and ":" not in model.name:
                yield f"{key}.pretrained: {model.name} has no published weights; give your own ({key}.checkpoint)"
            continue
        check = validate_translation_model_name if task == "translation" else find_task(task).check_model_name
        try:
            check(model.name)
        except ModelError as error:
            yield f"{key}.name: {error}"
        if task != "translation":
            continue
        for option in ("width", "replace_head"):
            if getattr(model, option):
                yield f"{key}.{option}: is of image models; translation models take kwargs (d_model, dropout, …)"


def _student_contradictions(student: StudentConfig) -> Iterable[str]:
    """Options of objectives that are not asked for or do not take them, and a smoothing that nothing feels."""
    for name, options in student.objective_options.items():
        key = f"student.objective_options.{_shortened(shown(name))}"
        if name == SEQUENCE:
            yield f"{key}: the objective takes no options"
            continue
        if name not in student.objectives:
            asked = did_you_mean(name, student.objectives)
            yield f"{key}: options of an objective that is not in student.objectives; {asked}"
            continue
        for option, mistake in option_mistakes(name, options):
            yield f"{key}.{_shortened(shown(option))}: {_shortened(shown(mistake))}"
    if student.topk is not None:
        for name in student.objectives:
            if name == SEQUENCE:
                continue
            try:
                check_topk(name, student.topk)
            except ValueError as error:
                yield f"student.topk: {error}"
    if student.label_smoothing > 0 and student.hard_weight == 0 and SEQUENCE not in student.objectives:
        yield (
            f"student.label_smoothing: {student.label_smoothing:g} smooths the hard labels, which count for nothing "
            "while student.hard_weight is 0; set that above 0, or this to 0. Teachers have teacher.label_smoothing"
        )
    names = [path_safe(model.name).casefold() for model in student.all_models]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        yield f"student.models: names of student models must differ, also as folder names; repeated: {repeated[0]}"


def _wrong_given(teacher: TeacherConfig) -> Iterable[str]:
    """Mistakes of `teacher.given`."""
    for alpha, files in teacher.given.items():
        if alpha not in teacher.label_smoothing:
            yield f"teacher.given: {alpha} is not in teacher.label_smoothing {teacher.label_smoothing}"
        if alpha in teacher.checkpoints:
            yield f"teacher.given: {alpha} is in teacher.checkpoints too; a teacher is given, or starts from there"
        if len(files) != len(teacher.seeds):
            yield (
                f"teacher.given: {len(files)} file{'s' * (len(files) > 1)} for α = {alpha:g} and {len(teacher.seeds)} "
                "teacher seeds; a file is one teacher: give one per seed, in the order of teacher.seeds"
            )
        if len({file.resolve() for file in files}) < len(files):
            yield f"teacher.given: the same file twice for α = {alpha:g} is the same teacher twice; give different ones"


def _similarity_contradictions(analysis: AnalysisConfig) -> Iterable[str]:
    source, own = analysis.similarity_source, {"groups": analysis.groups, "superclasses": analysis.superclasses or None}
    for key, given in own.items():
        if given is not None and source != key:
            yield f"analysis.{key}: contradicts similarity: {source}; remove one of the two"
    if source == "groups" and analysis.groups is None:
        yield "analysis.groups: similarity: groups needs a YAML file {group: [class names]}"
    if source != "wordnet" and analysis.wordnet is not None:
        yield f"analysis.wordnet: contradicts similarity: {source}; set similarity: wordnet, or remove it"
    if source == "wordnet":
        if analysis.wordnet is None:
            yield "analysis.wordnet: similarity: wordnet needs WordNet 3.0 as a WN-LMF file (docs/similar-classes.md)"
        if find_spec("wn") is None:
            yield "analysis.similarity: wordnet needs the package wn; pip install 'tosmooth[wordnet]'"

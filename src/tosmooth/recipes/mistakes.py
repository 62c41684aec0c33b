"""Every mistake of a raw configuration, each as a sentence: key, what was given, what would be right."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable, Mapping
from importlib.util import find_spec
from typing import Any, get_args

from pydantic import BaseModel, TypeAdapter, ValidationError

from tosmooth.config.schema import (
    AnalysisConfig,
    CacheConfig,
    DataConfig,
    ModelConfig,
    ModelSection,
    StudentConfig,
    StudyConfig,
    TeacherConfig,
    sections_of,
)
from tosmooth.config.types import as_cache_section
from tosmooth.data.augmentation import FIXED_VIEWS, check_transforms
from tosmooth.errors import ConfigError, ModelError, TosmoothError, did_you_mean
from tosmooth.files import path_safe
from tosmooth.losses.objectives import (
    check_topk,
    find_objective,
    fused_objectives,
    needs_labels_unsaid,
    objectives,
    option_mistakes,
)
from tosmooth.tasks.base import Task
from tosmooth.tasks.find import DEFAULT_TASK, find_task, usable_tasks
from tosmooth.terminal import shortened, shown


def schema_of(raw: Mapping[str, Any]) -> type[StudyConfig]:
    """The schema of a raw configuration: that of its task, or what all studies have where it names none that works."""
    task = task_of(raw)
    return StudyConfig if task is None else task.schema


def task_of(raw: Mapping[str, Any]) -> Task | None:
    """The task that a raw configuration names, where it is usable."""
    try:
        return find_task(str(raw.get("task", DEFAULT_TASK)))
    except TosmoothError:
        return None


def find_mistakes(raw: Mapping[str, Any]) -> list[str]:
    """Every mistake of a raw configuration: unknown keys, wrong types and values, and sections that contradict."""
    mistakes, schema = [], schema_of(raw)
    try:
        if isinstance(name := raw.get("task", DEFAULT_TASK), str):  # what is no text is said by the schema
            find_task(name)
    except ConfigError as error:
        mistakes += error.mistakes
    except TosmoothError as error:
        mistakes.append(f"task: {error}")
    try:
        schema.model_validate(raw)
    except ValidationError as error:
        mistakes += [_sentence(schema, e["loc"], e["type"], e["msg"], e.get("input")) for e in error.errors()]
    except (OSError, RuntimeError) as error:  # of a path too long for the system, or below the home of nobody
        return [f"a path in the configuration cannot be used: {shortened(shown(str(error)))}"]
    mistakes += _secrets(raw)
    reported = {mistake.partition(":")[0] for mistake in mistakes}
    return mistakes + [m for m in _contradictions(raw, schema) if m.partition(":")[0] not in reported]


# A user of the web may be a token; elsewhere a name alone is none: `ssh://git@host`, `abfs://container@account`.
_SECRET = re.compile(
    r"\b(https?|ftps?|wss?):/{1,2}[^/\s?#]+@"  # of the web
    r"|\b[A-Za-z][A-Za-z0-9+.-]+:/{1,2}[^/\s?#:@]*:[^/\s?#@]+@",
    re.IGNORECASE,
)


def _secrets(value: Any, key: str = "") -> Iterable[str]:
    """Addresses with a password, or what may be one: `study.yaml` would keep it, and so would what is made of it."""
    if isinstance(value, str) and _SECRET.search(value):
        yield (
            f"{shortened(shown(key))}: holds an address with a user or password, which files of the study would keep; "
            "leave them out, and give them in the environment (such as HF_TOKEN) or in ~/.netrc"
        )
    parts = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    for name, part in parts:
        yield from _secrets(part, f"{key}.{name}" if key else str(name))


def _sentence(schema: type[BaseModel], location: tuple[int | str, ...], kind: str, message: str, given: Any) -> str:
    key = shortened(shown(".".join(str(part) for part in location if part not in {"[key]"})))
    if kind == "extra_forbidden":
        fields = _fields_at(schema, location[:-1])
        others = _names_of(lambda task: location[-1] in _fields_at(task.schema, location[:-1]))
        if others:
            return f"{key}: is of task: {', '.join(others)}; a study of another task has no such key"
        return f"{key}: unknown key; {did_you_mean(str(location[-1]), fields)}"
    if kind == "missing":
        return f"{key}: required, but not given"
    message = shown(message.removeprefix("Value error, ").removeprefix("Input "))
    named = isinstance(given, str) and repr(given) in message
    got = "" if isinstance(given, dict) or named else f" (got {shortened(repr(given))})"
    return f"{key}: {shortened(message)}{got}"


def _fields_at(section: type[BaseModel], location: Iterable[int | str]) -> list[str]:
    """The field names of the section a location leads to, for the nearest match of an unknown key."""
    for part in location:
        if isinstance(part, int):  # in a list of sections
            continue
        annotation = section.model_fields[part].annotation if part in section.model_fields else None
        inner = [annotation, *get_args(annotation), *(a for entry in get_args(annotation) for a in get_args(entry))]
        nested = [a for a in inner if isinstance(a, type) and issubclass(a, BaseModel)]
        if not nested:
            break
        section = nested[0]
    return list(section.model_fields)


def _contradictions(raw: Mapping[str, Any], schema: type[StudyConfig]) -> Iterable[str]:
    """Mistakes between keys and between sections; keys that are wrong by themselves are left out of the picture."""
    sections: dict[str, Any] = {}
    for name, section in sections_of(schema).items():
        given = as_cache_section(raw.get(name, {})) if name == "cache" else raw.get(name, {})
        try:
            sections[name] = TypeAdapter(section).validate_python(given)
        except ValidationError as error:
            wrong = {e["loc"][0] for e in error.errors() if e["loc"]}
            with contextlib.suppress(ValidationError, AttributeError):  # a required key may be among the wrong ones
                sound = {key: value for key, value in given.items() if key not in wrong}
                sections[name] = TypeAdapter(section).validate_python(sound)
    if (cache := sections.get("cache")) is not None and cache.pixels == "on" and cache.views == "off":
        yield "cache.pixels: on stores the views of cache.views, which is off; give that a number, or leave this out"
    data, teacher, compute = (sections.get(name) for name in ("data", "teacher", "compute"))
    task = task_of(raw)
    if data is not None:
        yield from _wrong_source(data.source, task)
        may_validate = task is None or task.brings_validation(data.source)
        if raw.get("selection") == "best" and data.validation == 0 and not may_validate:
            yield "selection: best needs a validation split; set data.validation above 0, or selection=last"
        yield from check_transforms(data.train_augmentation, data.eval_transform, data.image_size)
        if data.auto_augment != "randaugment" and data.randaugment_magnitude != DataConfig().randaugment_magnitude:
            yield (
                f"data.randaugment_magnitude: {data.randaugment_magnitude} counts for nothing while data.auto_augment "
                f"is {data.auto_augment}; set that to randaugment, or leave this out"
            )
    if task is not None:
        yield from task.mistakes(sections)
    if teacher is not None:
        if not (teacher.checkpoints or teacher.given):
            yield from _wrong_averages("teacher", [teacher.model])
        unknown = [alpha for alpha in teacher.checkpoints if alpha not in teacher.label_smoothing]
        if unknown:
            yield f"teacher.checkpoints: {unknown[0]} is not in teacher.label_smoothing {teacher.label_smoothing}"
        yield from _wrong_given(teacher)
        yield from _wrong_outputs(teacher, data, sections.get("student"), sections.get("cache"), task)
        if teacher.smoothing != "known" and teacher.train:
            yield f"teacher.smoothing: {teacher.smoothing!r} is of given teachers (train: false); here α is known"
        if not teacher.train and len(teacher.seeds) > 1 and set(teacher.label_smoothing) - set(teacher.given):
            yield (
                f"teacher.seeds: a given teacher is one teacher; {len(teacher.seeds)} seeds of it would be the same, "
                "again. Give one seed, or one file per seed in teacher.given"
            )
        if not teacher.train and teacher.mixing.on:
            yield "teacher.mixing: given teachers (train: false) are not trained here; leave it out"
        if not teacher.train:
            missing = [a for a in teacher.label_smoothing if a not in teacher.checkpoints and a not in teacher.given]
            if missing and not (teacher.model.has_weights or teacher.outputs):
                yield f"teacher.train: false needs a checkpoint for each α; none for {', '.join(map(str, missing))}"
    if data is not None and data.unlabelled is not None:
        yield from _wrong_unlabelled(teacher, sections.get("student"), task)
    hidden_states = task is None or task.hidden_states
    if compute is not None and compute.fused_loss == "on" and not hidden_states:
        able = ", ".join(_names_of(lambda one: one.hidden_states))
        yield f"compute.fused_loss: on is of task: {able}; models of this one make their logits themselves"
    if (student := sections.get("student")) is not None:
        yield from _wrong_averages("student", student.all_models)
        fused = fused_objectives()
        other = [name for name in student.objectives if name not in fused and not find_objective(name).relabels]
        if other and hidden_states and compute is not None and compute.fused_loss == "on":
            yield f"compute.fused_loss: on has no {other[0]!r}, but {', '.join(fused)}; set it to auto or off"
        for name in student.objectives:
            if task is not None and find_objective(name).relabels and not task.relabels:
                able = ", ".join(_names_of(lambda one: one.relabels))
                yield f"student.objectives: {name!r} is of task: {able}; its labels are what the teacher writes"
        yield from _student_contradictions(student)
        if student.mixing.on and cache is not None and isinstance(cache.views, int):
            yield (
                f"cache.views: {cache.views} stores what teachers say to whole images, and student.mixing shows them "
                "mixed, each mixture once; set it to auto or off, and teachers run live"
            )
        if teacher is not None and student.pairing == "paired" and len(teacher.seeds) not in {1, len(student.seeds)}:
            yield (
                f"student.pairing: paired needs as many teacher.seeds as student.seeds, not {len(teacher.seeds)} and "
                f"{len(student.seeds)}; or set it to crossed"
            )
        if 1 in student.hard_weight and teacher is not None:
            same = len(teacher.label_smoothing) * len(student.temperatures)
            if same > 1:
                yield (
                    f"student.hard_weight: 1 leaves nothing to the teacher, so all {same} settings of α and T would be "
                    "one student; `student.controls: [cross_entropy]` trains it, without a teacher"
                )
    if sections.get("analysis") is not None:
        yield from _similarity_contradictions(sections["analysis"])
    for name in ("teacher", "student"):
        training = sections.get(name)
        yield from _wrong_models(name, raw.get(name), task)
        if training is None:
            continue
        if training.mixing.on and task is not None and not task.mixes:
            able = ", ".join(_names_of(lambda one: one.mixes))
            yield f"{name}.mixing: is of task: {able}; {task.samples} of this one cannot be mixed"
        if training.average_last > 1 and raw.get("selection", "auto") not in {"auto", "last"}:
            yield f"{name}.average_last: the mean of the last epochs needs selection: last, not {raw['selection']}"
        if training.average_last > training.epochs:
            yield f"{name}.average_last: {training.average_last} of {training.epochs} epochs; give at most as many"
        if training.average_last > 1 and training.moving_average is not None:
            yield f"{name}.moving_average: average_last is another mean of the weights; leave out one of the two"
        if training.optimizer.nesterov and training.optimizer.momentum == 0:
            yield f"{name}.optimizer.nesterov: needs {name}.optimizer.momentum above 0; set that, or this to false"
        if training.schedule.warmup_epochs >= training.epochs:
            yield (
                f"{name}.schedule.warmup_epochs: {training.schedule.warmup_epochs:g} leaves nothing of "
                f"{training.epochs} epochs; give fewer"
            )


def _names_of(is_one: Callable[[Task], object]) -> list[str]:
    """Names of the tasks of which something holds. For messages alone, as it imports what packages add."""

    def holds(task: Task) -> bool:
        with contextlib.suppress(Exception):  # another package's code may raise anything
            return bool(is_one(task))
        return False

    return [name for name, task in usable_tasks().items() if holds(task)]


def _sources_of(task: Task) -> tuple[str, ...]:
    with contextlib.suppress(Exception):  # another package's code may raise anything
        return tuple(task.data_sources())
    return ()


def _wrong_source(source: str, task: Task | None) -> Iterable[str]:
    """A data source of another task than the study's, of none, or one that cannot be used."""
    if task is not None and source in task.data_sources():
        try:
            task.check_source(source)
        except TosmoothError as error:
            yield f"data.source: {error}"
        return
    owners = _names_of(lambda one: source in one.data_sources())
    if owners and task is not None:
        yield f"data.source: {source!r} does not go with task: {task.name}; {did_you_mean(source, task.data_sources())}"
    elif not owners:
        tasks = usable_tasks().values() if task is None else [task]
        known = [name for one in tasks for name in _sources_of(one)]
        yield f"data.source: unknown data source {shortened(repr(source))}; {did_you_mean(source, known)}"


def _wrong_models(role: str, raw: Any, task: Task | None) -> Iterable[str]:
    """Models of another task or of none, and arguments that no model of this one takes.

    Args:
        role: "teacher" or "student".
        raw: that section as it was given: a model is looked at also where something else in the section is wrong.
        task: of the study, where it is usable.
    """
    section = raw if isinstance(raw, Mapping) else {}
    further = section.get("models")
    given = [section.get("model"), *(further if isinstance(further, list) else [])]
    for number, model in enumerate(given):
        key = f"{role}.model" if number == 0 else f"{role}.models.{number - 1}"
        name = model.get("name") if isinstance(model, Mapping) else model
        if not isinstance(name, str):  # said by the schema
            continue
        reason = None if task is None else _refused(task, name)
        if task is not None and reason is None:
            with contextlib.suppress(ValidationError):  # said by the schema
                sound = TypeAdapter(ModelSection).validate_python(model)
                yield from (f"{key}.{option}: {mistake}" for option, mistake in task.model_mistakes(sound))
            continue
        able = _names_of(lambda one: _refused(one, name) is None)  # noqa: B023
        if task is None and able:
            continue
        reason = reason or next((why for one in usable_tasks().values() if (why := _refused(one, name))), None)
        other = f"; it is a model of task: {', '.join(able)}" if able else ""
        yield f"{key}.name: {reason}{other}"


def _refused(task: Task, name: str) -> str | None:
    """Why a task has no model of that name; None where it has one."""
    try:
        task.check_model_name(name)
    except ModelError as error:
        return str(error)
    except Exception as error:  # another package's code may raise anything
        return f"task: {task.name} cannot tell whether {name!r} is a model of it ({type(error).__name__}: {error})"
    return None


def _student_contradictions(student: StudentConfig) -> Iterable[str]:
    """Options of objectives that are not asked for or do not take them, and a smoothing that nothing feels."""
    for name, options in student.objective_options.items():
        key = f"student.objective_options.{shortened(shown(name))}"
        if name not in student.objectives:
            asked = did_you_mean(name, student.objectives)
            yield f"{key}: options of an objective that is not in student.objectives; {asked}"
            continue
        if find_objective(name).function is None:
            yield f"{key}: the objective takes no options"
            continue
        for option, mistake in option_mistakes(name, options):
            yield f"{key}.{shortened(shown(option))}: {shortened(shown(mistake))}"
    if student.topk is not None:
        for name in student.objectives:
            if find_objective(name).function is None:
                continue
            try:
                check_topk(name, student.topk)
            except ValueError as error:
                yield f"student.topk: {error}"
    for name in student.objectives if student.mixing.on else ():
        if needs_labels_unsaid(name):
            yield (
                f"student.mixing: the objective {name!r} does not work without labels, and mixed images have two; its "
                "function must say so (needs_targets = True), and is then asked once for each"
            )
    relabelled = any(find_objective(name).relabels for name in student.objectives)
    if student.label_smoothing > 0 and not any(student.hard_weight) and not relabelled:
        yield (
            f"student.label_smoothing: {student.label_smoothing:g} smooths the hard labels, which count for nothing "
            "while student.hard_weight is 0; set that above 0, or this to 0. Teachers have teacher.label_smoothing"
        )
    names = [path_safe(model.name).casefold() for model in student.all_models]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        yield f"student.models: names of student models must differ, also as folder names; repeated: {repeated[0]}"


def _wrong_averages(role: str, models: Iterable[ModelConfig]) -> Iterable[str]:
    """`ema` where there is no file whose averaged weights could be taken."""
    for model in models:
        if model.ema and model.checkpoint is None:
            yield f"{role}.model.ema: is of a checkpoint, and {model.name} has none; give its file (checkpoint)"


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


def _wrong_outputs(
    teacher: TeacherConfig,
    data: DataConfig | None,
    student: StudentConfig | None,
    cache: CacheConfig | None,
    task: Task | None,
) -> Iterable[str]:
    """Mistakes of `teacher.outputs`: of one teacher, whose answers are to one view of each image."""
    if not teacher.outputs:
        for key, value in (("average", teacher.average != "probabilities"), ("outputs_digest", teacher.outputs_digest)):
            if value:
                yield f"teacher.{key}: counts for nothing without teacher.outputs; leave it out"
        return
    if task is not None and not task.takes_outputs:
        able = ", ".join(_names_of(lambda one: one.takes_outputs))
        yield f"teacher.outputs: are of task: {able}; here a sample has no one row"
    if teacher.train or teacher.checkpoints or teacher.given:
        yield "teacher.outputs: are all that is known of the teacher; set train: false, and no checkpoints, no given"
    if len(teacher.label_smoothing) > 1 or len(teacher.seeds) > 1:
        yield "teacher.outputs: are of one teacher; give one α in teacher.label_smoothing, and one of teacher.seeds"
    if data is not None and data.train_augmentation not in FIXED_VIEWS:
        yield (
            f"teacher.outputs: are of one view of each image, and data.train_augmentation: {data.train_augmentation} "
            f"shows others; set it to {' or '.join(FIXED_VIEWS)}, as data.eval_transform"
        )
    if data is not None and data.augments_further:
        yield "teacher.outputs: are of whole images as they are; leave out data.auto_augment and data.random_erasing"
    if student is not None and student.mixing.on:
        yield "teacher.outputs: are of whole images, and student.mixing shows them mixed; leave it out"
    if cache is not None and cache.views not in {"auto", "off"}:
        yield f"teacher.outputs: are stored answers already, and cache.views: {cache.views} wants to store some; off"


def _wrong_unlabelled(teacher: TeacherConfig | None, student: StudentConfig | None, task: Task | None) -> Iterable[str]:
    """What cannot go with `data.unlabelled`: what needs a label of each image, or its row in a file."""
    if task is not None and not task.takes_unlabelled:
        able = ", ".join(_names_of(lambda one: one.takes_unlabelled))
        yield f"data.unlabelled: is of task: {able}; {task.samples} of this one need labels"
    if teacher is not None and teacher.outputs:
        yield "data.unlabelled: teacher.outputs have no row for such images, and the teacher cannot be asked; leave out"
    if student is None:
        return
    able = ", ".join(name for name in objectives() if not _wants_labels(name))
    for name in filter(_wants_labels, student.objectives):
        yield f"data.unlabelled: the objective {name!r} needs the true class of each image; take one of {able}"
    if student.mixing.on:
        yield "data.unlabelled: student.mixing mixes labels with the images, and these have none; leave one of them out"
    if 1 in student.hard_weight:
        yield "data.unlabelled: student.hard_weight: 1 learns from labels alone, and such images have none; take 0.5"


def _wants_labels(name: str) -> bool:
    return find_objective(name).needs_targets or needs_labels_unsaid(name)


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

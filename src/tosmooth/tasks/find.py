"""Tasks by name."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from tosmooth import plugins
from tosmooth.errors import ConfigError, TosmoothError, did_you_mean
from tosmooth.tasks.metric import METRICS, TOP1, Metric

if TYPE_CHECKING:  # names of tasks are asked for without PyTorch
    from tosmooth.tasks.base import Task

# Imported on first use: a study of images needs nothing that sentences need.
_BUILT_IN = {
    "image_classification": "tosmooth.tasks.image_classification:ImageClassification",
    "translation": "tosmooth.tasks.translation:Translation",
}
_TASKS: dict[str, type[Task]] = {}


def register_task(name: str, task: type[Task]) -> None:
    """Make a task known by name.

    Raises:
        ConfigError: the name is taken.
    """
    if name in {*_BUILT_IN, *_TASKS}:
        raise ConfigError([f"task: {name!r} is registered already"])
    _TASKS[name] = task


def added_tasks() -> tuple[str, ...]:
    """Names of the tasks that users and packages add."""
    return tuple(sorted({*_TASKS, *plugins.names("tasks", _BUILT_IN)} - {*_BUILT_IN}))


def task_names() -> tuple[str, ...]:
    """Names of all tasks; no task is imported for it."""
    return (*_BUILT_IN, *added_tasks())


def find_task(name: str) -> Task:
    """The task of that name.

    Raises:
        ConfigError: there is none.
        PluginError: a package adds it, and cannot be used.
    """
    if name in _BUILT_IN:
        module, _, kind = _BUILT_IN[name].partition(":")
        found = getattr(import_module(module), kind)
    else:
        found = _TASKS.get(name) or plugins.load("tasks", name)
    if found is None:
        raise ConfigError([f"task: unknown task {name!r}; {did_you_mean(name, task_names())}"])
    return _made(name, found)


def _made(name: str, found: Any) -> Task:
    from tosmooth.tasks.base import Task

    if not (isinstance(found, type) and issubclass(found, Task)):
        raise _wrong(name, found, "a subclass of tosmooth.tasks.base.Task")
    if missing := sorted(getattr(found, "__abstractmethods__", ())):
        raise _wrong(name, found, f"a whole task: it lacks {', '.join(missing)}")
    try:
        return found()
    except Exception as error:  # another package's code may raise anything
        raise _wrong(name, found, f"one that is made without arguments ({type(error).__name__}: {error})") from error


def _wrong(name: str, found: object, expected: str) -> TosmoothError:
    if name in _TASKS:
        return ConfigError([f"task: {name!r}: {found!r} is not {expected}"])
    return plugins.wrong("tasks", name, expected)


def metric_of(task: object) -> Metric:
    """The metric of a task by its name, as `study.yaml` has it; accuracy for studies of versions that had one task, and
    where the package that adds the task is not installed."""
    if task is None or task in METRICS:
        return METRICS.get(str(task), TOP1)
    from tosmooth.tasks.find import added_tasks, find_task

    return find_task(str(task)).metric if task in added_tasks() else TOP1

"""Tasks by name."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from tosmooth import plugins
from tosmooth.errors import ConfigError, TosmoothError
from tosmooth.registry import Registry
from tosmooth.tasks.base import Absent, Task, Traits

DEFAULT_TASK = "image_classification"  # the only one of versions that wrote no task into a study
NEEDED = ("name", "metric", "samples")  # the traits that have no default
# Imported on first use: a study of images needs nothing that sentences need.
_BUILT_IN = {
    DEFAULT_TASK: "tosmooth.tasks.image_classification:ImageClassification",
    "translation": "tosmooth.tasks.translation:Translation",
}


def _accepted(name: str, found: Any) -> type[Task]:
    reason = _refused(found)
    if reason is not None:
        raise plugins.wrong("tasks", name, reason)
    return found  # type: ignore[no-any-return]


TASKS: Registry[type[Task]] = Registry(
    "tasks", "task", lambda text: ConfigError([f"task: {text}"]), built_in=_BUILT_IN, accept=_accepted
)


def register_task(name: str, task: type[Task]) -> None:
    """Make a task known by name.

    Raises:
        ConfigError: the name is taken.
    """
    TASKS.add(name, task)


def task_names() -> tuple[str, ...]:
    """Names of all tasks, those that come along first; no task is imported for it."""
    return tuple(sorted(TASKS.names(), key=lambda name: (name not in _BUILT_IN, name)))


def find_task(name: str) -> Task:
    """The task of that name.

    Raises:
        ConfigError: there is none, or what was registered is none.
        PluginError: a package adds it, and cannot be used.
    """
    found = TASKS.find(name)
    if (reason := _refused(found)) is not None:
        raise _wrong(name, found, reason)
    try:
        task = found()
    except Exception as error:  # another package's code may raise anything
        raise _wrong(name, found, f"one that is made without arguments ({type(error).__name__}: {error})") from error
    absent = [trait for trait in NEEDED if not hasattr(task, trait)]
    if absent:
        raise _wrong(name, found, f"a whole task: it lacks {', '.join(absent)}")
    return task


def _wrong(name: str, found: type[Task], reason: str) -> TosmoothError:
    if name in plugins.names("tasks"):
        return plugins.wrong("tasks", name, reason)
    return ConfigError([f"task: {name!r}: {found!r} is not {reason}"])


def usable_tasks() -> dict[str, Task]:
    """All tasks that can be used here, by name."""
    found = {}
    for name in task_names():
        with suppress(TosmoothError):  # doctor says what is wrong with it
            found[name] = find_task(name)
    return found


def traits_of(name: object, advice: Mapping[str, Any] | None = None) -> Traits:
    """What is known of the task of a study that is there, by its name in `study.yaml`.

    Args:
        name: None in studies of versions that had one task.
        advice: of the study: all that tells of its metric where the task is not installed here.
    """
    with suppress(TosmoothError):
        return find_task(DEFAULT_TASK if name is None else str(name))
    return Absent(str(name), advice or {})


def _refused(found: Any) -> str | None:
    """What a task should be that this is not; None where it is one."""
    if not (isinstance(found, type) and issubclass(found, Task)):
        return "a subclass of tosmooth.tasks.base.Task"
    missing = sorted(getattr(found, "__abstractmethods__", ()))
    return f"a whole task: it lacks {', '.join(missing)}" if missing else None

"""Tasks by name."""

from __future__ import annotations

from importlib import import_module

from tosmooth.errors import ConfigError, did_you_mean
from tosmooth.tasks.base import Task

# Imported on first use: a study of images needs nothing that sentences need.
_TASKS = {
    "image_classification": "tosmooth.tasks.image_classification:ImageClassification",
    "translation": "tosmooth.tasks.translation:Translation",
}


def find_task(name: str) -> Task:
    """The task of that name.

    Raises:
        ConfigError: there is none.
    """
    if name not in _TASKS:
        raise ConfigError([f"task: unknown task {name!r}; {did_you_mean(name, _TASKS)}"])
    module, _, kind = _TASKS[name].partition(":")
    task = getattr(import_module(module), kind)()
    assert isinstance(task, Task)
    return task

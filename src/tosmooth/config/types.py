"""The types of a configuration's fields: what a value may be, and the sentence where it may not."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, Field

from tosmooth.data.registry import find_image_source, image_sources
from tosmooth.data.translation.registry import find_translation_source, translation_sources
from tosmooth.errors import TosmoothError, did_you_mean
from tosmooth.files import unportable
from tosmooth.losses.objectives import SEQUENCE, find_objective
from tosmooth.losses.objectives import objectives as objective_names
from tosmooth.models.build import validate_model_name
from tosmooth.models.translation_marian import ARCHITECTURES as TRANSLATION_MODELS
from tosmooth.tasks.find import added_tasks, find_task, task_names


def one_of(kind: str, names: Any) -> AfterValidator:
    """A validator for a name out of a registry that is read when the config is, so that user additions count."""

    def check(value: str) -> str:
        one_of_them(value, kind, names())
        return value

    return AfterValidator(check)


def one_of_them(value: str, kind: str, names: Collection[str]) -> None:
    """Raise a ValueError for a name that is not among these."""
    if value not in names:
        raise ValueError(f"unknown {kind} {value!r}; {did_you_mean(value, names)}")


def student_objectives() -> tuple[str, ...]:
    """Names of what students can learn by: losses on the teacher's logits, and its translations."""
    return (*objective_names(), SEQUENCE)


def known_objective(value: str) -> str:
    """The name of an objective that can be used: one that a package adds is loaded."""
    one_of_them(value, "objective", student_objectives())
    if value != SEQUENCE:
        _loaded(find_objective, value)
    return value


def _loaded(find: Callable[[str], Any], name: str) -> None:
    """Find what may be another package's now, and not in the middle of the work."""
    try:
        find(name)
    except TosmoothError as error:
        raise ValueError(str(error)) from None


def known_source(value: str) -> str:
    """A data source that some task knows; whether it is this study's is looked at with the whole configuration."""
    known = (*image_sources(), *translation_sources())
    if value not in known:
        added = _of_added_tasks(lambda task: task.data_sources())
        if not any(value in names for names in added):
            known += tuple(name for names in added for name in names)
            raise ValueError(f"unknown data source {value!r}; {did_you_mean(value, known)}")
    elif value in image_sources():
        _loaded(find_image_source, value)
    else:
        _loaded(find_translation_source, value)
    return value


def known_model(value: str) -> str:
    """A model's name that some task knows."""
    if value in TRANSLATION_MODELS:  # whether a model fits the task is looked at with the whole configuration
        return value
    try:
        validate_model_name(value)
    except TosmoothError as error:
        if not _of_added_tasks(lambda task: task.check_model_name(value) or True):
            raise ValueError(str(error)) from None
    return value


def _of_added_tasks(ask: Callable[[Any], Any]) -> list[Any]:
    """What the tasks of other packages answer; those that cannot be loaded, or raise, are left out."""
    found = []
    for name in added_tasks():
        with suppress(Exception):  # another package's code may raise anything; doctor says what
            found.append(ask(find_task(name)))
    return found


def known_task(value: str) -> str:
    """The name of a task that can be used."""
    if value not in task_names():
        raise ValueError(f"unknown task {value!r}; {did_you_mean(value, task_names())}")
    if value in added_tasks():
        _loaded(find_task, value)
    return value


def portable(value: str) -> str:
    """A name that every system takes for a folder."""
    if (reason := unportable(value)) is not None:
        raise ValueError(f"{value!r} {reason}; give another name")
    return value


def existing_path(value: Path) -> Path:
    """A path that is there, the home of the user resolved."""
    try:
        path = value.expanduser()
        found = path.exists()
    except (OSError, RuntimeError, ValueError) as error:  # too long a name, the home of nobody, a NUL byte
        raise ValueError(f"cannot be used as a path: {getattr(error, 'strerror', None) or error}") from None
    if not found:
        raise ValueError(f"{value} does not exist")
    return path


def distinct(values: list[Any]) -> list[Any]:
    """Values that differ, as folder names write them."""
    # As folder names write them: six significant digits. Closer values would share a folder.
    texts = [f"{value:g}" if isinstance(value, float) else str(value) for value in values]
    repeated = sorted({text for text in texts if texts.count(text) > 1})
    if repeated:
        raise ValueError(f"values must differ; repeated: {', '.join(repeated)}")
    return values


def as_list(value: Any) -> Any:
    """A single value is a list of one."""
    return value if isinstance(value, list | tuple) else [value]


def finite(value: float) -> float:
    """Neither infinite nor NaN."""
    if not math.isfinite(value):
        raise ValueError("must be a finite number")
    return value


def on_off(value: Any) -> Any:
    """YAML reads a bare on or off as true or false."""
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else value


def as_model_section(value: Any) -> Any:
    """`model: resnet8` is short for `model: {name: resnet8}`."""
    return {"name": value} if isinstance(value, str) else value


def as_cache_section(value: Any) -> Any:
    """`cache: off` is short for `cache: {views: off}`."""
    return value if isinstance(value, dict | BaseModel) else {"views": value}


ExistingPath = Annotated[Path, AfterValidator(existing_path)]
Smoothing = Annotated[float, Field(ge=0, lt=1)]
Temperature = Annotated[float, Field(gt=0), AfterValidator(finite)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]
Positive = Annotated[int, Field(gt=0)]
PositiveNumber = Annotated[float, Field(gt=0), AfterValidator(finite)]
Beta = Annotated[float, Field(ge=0, lt=1)]
Language = Annotated[str, Field(pattern=r"^[A-Za-z]{2,8}([-_][A-Za-z0-9]{1,8})*$")]
Knowledge = Literal["known", "estimated", "unknown"]  # of a configuration's `teacher.smoothing`

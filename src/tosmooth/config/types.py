"""The types of a configuration's fields: what a value may be, and the sentence where it may not."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, ValidationError, ValidatorFunctionWrapHandler

from tosmooth.errors import TosmoothError
from tosmooth.files import unportable
from tosmooth.losses.objectives import find_objective


def nearest_to_one(factors: Iterable[float]) -> list[float]:
    """Factors, the nearest to 1 first, as ratios count; of two as near, the lower."""
    return sorted(factors, key=lambda factor: (abs(math.log(factor)), factor))


def known_objective(value: str) -> str:
    """The name of an objective that can be used: what a package adds is loaded now, not in the middle of the work."""
    try:
        find_objective(value)
    except TosmoothError as error:
        raise ValueError(str(error)) from None
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


def known_control(value: Any) -> Any:
    """A student's training without a teacher: `cross_entropy`, or `{label_smoothing: α}` with 0 < α < 1."""
    if value == "cross_entropy":
        return value
    if isinstance(value, dict) and list(value) == ["label_smoothing"]:
        alpha = value["label_smoothing"]
        if isinstance(alpha, int | float) and not isinstance(alpha, bool) and 0 < alpha < 1:
            return {"label_smoothing": float(alpha)}
    raise ValueError("a control is cross_entropy, or {label_smoothing: α} with 0 < α < 1")


def finite(value: float) -> float:
    """Neither infinite nor NaN."""
    if not math.isfinite(value):
        raise ValueError("must be a finite number")
    return value


def on_off(value: Any) -> Any:
    """YAML reads a bare on or off as true or false."""
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else value


def views_said(value: Any, check: ValidatorFunctionWrapHandler) -> Any:
    """`cache.views`: one sentence where a value is neither a word nor a number of views."""
    try:
        return check(on_off(value))
    except ValidationError:
        raise ValueError("should be auto, off, or a whole number above 0") from None


def as_model_section(value: Any) -> Any:
    """`model: resnet8` is short for `model: {name: resnet8}`."""
    return {"name": value} if isinstance(value, str) else value


def as_mixing_section(value: Any) -> Any:
    """`mixing: off` is short for the defaults."""
    return {} if value is False or value == "off" else value


def mixing_strength(value: float) -> float:
    """The parameter of a Beta distribution, where it still is one in single precision; 0 is off."""
    if 0 < value < 0.001:
        raise ValueError("must be 0 (off), or from 0.001 to 100")
    return value


def as_cache_section(value: Any) -> Any:
    """`cache: off` is short for `cache: {views: off}`."""
    return value if isinstance(value, dict | BaseModel) else {"views": value}


def as_average_section(value: Any) -> Any:
    """`moving_average: 0.999` is short for `moving_average: {decay: 0.999}`, and `off` for null."""
    if value is False or value == "off":
        return None
    if value is None or isinstance(value, dict | BaseModel):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return {"decay": value}
    raise ValueError("must be a decay, such as 0.9998, or {decay: 0.9998, warmup: true}, or null")


ExistingPath = Annotated[Path, AfterValidator(existing_path)]
Smoothing = Annotated[float, Field(ge=0, lt=1)]
Temperature = Annotated[float, Field(gt=0), AfterValidator(finite)]
Weight = Annotated[float, Field(ge=0, le=1)]
MixingStrength = Annotated[float, Field(ge=0, le=100), AfterValidator(mixing_strength)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]
Positive = Annotated[int, Field(gt=0)]
PositiveNumber = Annotated[float, Field(gt=0), AfterValidator(finite)]
Control = Annotated[str | dict[str, float], BeforeValidator(known_control)]
Beta = Annotated[float, Field(ge=0, lt=1)]
Language = Annotated[str, Field(pattern=r"^[A-Za-z]{2,8}([-_][A-Za-z0-9]{1,8})*$")]
Knowledge = Literal["known", "estimated", "unknown"]  # of a configuration's `teacher.smoothing`

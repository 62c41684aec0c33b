"""What other packages add: objectives, data sources, models and tasks, found by their entry points.

Names are read from the packages' metadata, which runs nothing. A package's code is imported when its name is used, and
not before: a broken one is in nobody's way but of those who ask for it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Literal

from tosmooth.errors import TosmoothError

Kind = Literal["objectives", "data_sources", "translation_sources", "models", "tasks"]
KINDS: tuple[Kind, ...] = ("objectives", "data_sources", "translation_sources", "models", "tasks")


class PluginError(TosmoothError):
    """Something that another package adds cannot be used; the text names the package."""


@dataclass(frozen=True)
class Plugin:
    """One addition of a package.

    Attributes:
        kind: what it is.
        name: what configurations call it.
        package: the distribution that brings it, with its version.
        value: the object, as `module:attribute`.
    """

    kind: Kind
    name: str
    package: str
    value: str


@lru_cache(maxsize=1)
def _found() -> dict[tuple[Kind, str], list[EntryPoint]]:
    found: dict[tuple[Kind, str], list[EntryPoint]] = {}
    for kind in KINDS:
        for point in entry_points(group=f"tosmooth.{kind}"):
            own = found.setdefault((kind, point.name), [])
            if all(_package(point) != _package(other) or point.value != other.value for other in own):
                own.append(point)  # a package that is on the path twice is one package
    return found


def _package(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist is not None else "an unknown package"


def installed() -> list[Plugin]:
    """All additions of installed packages; nothing of theirs is imported."""
    return [
        Plugin(kind, name, _package(point), point.value)
        for (kind, name), points in sorted(_found().items())
        for point in points
    ]


def names(kind: Kind, taken: Iterable[str] = ()) -> tuple[str, ...]:
    """Names that packages add, less those that are `taken`: what comes with tosmooth keeps its name."""
    return tuple(sorted({name for group, name in _found() if group == kind} - set(taken)))


def load(kind: Kind, name: str) -> Any:
    """Import what a package adds under a name; None where no package does.

    Raises:
        PluginError: two packages add this name, or the package's code cannot be imported.
    """
    points = _found().get((kind, name), [])
    if len(points) > 1:
        packages = ", ".join(_package(point) for point in points)
        raise PluginError(f"{name!r} ({kind}) is added by several packages: {packages}; uninstall all but one")
    if not points:
        return None
    try:
        return points[0].load()
    except (Exception, SystemExit) as error:  # another package's code may raise anything
        raise PluginError(
            f"{name!r} ({kind}) of the package {_package(points[0])} cannot be loaded from {points[0].value}: "
            f"{type(error).__name__}: {error}"
        ) from error


def wrong(kind: Kind, name: str, expected: str) -> PluginError:
    """The error where a package adds something of another form.

    Args:
        expected: what it should be, such as "a function".
    """
    (point,) = _found()[kind, name]
    return PluginError(f"{name!r} ({kind}) of the package {_package(point)}: {point.value} is not {expected}")

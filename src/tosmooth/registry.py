"""Things by name: what comes with tosmooth, what a program registers, and what installed packages add."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, Generic, TypeVar, cast

from tosmooth import plugins
from tosmooth.errors import did_you_mean

Thing = TypeVar("Thing")


class Registry(Generic[Thing]):
    """The things of one kind by their names. What comes with tosmooth keeps its name.

    Names cost nothing: a package's code is imported when its name is asked for, and not before.

    Args:
        kind: the entry points that packages add such things by.
        what: what one is called in messages, such as "data source".
        error: makes the exception of an unknown or a taken name from its text.
        built_in: name → "module:attribute", or the module itself, of what comes with tosmooth, imported on first use.
        modules: name → the module that registers what comes with tosmooth by it, imported on first use.
        accept: what a package adds under a name → the thing; raises where it is none. None: it must be callable.
    """

    def __init__(
        self,
        kind: plugins.Kind,
        what: str,
        error: Callable[[str], Exception],
        *,
        built_in: Mapping[str, str] | None = None,
        modules: Mapping[str, str] | None = None,
        accept: Callable[[str, Any], Thing] | None = None,
    ) -> None:
        self.kind, self.what = kind, what
        self._error, self._built_in, self._modules = error, dict(built_in or {}), dict(modules or {})
        self._accept = accept or self._callable
        self._known: dict[str, Thing] = {}

    def add(self, name: str, thing: Thing) -> None:
        """Register a thing.

        Raises:
            Exception: the name is taken; of the type that `error` makes.
        """
        # Whoever registers one of ours must be the module that does.
        foreign = name in self._modules and getattr(thing, "__module__", None) != self._modules[name]
        if name in self._known or name in self._built_in or foreign:
            raise self._error(f"{self.what} {name!r} is registered already")
        self._known[name] = thing

    def names(self) -> tuple[str, ...]:
        """All names, sorted; those of packages among them."""
        return tuple(sorted({*self._known, *self._built_in, *self._modules, *plugins.names(self.kind)}))

    def find(self, name: str) -> Thing:
        """The thing of that name.

        Raises:
            Exception: there is none; of the type that `error` makes.
            PluginError: a package adds it, and cannot be used.
        """
        if name in self._built_in and name not in self._known:
            module, _, attribute = self._built_in[name].partition(":")
            home = import_module(module)
            self._known[name] = getattr(home, attribute) if attribute else cast(Thing, home)
        if name in self._modules and name not in self._known:
            import_module(self._modules[name])
        if name not in self._known and (added := plugins.load(self.kind, name)) is not None:
            self._known[name] = self._accept(name, added)
        if name not in self._known:
            raise self._error(f"unknown {self.what} {name!r}; {did_you_mean(name, self.names())}")
        return self._known[name]

    def check(self, name: str) -> None:
        """Refuse a name that is not one, or whose package cannot be used; what comes with tosmooth is not imported.

        Raises:
            Exception: as `find`.
        """
        if name not in self._built_in and name not in self._modules:
            self.find(name)

    def known(self, name: object) -> Thing | None:
        """The thing of that name where it is at hand: nothing of a package is imported."""
        return self._known.get(name) if isinstance(name, str) else None

    def __contains__(self, name: object) -> bool:
        return name in self.names()

    def _callable(self, name: str, added: Any) -> Thing:
        if not callable(added):
            raise plugins.wrong(self.kind, name, "a function")
        return cast(Thing, added)

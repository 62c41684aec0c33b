"""One clear error where the library of an integration is missing."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from tosmooth.errors import MissingLibraryError


def require(library: str, install: str, *names: str) -> Any:
    """Import a library, or a module of one.

    Args:
        library: its name, such as "lightning.pytorch".
        install: what to give to pip, such as "tosmooth[lightning]".
        names: what it must have.

    Returns:
        The module.

    Raises:
        MissingLibraryError: it is not installed, or this version lacks the module or a name. What goes wrong within it
            is raised as it is.
    """
    try:
        found = import_module(library)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{library}.".startswith(f"{error.name}."):
            raise
        raise MissingLibraryError(f'{library} is missing, and this needs it: pip install "{install}"') from None
    if absent := [name for name in names if not hasattr(found, name)]:
        raise MissingLibraryError(
            f'this version of {library} lacks {", ".join(absent)}, and this needs it: pip install -U "{install}"'
        )
    return found

"""In which precision models work, as a phrase."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def precision_in_words(found: Any) -> str | None:
    """What `environment.json` says of a precision: `bf16`, or `measured: bf16 (teacher resnet20), …`; None if nothing.

    Args:
        found: a precision, or one for each model.
    """
    if isinstance(found, Mapping):
        return "measured: " + ", ".join(f"{precision} ({model})" for model, precision in found.items())
    return None if found is None else str(found)

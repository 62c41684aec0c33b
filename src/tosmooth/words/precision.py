"""In which precision models work, as a phrase."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

WHY = {
    "measured": "measured",
    "no bf16": "not measured: no bf16 on this machine",
    "too few steps": "not measured: too few steps",
    "out of memory": "not measured: out of memory",
}


def precision_in_words(found: Any) -> str | None:
    """What `environment.json` says of a precision: `bf16`, or `bf16 (teacher resnet20, measured), …`; None if nothing.

    Args:
        found: a precision; or, under `measured`, one for each model with the reason (without it in older studies).
    """
    if isinstance(found, Mapping):
        return ", ".join(_of_model(str(model), choice) for model, choice in found.items())
    return None if found is None else str(found)


def _of_model(model: str, choice: Any) -> str:
    if not isinstance(choice, Mapping):
        return f"{choice} ({model})"
    if choice.get("precision") is None:
        return f"not known ({model})"
    return f"{choice['precision']} ({model}, {WHY.get(str(choice.get('reason')), 'nobody knows why')})"

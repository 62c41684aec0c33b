"""What a part of the check finds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch

from benchmarks.common import compute_of
from tosmooth.training.compute import Compute


class Skipped(Exception):
    """A part that cannot be run here, and why."""


@dataclass
class Findings:
    """The rows of one part.

    Attributes:
        rows: quantity, value, bound in words, and whether it is kept; None where there is no bound.
        facts: of the machine, for the head of the table.
    """

    rows: list[tuple[str, Any, str | None, bool | None]] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    def add(self, quantity: str, value: Any) -> None:
        """A value without a bound."""
        self.rows.append((quantity, value, None, None))

    def hold(self, quantity: str, value: float, *, most: float) -> None:
        """A value that must not be above `most`; NaN is."""
        self.rows.append((quantity, value, f"≤ {most:g}", value <= most))

    def expect(self, quantity: str, kept: bool) -> None:
        """Something that must be so."""
        self.rows.append((quantity, "yes" if kept else "no", "yes", kept))


def float32(**settings: Any) -> Compute:
    """The device that a study would choose, in float32."""
    return compute_of(precision="float32", teacher_precision="float32", **settings)


def on_card(**settings: Any) -> Compute:
    """The same, of a card.

    Raises:
        Skipped: there is none.
    """
    compute = float32(**settings)
    if compute.device.type != "cuda":
        raise Skipped("needs a CUDA card")
    return compute


def in_fixed_order(*, but_for_evaluation: bool = False) -> None:
    """On a card, let kernels add in a fixed order from now on; training without such a kernel is an error then."""
    if torch.cuda.is_available():  # on a CPU they do, and the switch imports PyTorch's compiler
        torch.use_deterministic_algorithms(True, warn_only=but_for_evaluation)

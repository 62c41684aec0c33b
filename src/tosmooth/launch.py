"""What a launcher and the caller have told this process before anything of PyTorch is loaded."""

from __future__ import annotations

import os

_narrating = True


def speaks() -> bool:
    """Whether this process reports for its run: `torchrun` and `accelerate launch` tell each process its rank."""
    return os.environ.get("RANK", "0") == "0"


def processes() -> int:
    """How many processes its run has."""
    count = os.environ.get("WORLD_SIZE", "1")
    return int(count) if count.isdigit() else 1


def narrates() -> bool:
    """Whether this process also tells how its work goes on, which `--quiet` forbids."""
    return _narrating and speaks()


def narrate(wanted: bool) -> bool:
    """Set whether this process tells how its work goes on; returns what held before."""
    global _narrating
    before, _narrating = _narrating, wanted
    return before

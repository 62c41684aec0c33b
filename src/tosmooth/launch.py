"""What a launcher has told this process before anything of PyTorch is loaded."""

from __future__ import annotations

import os


def speaks() -> bool:
    """Whether this process reports for its run: `torchrun` and `accelerate launch` tell each process its rank."""
    return os.environ.get("RANK", "0") == "0"

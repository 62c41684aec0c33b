"""A grid that is trained and nothing else: no analysis, no advice, no test split."""

from __future__ import annotations

from pathlib import Path

from tosmooth.config.schema import StudyConfig
from tosmooth.study.context import Context
from tosmooth.study.progress import StudyProgress
from tosmooth.study.stages import train_grid


def trained(config: StudyConfig, root: Path, progress: StudyProgress) -> dict[str, Path]:
    """Train the grid of a configuration; the weights of its students, by name."""
    with progress, Context.open(config, root, progress) as context:
        train_grid(context)
    return {cell.name: context.folder(cell) / "model.safetensors" for cell in context.plan.cells}

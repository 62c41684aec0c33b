"""The README's examples run as they stand, and its commands exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


@pytest.mark.parametrize("code", EXAMPLES, ids=[str(i) for i in range(len(EXAMPLES))])
def test_library_examples_run_and_stay_short(code: str):
    names: dict[str, object] = {}
    exec(compile(code, "README.md", "exec"), names)
    assert len([line for line in code.splitlines() if line.strip()]) < 15
    if "eta" in names:
        assert tuple(names["eta"].shape) == (10,)
        assert tuple(names["points"].shape) == (500, 2)
    if "features" in names and "model" in names:
        assert tuple(names["features"].shape) == (4, 1024)


def test_there_is_an_example_of_each_piece():
    together = "".join(EXAMPLES)
    for name in ("distillation_loss", "PenultimateFeatures", "diffusion_index", "PenultimateProjection"):
        assert name in together


def test_every_file_the_readme_shows_exists():
    root = Path(__file__).parents[1]
    for target in re.findall(r"\]\(((?!http)[^)]+)\)", README):
        assert (root / target).exists(), target
    tree = README.split("## The tree")[1]
    for name in re.findall(r"^  (\w+\.py)", tree, flags=re.MULTILINE):
        assert (root / "src" / "tosmooth" / name).exists(), name
    for name in re.findall(r"^  (\w+)/", tree, flags=re.MULTILINE):
        assert (root / "src" / "tosmooth" / name).is_dir(), name

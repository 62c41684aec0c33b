"""What needs no PyTorch does not load it. Looked at, not timed."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.commands import ALL, environment
from tosmooth.folder.results import StudyResults

# Not pydantic: typer reads values with it.
HEAVY = (
    "torch", "torch._dynamo", "torchvision", "torchmetrics", "timm", "pandas", "numpy", "scipy", "yaml", "accelerate",
    "altair",
)  # fmt: skip


def loaded(code: str, cwd: Path, **env: str) -> set[str]:
    """The heavy modules that a fresh interpreter has loaded after running this."""
    look = f"\nimport sys\nprint(*(name for name in {HEAVY} if name in sys.modules), file=sys.stderr)"
    run = subprocess.run(
        [sys.executable, "-c", code + look], capture_output=True, text=True, cwd=cwd, env=environment(**env)
    )
    assert run.returncode == 0, run.stderr
    return set(run.stderr.split()) & set(HEAVY)


CALL = """
import sys
from tosmooth.cli import main
for arguments in {calls!r}:
    sys.argv = ["tosmooth", *arguments]
    try:
        main()
    except SystemExit as exit:
        assert not exit.code, exit.code
"""


def test_import(tmp_path: Path):
    assert loaded("import tosmooth; dir(tosmooth)", tmp_path) == set()


def test_help_version_and_recipes(tmp_path: Path):
    calls = [[*name.split(), "--help"] for name in ALL]
    calls += [["--version"], ["recipes", "list"], ["recipes", "list", "--json"], ["recipes", "show", "-q"]]
    calls += [["recipes", "copy", "fashion-mnist", "mine.yaml"]]
    # Recipes are YAML, and the list says what is in them.
    assert loaded(CALL.format(calls=calls), tmp_path) <= {"yaml"}
    assert (tmp_path / "mine.yaml").is_file()


@pytest.mark.parametrize("words", ["study stu", "export runs/x --format o", "recipes show f", "audit --data f"])
def test_completion(tmp_path: Path, words: str):
    env = {
        "COMP_WORDS": f"tosmooth {words}",
        "COMP_CWORD": str(len(words.split())),
        "_TOSMOOTH_COMPLETE": "complete_bash",
    }
    assert loaded(CALL.format(calls=[[]]), tmp_path, **env) == set()


def test_a_configuration_is_read_without_what_trains_and_draws(tmp_path: Path):
    assert loaded(CALL.format(calls=[["validate"]]), tmp_path) <= {"yaml"}


def test_a_report_is_written_without_what_trains(tmp_path: Path, tiny_study: StudyResults):
    shutil.copytree(tiny_study.path, tmp_path / "tiny")
    slow = {"torch", "torchvision", "torchmetrics", "timm"}
    assert not slow & loaded(CALL.format(calls=[["report", "tiny"]]), tmp_path)


def test_what_is_public_is_loaded_by_its_first_use(tmp_path: Path):
    assert "torch" in loaded("import tosmooth; tosmooth.distillation_loss", tmp_path)

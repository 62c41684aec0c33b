"""The notebook of the default study runs from top to bottom, as it is in the repository, and leaves nothing there."""

from __future__ import annotations

import subprocess
from pathlib import Path

import nbclient
import nbformat
import pytest

from scripts.docs_site import notebook
from tests.docs.conftest import ROOT

PATH = ROOT / "docs" / "notebooks" / "default-study.ipynb"


def test_it_is_kept_without_outputs_and_names_any_python_3() -> None:
    stored = nbformat.read(PATH, as_version=4)
    nbformat.validate(stored)
    assert stored.metadata.kernelspec.name == "python3"
    assert "version" not in stored.metadata.language_info
    for cell in stored.cells:
        assert set(cell.metadata) == set()
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None


def test_its_page_on_the_site_has_its_text_and_its_code(site: Path) -> None:
    page = notebook.page(PATH)
    stored = nbformat.read(PATH, as_version=4)
    assert all(cell.source in page for cell in stored.cells)
    assert (site / "notebooks" / "default-study.ipynb").read_bytes() == PATH.read_bytes()
    assert "run_study" in (site / "notebooks" / "default-study.html").read_text(encoding="utf-8")


def files() -> str:
    """What git sees in the repository, and everything under docs/."""
    seen = subprocess.run(["git", "status", "--porcelain", "--ignored"], cwd=ROOT, capture_output=True, text=True)
    lines = [line for line in seen.stdout.splitlines() if not line.endswith("__pycache__/")]  # of the tests beside
    return "\n".join(lines) + "\n".join(str(path) for path in sorted((ROOT / "docs").rglob("*")))


@pytest.mark.slow
def test_it_runs_from_top_to_bottom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # beside other tests, more would only wait for each other
    before = files()
    ran = nbformat.read(PATH, as_version=4)
    # The kernel is the python that runs the tests: nbclient's "python3" is the one beside it.
    nbclient.NotebookClient(
        ran, timeout=280, kernel_name="python3", resources={"metadata": {"path": tmp_path}}
    ).execute()
    assert files() == before

    said = "\n".join(_text(cell) for cell in ran.cells if cell.cell_type == "code")
    assert "Preview, too short to conclude from. " in said
    assert "Smooth the teacher? " in said
    assert "Is a teacher worth it? " in said
    assert "diffusion/eta_s1" in said
    assert "rule: The paper's rule" in said
    assert "8.0" in said  # the temperature of "what if"
    pictures = [o for cell in ran.cells for o in cell.get("outputs", []) if "image/png" in o.get("data", {})]
    assert len(pictures) == 1
    (study,) = tmp_path.glob("tosmooth-*/fashion-mnist-quick")
    assert (study / "report.html").is_file()
    assert len(list((study / "students").iterdir())) == 27  # 16 of the grid, 8 at another rate, 3 without a teacher


def _text(cell: nbformat.NotebookNode) -> str:
    parts = (output.get("text") or output.get("data", {}).get("text/plain", "") for output in cell.outputs)
    return "".join(parts)

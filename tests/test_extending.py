"""docs/extending.md is a package: written to disk, installed by pip, and used by real studies."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from tests.processes import run_forked

PAGE = Path(__file__).parent.parent / "docs" / "extending.md"
SMALL = [
    "teacher.epochs=2", "student.epochs=1", "student.seeds=[0,1]", "student.temperatures=[1,4]", "compute.device=cpu",
]  # fmt: skip


def install(source: Path, target: Path) -> None:
    """As the page says, but into a folder of its own and without the network."""
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index",
         "--disable-pip-version-check", "--target", target, source],
        check=True, capture_output=True, text=True, timeout=120,
    )  # fmt: skip


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the page's package is installed; its other files lie beside it."""
    root = tmp_path_factory.mktemp("extending")
    blocks = re.findall(r'^```\w+ title="([^"]+)"\n(.*?)^```$', PAGE.read_text(encoding="utf-8"), re.M | re.S)
    assert len(blocks) == 8
    for name, text in blocks:
        path = root / name if name in {"script.py", "vectors.yaml"} else root / "tosmooth-example" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    install(root / "tosmooth-example", root / "installed")
    return root


def environment(package: Path) -> dict[str, str]:
    path = os.pathsep.join([str(package / "installed"), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, "PYTHONPATH": path, "NO_COLOR": "1"}


def run(package: Path, *arguments: object) -> str:
    """`tosmooth` with the package; what it prints."""
    done = run_forked([*map(str, arguments)], environment(package), package)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_objective_images_and_models_in_one_study(package: Path):
    run(
        package, "study", "name=all", "data.source=digits", "data.train_augmentation=none", *SMALL,
        "teacher.model=example:wide_mlp", "student.model=example:mlp", "student.objectives=[hinton,reverse_kl]",
        "student.objective_options={reverse_kl: {weight: 0.5}}",
    )  # fmt: skip
    cells = pd.read_csv(package / "runs" / "all" / "results.csv")
    assert set(cells.objective) == {"hinton", "reverse_kl"}
    assert set(cells.student) == {"example:mlp"}
    assert (cells.status == "done").all()
    assert cells[cells.objective == "hinton"]["test/top1"].mean() > 30  # of ten classes
    assert "reverse_kl" in (package / "runs" / "all" / "report.html").read_text(encoding="utf-8")


def test_a_task_of_ones_own(package: Path):
    assert "get the student: tosmooth export" in run(package, "study", "vectors.yaml")
    cells = pd.read_csv(package / "runs" / "vectors" / "results.csv")
    assert len(cells) == 2 * 2 * 3
    assert (cells["test/top1"] > 50).all()
    assert cells["diffusion/eta_s1"].notna().sum() >= 6
    report = (package / "runs" / "vectors" / "report.html").read_text(encoding="utf-8")
    assert "vectors" in report
    assert (package / "runs" / "vectors" / "tables" / "grid.csv").is_file()


@pytest.mark.slow
def test_sentence_pairs(package: Path):
    run(
        package, "study", "translation-en-de", "name=numbers", "data.source=numbers", 
        "data.text.vocabulary=300", "teacher.epochs=1", "student.epochs=1", "student.temperatures=[1]",
        "teacher.label_smoothing=[0]", "analysis.projection_classes=null", "analysis.tokens=10", "translation.beam=1",
        "teacher.schedule.warmup_steps=2", "student.schedule.warmup_steps=2", "data.limit_train=300",
        "data.limit_test=20", "data.validation=0.1",
        "student.model.kwargs={d_model: 16, encoder_ffn_dim: 16, decoder_ffn_dim: 16}",
        "teacher.model.kwargs={d_model: 16, encoder_ffn_dim: 16, decoder_ffn_dim: 16}",
    )  # fmt: skip
    cells = pd.read_csv(package / "runs" / "numbers" / "results.csv")
    assert cells["test/bleu"].notna().all()


@pytest.mark.slow
def test_the_script_without_a_package(package: Path):
    done = subprocess.run(
        [sys.executable, "script.py"],
        capture_output=True, text=True, cwd=package, timeout=240, env=environment(package),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Whether to smooth" in done.stdout


def test_mistakes_name_what_packages_add_and_doctor_lists_it(package: Path, tmp_path: Path):
    """Also of a broken package, and of one that adds a name that is taken: nobody else is troubled."""
    broken = tmp_path / "broken"
    (broken / "broken_example").mkdir(parents=True)
    (broken / "broken_example" / "__init__.py").write_text("raise RuntimeError('out of order')\n", encoding="utf-8")
    (broken / "half_example").mkdir()
    (broken / "half_example" / "__init__.py").write_text(
        "from tosmooth.tasks.base import Task\n\nclass Half(Task):\n    pass\n", encoding="utf-8"
    )
    (broken / "half_example" / "exits.py").write_text("import sys\nsys.exit('no licence')\n", encoding="utf-8")
    (broken / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n[project]\n'
        'name = "broken-example"\nversion = "2.0"\n[project.entry-points."tosmooth.objectives"]\n'
        'hinton = "broken_example:hinton"\ndkd = "half_example:Half"\n'
        'broken = "broken_example:broken"\nreverse_kl = "broken_example:kl"\n'
        '[project.entry-points."tosmooth.tasks"]\nbroken_task = "broken_example:Task"\n'
        'half_task = "half_example:Half"\n[project.entry-points."tosmooth.models"]\nexits = "half_example.exits"\n'
        '[tool.hatch.build.targets.wheel]\npackages = ["broken_example", "half_example"]\n',
        encoding="utf-8",
    )
    install(broken, tmp_path / "installed")
    path = os.pathsep.join(
        [str(package / "installed"), str(tmp_path / "installed"), *filter(None, [os.environ.get("PYTHONPATH")])]
    )
    program = """
import json, sys
from tosmooth import plugins
from tosmooth.recipes.reading import find_mistakes, load_config
from tosmooth.doctor import _plugins
from tosmooth.errors import ConfigError, TosmoothError
from tosmooth.losses.objectives import find_objective, objectives
from tosmooth.tasks.find import task_names

found = {"objectives": objectives(), "tasks": task_names(), "valid": load_config("fashion-mnist").name}
found["imported"] = sorted(name for name in sys.modules if name.startswith(("tosmooth_example", "half_example")))
found["hinton"] = find_objective("hinton").function.__module__
for name in ("broken", "reverse_kl"):
    try:
        find_objective(name)
    except TosmoothError as error:
        found[name] = str(error)
found["mistakes"] = {}
for override in (
    "data.source=digit", "task=vector", "student.model=example:mpl", "student.objectives=[reverse]", "task=half_task",
    "student.objectives=[broken]",
):
    try:
        load_config("fashion-mnist", [override])
    except ConfigError as error:
        found["mistakes"][override] = str(error)
check = _plugins()
found["doctor"] = [check.state, check.found, len(check.facts["plugins"])]
print(json.dumps(found))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120,
        env={**os.environ, "PYTHONPATH": path}, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert {"hinton", "dkd", "reverse_kl", "broken"} <= set(found["objectives"])
    assert found["tasks"] == ["image_classification", "translation", "broken_task", "half_task", "vectors"]
    assert found["imported"] == []  # by the use of built-in names
    assert found["hinton"] == "tosmooth.losses.objectives"
    assert "package broken-example 2.0 cannot be loaded from broken_example:broken" in found["broken"]
    assert "RuntimeError: out of order" in found["broken"]
    assert "added by several packages: " in found["reverse_kl"]
    for override, text in (
        ("data.source=digit", "did you mean 'digits'"),
        ("task=vector", "did you mean 'vectors'"),
        ("student.model=example:mpl", "unknown model 'example:mpl'; known: mlp, wide_mlp"),
        ("student.objectives=[reverse]", "did you mean 'reverse_kl'"),
        (
            "student.objectives=[broken]",
            "student.objectives.0: 'broken' (objectives) of the package broken-example 2.0",
        ),
        ("task=half_task", "half_example:Half is not a whole task: it lacks check, "),
    ):
        assert text in found["mistakes"][override]
    state, told, count = found["doctor"]
    assert (state, count) == ("warning", 12)
    assert "cannot be loaded from broken_example:broken" in told
    assert "'dkd' (objectives) of the package broken-example 2.0 is never used: tosmooth has one" in told
    assert "half_example:Half is not a whole task" in told
    assert "from half_example.exits: SystemExit: no licence" in told

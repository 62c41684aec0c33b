"""Build the wheel and the source distribution, and use them as a stranger would: in an empty environment, elsewhere.

    python -m scripts.check_package            (make package-check; needs pip's index, a few minutes and 8 GB of disk)

Both archives are looked through; the wheel alone is installed into a new environment; there the command, the library's
examples, the types and a very small study are tried, and that nothing of the extras is needed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from email.parser import Parser
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "tosmooth"
TYPED = """\
from pathlib import Path

import torch
import tosmooth

config = tosmooth.load_config("fashion-mnist", ["student.epochs=1"])
loss: torch.Tensor = tosmooth.distillation_loss(torch.randn(2, 3), torch.randn(2, 3), temperature=2.0)
reveal_type(config.student.epochs)
reveal_type(tosmooth.run_study(config, Path("runs")).path)
tosmooth.load_config(3)
"""
# Calls that need an extra, and which one the message has to name.
EXTRAS = {
    "hf": ["validate", "student.model=hf:org/model"],
    "translation": ["study", "translation-en-de", "--quick"],
    "ray": ["study", "--engine", "ray"],
    "wordnet": ["validate", "analysis.similarity=wordnet"],
}
SMALL = [
    "data.limit_train=300", "data.limit_test=200", "teacher.epochs=1", "student.epochs=1", "student.seeds=[0]",
    "student.temperatures=[1,4]", "teacher.schedule.warmup_epochs=0", "student.schedule.warmup_epochs=0", "name=small",
]  # fmt: skip


class Wrong(Exception):
    """What a stranger would stumble over."""


@contextlib.contextmanager
def step(title: str) -> Iterator[None]:
    """Tell a step and how long it took."""
    started = time.perf_counter()
    print(f"{title} …", end=" ", flush=True)
    yield
    print(f"{time.perf_counter() - started:.0f} s", flush=True)


def call(*command: object, cwd: Path, expect: int = 0) -> subprocess.CompletedProcess[str]:
    """Run a command away from the repository: neither its sources nor its environment are in reach."""
    ours = {"PYTHONPATH", "VIRTUAL_ENV", "MYPYPATH", "PYTHONHOME"}
    env = {key: value for key, value in os.environ.items() if key not in ours} | {"OMP_NUM_THREADS": "1"}
    run = subprocess.run(
        [*map(str, command)], cwd=cwd, env=env, capture_output=True, text=True, encoding="utf-8", check=False
    )
    if run.returncode != expect:
        raise Wrong(f"{' '.join(map(str, command))[:300]}: exit code {run.returncode}\n{run.stdout}{run.stderr}")
    return run


def build(folder: Path) -> tuple[Path, Path]:
    """The source distribution, and the wheel that is built from it; a wheel straight from the tree has to be equal."""
    call(sys.executable, "-m", "build", "--outdir", folder, ROOT, cwd=folder)
    call(sys.executable, "-m", "build", "--wheel", "--outdir", folder / "direct", ROOT, cwd=folder)
    (sdist,), (wheel,), (direct,) = folder.glob("*.tar.gz"), folder.glob("*.whl"), (folder / "direct").glob("*.whl")
    if contents(wheel) != contents(direct):
        raise Wrong("the wheel from the source distribution is another one than the wheel from the tree")
    return sdist, wheel


def contents(wheel: Path) -> dict[str, bytes]:
    """The files of a wheel by name."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def look_through(sdist: Path, wheel: Path) -> str:
    """All of the package is in both, and nothing else is in the wheel; returns the wheel's METADATA."""
    files = contents(wheel)
    ours = {
        f"tosmooth/{path.relative_to(PACKAGE).as_posix()}"
        for path in PACKAGE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    inside = {name for name in files if ".dist-info/" not in name}
    if inside != ours:
        raise Wrong(f"the wheel lacks {sorted(ours - inside)}, and has {sorted(inside - ours)} besides")
    for needed in (r"tosmooth/py\.typed", r"tosmooth/recipes/fashion-mnist\.yaml", r"tosmooth/.*/templates/.*\.j2",
                   r"tosmooth/data/embedded/.*\.xz", r"tosmooth/data/embedded/.*(NOTICE|LICENSE|README).*",
                   r"tosmooth/cli/completion_keys\.json", r".*\.dist-info/licenses/LICENSE"):  # fmt: skip
        if not any(re.fullmatch(needed, name) for name in files):
            raise Wrong(f"the wheel has no {needed}")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    lacking = {f"src/{name}" for name in ours} | {"LICENSE", "README.md", "pyproject.toml"}
    if not lacking <= names:
        raise Wrong(f"the source distribution lacks {sorted(lacking - names)}")
    if caches := [
        name for name in names if re.search(r"(^|/)(__pycache__|\.venv|runs|\.git|\.[a-z]+_cache)(/|$)", name)
    ]:
        raise Wrong(f"the source distribution has {caches[:5]}")
    return next(text for name, text in files.items() if name.endswith(".dist-info/METADATA")).decode()


def check_core(python: Path, metadata: str, cwd: Path) -> None:
    """Nothing that only an extra asks for is there, and all that is there fits together."""
    call(python, "-m", "pip", "check", cwd=cwd)
    listing = call(python, "-m", "pip", "list", "--format=json", "--disable-pip-version-check", cwd=cwd)
    there = {canonicalize_name(package["name"]) for package in json.loads(listing.stdout)}
    wanted = [Requirement(text) for text in Parser().parsestr(metadata).get_all("Requires-Dist", [])]
    optional = {canonicalize_name(need.name) for need in wanted if need.marker and "extra" in str(need.marker)}
    if found := there & (optional - {"tosmooth"}):
        raise Wrong(f"the core install brings {sorted(found)}, which belong to extras")


def check_commands(command: Path, cwd: Path) -> None:
    """The command runs, and says which extra a call needs."""
    for arguments in (["--help"], ["--version"], ["validate", "--json"], ["recipes", "list"]):
        call(command, *arguments, cwd=cwd)
    for extra, arguments in EXTRAS.items():
        run = subprocess.run([command, *arguments], cwd=cwd, capture_output=True, text=True, encoding="utf-8")
        if run.returncode not in {1, 2} or f"tosmooth[{extra}]" not in run.stderr or "Traceback" in run.stderr:
            raise Wrong(f"tosmooth {' '.join(arguments)}: does not say to install tosmooth[{extra}]:\n{run.stderr}")


def check_examples(python: Path, cwd: Path) -> None:
    """The library's examples, of the README and of its own page, run as they are written."""
    from tests.docs.test_library import EXAMPLES as OF_THE_PAGE
    from tests.test_readme import EXAMPLES

    code = "for number, text in enumerate({!r}):\n    exec(compile(text, f'example {{number}}', 'exec'), {{}})"
    call(python, "-c", code.format([*EXAMPLES, *OF_THE_PAGE.values()]), cwd=cwd)


def check_types(python: Path, cwd: Path) -> None:
    """A user's file is checked against the installed types: what is right passes, what is wrong is found."""
    (cwd / "mine.py").write_text(TYPED, encoding="utf-8")
    run = call(sys.executable, "-m", "mypy", "--strict", "--python-executable", python, "mine.py", cwd=cwd, expect=1)
    for expected in ('Revealed type is "int"', "Path", 'Argument 1 to "load_config" has incompatible type "int"'):
        if expected not in run.stdout.replace("builtins.", ""):
            raise Wrong(f"mypy --strict does not say {expected!r}:\n{run.stdout}")
    if run.stdout.count("error:") != 1:
        raise Wrong(f"mypy --strict:\n{run.stdout}")


def check_study(command: Path, cwd: Path) -> None:
    """A study of seconds, from the data that come along to the report and an export."""
    found = json.loads(call(command, "study", "--quick", *SMALL, "--json", cwd=cwd).stdout)
    if not (cwd / found["report"]).is_file():
        raise Wrong(f"no report at {found['report']}")
    call(command, "export", found["study"], "--output", "export", cwd=cwd)


def main() -> None:
    """Do all of it in a temporary folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", type=Path, help="empty folder to work in, which stays")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tosmooth-package-") as temporary:
        folder = (given.keep or Path(temporary)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        scripts = folder / "venv" / ("Scripts" if os.name == "nt" else "bin")
        empty = folder / "empty"
        empty.mkdir()
        with step("building"):
            sdist, wheel = build(folder)
        with step("looking through both archives"):
            metadata = look_through(sdist, wheel)
        with step("installing the wheel into an empty environment"):
            call(sys.executable, "-m", "venv", folder / "venv", cwd=folder)
            python = scripts / "python"
            call(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", wheel, cwd=empty)
        checks: dict[str, Callable[[], None]] = {
            "what it brings": lambda: check_core(python, metadata, empty),
            "commands": lambda: check_commands(scripts / "tosmooth", empty),
            "the library's examples": lambda: check_examples(python, empty),
            "types": lambda: check_types(python, empty),
            "a small study": lambda: check_study(scripts / "tosmooth", empty),
        }
        for title, check in checks.items():
            with step(title):
                check()


if __name__ == "__main__":
    try:
        main()
    except Wrong as wrong:
        print(f"\n{wrong}", file=sys.stderr)
        sys.exit(1)

"""What the documentation tells to type is typed: code runs, and every command is there with its options and keys."""

from __future__ import annotations

import contextlib
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import typer
from PIL import Image

from scripts.docs_site import configuration
from tests.docs.conftest import ROOT
from tosmooth import cli
from tosmooth.data.fashion_mnist_sample import fashion_mnist_sample
from tosmooth.data.registry import SourceRequest
from tosmooth.report.paper import published_results

GUIDES = (
    "index",
    "start",
    "smoothed-teacher",
    "choosing-t",
    "reading-the-report",
    "diffusion-index",
    "comparison",
    "faq",
)
PAGES = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in (ROOT / "docs").rglob("*.md")}
PAGES["README.md"] = (ROOT / "README.md").read_text(encoding="utf-8")

# Commands of the guides that are not run here, with the reason; everything else in their blocks is.
NOT_RUN = {
    "python3 -m venv .venv && . .venv/bin/activate": "how an environment is made is not ours to test",
    "pip install -e .": "make does it before any test",
    "tosmooth doctor": "tests/test_doctor.py",
    "tosmooth study --quick": "a minute; test_notebook.py runs the same study",
    "ls runs/fashion-mnist-quick/report.html runs/fashion-mnist-quick/results.csv": "of the study above",
    "tosmooth study my-study.yaml 'student.temperatures=[1,2,4]' 'student.seeds=[0,1,2]' "
    "'student.learning_rates=[1,3]'": "minutes; validated instead",
    "tosmooth search my-study.yaml --budget 0.6": "minutes; the line before it plans the same search",
}


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)


def commands(text: str) -> Iterator[str]:
    """The commands of all shell blocks, a line each, continued lines joined, without comments."""
    for block in blocks(text, "bash"):
        for line in block.replace("\\\n", " ").splitlines():
            if bare := " ".join(re.sub(r"(^|\s)#.*", "", line).split()):
                yield bare


def calls(line: str) -> Iterator[list[str]]:
    """What follows `tosmooth` in each command of a line: `a && tosmooth b c & tosmooth d` gives [b, c] and [d]."""
    words: list[str] = []
    for word in [*shlex.split(line), "&&"]:
        if word not in {"&", "&&", "|", ";"}:
            words.append(word)
            continue
        if "tosmooth" in words:
            yield words[words.index("tosmooth") + 1 :]
        words = []


def find_command(name: str) -> Any:
    """The command of that name, as the command line knows it (typer brings its own click)."""
    group = typer.main.get_command(cli.app)
    found = group.get_command(group.context_class(group), name)  # type: ignore[attr-defined]
    assert found is not None, f"there is no command {name!r}"
    return found


def parse(words: list[str]) -> None:
    """Read the arguments as the command line would, without running anything; its errors come out as exceptions."""
    command, rest = find_command(words[0]), words[1:]
    while hasattr(command, "commands"):
        command, rest = command.commands[rest[0]], rest[1:]
    command.make_context(command.name, list(rest))


def run(*arguments: str) -> None:
    """The command in this process; its errors come out as exceptions."""
    typer.main.get_command(cli.app).main(list(arguments), standalone_mode=False)


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An empty folder with photos of three classes, real pictures, as start.md describes them."""
    folder = tmp_path_factory.mktemp("workplace")
    data = fashion_mnist_sample(SourceRequest())
    for split, count in (("train", 20), ("val", 6)):
        for label, name in enumerate(("cat", "dog", "car")):
            chosen = [i for i, own in enumerate(data.train.labels.tolist()) if own == label]
            (folder / "photos" / split / name).mkdir(parents=True)
            for i in chosen[:count] if split == "train" else chosen[-count:]:
                picture = Image.fromarray(data.train.images[i, 0].numpy()).convert("RGB").resize((40, 36))
                picture.save(folder / "photos" / split / name / f"{i}.jpg")
    with contextlib.chdir(folder):
        yield folder


@pytest.fixture(scope="module")
def photos_study(workplace: Path) -> Path:
    """The study that is there when all commands of start.md and choosing-t.md were typed."""
    for page in ("start", "choosing-t"):
        for command in commands(PAGES[f"docs/{page}.md"]):
            if command not in NOT_RUN:
                (found,) = calls(command)  # neither run nor excused where there is none
                run(*found)
            elif "validated instead" in NOT_RUN[command]:
                run("validate", *next(calls(command))[1:])
    return next((workplace / "runs").glob("photos*"))


@pytest.mark.slow
def test_start_and_choosing_t_work_as_typed_with_a_folder_of_photos(photos_study: Path) -> None:
    assert (photos_study / "report.html").is_file()
    results = pd.read_csv(photos_study / "results.csv")
    assert len(results) == 12
    assert (results.status == "done").all()


def test_the_teacher_guide_works_as_typed(workplace: Path) -> None:
    text = PAGES["docs/smoothed-teacher.md"]
    saving, calling = blocks(text, "python")
    exec(compile(saving, "docs/smoothed-teacher.md", "exec"), {})
    (command,) = commands(text)
    run(*next(calls(command)))
    assert '"smoothed"' in (workplace / "audit" / "audit.json").read_text(encoding="utf-8")
    assert (workplace / "audit" / "audit.html").is_file()
    names: dict[str, object] = {}
    exec(compile(calling, "docs/smoothed-teacher.md", "exec"), names)
    assert names["found"].verdict == "smoothed"  # type: ignore[attr-defined]


@pytest.mark.slow
def test_the_report_guide_works_as_typed(workplace: Path, photos_study: Path) -> None:
    # It takes the place of the default study, which takes minutes.
    shutil.copytree(photos_study, workplace / "runs" / "fashion-mnist")
    (code,) = blocks(PAGES["docs/reading-the-report.md"], "python")
    names: dict[str, object] = {}
    exec(compile(code, "docs/reading-the-report.md", "exec"), names)
    assert len(names["study"].cells) == 12  # type: ignore[attr-defined]
    before = (workplace / "runs" / "fashion-mnist" / "report.html").stat().st_mtime_ns
    run("report", "runs/fashion-mnist")
    assert (workplace / "runs" / "fashion-mnist" / "report.html").stat().st_mtime_ns > before


def test_the_diffusion_page_works_as_typed() -> None:
    names: dict[str, Any] = {}
    for code in blocks(PAGES["docs/diffusion-index.md"], "python"):  # the second goes on from the first
        exec(compile(code, "docs/diffusion-index.md", "exec"), names)
    assert tuple(names["eta_s1"].shape) == (10,)
    assert names["d_prime_s1"] > 0


def test_no_block_of_a_guide_is_left_out() -> None:
    run_here = {"smoothed-teacher", "reading-the-report", "diffusion-index"}
    assert {name for name in GUIDES if blocks(PAGES[f"docs/{name}.md"], "python")} == run_here
    with_commands = {name for name in GUIDES if blocks(PAGES[f"docs/{name}.md"], "bash")}
    assert with_commands == {"start", "smoothed-teacher", "choosing-t"}
    said = {command for name in with_commands for command in commands(PAGES[f"docs/{name}.md"])}
    assert set(NOT_RUN) <= said, "an excuse for a command that no guide has"


def _shown(text: str) -> Iterator[list[str]]:
    """Every call of `tosmooth` on a page, in blocks and within sentences."""
    outside = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    inline = (" ".join(code.split()) for code in re.findall(r"`(tosmooth [^`]+)`", outside))
    for line in [*commands(text), *inline]:
        yield from calls(line)


@pytest.mark.parametrize("page", sorted(PAGES))
def test_every_command_that_a_page_shows_is_there_with_its_options_and_keys(page: str) -> None:
    sections = {prefix for prefix, _ in configuration.sections()} - {""}
    known = {*configuration.keys(), *sections}
    for words in _shown(PAGES[page]):
        name = words[0]
        if "…" in " ".join(words) or name.startswith("-"):
            continue
        find_command(name)
        if len(words) == 1 or "/" in words:  # only named: `tosmooth audit`, `tosmooth recipes list / show / copy`
            continue
        parse(words)
        for word in words[1:]:
            key, given, _ = word.partition("=")
            if given and re.fullmatch(r"[a-z_]+(\.\w+)*", key):
                parents = {key.rsplit(".", n)[0] for n in range(key.count(".") + 1)}
                assert parents & known, f"{page}: {word}: no such key"


def test_the_papers_figures_in_choosing_t_are_the_published_ones() -> None:
    published = published_results()
    students = published[(published.role == "student") & (published.task == "image")]
    rows = re.findall(r"^\|([^|]*)\| (0|0\.1) \|(.*)\|$", PAGES["docs/choosing-t.md"], flags=re.M)
    said = [[cell.strip() for cell in cells.split("|")] for *_, cells in rows]
    pairs = [pair for pair, _ in students.groupby(["dataset", "teacher", "student"], sort=False)]
    expected = []
    for dataset, teacher, student in pairs:
        own = students[(students.dataset == dataset) & (students.teacher == teacher) & (students.student == student)]
        for alpha in (0.0, 0.1):
            values = own[own.label_smoothing == alpha].sort_values("temperature").top1.tolist()
            best = max(values)
            expected.append([f"**{value:.1f}**" if value == best else f"{value:.1f}" for value in values])
    assert said == expected

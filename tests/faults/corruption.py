"""Random damage to the files of a finished study, and what its readers make of it."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from rich.console import Console

from tests.faults.studies import content
from tests.folder.page import matching
from tosmooth.errors import TosmoothError
from tosmooth.export.subject import choose
from tosmooth.folder.paths import FIGURES, TABLES
from tosmooth.folder.verify import verify
from tosmooth.recipes.reading import load_config
from tosmooth.report.build import make_tables
from tosmooth.report.figures.learning_curves import learning_curves_figure
from tosmooth.report.reading import read_study
from tosmooth.report.wording import recommendation
from tosmooth.study.progress import StudyProgress
from tosmooth.study.run import run_study

KINDS = ("flipped bit", "truncated", "emptied", "swapped", "changed digit")
MODELS = ("teachers", "students")


@dataclass
class Damage:
    """What was done to which files (two where they changed places), by path in the study."""

    kind: str
    files: list[str]


@dataclass
class Outcome:
    """What came of it.

    Attributes:
        damage: that was done.
        named: files that `verify` finds damaged or missing.
        errors: what stopped a command, by command.
        differing: commands that went through with other numbers than those of the sound study.
    """

    damage: Damage
    named: list[str]
    errors: dict[str, str] = field(default_factory=dict)
    differing: list[str] = field(default_factory=list)

    @property
    def silent(self) -> bool:
        """Whether somebody may have read a number that no study wrote, without a word."""
        return bool(self.differing)

    @property
    def said(self) -> bool:
        """Whether `verify` names what was damaged."""
        return bool(set(self.named) & set(self.damage.files))


def damage(study: Path, seed: int) -> Damage:
    """Damage one file of a study, or let two change places; each kind of file is as likely as any other."""
    dice = random.Random(seed)
    kind = KINDS[seed % len(KINDS)]
    files = [path for path in sorted(study.rglob("*")) if path.is_file() and path.stat().st_size]
    if kind == "changed digit":
        files = [path for path in files if path.suffix in {".json", ".jsonl", ".csv", ".yaml", ".html", ".tex"}]
    by_row: dict[str, list[Path]] = {}
    for path in files:
        by_row.setdefault(matching(path.relative_to(study).as_posix())[0].files[0], []).append(path)
    path = dice.choice(by_row[dice.choice(sorted(by_row))])
    found, before = [path], path.read_bytes()
    if kind == "flipped bit":
        place = dice.randrange(8 * len(before))
        changed = bytearray(before)
        changed[place // 8] ^= 1 << place % 8
        path.write_bytes(changed)
    elif kind == "truncated":
        path.write_bytes(before[: dice.randrange(1, max(2, len(before)))])
    elif kind == "emptied":
        path.write_bytes(b"")
    elif kind == "changed digit":
        changed = bytearray(before)
        place = dice.choice([place for place, sign in enumerate(before) if chr(sign).isdigit() and sign < 128])
        changed[place] = ord(dice.choice([digit for digit in "0123456789" if ord(digit) != before[place]]))
        path.write_bytes(changed)
    else:
        same_name = [other for other in files if other.name == path.name and other != path]
        same_kind = [other for other in files if other.parent == path.parent and other.suffix == path.suffix]
        other = dice.choice(
            same_name or [one for one in same_kind if one != path] or [one for one in files if one != path]
        )
        found.append(other)
        path.write_bytes(other.read_bytes())
        other.write_bytes(before)
    return Damage(kind, [one.relative_to(study).as_posix() for one in found])


def report_numbers(study: Path) -> dict[str, Any]:
    """All that a report is made of, before anything is drawn."""
    files = read_study(study)
    found: dict[str, Any] = {one.name: getattr(files, one.name) for one in fields(files) if one.name != "path"}
    found |= {table.key: table.csv() for table in make_tables(files)}
    curves = learning_curves_figure(files)
    return found | {"curves": curves and (curves.alt, curves.caption), "kept": recommendation(files)}


def exported(study: Path, name: str) -> dict[str, Any]:
    """A model as `tosmooth export` takes it."""
    subject = choose(study, name).load()
    return {"record": subject.record, "chosen": subject.owner.name, **subject.model.state_dict()}


def gone_on(study: Path) -> dict[str, Any]:
    """The study's folder after the same command, which analyses it again; without its report, and without damaged
    files that were left as they were."""
    damaged = {file.file: (study / file.file).read_bytes() for file in verify(study) if file.state == "damaged"}
    run_study(load_config(str(study / "study.yaml")), study.parent, StudyProgress(Console(quiet=True)))
    for name, before in damaged.items():
        if (study / name).read_bytes() == before:
            (study / name).unlink()
    shown = (f"{FIGURES}/", f"{TABLES}/")
    found = content(study)  # sums are no numbers of the study: a damaged file of them is made anew
    return {name: own for name, own in found.items() if not name.startswith(shown) and not name.endswith("sums.json")}


def commands(models: list[str]) -> dict[str, Callable[[Path], dict[str, Any]]]:
    """What reads a study, by name; the one that writes comes last. `models` are exported each."""

    def export(study: Path) -> dict[str, Any]:
        return {name: exported(study, name) for name in models}

    return {"report": report_numbers, "export": export, "study": gone_on}


def outcome(sound: Path, place: Path, seed: int, expected: Callable[[str, list[str]], Mapping[str, Any]]) -> Outcome:
    """Damage a copy of a study, and let everything read it.

    Args:
        sound: the study.
        place: folder for the copy.
        seed: of the damage.
        expected: what a command makes of the sound study, by its name and the models to be exported.
    """
    study = Path(shutil.copytree(sound, place / sound.name))
    done = damage(study, seed)
    found = Outcome(done, [file.file for file in verify(study) if not file.holds])
    parts = [file.split("/") for file in done.files]
    models = sorted({own[1] for own in parts if own[0] in MODELS}) or ["teacher", "student"]
    for name, command in commands(models).items():
        try:
            made, sound_one = command(study), expected(name, models)
            if name == "study":  # what `verify` names and was left as it was is missing in it
                told = {*done.files, *found.named}
                sound_one = {key: own for key, own in sound_one.items() if key in made or key not in told}
            if not same(made, sound_one):
                found.differing.append(name)
        except TosmoothError as error:
            found.errors[name] = str(error)
    return found


def same(one: Any, other: Any) -> bool:
    """Whether two results of a command hold the same numbers."""
    if isinstance(one, pd.DataFrame) or isinstance(other, pd.DataFrame):
        return type(one) is type(other) and one.equals(other)
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(own, other[key]) for key, own in one.items())
    if isinstance(one, float) and isinstance(other, float):
        return one == other or (one != one and other != other)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)

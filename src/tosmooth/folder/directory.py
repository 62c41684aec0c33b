"""A study's folder on disk: its paths, who may write into it, and writes that are whole or not there."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd

from tosmooth.config.schema import StudyConfig, dump_config
from tosmooth.errors import StudyError
from tosmooth.files import write_text
from tosmooth.folder.growth import Change, compare
from tosmooth.untrusted import read_json, read_yaml

JUDGED_FILE = "judged.safetensors"  # which validation samples a model got right
FEATURES_FILE = "projection.safetensors"  # penultimate features of the shown classes, kept when a model is measured

Content = TypeVar("Content", dict[str, Any], list[Any])


def write_json(path: Path, value: Any) -> None:
    """Write JSON in one step. NaN becomes null, so that any reader can read it."""
    write_text(path, json.dumps(plain(value), indent=2, ensure_ascii=False) + "\n")


def write_csv(path: Path, table: pd.DataFrame) -> None:
    """Write a table as CSV in one step."""
    write_text(path, table.to_csv(index=False))


def load_json(path: Path, kind: type[Content], remedy: str) -> Content:
    """What `write_json` wrote.

    Args:
        path: the file.
        kind: dict or list.
        remedy: what a person can do where the file is damaged.

    Raises:
        StudyError: it is.
    """
    try:
        found = read_json(path.read_text(encoding="utf-8"))
    except ValueError:
        found = None
    if not isinstance(found, kind):
        raise StudyError(f"{path} is damaged; {remedy}")
    return found


def plain(value: Any) -> Any:
    """The value as JSON can hold it: NaN becomes None, keys become texts, tuples lists."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return None if isinstance(value, float) and value != value else value


@dataclass(frozen=True)
class StudyDirectory:
    """The paths of one study."""

    path: Path

    @property
    def config(self) -> Path:
        """The resolved configuration."""
        return self.path / "study.yaml"

    @property
    def results(self) -> Path:
        """One row per cell."""
        return self.path / "results.csv"

    @property
    def teacher_results(self) -> Path:
        """One row per teacher."""
        return self.path / "teachers.csv"

    @property
    def analysis(self) -> Path:
        """Folder of the analysis' numbers."""
        return self.path / "analysis"

    @property
    def report(self) -> Path:
        """The report."""
        return self.path / "report.html"

    def teacher(self, name: str) -> Path:
        """Folder of a teacher."""
        return self.path / "teachers" / name

    def student(self, name: str) -> Path:
        """Folder of a cell's student."""
        return self.path / "students" / name

    @property
    def state(self) -> Path:
        """Folder of what a resume needs: the lock, and the checkpoints of models in training."""
        return self.path / "state"

    def check_usable(self, needed_bytes: int) -> None:
        """Refuse a folder that is not a study's, or a place that cannot hold one; nothing is written.

        Args:
            needed_bytes: estimate of what the study will write.

        Raises:
            StudyError: the folder holds other files, is not writable, or the disk is too full.
        """
        if self.path.exists() and not self.path.is_dir():
            raise StudyError(f"{self.path} is a file; a study needs a folder. Choose another --output or name=…")
        if (
            not self.config.exists()
            and self.path.exists()
            and {entry.name for entry in self.path.iterdir()} - {"state"}
        ):
            raise StudyError(
                f"{self.path} holds files but no study.yaml; tosmooth does not write into other people's folders. "
                "Choose another --output or name=…"
            )
        parent = next(p for p in (self.path, *self.path.parents) if p.exists())
        if not os.access(parent, os.W_OK):
            raise StudyError(f"{parent.resolve()} is not writable; choose another --output")
        free = shutil.disk_usage(parent).free
        if free < needed_bytes:
            raise StudyError(
                f"the study needs about {needed_bytes / 1e6:,.0f} MB, but {parent} has {free / 1e6:,.0f} MB free; "
                "free some space or choose another --output"
            )

    def claim(self, config: StudyConfig, fingerprint: str) -> Change | None:
        """Make the folder this study's, or find that it already is. Only who holds the study's lock may do this.

        Args:
            config: the study's configuration.
            fingerprint: of its data.

        Returns:
            How the grid has changed since the folder was last claimed; None where it has not.

        Raises:
            StudyError: the folder holds another study, was begun with other data, or cannot be written.
        """
        change = self.change_to(config) if self.config.exists() else None
        data = self.state / "data.json"
        try:
            known = load_json(data, dict, "delete it if the data are the same as before") if data.exists() else {}
            if known.get("fingerprint", fingerprint) != fingerprint:
                raise StudyError(
                    f"the data are not those that {self.path} was begun with (other images, labels or file sizes); put "
                    "them back, or give this study its own name (name=…)"
                )
            # Of a process that was killed while writing; safetensors names its own files the other way round.
            for leftover in [*self.path.rglob(".*.tmp"), *self.path.rglob(".tmp*")]:
                shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink(missing_ok=True)
            for told in self.state.glob("told-*"):  # of runs of several processes, see `peers.one_message`
                told.unlink(missing_ok=True)
            if change is not None and change.grid:
                self._make_way(change)
            write_json(data, {"fingerprint": fingerprint})
            write_text(self.config, dump_config(config))
        except OSError as error:
            raise StudyError(f"{self.path} cannot be written: {error.strerror}; choose another --output") from None
        return change if change is not None and change.grid else None

    def compared_with(self, config: StudyConfig) -> Change:
        """How a configuration differs from that of the study which is there, be it another study.

        Raises:
            StudyError: what is there cannot be read.
        """
        try:
            there = read_yaml(self.config.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            raise StudyError(f"{self.config} is not readable; move {self.path} away or choose another name=…") from None
        return compare(there, config)

    def change_to(self, config: StudyConfig) -> Change:
        """How a configuration differs from that of the study which is there.

        Raises:
            StudyError: they are two studies, or what is there cannot be read.
        """
        change = self.compared_with(config)
        if change.refused:
            keys = ", ".join(change.refused[:6]) + (", …" if len(change.refused) > 6 else "")
            raise StudyError(
                f"{self.path} holds another study: it differs in {keys}. Give this one its own name (name=…) or "
                "another --output; only the grid (smoothing factors, temperatures, objectives, seeds) can be changed "
                "in place, and the first teacher seed stays"
            )
        return change

    def _make_way(self, change: Change) -> None:
        """Take back advice that was made for another grid, and note whether its test figures were known already."""
        changes = self.changes()
        entry = {"added": list(change.added), "removed": list(change.removed)}
        if not changes or {key: changes[-1][key] for key in entry} != entry:  # else: killed while doing just this
            seen = any(self.path.glob("students/*/reliability.json")) or any(c["test_was_read"] for c in changes)
            changes.append(entry | {"when": datetime.now(UTC).isoformat(timespec="seconds"), "test_was_read": seen})
            write_json(self.analysis / "changes.json", changes)
        old = self.analysis / "advice.json"
        if old.exists():
            old.replace(self.analysis / f"advice-before-change-{len(changes)}.json")
        (self.analysis / "verdict.json").unlink(missing_ok=True)

    def changes(self) -> list[dict[str, Any]]:
        """How the grid was changed since the study was begun: `added`, `removed`, `when`, `test_was_read`."""
        path = self.analysis / "changes.json"
        if not path.is_file():
            return []
        return load_json(path, list, "without it, nobody knows how the grid was changed; begin a study of another name")

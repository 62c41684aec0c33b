"""A study's folder on disk: its paths, who may write into it, and writes that are whole or not there."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from tosmooth.config import StudyConfig
from tosmooth.config_reading import dump_config
from tosmooth.errors import StudyError
from tosmooth.files import write_text

# Keys that a study may be continued with another value of: they say how the work is done, not what comes out.
FREE = {
    "cache.directory", "compute.compile", "compute.group_size", "compute.threads", "data.in_memory", "data.workers",
}  # fmt: skip


def write_json(path: Path, value: Any) -> None:
    """Write JSON in one step. NaN becomes null, so that any reader can read it."""
    write_text(path, json.dumps(_plain(value), indent=2, ensure_ascii=False) + "\n")


def write_csv(path: Path, table: pd.DataFrame) -> None:
    """Write a table as CSV in one step."""
    write_text(path, table.to_csv(index=False))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
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

    def claim(self, config: StudyConfig, needed_bytes: int) -> None:
        """Make the folder this study's, or find that it already is; nothing is written when it cannot be.

        Args:
            needed_bytes: estimate of what the study will write.

        Raises:
            StudyError: the folder holds another study or other files, is not writable, or the disk is too full.
        """
        if self.path.exists() and not self.path.is_dir():
            raise StudyError(f"{self.path} is a file; a study needs a folder. Choose another --output or name=…")
        if self.config.exists():
            self._refuse_other_study(config)
        elif self.path.exists() and any(self.path.iterdir()):
            raise StudyError(
                f"{self.path} holds files but no study.yaml; tosmooth does not write into other people's folders. "
                "Choose another --output or name=…"
            )
        parent = next(p for p in (self.path, *self.path.parents) if p.exists())
        if not os.access(parent, os.W_OK):
            raise StudyError(f"{parent} is not writable; choose another --output")
        free = shutil.disk_usage(parent).free
        if free < needed_bytes:
            raise StudyError(
                f"the study needs about {needed_bytes / 1e6:,.0f} MB, but {parent} has {free / 1e6:,.0f} MB free; "
                "free some space or choose another --output"
            )
        try:
            write_text(self.config, dump_config(config))
        except OSError as error:
            raise StudyError(f"{self.path} cannot be written: {error.strerror}; choose another --output") from None

    def _refuse_other_study(self, config: StudyConfig) -> None:
        """Raise when the folder's configuration differs from this one, naming the keys."""
        try:
            there = yaml.safe_load(self.config.read_text(encoding="utf-8"))
        except (OSError, yaml.YAMLError, UnicodeDecodeError):
            raise StudyError(f"{self.config} is not readable; move {self.path} away or choose another name=…") from None
        here = yaml.safe_load(dump_config(config))
        differing = sorted(_differences(there, here) - FREE)
        if {_cache_views(there), _cache_views(here)} <= {"auto", "off"}:
            differing = [key for key in differing if key != "cache.views"]
        if differing:
            shown = ", ".join(differing[:6]) + (", …" if len(differing) > 6 else "")
            raise StudyError(
                f"{self.path} holds another study: it differs in {shown}. "
                "Give this one its own name (name=…) or another --output"
            )


def _cache_views(config: Any) -> Any:
    """`cache.views` of a configuration; what `auto` stores is what students would see live."""
    return (config.get("cache") or {}).get("views", "auto") if isinstance(config, dict) else None


def _differences(one: Any, other: Any, prefix: str = "") -> set[str]:
    """Dotted keys at which two nested mappings differ."""
    if not (isinstance(one, dict) and isinstance(other, dict)):
        return set() if one == other else {prefix}
    found: set[str] = set()
    for key in one.keys() | other.keys():
        found |= _differences(one.get(key), other.get(key), f"{prefix}.{key}" if prefix else str(key))
    return found

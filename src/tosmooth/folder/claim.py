"""Whose folder it is: looked at before anything is written, then claimed for one study and its data."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from tosmooth.config.schema import StudyConfig, dump_config
from tosmooth.errors import StudyError
from tosmooth.files import is_temporary, write_text
from tosmooth.folder.growth import Change, compare
from tosmooth.folder.paths import (
    ADVICE_FILE,
    CHANGES_FILE,
    CONFIG_FILE,
    DATA_FILE,
    RELIABILITY_FILE,
    STATE,
    TOLD,
    VERDICT_FILE,
    StudyDirectory,
    former_advice_file,
)
from tosmooth.folder.strange import refuse_strange
from tosmooth.folder.sums import check_kept, check_text, sealed_text
from tosmooth.folder.writing import load_json, write_json, write_list
from tosmooth.untrusted import read_yaml


def check_usable(directory: StudyDirectory, needed_bytes: int) -> None:
    """Refuse a folder that is not a study's, or a place that cannot hold one; nothing is written.

    Args:
        directory: where the study is to be.
        needed_bytes: estimate of what the study will write.

    Raises:
        StudyError: the folder holds other files, pipes or links out of it, is not writable, or the disk is too full.
    """
    path = directory.path
    if path.exists() and not path.is_dir():
        raise StudyError(f"{path} is a file; a study needs a folder. Choose another --output or name=…")
    if path.is_symlink() and not path.exists():
        raise StudyError(f"{path} is a link that leads nowhere; choose another --output or name=…")
    refuse_strange(path, written=True)
    if not directory.config.exists() and path.exists() and {entry.name for entry in path.iterdir()} - {STATE}:
        raise StudyError(
            f"{path} holds files but no {CONFIG_FILE}; tosmooth does not write into other people's folders. "
            "Choose another --output or name=…"
        )
    parent = next(p for p in (path, *path.parents) if p.exists())
    if not os.access(parent, os.W_OK):
        raise StudyError(f"{parent.resolve()} is not writable; choose another --output")
    free = shutil.disk_usage(parent).free
    if free < needed_bytes:
        raise StudyError(
            f"the study needs about {needed_bytes / 1e6:,.0f} MB, but {parent} has {free / 1e6:,.0f} MB free; "
            "free some space or choose another --output"
        )


def claim(directory: StudyDirectory, config: StudyConfig, fingerprint: str) -> Change | None:
    """Make the folder this study's, or find that it already is. Only who holds the study's lock may do this.

    Args:
        directory: of the study.
        config: the study's configuration.
        fingerprint: of its data.

    Returns:
        How the grid has changed since the folder was last claimed; None where it has not.

    Raises:
        StudyError: the folder holds another study, was begun with other data, or cannot be written.
    """
    path = directory.path
    change = change_to(directory, config) if directory.config.exists() else None
    try:
        if data_of(directory) not in {None, fingerprint}:
            raise StudyError(
                f"the data are not those that {path} was begun with (other images, labels or file sizes); put "
                "them back, or give this study its own name (name=…)"
            )
        for leftover in filter(is_temporary, list(path.rglob(".*"))):  # of a process that was killed while writing
            folder = leftover.is_dir() and not leftover.is_symlink()
            shutil.rmtree(leftover) if folder else leftover.unlink(missing_ok=True)
        for told in directory.state.glob(f"{TOLD}*"):  # of runs of several processes, see `peers.one_message`
            told.unlink(missing_ok=True)
        if change is not None and change.grid:
            _make_way(directory, change)
        write_json(directory.state / DATA_FILE, {"fingerprint": fingerprint})
        write_text(directory.config, sealed_text(dump_config(config)))
    except OSError as error:
        raise StudyError(f"{path} cannot be written: {error.strerror}; choose another --output") from None
    return change if change is not None and change.grid else None


def data_of(directory: StudyDirectory) -> str | None:
    """The fingerprint of the data that a study was begun with; None where it is not known.

    Raises:
        StudyError: the file is damaged.
    """
    path = directory.state / DATA_FILE
    if not path.is_file():
        return None
    return load_json(path, dict, "delete it if the data are the same as before").get("fingerprint")


def compared_with(directory: StudyDirectory, config: StudyConfig) -> Change:
    """How a configuration differs from that of the study which is there, be it another study.

    Raises:
        StudyError: what is there cannot be read.
    """
    try:
        text = directory.config.read_text(encoding="utf-8")
        check_text(directory.config, text)
        there = read_yaml(text)
    except (OSError, ValueError):
        raise StudyError(
            f"{directory.config} is not readable; move {directory.path} away or choose another name=…"
        ) from None
    return compare(there, config)


def change_to(directory: StudyDirectory, config: StudyConfig) -> Change:
    """How a configuration differs from that of the study which is there.

    Raises:
        StudyError: they are two studies, or what is there cannot be read.
    """
    change = compared_with(directory, config)
    if change.refused:
        keys = ", ".join(change.refused[:6]) + (", …" if len(change.refused) > 6 else "")
        raise StudyError(
            f"{directory.path} holds another study: it differs in {keys}. Give this one its own name (name=…) or "
            "another --output; only the grid (smoothing factors, temperatures, objectives, student models, "
            "learning rates, weights of hard labels, controls, seeds) can be changed in place, and the first teacher "
            "seed and the first weight stay"
        )
    return change


def _make_way(directory: StudyDirectory, change: Change) -> None:
    """Take back advice that was made for another grid, and note whether its test figures were known already."""
    changes = grid_changes(directory)
    entry = {"added": list(change.added), "removed": list(change.removed)}
    if not changes or {key: changes[-1][key] for key in entry} != entry:  # else: killed while doing just this
        seen = any(directory.students.glob(f"*/{RELIABILITY_FILE}")) or any(c["test_was_read"] for c in changes)
        changes.append(entry | {"when": datetime.now(UTC).isoformat(timespec="seconds"), "test_was_read": seen})
        write_list(directory.analysis / CHANGES_FILE, changes)
    old = directory.analysis / ADVICE_FILE
    if old.exists():
        old.replace(directory.analysis / former_advice_file(len(changes)))
    (directory.analysis / VERDICT_FILE).unlink(missing_ok=True)


def take_back_advice(directory: StudyDirectory, added: Sequence[str]) -> None:
    """Where an answer was given already, put it aside: the next one rests on more, and says so.

    Args:
        directory: of the study.
        added: what is new, in words.
    """
    if (directory.analysis / ADVICE_FILE).is_file():
        _make_way(directory, Change((), tuple(added), ()))


def grid_changes(directory: StudyDirectory) -> list[dict[str, Any]]:
    """How the grid was changed since the study was begun: `added`, `removed`, `when`, `test_was_read`."""
    path = directory.analysis / CHANGES_FILE
    if not path.is_file():
        return []
    check_kept(path)
    return load_json(path, list, "without it, nobody knows how the grid was changed; begin a study of another name")

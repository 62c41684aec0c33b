"""Checkpoints of models in training: whole or not there, checked when read, the last two of a group kept.

A checkpoint is a folder: a safetensors file for each model, and `manifest.json` with their checksums and everything
that is not a tensor. The folder gets its name by one rename after all of it is on the disk, so a kill at any moment
leaves either the checkpoint or none. Each model has a file of its own, so that the models of one checkpoint can go on
in other groups than they were saved in.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from tosmooth.errors import CheckpointError
from tosmooth.files import file_digest, sync_file, sync_folder, temporary_of, write_text

FORMAT = 1
KEPT = 2  # checkpoints of a group; the older one serves where the newer one turns out to be damaged
MANIFEST = "manifest.json"
ASIDE = ".damaged"  # ending of the name of a checkpoint that was passed over


class Position(NamedTuple):
    """How far a training has come: `batch` batches into epoch `epoch` (from 0)."""

    epoch: int = 0
    batch: int = 0


BEGINNING = Position()


@dataclass(frozen=True)
class State:
    """What one model needs to go on as if it had never stopped.

    Attributes:
        tensors: by name, on the CPU.
        facts: everything else, as JSON holds it exactly.
    """

    tensors: dict[str, Tensor]
    facts: dict[str, Any] = field(default_factory=dict)


class CheckpointStore:
    """The checkpoints of a study's groups.

    Args:
        folder: that holds them, one folder a group.
        warn: told of a damaged checkpoint that was passed over.
    """

    def __init__(self, folder: Path, warn: Callable[[str], None] = lambda text: None) -> None:
        self.folder, self._warn = folder, warn

    def write(self, group: str, position: Position, states: Iterable[tuple[str, State]]) -> None:
        """Save the models of a group, by name, and delete its checkpoints before the last `KEPT`.

        States are taken one by one, so that memory holds the copy of one model only.

        Raises:
            OSError: the disk refuses; the checkpoints before are untouched.
        """
        target = self.folder / group / f"epoch-{position.epoch:05d}-batch-{position.batch:08d}"
        temporary = temporary_of(target)
        shutil.rmtree(temporary, ignore_errors=True)
        try:
            members = {}
            for number, (name, state) in enumerate(states):
                file = temporary / f"{number:04d}.safetensors"
                _save(state.tensors, file)
                members[name] = {"file": file.name, "sha256": file_digest(file), "facts": state.facts}
            manifest = {"format": FORMAT, "sha256": _checksum(members), "members": members}
            write_text(temporary / MANIFEST, json.dumps(manifest))
            if target.exists():  # a damaged one that was passed over
                _delete(target)
            temporary.replace(target)
            sync_folder(target.parent)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        for old in self._of_group(target.parent)[KEPT:]:
            _delete(old)

    def newest(self, names: Iterable[str]) -> dict[str, Position]:
        """The farthest position at which each of these models was saved soundly; those never saved are left out.

        A checkpoint whose content is not what was written is set aside with a warning, and the one before it counts.
        """
        missing, found = set(names), dict[str, Position]()
        for path in sorted(self._all(), key=_position, reverse=True):
            members = _manifest(path) or {}
            here = [name for name in members if name in missing]
            damage = [reason for name in here if (reason := _damage(path, members[name])) is not None]
            if damage:
                self._warn(f"the checkpoint {path} is damaged ({damage[0]}); going on from the one before")
                _set_aside(path)
                continue
            found |= dict.fromkeys(here, _position(path))
            missing -= set(here)
        return found

    def read(self, name: str, position: Position) -> State:
        """The state of a model at the position that `newest` gave.

        Raises:
            CheckpointError: it is not there any more.
        """
        for path in self._all():
            members = _manifest(path) or {}
            if _position(path) == position and name in members:
                try:
                    tensors = safetensors.torch.load_file(path / members[name]["file"])
                except (OSError, SafetensorError) as error:
                    raise CheckpointError(f"{path} cannot be read: {error}; run again") from None
                return State(tensors, members[name]["facts"])
        raise CheckpointError(f"{self.folder}: the checkpoint of {name} has disappeared; run again")

    def forget(self, finished: Callable[[str], bool]) -> None:
        """Delete the checkpoints of groups all of whose models are finished."""
        for group in self._groups():
            members = [name for path in self._of_group(group) for name in _manifest(path) or {}]
            if members and all(map(finished, members)):
                for path in self._of_group(group):
                    _delete(path)
                shutil.rmtree(group, ignore_errors=True)  # and what was set aside as damaged

    def _groups(self) -> list[Path]:
        return sorted(path for path in self.folder.glob("*") if path.is_dir())

    def _all(self) -> list[Path]:
        return [path for group in self._groups() for path in self._of_group(group)]

    def _of_group(self, group: Path) -> list[Path]:
        """The group's checkpoints, newest first; a folder without a manifest is none."""
        found = []
        for path in sorted(group.glob("epoch-*-batch-*"), reverse=True):
            if path.name.endswith(ASIDE) or not (path / MANIFEST).exists():
                continue
            if _manifest(path) is not None:
                found.append(path)
            elif (path / MANIFEST).exists():  # and not just deleted by another process
                self._warn(f"the checkpoint {path} is damaged (its manifest); going on from the one before")
                _set_aside(path)
        return found


def _save(tensors: dict[str, Tensor], path: Path) -> None:
    """Straight to the disk: bytes in memory would be one more copy of the model, and the library dies without room."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        safetensors.torch.save_file(tensors, path)
    except SafetensorError as error:
        raise OSError(f"{path} cannot be written: {error}") from None
    sync_file(path)


def _position(path: Path) -> Position:
    _, epoch, _, batch = path.name.split("-")
    return Position(int(epoch), int(batch))


def _manifest(path: Path) -> dict[str, Any] | None:
    """The models of a checkpoint; None where its manifest is missing, damaged, or of another format."""
    try:
        found = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
        members: dict[str, Any] = found["members"]
        sound = found["format"] == FORMAT and found["sha256"] == _checksum(members)
    except (OSError, ValueError, LookupError, TypeError):
        return None
    return members if sound else None


def _checksum(members: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(members).encode()).hexdigest()


def _damage(path: Path, member: Mapping[str, Any]) -> str | None:
    """What is wrong with the file of a model, if anything."""
    try:
        found = file_digest(path / member["file"])
    except OSError as error:
        return f"{member['file']}: {error.strerror or error}"
    return None if found == member["sha256"] else f"{member['file']} is not what was written"


def _set_aside(path: Path) -> None:
    """Keep a damaged checkpoint for a person to look at, where nobody takes it for a sound one."""
    aside = path.with_name(f"{path.name}{ASIDE}")
    shutil.rmtree(aside, ignore_errors=True)
    path.rename(aside)


def _delete(path: Path) -> None:
    """Manifest first: a kill in the middle leaves no checkpoint rather than a damaged one."""
    (path / MANIFEST).unlink(missing_ok=True)
    shutil.rmtree(path, ignore_errors=True)

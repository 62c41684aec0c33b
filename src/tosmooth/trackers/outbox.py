"""What a study has not yet told its trackers, told: from the records that training leaves on disk."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import yaml

from tosmooth.config.schema import StudyConfig, dump_config
from tosmooth.errors import ConfigError, without_secrets
from tosmooth.folder.paths import CURVE_FILE, STUDENTS, TEACHERS, TRACKING, TRACKING_FILE, StudyDirectory
from tosmooth.folder.writing import load_json, write_json
from tosmooth.untrusted import UnreadableError, read_json

if TYPE_CHECKING:
    from tosmooth.trackers.sinks import Sink

PACKAGES = {"tensorboard": ("tensorboard",), "wandb": ("wandb",), "mlflow": ("mlflow", "sqlalchemy", "alembic")}


def check_trackers(names: Sequence[str]) -> None:
    """Look whether the libraries of these trackers are there.

    Raises:
        ConfigError: one is not.
    """
    mistakes = []
    for name in names:
        absent = [package for package in PACKAGES[name] if find_spec(package) is None]
        if absent:
            mistakes.append(
                f'trackers: {name} needs {", ".join(absent)}, not installed: pip install "tosmooth[tracking]"'
            )
    if mistakes:
        raise ConfigError(mistakes)


class Tracking:
    """The trackers of one study. A tracker that fails is given up for this run, with a warning, and stops nothing.

    Args:
        config: of the study; `config.trackers` names them.
        directory: of the study; it is ours.
        warn: shows a line to a person.
    """

    def __init__(self, config: StudyConfig, directory: StudyDirectory, warn: Callable[[str], None]) -> None:
        self._config, self._directory, self._warn = config, directory, warn
        self._state: dict[str, Any] = {}
        self._sinks: dict[str, Sink] = {}
        self._failed: set[str] = set()
        self._sizes: dict[Path, int] = {}  # of the records when they were last read

    def __enter__(self) -> Tracking:
        if not self._config.trackers:
            return self
        from tosmooth.trackers.sinks import SINKS  # and with it Accelerate's classes

        noted = self._noted
        self._state = load_json(noted, dict, "delete it, and all is sent again") if noted.is_file() else {}
        plain = _flat(yaml.safe_load(dump_config(self._config)))
        for name in self._config.trackers:
            state = self._state.setdefault(name, {})
            sink = SINKS[name](self._directory.path / TRACKING, self._config.name, state)
            if where := self._tried(name, lambda sink=sink: sink.open(plain)):  # type: ignore[misc]
                self._warn(f"tracked by {name}: {without_secrets(where)}")
            if name not in self._failed:
                self._sinks[name] = sink
        self._note()
        self.update()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.update()
        for name, sink in self._sinks.items():
            self._tried(name, sink.close)
        self._sinks.clear()

    def update(self) -> None:
        """Send the records that are new since the last time."""
        if not self._sinks:
            return
        for path in sorted(self._directory.path.glob(f"*/*/{CURVE_FILE}")):
            owner = path.parent.relative_to(self._directory.path).as_posix()
            if not owner.startswith((f"{TEACHERS}/", f"{STUDENTS}/")):
                continue
            try:
                size = path.stat().st_size
                records = [] if self._sizes.get(path) == size else _records(path)
            except OSError:  # training says so, if it matters; here nothing but a look at it is lost
                continue
            for name in list(self._sinks):
                self._send(name, owner, records)
            self._sizes[path] = size
        self._note()

    def conclude(self, sentences: Mapping[str, str], figures: Mapping[str, float], report: Path) -> None:
        """Tell what the study came to, once."""
        told = {"sentences": dict(sentences), "figures": dict(figures)}
        for name in list(self._sinks):
            if self._state[name].get("concluded") != told:
                sink = self._sinks[name]
                self._tried(name, lambda sink=sink: sink.conclude(sentences, figures, report))  # type: ignore[misc]
                if name in self._sinks:
                    self._state[name]["concluded"] = told
        self._note()

    def _send(self, name: str, owner: str, records: Sequence[Mapping[str, Any]]) -> None:
        sent = self._state[name].setdefault("sent", {})
        sink = self._sinks[name]
        for record in records:
            epoch = int(record["epoch"])
            if epoch <= sent.get(owner, 0) or name not in self._sinks:
                continue
            values = _finite({key: value for key, value in record.items() if key != "epoch"})
            self._tried(name, lambda epoch=epoch, values=values: sink.send(owner, epoch, values))  # type: ignore[misc]
            if name in self._sinks:
                sent[owner] = epoch

    @property
    def _noted(self) -> Path:
        return self._directory.state / TRACKING_FILE

    def _note(self) -> None:
        try:
            if self._state:
                write_json(self._noted, self._state)
        except OSError as error:
            reason = error.strerror or error
            self._warn(f"warning: {self._noted}: what was sent could not be noted ({reason}); it will be sent again")

    def _tried(self, name: str, work: Callable[[], Any]) -> Any:
        """Do something with a tracker; a study must not end because of its own onlooker."""
        try:
            return work()
        except Exception as error:  # these libraries raise whatever their servers and databases do
            self._failed.add(name)
            self._sinks.pop(name, None)
            lines = str(error).strip().splitlines()
            first = without_secrets(lines[0])[:200] if lines else ""
            reason = f"{type(error).__name__}: {first}" if first else type(error).__name__
            self._warn(
                f"warning: {name} is given up for this run ({reason}). Training goes on, metrics.jsonl has everything, "
                "and the next start of this study sends what is missing"
            )
            return None


def _records(path: Path) -> list[dict[str, Any]]:
    """The epochs in a file of records; a line that is none (a process was killed while it wrote) is left out."""
    found = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        with suppress(UnreadableError):
            record = read_json(line)
            if isinstance(record, dict) and isinstance(record.get("epoch"), int):
                found.append(record)
    return found


def _finite(record: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of a record; trackers have no place for what is missing or infinite."""
    numbers = {k: v for k, v in record.items() if isinstance(v, int | float) and not isinstance(v, bool)}
    return {key: float(value) for key, value in numbers.items() if math.isfinite(value)}


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    """Nested mappings as dotted keys; lists as texts, as trackers compare runs by single values."""
    found: dict[str, Any] = {}
    for key, entry in value.items():
        name = f"{prefix}{key}"
        if isinstance(entry, dict):
            found |= _flat(entry, f"{name}.")
        elif entry is not None and entry != []:
            found[name] = entry if isinstance(entry, bool | int | float | str) else str(entry)
    return found

"""One process at a time on a study, or on one group of it; whoever is refused is told who has it.

The operating system's file lock decides: it goes with its process, however that ends. Some network file systems do not
carry such locks from machine to machine, so the owner also leaves its name and a counter that it raises every few
seconds. Another machine that finds the name watches whether the counter moves; no clocks are compared.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

from filelock import FileLock, Timeout

from tosmooth.errors import StudyError
from tosmooth.files import write_text
from tosmooth.folder.paths import LOCK_FILE, OWNER_FILE
from tosmooth.terminal import command_line

BEAT_SECONDS = 5.0
LONGEST_COMMAND = 120  # characters of a command line in messages
WATCH_SECONDS = 4 * BEAT_SECONDS  # before an owner on another machine counts as gone


class StudyLock:
    """Held while it is entered.

    Args:
        folder: where the lock and its owner's name lie; made if it is not there.
        what: what is locked, for messages, such as a study's path.
        note: told how an owner that is gone was found.
        wait: seconds to wait for an owner on this machine that may be about to end.

    Raises:
        StudyError: on entry, when another process has it; says which, and since when. OSError where the folder cannot
            be written.
    """

    def __init__(
        self, folder: Path, what: str, note: Callable[[str], None] = lambda text: None, *, wait: float = 0.0
    ) -> None:
        self._folder, self._what, self._note, self._wait = folder, what, note, wait
        self._file = FileLock(folder / LOCK_FILE)
        self._name = folder / OWNER_FILE
        self._ended = threading.Event()
        self._beats = threading.Thread(target=self._beat, daemon=True, name="tosmooth-lock")

    def __enter__(self) -> StudyLock:
        self._started = datetime.now(UTC).isoformat(timespec="seconds")
        self._folder.mkdir(parents=True, exist_ok=True)
        try:
            self._file.acquire(timeout=self._wait)
        except Timeout:
            raise StudyError(
                f"{self._what} is being worked on by {_described(self._owner())}; wait until it ends, or choose "
                "another name=…"
            ) from None
        try:
            self._look_at_owner()
            self._write(0)
        except BaseException:
            self._file.release()
            raise
        self._beats.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._beats.join()
        with contextlib.suppress(OSError):  # a disk that has failed must not hide the error that brought us here
            self._name.unlink(missing_ok=True)
        self._file.release()

    def _look_at_owner(self) -> None:
        """An owner that left its name is gone, unless its counter moves.

        Raises:
            StudyError: it moves.
        """
        owner = self._owner()
        if not owner:
            return
        if owner.get("host") != socket.gethostname():
            self._note(
                f"{self._what}: the last run, {_described(owner)}, left no word of its end; watching for "
                f"{WATCH_SECONDS:.0f} s whether it is alive"
            )
            until = time.monotonic() + WATCH_SECONDS
            while time.monotonic() < until:
                time.sleep(BEAT_SECONDS / 5)
                if self._owner().get("beat") != owner.get("beat"):
                    raise StudyError(
                        f"{self._what} is being worked on by {_described(owner)}; wait until it ends, or "
                        "choose another name=…"
                    )
        self._note(f"{self._what}: the last run, {_described(owner)}, was killed or crashed; going on from its files")

    def _owner(self) -> dict[str, Any]:
        with contextlib.suppress(OSError, ValueError):
            found = json.loads(self._name.read_text(encoding="utf-8"))
            return found if isinstance(found, dict) else {}
        return {}

    def _write(self, beat: int) -> None:
        text = {
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "started": self._started,
            "command": command_line()[:LONGEST_COMMAND],
            "beat": beat,
        }
        write_text(self._name, json.dumps(text, ensure_ascii=False) + "\n")

    def _beat(self) -> None:
        beat = 0
        while not self._ended.wait(BEAT_SECONDS):
            beat += 1
            with contextlib.suppress(OSError):  # the run itself meets a full disk soon enough, and says so
                self._write(beat)


def _described(owner: dict[str, Any]) -> str:
    if not owner:
        return "another process"
    return f"process {owner.get('pid')} on {owner.get('host')} (started {owner.get('started')}: {owner.get('command')})"

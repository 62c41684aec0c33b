"""SIGINT and SIGTERM as a request to save and leave, instead of a crash somewhere."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType, TracebackType

from tosmooth.errors import Interrupted

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopping:
    """While it is entered, Ctrl-C and a scheduler's SIGTERM raise `Interrupted`.

    Inside `deferred()` the request is only noted: the training loop looks at `requested` after every batch, saves, and
    raises by itself. A second signal does not wait for that. Everything tosmooth writes is whole or not there, so
    raising is safe anywhere. Signals reach only the main thread; elsewhere this does nothing.
    """

    def __init__(self) -> None:
        self.requested: int | None = None
        self._deferring = False
        self._before: dict[int, object] = {}

    def __enter__(self) -> Stopping:
        self.listen()
        return self

    def listen(self) -> None:
        """Take the signals, also back from a library that has taken them in the meantime."""
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                before = signal.signal(number, self._receive)
                self._before.setdefault(number, before)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        self._before = {}

    def _receive(self, number: int, frame: FrameType | None) -> None:
        self.request(number)

    def request(self, number: int) -> None:
        """What the signal of that number does when it arrives."""
        patient = self._deferring and self.requested is None
        self.requested = number
        if not patient:
            raise Interrupted(number)

    @contextlib.contextmanager
    def deferred(self) -> Iterator[None]:
        """Let a signal wait until the block asks for it with `requested`, or ends."""
        with self._set(True):
            yield
        if self.requested is not None and not self._deferring:
            raise Interrupted(self.requested)

    @contextlib.contextmanager
    def immediate(self) -> Iterator[None]:
        """Inside `deferred()`, a stretch that may be left at any point; a request that waits takes effect here."""
        if self.requested is not None:
            raise Interrupted(self.requested)
        with self._set(False):
            yield

    @contextlib.contextmanager
    def _set(self, deferring: bool) -> Iterator[None]:
        before, self._deferring = self._deferring, deferring
        try:
            yield
        finally:
            self._deferring = before

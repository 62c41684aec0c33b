"""Signals as requests: at once outside the loop, at the next safe point inside."""

from __future__ import annotations

import signal
import threading

import pytest

from tosmooth.errors import Interrupted
from tosmooth.training.stopping import Stopping


def test_outside_a_deferred_block_a_signal_raises_at_once():
    with pytest.raises(Interrupted) as caught, Stopping():
        signal.raise_signal(signal.SIGTERM)
    assert caught.value.signal_number == signal.SIGTERM
    assert "stopped by SIGTERM; all progress is saved" in str(caught.value)


def deferred_run(*numbers: signal.Signals, inside: bool = False) -> list[int | None]:
    """Receive signals in a deferred block; what was requested when its end was reached, if it was."""
    reached = []
    with pytest.raises(Interrupted), Stopping() as stopping, stopping.deferred():  # noqa: PT012
        for number in numbers:
            signal.raise_signal(number)
        if inside:
            with stopping.immediate():
                reached.append(stopping.requested)
        reached.append(stopping.requested)
    return reached


def test_inside_a_deferred_block_it_waits():
    assert deferred_run(signal.SIGINT) == [signal.SIGINT]


def test_a_second_signal_does_not_wait():
    assert deferred_run(signal.SIGINT, signal.SIGINT) == []


def test_in_a_stretch_that_may_be_left_a_request_that_waited_takes_effect_first():
    assert deferred_run(signal.SIGTERM, inside=True) == []


def test_the_handlers_before_come_back():
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with Stopping() as stopping:
        stopping.listen()
        stopping.listen()
        assert signal.getsignal(signal.SIGTERM) != before[1]
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_in_another_thread_signals_are_left_alone():
    before = signal.getsignal(signal.SIGTERM)
    seen = []

    def work() -> None:
        with Stopping():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]

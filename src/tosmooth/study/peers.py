"""One message from a run of several processes, whichever of them fails."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

from tosmooth.errors import Interrupted, PeerError, TosmoothError
from tosmooth.files import write_text
from tosmooth.folder.paths import TOLD
from tosmooth.training.processes import Processes

PATIENCE_SECONDS = 3.0  # for the process that failed to say so


@contextlib.contextmanager
def one_message(processes: Processes, folder: Path) -> Iterator[None]:
    """Let the process that fails report why, and the others only where it could not (it was killed).

    Args:
        processes: of the run.
        folder: that all of them see.

    Raises:
        PeerError: with `told` set where somebody else reports.
    """
    if processes.world == 1:
        yield
        return
    host, number = processes.peers[0]
    told = folder / f"{TOLD}{host}-{number}"  # named after this very run
    try:
        yield
    except PeerError as error:
        until = time.monotonic() + PATIENCE_SECONDS
        with contextlib.suppress(Interrupted):  # by a launcher that ends the others when one dies
            while not (error.told or told.exists()) and time.monotonic() < until:
                time.sleep(0.1)
        raise PeerError(str(error), told=error.told or told.exists() or not processes.speaks()) from None
    except Interrupted as error:
        if processes.main:
            _tell(told, error)
        elif processes.speaks() and not told.exists():  # torchrun ends the others when one dies
            raise PeerError(f"another process of this run died, and this one was {error}", told=False) from None
        raise
    except (TosmoothError, OSError) as error:
        _tell(told, error)
        raise


def _tell(path: Path, error: Exception) -> None:
    with contextlib.suppress(OSError):
        write_text(path, str(error))

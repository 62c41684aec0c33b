"""The process that draws: a crash of the renderer costs the figure in hand, and not the one who asked for it.

Vega runs in an engine that ends its whole process where it finds no memory, or at a letter that no font has. Here that
process is started when the first drawing is asked for, again after a crash, and ends with the one that asks. It is a
plain interpreter that runs this file: a pool of `multiprocessing` would import the caller's own script again.
"""

from __future__ import annotations

import atexit
import base64
import json
import os
import subprocess
import sys
import tempfile
import threading
from typing import IO, Any

from tosmooth.errors import DrawingError

LONGEST = 300.0  # seconds of one drawing; a figure of thousands of points takes two


class DrawingProcess:
    """Calls functions of vl-convert in a process of its own, one at a time."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0  # number of the process that started it: a fork must not talk to it as well
        self._said: IO[bytes] | None = None
        self._one_at_a_time = threading.Lock()
        atexit.register(self.close)

    def call(self, function: str, **arguments: Any) -> Any:
        """What `vl_convert.<function>(**arguments)` returns: a text or bytes.

        Raises:
            DrawingError: the function failed; or its process was killed, crashed or did not answer in `LONGEST`
                seconds. The next call finds a new process then.
        """
        with self._one_at_a_time:
            process = self._running()
            assert process.stdin is not None
            assert process.stdout is not None
            late = threading.Event()

            def give_up() -> None:
                late.set()
                process.kill()

            limit = threading.Timer(LONGEST, give_up)
            limit.start()
            try:
                process.stdin.write(json.dumps([function, arguments]).encode() + b"\n")
                process.stdin.flush()
                line = process.stdout.readline()
            except OSError:  # it ended before it could read
                line = b""
            except BaseException:  # Ctrl-C: else the next call would be given this one's answer
                self.close()
                raise
            finally:
                limit.cancel()
            if not line.endswith(b"\n"):
                ended = self._how_it_ended(process)
                raise DrawingError(
                    f"the process that draws did not answer in {LONGEST:g} s" if late.is_set() else ended
                )
        answer = json.loads(line)
        if "error" in answer:
            raise DrawingError(answer["error"])
        return answer["text"] if "text" in answer else base64.b64decode(answer["bytes"])

    def close(self) -> None:
        """End the process, as the end of this one does."""
        process, self._process = self._process, None
        if process is None or self._owner != os.getpid():
            return
        process.kill()
        process.communicate()
        if self._said is not None:
            self._said.close()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._owner == os.getpid() and self._process.poll() is None:
            return self._process
        self.close()
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - it is open as long as the process
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", __file__],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._said,
                env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                start_new_session=True,  # Ctrl-C is for the one who asks
            )
        except OSError as error:
            raise DrawingError(f"no process could be started that draws: {error}") from None
        self._owner = os.getpid()
        return self._process

    def _how_it_ended(self, process: subprocess.Popen[bytes]) -> str:
        process.kill()  # it may have closed its streams alone
        code = process.wait()
        assert self._said is not None
        self._said.seek(0)
        lines = (line.strip("# ") for line in self._said.read().decode(errors="replace").splitlines())
        # The engine's reason comes first, a trace of its stack follows.
        reason = next((line for line in lines if line and not line.startswith("thread ")), "")
        said = f": {reason[:200]}" if reason else ""
        self.close()
        how = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
        return f"the process that draws {how}{said}"


def serve(requests: IO[bytes], answers: IO[bytes]) -> None:
    """Answer each line with a line, until there are no more."""
    import vl_convert

    for line in requests:
        function, arguments = json.loads(line)
        try:
            made = getattr(vl_convert, function)(**arguments)
        except BaseException as error:  # what panics in Rust is no Exception
            answer = {"error": " ".join(f"{error}".split())[:200] or type(error).__name__}
        else:
            answer = {"text": made} if isinstance(made, str) else {"bytes": base64.b64encode(made).decode()}
        answers.write(json.dumps(answer).encode() + b"\n")
        answers.flush()


if __name__ == "__main__":
    with os.fdopen(os.dup(1), "wb") as answers:
        os.dup2(2, 1)  # what a library prints is no answer
        serve(sys.stdin.buffer, answers)

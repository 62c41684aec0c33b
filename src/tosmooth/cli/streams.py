"""Standard streams whose other end may be closed: `tosmooth … | head -1`, `2>&-`.

What is written to a closed end goes nowhere; the work goes on, and its exit code is its own.
"""

from __future__ import annotations

import io
import os
import sys


class _Stream(io.FileIO):
    """A standard stream that turns into the null device once nobody reads it any more."""

    def write(self, data: object, /) -> int:
        try:
            return super().write(data)  # type: ignore[arg-type]
        except BrokenPipeError:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self.fileno())  # for what libraries and children write, too
            os.close(null)
            return super().write(data)  # type: ignore[arg-type]


def text_stream(descriptor: int, encoding: str, *, by_line: bool = False) -> io.TextIOWrapper:
    """A stream to write texts to an open descriptor, which it leaves open; a letter that the encoding lacks is written
    out rather than an error."""
    stream = io.BufferedWriter(_Stream(descriptor, "w", closefd=False))
    return io.TextIOWrapper(stream, encoding=encoding, errors="backslashreplace", line_buffering=by_line)


def open_streams() -> None:
    """Give this process standard streams that bear a closed end; those that are closed already become the null device.

    A closed one would be None for Python, and the next file that is opened, one of the study's, would take its number
    and whatever is written to it.
    """
    while (null := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(null, True)
    os.close(null)
    sys.stdin = sys.stdin or open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    for number, name in ((1, "stdout"), (2, "stderr")):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, text_stream(number, "utf-8", by_line=True))
        elif isinstance(stream, io.TextIOWrapper):
            if stream.isatty():
                stream.reconfigure(errors="backslashreplace")
            else:
                stream.flush()
                setattr(sys, name, text_stream(stream.fileno(), stream.encoding, by_line=stream.line_buffering))

"""Reads an offline run of Weights & Biases: protocol buffers in a LevelDB log, for which the library has no reader."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

from wandb.proto import wandb_internal_pb2

HEADER, BLOCK = 7, 32768  # bytes; the file begins with a header as long as that of a record
FULL, FIRST, LAST = 1, 2, 4


def records_of(path: Path) -> Iterator[wandb_internal_pb2.Record]:
    """All records, in order."""
    content = path.read_bytes()
    assert content.startswith(b":W&B")
    position, parts = HEADER, b""
    while position < len(content):
        if (rest := BLOCK - position % BLOCK) < HEADER:  # the end of a block is filled up
            position += rest
            continue
        _, length, kind = struct.unpack("<IHB", content[position : position + HEADER])
        part = content[position + HEADER : position + HEADER + length]
        position += HEADER + length
        parts = part if kind in {FULL, FIRST} else parts + part
        if kind in {FULL, LAST}:
            record = wandb_internal_pb2.Record()
            record.ParseFromString(parts)
            yield record

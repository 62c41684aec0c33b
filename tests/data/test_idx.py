from __future__ import annotations

import gzip
import struct
from pathlib import Path

import pytest

from tosmooth.data.idx import read_idx
from tosmooth.errors import DataError

# Two pictures of 1 × 3, written out by hand: 00 00, type 08, 3 axes, the axes big-endian, the values.
TWO = bytes.fromhex("00000803 00000002 00000001 00000003 0102030a0b0c")


@pytest.mark.parametrize("name", ["two-idx3-ubyte", "two-idx3-ubyte.gz"])
def test_values_and_shape(tmp_path: Path, name):
    path = tmp_path / name
    path.write_bytes(gzip.compress(TWO, mtime=0) if name.endswith("gz") else TWO)
    assert read_idx(path).tolist() == [[[1, 2, 3]], [[10, 11, 12]]]


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("cut", TWO[:-1], r"holds 5 values, but its header says 2 × 1 × 3 \(truncated"),
        ("long", TWO + b"x", "holds 7 values"),
        ("header", TWO[:9], "header: ends within its header"),
        ("floats", struct.pack(">BBBBI", 0, 0, 13, 1, 0), "not an IDX file of unsigned bytes"),
        ("empty", b"", "not an IDX file"),
        ("cut.gz", gzip.compress(TWO, mtime=0)[:-6], r"cut\.gz: not readable"),
        ("text.gz", b"<html>", r"text\.gz: not readable"),
    ],
)
def test_damaged_files_are_named(tmp_path: Path, name, content, reason):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=reason):
        read_idx(tmp_path / name)


def test_a_missing_file(tmp_path: Path):
    with pytest.raises(DataError, match="nothing: no such file"):
        read_idx(tmp_path / "nothing")

"""IDX files, the format of the MNIST family, plain or gzipped."""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from tosmooth.errors import DataError
from tosmooth.files import readable


def read_idx(path: Path) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """The bytes of an IDX file in their shape, for example (N, 28, 28) or (N,).

    The format: two zero bytes, the type (8 = unsigned byte), the number of axes, each axis as a big-endian 32-bit
    number, then the values.

    Raises:
        DataError: missing, damaged or truncated, or not an IDX file of unsigned bytes.
    """
    try:
        content = readable(path).read_bytes()
        if path.suffix == ".gz":
            content = gzip.decompress(content)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: not readable (damaged or truncated?): {error}") from None
    if len(content) < 4 or content[:3] != b"\0\0\x08":
        raise DataError(f"{path}: not an IDX file of unsigned bytes (should start with 00 00 08)")
    axes = content[3]
    header = 4 + 4 * axes
    if len(content) < header:
        raise DataError(f"{path}: ends within its header (truncated?)")
    shape = tuple(int(axis) for axis in np.frombuffer(content[4:header], dtype=">u4"))
    if len(content) != header + math.prod(shape):
        stated = " × ".join(map(str, shape))
        raise DataError(f"{path}: holds {len(content) - header:,} values, but its header says {stated} (truncated?)")
    return np.frombuffer(content, dtype=np.uint8, offset=header).reshape(shape)

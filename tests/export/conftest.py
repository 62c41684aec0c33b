"""Exports read their study's data anew each time; here the embedded images are decompressed once for all of them."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from functools import cache

import pytest

from tosmooth.data import fashion_mnist_sample


@pytest.fixture(scope="package", autouse=True)
def decompressed_once() -> Iterator[None]:
    read = cache(fashion_mnist_sample._read)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fashion_mnist_sample, "_read", lambda name: deepcopy(read(name)))
        yield

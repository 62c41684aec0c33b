"""What the server of forks has ready, so that no fork makes it again: imports, and the script of every report.

The script comes from a process of its own: the engine that bundles it keeps threads, which a fork would lack.
"""

from __future__ import annotations

import subprocess
import sys

import timm  # noqa: F401
import torch._dynamo  # noqa: F401
import torchvision  # noqa: F401

import tosmooth.export.export
import tosmooth.report.build
import tosmooth.search.run
import tosmooth.study.run
import tosmooth.study.single  # noqa: F401
from tosmooth.data import fashion_mnist_sample
from tosmooth.report import build

_PROGRAM = """\
import sys
from tosmooth.report.figures.rendering import bundled_script
sys.stdout.buffer.write(bundled_script().encode())
"""

SCRIPT = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, check=True).stdout.decode()
build.vega_javascript = lambda: SCRIPT  # type: ignore[assignment]
for name in fashion_mnist_sample.COUNTS:
    fashion_mnist_sample._values(name)

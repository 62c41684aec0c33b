"""What the server of forks has ready, so that no fork makes it again: imports, a report's script and its template."""

from __future__ import annotations

import timm  # noqa: F401
import torch._dynamo  # noqa: F401
import torchvision  # noqa: F401

import tosmooth.export.export
import tosmooth.report.build
import tosmooth.search.run
import tosmooth.study.answering_time
import tosmooth.study.run
import tosmooth.study.single
from tosmooth.data import fashion_mnist_sample
from tosmooth.report import build
from tosmooth.report.figures import rendering
from tosmooth.report.page import _environment

build.vega_javascript()  # forks inherit what is cached
rendering._PROCESS.close()
_environment().get_template("report.html.j2")
for name in fashion_mnist_sample.COUNTS:
    fashion_mnist_sample._values(name)
tosmooth.study.answering_time.SECONDS = 0.005  # as in `tests.conftest`

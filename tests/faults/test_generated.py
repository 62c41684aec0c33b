"""2,000 generated configurations, calls and arrays: each ends in a result, or in one clear error of tosmooth's own.

An error is its own where it is a `TosmoothError`, or a ValueError that tosmooth raises itself, as its functions on
tensors promise. Whatever else comes out is a traceback that somebody would have to read.
"""

from __future__ import annotations

import math
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from rich.console import Console
from safetensors.numpy import save_file

import tosmooth
from tests.cli.commands import RUN
from tests.conftest import TINY
from tests.fake_study.folder import Variant, write_study
from tests.test_hostile_config import TEXTS, VALUES, places, valid_or_refused
from tosmooth import cli
from tosmooth.audit.saved import audit_logits
from tosmooth.config.schema import StudyConfig, sections_of
from tosmooth.data.files import decoded
from tosmooth.data.teacher_outputs import _read as read_outputs
from tosmooth.errors import TosmoothError
from tosmooth.models.checkpoint import read_checkpoint
from tosmooth.recipes.reading import load_config
from tosmooth.study.context import Context
from tosmooth.study.progress import StudyProgress

pytestmark = [pytest.mark.faults, pytest.mark.filterwarnings("ignore")]
OWN = Path(tosmooth.__file__).parent


def examples(count: int) -> settings:
    """So many, the same ones each time."""
    return settings(
        max_examples=count, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )


def ends_well(work: Callable[[], Any]) -> Any:
    """A result, or None where it was refused in tosmooth's own words."""
    try:
        return work()
    except TosmoothError as error:
        refused: Exception = error
    except ValueError as error:
        if OWN not in Path(traceback.extract_tb(error.__traceback__)[-1].filename).parents:
            raise
        refused = error
    assert str(refused).strip()
    return None


# Configurations

WORDS_OF_SCHEMA = {
    value
    for section in sections_of(StudyConfig).values()
    for field in section.model_fields.values()
    for value in getattr(field.annotation, "__args__", ())
    if isinstance(value, str)
}
LIKELY = st.sampled_from([
    0, 1, 2, 3, 8, -1, 0.0, 0.1, 0.5, 1.0, 1.5, 1e-9, 1e9, True, False, None, [], [0], [0, 1], [1, 1], [0.5, 1.0], {},
    "off", "cpu", "resnet8", "timm:resnet10t", "hinton", "dkd", "best", "last-1", *sorted(WORDS_OF_SCHEMA),
])  # fmt: skip
PLAUSIBLE = LIKELY | VALUES
FIELDS = sorted({
    (name, field) for name, section in sections_of(StudyConfig).items() for field in section.model_fields
} | {(name,) for name in StudyConfig.model_fields})  # fmt: skip


@given(st.lists(st.tuples(st.sampled_from([*places(TINY), *FIELDS]), PLAUSIBLE), min_size=1, max_size=4), st.booleans())
@examples(600)
def test_configurations(changes: list[tuple[tuple[str, ...], Any]], quick: bool) -> None:
    valid_or_refused(changed(changes), quick=quick)


def changed(changes: list[tuple[tuple[str, ...], Any]]) -> dict[str, Any]:
    raw: dict[str, Any] = yaml.safe_load(yaml.safe_dump(TINY))
    for place, value in changes:
        node: Any = raw
        for parent in place[:-1]:
            node = node.setdefault(parent, {}) if isinstance(node, dict) else None
        if isinstance(node, dict):
            node[place[-1]] = value
    return raw


@given(st.lists(st.tuples(st.sampled_from(FIELDS), LIKELY), min_size=1, max_size=2))
@examples(200)
def test_configurations_that_meet_their_data(changes: list[tuple[tuple[str, ...], Any]]) -> None:
    """What only data and models can tell is told before any work, too."""

    def join() -> Context:
        raw = changed(changes)
        raw["data"] = {"limit_train": 60, "limit_test": 40} | (raw["data"] if isinstance(raw["data"], dict) else {})
        config = load_config(raw)
        return Context.join(config, Path("runs"), StudyProgress(Console(quiet=True)))

    ends_well(join)


# Calls

OPTIONS = {option for command in RUN.values() for p in command.params for option in p.opts if "-" in option}
WORDS = st.one_of(
    st.sampled_from(sorted(OPTIONS)),
    st.sampled_from([
        "s", "s/study.yaml", "s/results.csv", "s/teachers", "missing", "fashion-mnist", "own-images", "", "-", "--",
        "=", "hinton-a0-T1-s0", "teacher", "student", "train", "test", "0", "1", "-1", "1e9", "nan", "1h", "a,b", "1,2",
    ]),
    st.builds("{}={}".format, st.sampled_from([".".join(place) for place in places(TINY)]), st.text(max_size=8)),
    TEXTS.filter(lambda text: not text.startswith(("/", "~", "..")) and "\0" not in text),
)  # fmt: skip
TRAINS = {"study", "search", "train-teacher", "distill", "recipes run", "doctor", "evaluate", "audit"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A working folder with a study in it, below others that nobody needs."""
    here = tmp_path_factory.mktemp("calls") / "a" / "b"
    write_study(here / "s", Variant(seeds=1, temperatures=(1, 64), students=True))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(here)
        patch.setenv("HF_HUB_OFFLINE", "1")
        yield here


@given(st.sampled_from(sorted(RUN)), st.lists(WORDS, max_size=5))
@examples(500)
def test_calls(folder: Path, command: str, words: list[str]) -> None:
    last = ["nosuch.key=1"] if command in TRAINS else []  # a call that would be right must not train here
    argv = [word for word in words if word not in {"--help", "--install-completion", "--show-completion"}]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["tosmooth", *command.split(), *argv, *last])
        assert cli._run(cli._app) in {0, 1, 2}, sys.argv


# Arrays

NUMBERS = st.one_of(
    st.floats(0, 1, width=32),
    st.floats(-5, 5, width=32),
    st.sampled_from([math.nan, math.inf, -math.inf, 0.0, 1e30, -1e30, 100.0, 3.0e38]),
)
SHAPES = arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=5)
USUAL = arrays.arrays(np.float32, (4, 3), elements=st.floats(-5, 5, width=32))  # what all that is below may take
FLOATS = st.one_of(
    USUAL,
    USUAL,
    USUAL,
    arrays.arrays(
        np.float32, st.sampled_from([(3, 3), (6, 2), (4, 1, 3), (5, 4)]), elements=st.floats(-5, 5, width=32)
    ),
    arrays.arrays(np.float32, (4, 3), elements=NUMBERS.map(np.float32).map(float)),
    arrays.arrays(st.sampled_from([np.float64, np.float16, np.int64, np.bool_, np.uint8]), SHAPES),
)
LABELS = st.one_of(
    arrays.arrays(np.int64, (4,), elements=st.integers(0, 2)),
    arrays.arrays(np.int64, (4,), elements=st.sampled_from([0, 1, 2, -100])),
    arrays.arrays(np.bool_, (4, 4)),
    arrays.arrays(np.int64, st.sampled_from([(4,), (6,), (0,)]), elements=st.integers(-1, 3)),
    FLOATS,
)


def on_tensors(name: str, first: Any, second: Any, labels: Any, number: Any) -> Any:
    """Call one of the public functions with them."""
    x, y, z = (torch.from_numpy(np.ascontiguousarray(value)) for value in (first, second, labels))
    if name == "distillation_loss":
        return tosmooth.distillation_loss(
            x, y, number, targets=z, hard_weight=0.5, objective=("hinton", "dkd", "logit_standard")[x.numel() % 3]
        )
    if name == "fused_linear_distillation":
        return tosmooth.fused_linear_distillation(x, y, x, y, number, targets=z)
    if name == "ClassCentroids":
        found = tosmooth.ClassCentroids(3, 3)
        found.update(x, z)
        return found.centroids
    if name == "diffusion_index":
        return tosmooth.diffusion_index(x, y, z)
    if name == "similar_classes":
        return tosmooth.similar_classes(x, max(1, x.ndim - 1))
    if name == "mutual_information":
        return tosmooth.mutual_information(x)
    if name == "compare_settings":
        return tosmooth.compare_settings(
            pd.DataFrame(first.reshape(-1, max(1, first.shape[-1] if first.ndim else 1))), margin=number
        )
    if name == "crossed_variance":
        return tosmooth.crossed_variance(first > 0, second > 0 if number > 0 else second)
    if name == "image_variances":
        return tosmooth.image_variances({"a": first > 0, "b": second > 0 if number > 0 else second})
    if name in {"smoothness", "stability"} and x.is_floating_point() and x.ndim and number > 0:
        x = x.softmax(-1)
    if name == "spent_confidence":
        return tosmooth.spent_confidence(first.size, second.ndim, number)
    return getattr(tosmooth, name)(x, z)


FUNCTIONS = (
    "distillation_loss", "fused_linear_distillation", "ClassCentroids", "diffusion_index", "similar_classes",
    "mutual_information", "compare_settings", "crossed_variance", "image_variances", "spent_confidence",
    "estimate_label_smoothing", "smoothness", "stability",
)  # fmt: skip


@given(st.sampled_from(FUNCTIONS), FLOATS, FLOATS, LABELS, NUMBERS)
@examples(500)
def test_arrays(name: str, first: Any, second: Any, labels: Any, number: Any) -> None:
    ends_well(lambda: on_tensors(name, first, second, labels, number))


READERS: dict[str, Callable[[Path], Any]] = {
    ".npz": lambda path: audit_logits(path, (1.0, 4.0)),
    ".csv": lambda path: audit_logits(path, (1.0, 4.0)),
    ".safetensors": lambda path: audit_logits(path, (1.0, 4.0)),
    "-o.npz": lambda path: read_outputs(path, ("a", "b", "c")),
    ".pth": read_checkpoint,
    ".png": lambda path: decoded(path, "an image"),
}


@given(
    st.sampled_from(sorted(READERS)),
    FLOATS,
    LABELS,
    st.one_of(st.none(), st.none(), st.binary(max_size=60)),
    st.integers(0, 1000),
)
@examples(200)
def test_files_of_arrays(kind: str, logits: Any, labels: Any, content: bytes | None, cut: int) -> None:
    with tempfile.TemporaryDirectory() as where:
        path = Path(where) / f"x{kind}"
        if content is not None:
            path.write_bytes(content)
        elif kind == ".csv":
            table = pd.DataFrame(np.atleast_2d(logits) if np.ndim(logits) < 3 else [[0]])
            table.insert(0, "label", pd.Series(np.ravel(labels)))
            table.to_csv(path, index=False)
        elif kind == ".safetensors":
            save_file({"logits": logits, "labels": labels}, path)
        elif kind == ".pth":
            torch.save({"a": torch.from_numpy(np.ascontiguousarray(logits)), "b": list(labels.ravel())}, path)
        else:
            np.savez(path.open("wb"), logits=logits, labels=labels, names=np.array(["a", "b"]))
        if cut < 200 and content is None:
            path.write_bytes(path.read_bytes()[:cut])
        ends_well(lambda: READERS[kind](path))

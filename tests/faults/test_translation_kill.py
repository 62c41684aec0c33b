"""SIGKILL in a study of sentences whose students are means of their last epochs: it goes on to the same bits."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.faults.studies import assert_same, content, finish, kill_after, start, start_server, wait_for
from tests.tasks.sentences import raw_study, write_pairs

POINTS = 12


class Whole(NamedTuple):
    """The study without any interruption."""

    raw: Mapping[str, Any]
    content: dict[str, Any]
    seconds: float


@pytest.fixture(scope="module")
def sentences(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    root = tmp_path_factory.mktemp("sentences")
    pairs = write_pairs(root / "pairs.tsv", train=120, held_out=8, known=2)
    raw = raw_study(
        data={"source": "tsv", "path": str(pairs), "limit_train": None, "limit_test": None},
        teacher={"label_smoothing": [0.1], "epochs": 2},
        student={"average_last": 2},
        translation={"beam": 1},
        compute={"checkpoint_minutes": 0.0001},
    )
    raw["name"] = "small"
    start_server()  # so that the time below is the study's alone
    started = time.monotonic()
    finish(raw, root / "whole")
    found = content(root / "whole" / "small")
    assert sum(name.endswith("translations.json") for name in found) == 4
    assert not [name for name in found if "epoch-" in name]
    return Whole(raw, found, time.monotonic() - started)


def killed_and_gone_on(whole: Whole, root: Path, pattern: str) -> None:
    """Killed as soon as a file of that name is there."""
    process = start(whole.raw, root)
    wait_for(process, root, pattern)
    assert kill_after(process, 0)
    finish(whole.raw, root)
    assert_same(whole.content, content(root / "small"))


# Of the two epochs that a student's weights are the mean of, the first is over; and between the two trainings.
@pytest.mark.parametrize(
    "pattern",
    ["small/students/*/epoch-0002.safetensors", pytest.param("small/teachers/*/result.json", marks=pytest.mark.faults)],
)
@pytest.mark.faults
def test_a_killed_study_of_sentences_goes_on_to_the_same_bits(sentences: Whole, tmp_path: Path, pattern: str):
    killed_and_gone_on(sentences, tmp_path, pattern)


@pytest.mark.faults
@pytest.mark.parametrize(
    "pattern",
    [
        "small/teachers/*/metrics.jsonl",
        "small/teachers/*/translations.json",
        "small/students/*-T1-*/epoch-0003.safetensors",
        "small/students/*-T64-*/epoch-0003.safetensors",
        "small/students/*-T1-*/model.safetensors",
        "small/students/*-T1-*/translations.json",
        "small/students/*-T1-*/result.json",
        "small/students/*-T64-*/result.json",
        "small/analysis/advice.json",
        "small/teachers/*/reliability.json",
    ],
)
def test_whatever_was_written_last(sentences: Whole, tmp_path: Path, pattern: str):
    killed_and_gone_on(sentences, tmp_path, pattern)


@pytest.mark.faults
@pytest.mark.parametrize("point", range(POINTS))
def test_any_moment_will_do(sentences: Whole, tmp_path: Path, point: int):
    kill_after(start(sentences.raw, tmp_path), random.Random(point).uniform(0.2, 1.0) * sentences.seconds)
    finish(sentences.raw, tmp_path)
    assert_same(sentences.content, content(tmp_path / "small"))

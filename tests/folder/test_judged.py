"""What a model took each sample for: two splits in one file, each by itself."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tosmooth.errors import StudyError
from tosmooth.folder.judged import Split, forget_judged, keep_judged, read_answers, read_correct
from tosmooth.folder.paths import JUDGED_FILE

ANSWERS = {"val": [[0, 1, -1], [0, 2, -1]], "test": [[3, 3], [3, 3]]}
CORRECT = {"val": [1, 0, -1], "test": [1, 1]}


def keep(folder: Path, split: Split) -> None:
    correct, answers = torch.tensor(CORRECT[split], dtype=torch.int8), torch.tensor(ANSWERS[split], dtype=torch.int32)
    keep_judged(folder, split, correct, answers)


def found(folder: Path, split: Split) -> tuple[list[int], list[list[int]]] | None:
    correct, answers = read_correct(folder, split), read_answers(folder, split)
    assert (correct is None) == (answers is None)
    return None if correct is None or answers is None else (correct.tolist(), answers.tolist())


@pytest.mark.parametrize("first", ["val", "test"])
def test_a_split_stays_while_the_other_is_written_and_forgotten(tmp_path: Path, first: Split):
    second: Split = "test" if first == "val" else "val"
    assert found(tmp_path, first) is None
    keep(tmp_path, first)
    assert found(tmp_path, second) is None
    keep(tmp_path, second)
    keep(tmp_path, second)  # again: the same
    assert [found(tmp_path, split) for split in ("val", "test")] == [(CORRECT[s], ANSWERS[s]) for s in ("val", "test")]
    forget_judged(tmp_path, second)
    assert found(tmp_path, first) == (CORRECT[first], ANSWERS[first])
    assert found(tmp_path, second) is None
    forget_judged(tmp_path, first)
    assert not list(tmp_path.iterdir())


def test_a_damaged_file_is_named_and_left_as_it_is(tmp_path: Path):
    (tmp_path / JUDGED_FILE).write_bytes(b"half")
    for act in (lambda: keep(tmp_path, "test"), lambda: read_correct(tmp_path, "val")):
        with pytest.raises(StudyError, match=rf"{JUDGED_FILE} is damaged .*; delete it"):
            act()
    assert (tmp_path / JUDGED_FILE).read_bytes() == b"half"

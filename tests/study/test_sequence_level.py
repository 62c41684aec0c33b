"""Teachers' translations as labels: stored in parts, found again by all that they depend on, fitting into a batch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.tasks.sentences import SMALL_MODEL, raw_study, write_pairs
from tosmooth.errors import CacheError
from tosmooth.models.weights import save_weights
from tosmooth.recipes.reading import load_config
from tosmooth.study import sequence_level
from tosmooth.study.context import Context
from tosmooth.study.kinds import Choice, Kind
from tosmooth.study.progress import StudyProgress
from tosmooth.study.ray_engine import jobs_of
from tosmooth.study.sequence_level import translated_training


@pytest.fixture
def context(tmp_path: Path, silent: StudyProgress, monkeypatch: pytest.MonkeyPatch) -> Context:
    """A study whose teacher has random weights: it writes nonsense, but always the same."""
    monkeypatch.setattr(sequence_level, "PART", 9)  # several parts of a few sentences
    pairs = write_pairs(tmp_path / "pairs.tsv", train=25)
    raw = raw_study(
        data={"source": "tsv", "path": str(pairs), "limit_train": None},
        teacher={"epochs": 9},  # never trained: steps enough for the schedule
        student={"objectives": ["hinton", "sequence"], "batch_size": 40, "seeds": [0, 1]},
    )
    found = Context.join(load_config(raw), tmp_path / "runs", silent)
    for teacher in found.plan.teachers:
        save_weights(found.new_model(found.config.teacher.model, 1), found.folder(teacher) / "model.safetensors")
    return found


def parts(context: Context) -> list[Path]:
    return sorted(context.directory.path.parent.glob(".cache/*-sequences-*/part-*.json"))


def test_translations_are_labels_of_the_same_sources_and_fit_into_a_batch(context: Context):
    split = translated_training(context, context.plan.teachers[0])
    assert split.pairs == context.data.train.pairs
    assert [list(ids) for ids in split.source_ids] == [list(ids) for ids in context.data.train.source_ids]
    assert all(ids[-1] == split.vocabulary.eos and len(ids) <= 40 for ids in split.target_ids)
    assert len(context.training_batches(context.config.student, 0, split=split)) > 0
    assert len(parts(context)) == -(-split.pairs // 9)


@pytest.mark.slow
def test_parts_that_are_there_are_not_translated_again_and_a_missing_one_is(context: Context):
    teacher = context.plan.teachers[0]
    first = translated_training(context, teacher)
    written = {path: path.stat().st_mtime_ns for path in parts(context)}
    lost = parts(context)[1]
    lost.unlink()
    again = translated_training(context, teacher)
    assert again.labels.tolist() == first.labels.tolist()
    assert lost.is_file()
    assert all(path.stat().st_mtime_ns == time for path, time in written.items() if path != lost)


def test_a_teacher_translates_in_the_precision_that_it_is_trained_in(context: Context, monkeypatch: pytest.MonkeyPatch):
    real, in_bf16 = sequence_level.translate, set[bool]()

    def seen(*arguments: Any, **named: Any) -> list[list[int]]:
        in_bf16.add(torch.is_autocast_enabled("cpu"))
        return real(*arguments, **named)

    monkeypatch.setattr(sequence_level, "translate", seen)
    for precision in ("float32", "bf16"):
        kind = Kind("train", "teacher", context.config.teacher.model.name)
        context.precisions[kind] = Choice(precision, "measured")
        translated_training(context, context.plan.teachers[0])
        assert in_bf16 == {precision == "bf16"}
        in_bf16.clear()
    assert len({path.parent for path in parts(context)}) == 2


def test_a_damaged_part_is_named(context: Context):
    translated_training(context, context.plan.teachers[0])
    path = parts(context)[0]
    path.write_text(path.read_text(encoding="utf-8").replace("[[", "[[5, ", 1), encoding="utf-8")
    with pytest.raises(CacheError, match=r"part-000000000\.json is damaged .*; delete it"):
        translated_training(context, context.plan.teachers[0])


@pytest.mark.slow
def test_other_heads_are_another_teacher_although_the_weights_are_the_same(
    context: Context, tmp_path: Path, silent: StudyProgress
):
    translated_training(context, context.plan.teachers[0])
    raw = context.config.model_dump(mode="json")
    raw["teacher"]["model"]["kwargs"] = {**SMALL_MODEL["kwargs"], "encoder_attention_heads": 4}
    other = Context.join(load_config(raw), tmp_path / "runs", silent)
    translated_training(other, other.plan.teachers[0])
    assert len({path.parent for path in parts(context)}) == 2


def test_a_cluster_translates_once_a_teacher_and_stores_logits_only_where_they_teach(context: Context):
    _, stored, students = jobs_of(context, 2)
    assert [job.key for job in stored] == [
        "logits-a0-s0", "logits-a0.1-s0", "sequences-a0-s0", "sequences-a0.1-s0",
    ]  # fmt: skip
    alone = context.config.student.model_copy(update={"objectives": ["sequence"]})
    only = Context.join(
        context.config.model_copy(update={"student": alone, "name": "alone"}), context.directory.path.parent,
        context.progress,
    )  # fmt: skip
    assert [job.key for job in jobs_of(only, 2)[1]] == ["sequences-a0-s0", "sequences-a0.1-s0"]
    assert students

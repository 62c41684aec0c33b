"""Which student is kept, and what is said of it."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from tosmooth.config.schema import StudyConfig
from tosmooth.distill.call import Call
from tosmooth.distill.length import in_words, with_steps_enough
from tosmooth.distill.outcome import choose, control_of, gained, shortfalls, unfinished
from tosmooth.distill.start import starting_config
from tosmooth.study.plan import Cell
from tosmooth.tasks.metric import TOP1


def cells(*settings: tuple[float, float]) -> list[Cell]:
    return [Cell(f"a{alpha:g}-T{t:g}", f"a{alpha:g}", alpha, 0, t, "hinton", "resnet8", 0) for alpha, t in settings]


def test_of_equals_the_rule_decides_and_it_is_said():
    done = cells((0, 2), (0, 1), (0.1, 1))
    kept, how = choose(done, {"a0-T2": 90.0, "a0-T1": 90.0, "a0.1-T1": 90.0})
    assert (kept.name, how) == (
        "a0.1-T1",
        "the best of 3 students by validation (2 are as good; then the lower T, then the smoothed teacher)",
    )
    kept, how = choose(done, {"a0-T2": 91.0, "a0-T1": 90.0, "a0.1-T1": 90.0})
    assert (kept.name, how) == ("a0-T2", "the best of 3 students by validation")


@pytest.mark.parametrize("missing", [None, math.nan])
def test_without_validation_the_rule_decides(missing: float | None):
    kept, how = choose(cells((0, 1), (0.1, 1), (0.1, 2)), {"a0-T1": 99.0, "a0.1-T1": missing, "a0.1-T2": 99.0})
    assert kept.name == "a0.1-T1"
    assert how.startswith("by the paper's rule")


@pytest.mark.parametrize(
    ("teacher", "student", "said"),
    [
        (90.0, 80.0, []),
        (None, None, []),
        (90.0, 27.0, ["the student is right on 27.0 % of validation, and chance on 25.0 %"]),
        (26.0, 25.0, ["the teacher is right on 26.0 %", "the student is right on 25.0 %"]),
        (60.0, 70.0, ["the teacher (60.0 % on validation) is worse than its student (70.0 %)"]),
    ],
)
def test_models_near_chance_are_warned_about(teacher: float | None, student: float | None, said: list[str]):
    found = shortfalls(teacher, student, 4)
    assert len(found) == len(said)
    assert all(text.startswith(start) for text, start in zip(found, said, strict=True))


@pytest.mark.parametrize(
    ("ours", "theirs", "curve", "said"),
    [
        (85.0, 88.0, [50.0, 80.0, 84.0, 84.5, 84.6], []),
        (29.3, 87.7, [29.0] * 5, ["the student is 58.4 points behind its teacher"]),
        (85.0, 88.0, [10.0, 30.0, 50.0, 70.0, 85.0], ["validation was still rising", "student.epochs=10"]),
        (85.0, 88.0, [50.0, 85.0], []),  # too few epochs to say
        (None, None, [], []),
    ],
)
def test_a_student_that_could_well_be_better_is_said_to_be(
    ours: float | None, theirs: float | None, curve: list[float], said: list[str]
):
    found = unfinished(TOP1, ours, theirs, curve)
    assert len(found) == (1 if said else 0)
    assert all(text in found[0] for text in said)


def test_less_may_be_better():
    loss = replace(TOP1, lower_is_better=True)
    assert unfinished(loss, 30.0, 5.0, [90.0, 70.0, 50.0, 40.0, 30.0])[1].startswith("validation was still rising")
    assert unfinished(loss, 5.0, 30.0, [5.0, 5.0, 5.0, 5.0, 9.0]) == []


def test_what_distilling_gained_has_an_interval_over_images():
    ours, without = np.zeros(1000, np.int8), np.zeros(1000, np.int8)
    ours[:850], without[:800], without[990:] = 1, 1, 1
    found = gained(ours, without)
    assert found is not None
    assert found["mean"] == pytest.approx(4.0)  # 850 against 810
    assert found["high"] - found["low"] == pytest.approx(2 * 1.96 * 100 * np.sqrt((0.06 - 0.04**2) / 999), rel=1e-3)
    assert gained(ours, None) is None


def test_a_student_is_held_against_the_control_of_its_own_seed():
    """Another seed has other first weights and batches: the difference would be of two things."""
    student = replace(cells((0, 1))[0], seed=1)
    controls = [replace(student, name=f"control-s{seed}", seed=seed) for seed in (0, 1, 2)]
    assert control_of(student, controls) is controls[1]
    assert control_of(student, controls[::2]) is None
    assert control_of(student, []) is None


def called(tmp_path, **arguments: object) -> StudyConfig:
    images = tmp_path / "images"
    images.mkdir(exist_ok=True)
    return starting_config(Call(teacher="timm:resnet18.a1_in1k", data=str(images), **arguments))  # type: ignore[arg-type]


def test_a_student_from_nothing_has_a_recipe_of_its_own(tmp_path):
    """Whether it is told, or nobody publishes weights for it; a recipe that is named stays."""
    tuned = called(tmp_path, student="timm:mobilenetv3_small_100")
    for arguments in ({"student": "timm:mobilenetv3_small_100", "from_scratch": True}, {"student": "resnet20"}):
        scratch = called(tmp_path, **arguments)
        assert not scratch.student.model.pretrained
        assert scratch.student.optimizer.learning_rate > tuned.student.optimizer.learning_rate
        assert (scratch.data.train_augmentation, scratch.selection) == ("gentle_crop", "last")
    assert called(tmp_path, student="resnet20", source="own-images").student == tuned.student.model_copy(
        update={"model": scratch.student.model}
    )


def test_few_images_make_many_epochs_and_many_images_no_fewer(tmp_path):
    config = called(tmp_path, student="resnet20")
    few = with_steps_enough(config, 500)
    assert few.student.epochs == 250  # 16 steps each
    assert "resnet20, from nothing: 250 epochs of 16 steps (adamw" in in_words(few, 16)
    many = with_steps_enough(config, 1_000_000)
    assert many == config
    assert "80 epochs of 31250 steps (adamw" in in_words(many, 31_250)
    tuned = with_steps_enough(called(tmp_path, student="timm:mobilenetv3_small_100"), 500)
    assert tuned.student.epochs == 125


def test_the_number_of_epochs_is_only_ours_where_nobody_has_said_it():
    assert Call().sets_length
    assert not Call(overrides=["student.epochs=3"]).sets_length
    assert not Call(source="own-images").sets_length

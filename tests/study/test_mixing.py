"""Studies of mixed images: what everybody sees, what is measured, going on after a stop, and refusals."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file
from torch import Tensor

from tests.grids import trained
from tosmooth.data.batches import Batch
from tosmooth.errors import CacheError, ConfigError, Interrupted
from tosmooth.recipes.mistakes import find_mistakes
from tosmooth.recipes.reading import load_config
from tosmooth.study.context import Context
from tosmooth.study.progress import StudyProgress
from tosmooth.study.single import evaluate_weights
from tosmooth.study.stages import train_teachers
from tosmooth.study.teacher_answers import StudyTeaching
from tosmooth.study.trainees import new_trainee
from tosmooth.training.forward import SharedInputs
from tosmooth.training.loop import train_group
from tosmooth.training.teaching import CachedTeachers

BOTH = {"mixup": 0.4, "cutmix": 1.0, "probability": 0.8}


@pytest.fixture
def raw(tiny_raw: dict[str, Any]) -> dict[str, Any]:
    """A teacher and students of mixed images; two objectives, hard labels, smoothed ones, and a control."""
    tiny_raw["name"] = "mixed"
    tiny_raw["data"] |= {"train_augmentation": "flip", "limit_train": 140, "limit_test": 60}
    tiny_raw["selection"] = "last"
    tiny_raw["teacher"] |= {"mixing": dict(BOTH), "epochs": 2, "batch_size": 32, "label_smoothing": [0.1]}
    tiny_raw["student"] |= {
        "mixing": dict(BOTH), "epochs": 2, "batch_size": 32, "seeds": [0], "temperatures": [2],
        "objectives": ["hinton", "dkd"], "hard_weight": 0.3, "label_smoothing": 0.1,
        "controls": [{"label_smoothing": 0.1}],
    }  # fmt: skip
    return tiny_raw


class Stops(StudyProgress):
    """Progress that sends SIGTERM after so many batches of students."""

    def __init__(self, after: int) -> None:
        super().__init__(Console(quiet=True))
        self.left, self.students = after, False

    def stage(self, title: str, **settings: Any) -> None:
        self.students = self.students or "students" in title
        super().stage(title, **settings)

    def batch(self, epoch: int, samples: int) -> None:
        super().batch(epoch, samples)
        self.left -= self.students
        if self.students and self.left == 0:
            signal.raise_signal(signal.SIGTERM)


def all_weights(folder: Path) -> dict[str, dict[str, Tensor]]:
    """Of all teachers and students."""
    return {str(path.relative_to(folder).parent): load_file(path) for path in folder.rglob("model.safetensors")}


def assert_same(one: dict[str, dict[str, Tensor]], other: dict[str, dict[str, Tensor]]) -> None:
    assert one.keys() == other.keys()
    for name, state in one.items():
        assert all(torch.equal(value, other[name][key]) for key, value in state.items()), name


@pytest.mark.slow  # the loop's part of it: training/test_everything_on.py
def test_alone_and_after_a_stop_within_an_epoch_all_is_bit_equal(raw: dict[str, Any], tmp_path: Path) -> None:
    raw["data"] |= {"auto_augment": "trivialaugment", "random_erasing": 0.5}  # and all else that is drawn, or kept
    adopt = {"name": "adopt", "learning_rate": 0.002, "decay_norms_and_biases": False}
    raw["teacher"] |= {"moving_average": 0.8}
    raw["student"] |= {"moving_average": 0.8, "optimizer": adopt, "schedule": {"name": "one_cycle"}}
    whole = trained(load_config(raw), tmp_path / "whole", StudyProgress(Console(quiet=True)))
    assert len(whole) == 2
    known = all_weights(tmp_path / "whole" / "mixed")
    trained(load_config(raw, ["compute.group_size=1"]), tmp_path / "alone", StudyProgress(Console(quiet=True)))
    assert_same(known, all_weights(tmp_path / "alone" / "mixed"))
    with pytest.raises(Interrupted):
        trained(load_config(raw), tmp_path / "stopped", Stops(after=6))  # of 4 an epoch
    assert len(all_weights(tmp_path / "stopped" / "mixed")) == 1  # the teacher's
    (checkpoint,) = (tmp_path / "stopped" / "mixed").rglob("epoch-00001-batch-00000002")
    assert checkpoint.is_dir()
    trained(load_config(raw), tmp_path / "stopped", StudyProgress(Console(quiet=True)))
    assert_same(known, all_weights(tmp_path / "stopped" / "mixed"))


def test_teachers_and_students_see_one_mixed_batch_and_evaluation_sees_whole_images(
    raw: dict[str, Any], tmp_path: Path, silent: StudyProgress
) -> None:
    config = load_config(raw, ["student.epochs=1", "student.mixing.probability=1"])
    with silent, Context.open(config, tmp_path, silent) as context:
        train_teachers(context)
        seen: dict[str, list[Tensor]] = {}

        def watch(name: str, model: Any) -> None:
            seen[name] = []
            model.backbone.register_forward_pre_hook(lambda module, given: seen[name].append(given[0].clone()))

        teaching = StudyTeaching(context).of(context.plan.teachers)
        for name, model in teaching._teachers.items():
            watch(name, model)
        cells = [*context.plan.cells, *context.plan.untaught]
        group = [new_trainee(context, cell) for cell in cells]
        labels: list[Tensor] = []
        for trainee in group:
            watch(trainee.name, trainee.model)
            inner = trainee.loss_function
            trainee.loss_function = lambda a, y, t, own=inner: (labels.append(y), own(a, y, t))[1]
        batches = context.training_batches(config.student, 0)
        mixing = context.mixing(config.student, 0)
        assert mixing is not None
        train_group(group, batches, compute=context.compute, teaching=teaching, mixing=mixing)

        shown = [mixing.of(batch, 0, position) for position, batch in enumerate(batches.epoch(0))]
        prepared = [SharedInputs(batch.inputs).of(group[0].model) for batch in shown]
        of_teacher = [SharedInputs(batch.inputs).of(teaching._teachers["a0.1-s0"]) for batch in shown]
        assert len(seen) == 1 + 3  # the teacher, two objectives, and a student without a teacher
        for name, images in seen.items():
            expected = of_teacher if name in teaching._teachers else prepared
            assert len(images) == len(shown)
            assert all(torch.equal(one, other) for one, other in zip(images, expected, strict=True)), name
        assert len(labels) == len(shown) * len(group)
        assert {y.shape[1:] for y in labels} == {(10,)}

        evaluated = list(context.evaluation_batches(context.data.train).epoch(0))
        assert not any(batch.mixed or batch.inputs.is_floating_point() for batch in evaluated)

        with pytest.raises(CacheError, match="mixed images, for which nothing is stored"):
            CachedTeachers({}).answers(shown[0], SharedInputs(shown[0].inputs))
        plain = Batch(shown[0].inputs, torch.zeros(32, dtype=torch.long), shown[0].indices)
        assert not plain.mixed


def test_records_are_of_whole_images(raw: dict[str, Any], tmp_path: Path, silent: StudyProgress) -> None:
    """The figures of an epoch are those of its weights on validation, asked again without any mixing."""
    done = trained(load_config(raw, ["student.objectives=[hinton]"]), tmp_path, silent)
    plain = load_config(raw, ["student.mixing=off", "teacher.mixing=off"])
    for weights in done.values():
        (*_, last) = (weights.parent / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
        found = evaluate_weights(plain, weights, "student", "validation")
        assert json.loads(last)["val/top1"] == pytest.approx(found["top1"])
        assert json.loads(last)["val/nll"] == pytest.approx(found["nll"], rel=1e-5)


@pytest.mark.parametrize("views", ["auto", "off"])
def test_nothing_is_stored_of_mixed_images_and_it_is_said(raw: dict[str, Any], tmp_path: Path, views: str) -> None:
    raw["student"] |= {"epochs": 40}  # enough for `auto` to pay, were the images whole
    said: list[str] = []
    progress = StudyProgress(Console(quiet=True))
    progress.note_once = said.append  # type: ignore[method-assign]
    context = Context.join(load_config(raw, [f"cache={views}"]), tmp_path, progress)
    assert context.stored_views is None
    StudyTeaching(context)
    assert [text for text in said if "images are mixed (student.mixing)" in text] == said == said[: views == "auto"]
    whole = Context.join(load_config(raw, ["student.mixing=off", "cache=auto"]), tmp_path, progress)
    assert whole.stored_views == 2


MISTAKES = [
    ("cache=8", "cache.views: 8 stores what teachers say to whole images, and student.mixing shows them mixed, each"),
    ("student.mixing.mixup=-1", "student.mixing.mixup: should be greater than or equal to 0 (got -1)"),
    ("student.mixing.cutmix=0.0001", "student.mixing.cutmix: must be 0 (off), or from 0.001 to 100 (got 0.0001)"),
    ("teacher.mixing.mixup=.inf", "teacher.mixing.mixup: should be less than or equal to 100 (got inf)"),
    ("teacher.mixing.probability=1.5", "teacher.mixing.probability: should be less than or equal to 1 (got 1.5)"),
    (
        "data.randaugment_magnitude=5",
        "data.randaugment_magnitude: 5 counts for nothing while data.auto_augment is none; set that to randaugment",
    ),
    ("data.auto_augment=augmix", "data.auto_augment: should be 'none', 'randaugment' or 'trivialaugment'"),
    ("data.random_erasing=2", "data.random_erasing: should be less than or equal to 1 (got 2)"),
    ("teacher.mixing.mixupp=1", "teacher.mixing.mixupp: unknown key; did you mean 'mixup'?"),
]


@pytest.mark.parametrize(("override", "expected"), MISTAKES, ids=[override for override, _ in MISTAKES])
def test_a_mistake_is_one_clear_sentence(raw: dict[str, Any], override: str, expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(raw, [override])
    (only,) = caught.value.mistakes
    assert only.startswith(expected)


def test_given_teachers_are_not_trained_on_mixed_images(raw: dict[str, Any]) -> None:
    raw["teacher"] |= {"train": False, "model": {"name": "timm:resnet18", "pretrained": True}}
    assert find_mistakes(raw) == ["teacher.mixing: given teachers (train: false) are not trained here; leave it out"]


def test_sentences_cannot_be_mixed(tiny_raw: dict[str, Any]) -> None:
    config = load_config("translation-en-de", [])
    assert not config.student.mixing.on
    with pytest.raises(ConfigError) as caught:
        load_config("translation-en-de", ["teacher.mixing.mixup=0.2", "student.mixing.cutmix=1"])
    assert caught.value.mistakes == [
        f"{role}.mixing: is of task: image_classification; tokens of this one cannot be mixed"
        for role in ("teacher", "student")
    ]


def test_an_objective_that_does_not_say_that_it_needs_labels_is_told(
    raw: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from tosmooth.losses.objectives import OBJECTIVES, Objective

    def of_labels(student, teacher, temperature, targets):
        return -student.gather(1, targets[:, None])[:, 0]

    raw["student"]["objectives"] = ["of labels"]
    for says in (False, True):
        with monkeypatch.context() as patch:
            patch.setitem(OBJECTIVES._known, "of labels", Objective("of labels", of_labels, needs_targets=says))
            found = find_mistakes(raw)
        assert [mistake.partition(";")[0] for mistake in found] == [
            "student.mixing: the objective 'of labels' does not work without labels, and mixed images have two"
        ][: not says]

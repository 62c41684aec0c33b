"""Studies with images that nobody has labelled: who sees them, by which loss, and going on after a stop."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from torch.nn import functional as F

from tests.data.image_files import write_folder, write_image
from tests.grids import trained
from tests.study.test_mixing import Stops, all_weights, assert_same
from tosmooth.data.base import NO_LABEL
from tosmooth.errors import ConfigError, Interrupted
from tosmooth.losses.distillation import distillation_loss
from tosmooth.recipes.mistakes import find_mistakes
from tosmooth.recipes.reading import load_config
from tosmooth.study.context import Context
from tosmooth.study.progress import StudyProgress
from tosmooth.study.stages import of_same_batches
from tosmooth.study.workload import READ, workload
from tosmooth.training.loss_functions import distillation_from, label_smoothing_loss


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Twelve labelled images of two classes, and ten without labels, JPEGs in folders of any depth."""
    root = tmp_path_factory.mktemp("unlabelled")
    write_folder(root / "images", splits={"train": 7, "test": 2})
    for number in range(10):
        write_image(root / "more" / f"{number % 2}" / f"{number}.jpg", seed=500 + number)
    return root / "images", root / "more"


@pytest.fixture
def raw(folders: tuple[Path, Path]) -> dict[str, Any]:
    """A smoothed teacher, students at two T with hard labels, and one without a teacher."""
    images, more = folders
    crop = {"image_size": 16, "train_augmentation": "gentle_crop", "eval_transform": "resize_center_crop"}
    return {
        "name": "more",
        "data": {"source": "folder", "path": str(images), "unlabelled": str(more), "validation": 0.15} | crop,
        "teacher": {"model": "resnet8", "label_smoothing": [0.1], "epochs": 1, "batch_size": 4},
        "student": {
            "model": "resnet8", "epochs": 2, "batch_size": 5, "seeds": [0], "temperatures": [1, 2], "hard_weight": 0.3,
        },
        "selection": "last",
        "compute": {"device": "cpu"},
    }  # fmt: skip


def quiet() -> StudyProgress:
    return StudyProgress(Console(quiet=True))


def test_only_students_of_a_teacher_see_them_and_all_students_take_as_many_steps(raw, tmp_path, monkeypatch) -> None:
    seen: dict[str, list[int]] = {}

    def watch(make: Any, name: str) -> None:
        def made(*settings: Any, **named: Any) -> Any:
            inner, own = make(*settings, **named), seen.setdefault(f"{name}{settings[:2]}", [])
            return lambda answer, labels, answers: (own.extend(labels.tolist()), inner(answer, labels, answers))[1]

        monkeypatch.setattr(f"tosmooth.study.trainees.{name}", made)

    watch(distillation_from, "distillation_from")
    watch(label_smoothing_loss, "label_smoothing_loss")
    config, progress = load_config(raw), quiet()
    with progress, Context.open(config, tmp_path, progress) as context:
        (labelled, every) = len(context.data.train), len(context.taught)
        assert (labelled, every) == (12, 22)
        teachers, students = workload(context)[:2]
        assert (teachers.steps_per_epoch, students.steps_per_epoch) == (3, 5)
        assert students.work[READ] == 2 * 2 * every  # two epochs; those with a teacher, and the one without
        cells, controls = list(context.plan.cells), list(context.plan.untaught)
        assert of_same_batches(context, [*cells, *controls]) == [cells, controls]
    trained(config, tmp_path, quiet())
    counts = {name: (len(labels), labels.count(NO_LABEL)) for name, labels in seen.items()}
    assert counts == {
        "label_smoothing_loss(0.1,)": (labelled, 0),  # the teacher, one epoch
        "distillation_from('a0.1-s0', 1.0)": (2 * every, 2 * 10),
        "distillation_from('a0.1-s0', 2.0)": (2 * every, 2 * 10),
        "label_smoothing_loss(0.0,)": (2 * every, 0),  # without a teacher: as many steps, labelled images alone
    }
    records = {path.parent.name: path.read_text("utf-8").count("\n") for path in tmp_path.rglob("metrics.jsonl")}
    assert sorted(records.values()) == [1, 2, 2, 2]  # epochs: the teacher; three students


@pytest.mark.parametrize("cache", [pytest.param("off", marks=pytest.mark.slow), "2"])
def test_alone_and_after_a_stop_within_an_epoch_all_is_bit_equal(raw, tmp_path, cache) -> None:
    settings = [f"cache={cache}"]
    trained(load_config(raw, settings), tmp_path / "whole", quiet())
    known = all_weights(tmp_path / "whole" / "more")
    assert len(known) == 4
    trained(load_config(raw, [*settings, "compute.group_size=1"]), tmp_path / "alone", quiet())
    assert_same(known, all_weights(tmp_path / "alone" / "more"))
    with pytest.raises(Interrupted):
        trained(load_config(raw, settings), tmp_path / "stopped", Stops(after=7))  # of 5 an epoch
    trained(load_config(raw, settings), tmp_path / "stopped", quiet())
    assert_same(known, all_weights(tmp_path / "stopped" / "more"))
    raw["data"].pop("unlabelled")
    trained(load_config(raw, settings), tmp_path / "without", quiet())
    without = all_weights(tmp_path / "without" / "more")
    assert_same({name: known[name] for name in known if "teachers" in name},
                {name: without[name] for name in without if "teachers" in name})  # fmt: skip
    assert not any(torch.equal(known[n]["fc.weight"], without[n]["fc.weight"]) for n in known if "students" in n)


def test_a_row_without_a_label_has_the_teachers_term_alone_and_the_mean_is_over_all_rows() -> None:
    torch.manual_seed(0)
    student, teacher = torch.randn(4, 3, requires_grad=True), torch.randn(4, 3)
    labels = torch.tensor([2, NO_LABEL, 0, NO_LABEL])
    loss = distillation_from("t", 2.0, "hinton", 0.3, label_smoothing=0.1, unlabelled=True)
    found = loss(student, labels, {"t": teacher})
    soft = distillation_loss(student, teacher, 2.0, reduction="none")
    hard = [F.cross_entropy(student[i : i + 1], labels[i : i + 1], label_smoothing=0.1) for i in (0, 2)]
    torch.testing.assert_close(found, (0.7 * soft.sum() + 0.3 * sum(hard)) / 4)
    whole = torch.tensor([2, 1, 0, 1])
    plain = distillation_from("t", 2.0, "hinton", 0.3, label_smoothing=0.1)
    torch.testing.assert_close(loss(student, whole, {"t": teacher}), plain(student, whole, {"t": teacher}))
    none = loss(student, torch.full((4,), NO_LABEL), {"t": teacher})
    torch.testing.assert_close(none, 0.7 * soft.mean())
    (gradient,) = torch.autograd.grad(none, student)
    assert gradient.isfinite().all()


def test_what_needs_a_label_of_each_image_is_refused_at_once(raw) -> None:
    raw["student"] |= {"objectives": ["hinton", "dkd"], "mixing": {"mixup": 0.2}, "hard_weight": [0, 1]}
    raw["teacher"] |= {"outputs": ["a.npz"], "train": False}
    text = "\n".join(find_mistakes(raw))
    assert "the objective 'dkd' needs the true class of each image; take one of hinton, logit_standard" in text
    assert "student.mixing mixes labels" in text
    assert "student.hard_weight: 1 learns from labels alone" in text
    assert "teacher.outputs have no row for such images" in text
    with pytest.raises(ConfigError, match=r"data\.unlabelled: is of task: image_classification; .* need labels"):
        load_config("translation-en-de", [f"data.unlabelled={raw['data']['unlabelled']}"])

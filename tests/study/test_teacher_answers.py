"""Studies taught from stored logits: equal to live ones, shared between studies, and refused when they do not fit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file
from torch import nn

from tests.grids import trained
from tosmooth.data.pipeline import ImagePipeline
from tosmooth.errors import CacheError, ConfigError, StudyError
from tosmooth.memory import culprit_of
from tosmooth.models.image_model import ImageModel
from tosmooth.recipes.reading import load_config
from tosmooth.study import measuring, teacher_answers
from tosmooth.study.context import Context
from tosmooth.study.progress import StudyProgress
from tosmooth.study.stages import students_that_fit, train_teachers
from tosmooth.study.teacher_answers import StudyTeaching, head_to_apply, most_held, student_views
from tosmooth.training.compute import Compute
from tosmooth.training.forward import SharedInputs
from tosmooth.training.teacher_cache import Stamp, TeacherCache
from tosmooth.training.teaching import IN_TEACHERS, LiveTeachers


def run(raw: dict[str, Any], root: Path, *overrides: str) -> dict[str, Path]:
    """Train a grid; the weights of its students, by name."""
    return trained(load_config(raw, list(overrides)), root, StudyProgress(Console(quiet=True)))


def record_of(weights: Path) -> dict[str, Any]:
    """What is known of the model whose weights these are."""
    return json.loads(weights.with_name("result.json").read_text(encoding="utf-8"))


def teachers_of(students: dict[str, Path]) -> list[str]:
    """Weights of the teachers of α = 0 and 0.1."""
    study = next(iter(students.values())).parents[2]
    return [str(study / "teachers" / name / "model.safetensors") for name in ("a0-s0", "a0.1-s0")]


def views_of(raw: dict[str, Any], root: Path, *overrides: str) -> int | None:
    config = load_config(raw, list(overrides))
    return Context.join(config, root, StudyProgress(Console(quiet=True))).stored_views


@pytest.fixture
def one_seed(tiny_raw: dict[str, Any]) -> dict[str, Any]:
    tiny_raw["data"] |= {"train_augmentation": "flip", "limit_train": 300, "limit_test": 100}
    tiny_raw["selection"] = "last"  # the best epoch may change with the last digit
    tiny_raw["student"] |= {"seeds": [0], "epochs": 4}
    tiny_raw["compute"]["teacher_precision"] = "float32"
    return tiny_raw


def test_students_of_stored_logits_are_those_of_live_teachers(one_seed: dict[str, Any], tmp_path: Path) -> None:
    """All outcomes of the augmentation are stored: the batches are the same, the logits differ by float16 alone."""
    live = run(one_seed, tmp_path / "live", "cache=off")
    stored = run(one_seed, tmp_path / "stored", "cache=auto")
    assert not (tmp_path / "live" / ".cache").exists()
    assert len(list((tmp_path / "stored" / ".cache").iterdir())) == 2
    for cell in live:
        one, other = (load_file(rows[cell]) for rows in (live, stored))
        for key, value in one.items():
            torch.testing.assert_close(value, other[key], rtol=0.02, atol=0.02, msg=lambda text, k=key: f"{k}: {text}")
    # Without the shared batches they would be this far apart:
    other_seed = run(one_seed, tmp_path / "seed", "cache=auto", "student.seeds=[1]")
    name = next(iter(live))
    fc = [
        load_file(rows[cell])["fc.weight"]
        for rows, cell in ((live, name), (stored, name), (other_seed, next(iter(other_seed))))
    ]
    assert (fc[0] - fc[1]).norm() < 0.02 * (fc[0] - fc[2]).norm()


@pytest.mark.slow
def test_another_study_with_the_same_teachers_uses_the_same_cache(one_seed: dict[str, Any], tmp_path: Path) -> None:
    first = run(one_seed, tmp_path)
    shards = {path: path.stat().st_mtime_ns for path in (tmp_path / ".cache").rglob("view-*")}
    assert len(shards) == 4  # two teachers, two views
    one_seed["name"] = "second"
    one_seed["teacher"] |= {"train": False, "checkpoints": dict(zip([0.0, 0.1], teachers_of(first), strict=True))}
    run(one_seed, tmp_path, "student.temperatures=[3]", "student.seeds=[5]")
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / ".cache").rglob("view-*")} == shards


def test_a_damaged_cache_stops_the_study_before_any_student(one_seed: dict[str, Any], tmp_path: Path) -> None:
    first = run(one_seed, tmp_path)
    figures = [record_of(weights)["val/top1"] for weights in first.values()]
    shard = next((tmp_path / ".cache").rglob("view-001-*"))
    shard.write_bytes(shard.read_bytes()[:-2])
    one_seed["name"] = "second"
    with pytest.raises(CacheError, match=rf"{shard.name} is damaged"):
        run(one_seed, tmp_path)
    assert not list((tmp_path / "second" / "students").glob("*"))
    shard.unlink()
    again = run(one_seed, tmp_path)
    assert [record_of(again[name])["val/top1"] for name in again] == figures


@pytest.mark.slow
def test_few_views_of_many(one_seed: dict[str, Any], tmp_path: Path) -> None:
    """`cache: 3` of a shifted crop: three shards a teacher, and students that were trained on nothing else."""
    done = run(one_seed, tmp_path, "cache=3", "data.train_augmentation=crop_flip", "data.image_size=28")
    assert len(list((tmp_path / ".cache").rglob("view-*"))) == 6
    assert len(done) == 4
    assert all(record_of(weights)["status"] == "done" for weights in done.values())


@pytest.mark.parametrize(
    ("overrides", "views"),
    [
        ([], 2),
        (["cache=off"], None),
        (["cache=1"], 1),
        (["cache=5"], 2),  # all that a flip has
        (["cache=5", "data.train_augmentation=imagenet", "data.image_size=28"], 5),
        (["data.train_augmentation=none"], 1),
        (["data.auto_augment=trivialaugment"], None),
        (["data.random_erasing=0.3", "cache=5"], 5),
        (["student.epochs=3"], None),  # 3 passes saved, 2 to be paid
        (["student.epochs=3", "student.seeds=[0,1]"], 2),
        (["data.train_augmentation=crop_flip", "data.image_size=28"], None),  # 162 outcomes
        (["data.train_augmentation=imagenet", "data.image_size=28"], None),
    ],
)
def test_auto_stores_only_what_loses_nothing_and_pays(
    one_seed: dict[str, Any], tmp_path: Path, overrides: list[str], views: int | None
) -> None:
    assert views_of(one_seed, tmp_path, *overrides) == views


@pytest.mark.parametrize(
    ("text", "got"), [("cache=0", "0"), ("cache=-1", "-1"), ("cache=some", "'some'"), ("cache.views=0.5", "0.5")]
)
def test_a_wrong_setting_is_one_mistake_in_one_sentence(one_seed: dict[str, Any], text: str, got: str) -> None:
    with pytest.raises(ConfigError) as raised:
        load_config(one_seed, [text])
    assert raised.value.mistakes == [f"cache.views: should be auto, off, or a whole number above 0 (got {got})"]


def test_a_key_that_is_none_is_named(one_seed: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"cache\.view: unknown key"):
        load_config(one_seed, ["cache.view=2"])


def test_off_as_yaml_reads_it(one_seed: dict[str, Any]) -> None:
    assert load_config(one_seed | {"cache": False}).cache.views == "off"
    assert load_config(one_seed | {"cache": {"views": False}}).cache.views == "off"
    assert load_config(one_seed | {"data": {**one_seed["data"], "in_memory": False}}).data.in_memory == "off"


def weights(students: dict[str, Path]) -> dict[str, dict[str, torch.Tensor]]:
    return {name: load_file(path) for name, path in students.items()}


def test_how_students_are_grouped_changes_nothing(one_seed: dict[str, Any], tmp_path: Path) -> None:
    """All at once, or three and then one: bit-equal."""
    together = weights(run(one_seed, tmp_path / "together"))
    apart = weights(run(one_seed, tmp_path / "apart", "compute.group_size=3"))
    for cell, state in together.items():
        assert all(torch.equal(value, apart[cell][name]) for name, value in state.items()), cell


def test_a_group_is_as_large_as_memory_allows(
    one_seed: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = Context.join(load_config(one_seed), tmp_path, StudyProgress(Console(quiet=True)))
    parameters = context.count_parameters(context.config.student.model)
    assert students_that_fit(context) > 1000
    # Weights and momentum, in float32, logits on validation twice, and as much again for gradients and activations; and
    # what is stored of teachers.
    each = 8 * parameters + 2 * 4 * len(context.data.validation) * 10
    answers = 2 * context.stored_views * len(context.data.train) * 10 * len(context.plan.teachers)
    monkeypatch.setattr(Compute, "free_memory", lambda self: 2 * 3 * each + answers)
    assert students_that_fit(context) == 3
    monkeypatch.setattr(Compute, "free_memory", lambda self: 2 * 3 * each)
    assert students_that_fit(context) == 2
    monkeypatch.setattr(Compute, "free_memory", lambda self: 0)
    assert students_that_fit(context) == 1


def test_stored_answers_of_all_teachers_share_the_room_on_the_device(
    one_seed: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Room for two and a half: the first two are held, the others are read from the disk; a small one still fits."""
    context = Context.join(load_config(one_seed), tmp_path, StudyProgress(Console(quiet=True)))
    monkeypatch.setattr(Compute, "free_memory", lambda self: 4 * 250)
    teaching, held = StudyTeaching(context), []
    for width in (5, 5, 5, 2):
        stamp = Stamp("m", "t", "d", "none", "outcomes", None, 1, 0, 10, "logits", width, "float32")
        cache = TeacherCache(tmp_path / f"{len(held)}", stamp)
        teaching._hold(cache)
        held.append(cache.resident)
    assert held == [True, True, False, True]
    assert most_held(context) == 250


def test_where_memory_does_not_hold_a_single_model_what_needed_it_is_named(
    one_seed: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def runs_out(*args: object, **options: object) -> None:
        raise RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`")

    config = load_config(one_seed, ["teacher.epochs=1", "selection=best", "data.limit_train=100"])
    with StudyProgress(Console(quiet=True)) as progress, Context.open(config, tmp_path, progress) as context:
        with monkeypatch.context() as patched:
            patched.setattr(ImagePipeline, "training", runs_out)
            with pytest.raises(StudyError, match=r"a0-s0 alone, where its data are put on the device: data\.in_memory"):
                train_teachers(context)
        with monkeypatch.context() as patched:
            patched.setattr(measuring, "evaluate_together", runs_out)
            with pytest.raises(StudyError, match=r"a0-s0 alone, where it is evaluated: a smaller compute\.eval"):
                train_teachers(context)
        (teacher, *_), model = context.plan.teachers, context.new_model(config.teacher.model, 0)
        monkeypatch.setattr(Context, "trained_model", lambda self, owner: model)
        monkeypatch.setattr(teacher_answers, "fill", runs_out)
        with pytest.raises(StudyError, match=r"answers of teacher a0-s0 were stored; a smaller compute\.eval"):
            StudyTeaching(context).of([teacher])
        monkeypatch.setattr(ImageModel, "classify", runs_out)
        batch = context.compute.put(next(context.evaluation_batches(context.data.train).epoch(0)))
        with pytest.raises(RuntimeError) as caught:
            LiveTeachers({"t": model}, context.compute).answers(batch, SharedInputs(batch.inputs))
        assert culprit_of(caught.value) == IN_TEACHERS


@pytest.mark.slow
def test_features_are_stored_where_they_are_fewer_than_the_logits(one_seed: dict[str, Any], tmp_path: Path) -> None:
    """A teacher of 6 features for 10 classes: its last layer is applied on reading, and students learn the same."""
    one_seed["teacher"]["model"]["width"] = 0.1
    live = weights(run(one_seed, tmp_path / "live", "cache=off"))
    stored = weights(run(one_seed, tmp_path / "stored"))
    stamps = [json.loads(path.read_text(encoding="utf-8"))["stamp"] for path in tmp_path.rglob("stamp.json")]
    assert [(stamp["content"], stamp["width"]) for stamp in stamps] == [("features", 6)] * 2
    for cell, state in live.items():
        for name, value in state.items():
            torch.testing.assert_close(value, stored[cell][name], rtol=0.02, atol=0.02)


class TwoHeads(nn.Module):
    """A backbone that averages two last layers at test time, as distilled vision transformers do."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner, self.other = inner, nn.Linear(inner.fc.in_features, inner.fc.out_features)
        self.fc, inner.fc = inner.fc, nn.Identity()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        features = self.inner(images)
        averaged: torch.Tensor = (self.fc(features) + self.other(features)) / 2
        return averaged


def test_a_head_that_is_not_the_whole_of_it_is_not_applied_to_stored_features(
    one_seed: dict[str, Any], tmp_path: Path
) -> None:
    one_seed["teacher"]["model"]["width"] = 0.1
    context = Context.join(load_config(one_seed), tmp_path, StudyProgress(Console(quiet=True)))
    model = context.new_model(context.config.teacher.model, 0).eval()
    assert head_to_apply(context, model, "backbone.fc", model.backbone.fc) is model.backbone.fc
    model.backbone = TwoHeads(model.backbone).eval()
    assert head_to_apply(context, model, "backbone.fc", model.backbone.fc) is None


@pytest.mark.parametrize("cache", ["off", "1"])
def test_folded_teachers_answer_alike_and_are_measured_as_they_are(
    one_seed: dict[str, Any], tmp_path: Path, cache: str
) -> None:
    """And what is stored of them is in a folder of its own; so is what bf16 answers, with a last layer in float32."""
    one_seed["data"] |= {"limit_train": 120, "limit_test": 40}
    one_seed["teacher"] |= {"label_smoothing": [0.0], "epochs": 1}
    said, records, stamps = [], [], []
    for settings in (["fold_teachers=false"], ["fold_teachers=true"], ["teacher_precision=bf16"]):
        root = tmp_path / settings[0]
        config = load_config(one_seed, [f"compute.{one}" for one in settings] + [f"cache={cache}"])
        with StudyProgress(Console(quiet=True)) as progress, Context.open(config, root, progress) as context:
            train_teachers(context)
            teachers = context.plan.teachers
            views = student_views(context, 0)
            batch = context.compute.put(next(context.training_batches(config.student, 0, views).epoch(0)))
            (answer,) = StudyTeaching(context).of(teachers).answers(batch, SharedInputs(batch.inputs)).values()
            said.append(answer)
            records.append(context.read_record(teachers[0]))
        stamps += [json.loads(path.read_text(encoding="utf-8"))["stamp"] for path in root.rglob("stamp.json")]
    plain, fast, half = said
    assert (plain - fast).norm() < 1e-3 * plain.norm()  # stored ones are rounded to float16
    assert (plain - half).norm() < 0.02 * plain.norm()
    assert not torch.equal(half, half.bfloat16().float())
    assert cache != "off" or not torch.equal(plain, fast)
    assert records[0] == records[1]
    precisions = ["float32", "float32, folded", "bf16, last layer float32"]
    assert [stamp.pop("precision") for stamp in stamps] == ([] if cache == "off" else precisions)
    assert all(stamp == stamps[0] for stamp in stamps)


@pytest.mark.slow
def test_the_same_weights_in_another_structure_are_another_teacher(one_seed: dict[str, Any], tmp_path: Path) -> None:
    """A stride changes no weight's shape, but what the network says."""
    first = run(one_seed, tmp_path)
    one_seed["name"] = "second"
    one_seed["teacher"] |= {"train": False, "checkpoints": dict(zip([0.0, 0.1], teachers_of(first), strict=True))}
    run(one_seed, tmp_path, "teacher.model.kwargs={stem_stride: 1}")
    assert len(list((tmp_path / ".cache").iterdir())) == 4


def test_what_changes_no_result_may_change_between_runs(one_seed: dict[str, Any], tmp_path: Path) -> None:
    """So that the remedies the errors name can be used."""
    first = weights(run(one_seed, tmp_path))
    free = [
        "compute.group_size=2",
        "compute.eval_batch_size=50",
        f"cache.directory={tmp_path / 'c'}",
        "data.workers=1",
        "cache=off",
    ]
    assert weights(run(one_seed, tmp_path, *free)).keys() == first.keys()
    with pytest.raises(StudyError, match=r"differs in cache\.views"):
        run(one_seed, tmp_path, "cache=1")

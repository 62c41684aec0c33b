"""`tosmooth distill --teacher outputs.npz`: a teacher that nobody has, only what it said of each image."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file

from tests.distill.conftest import SMALL, STUDENT, TEACHER
from tosmooth.distill.call import Call
from tosmooth.distill.run import distill as run
from tosmooth.distill.start import starting_config
from tosmooth.distill.summary import print_distilled
from tosmooth.errors import ConfigError, StudyError
from tosmooth.export.export import export_model
from tosmooth.recipes.reading import load_config
from tosmooth.study.bench import Bench
from tosmooth.study.progress import StudyProgress
from tosmooth.study.run import run_study

FIXED = [text for text in SMALL if not text.startswith("data.train_augmentation")]


@pytest.fixture(scope="module")
def outputs(images: Path, teachers: dict[float, Path], tmp_path_factory) -> Path:
    """What the small teacher says of every image, as a script of somebody's would save it."""
    raw = {
        "name": "x", "data": {"source": "folder", "path": str(images), "image_size": 32, "validation": 0.1,
                              "eval_transform": "resize_center_crop"},
        "teacher": {"model": TEACHER, "epochs": 1}, "student": {"model": STUDENT, "epochs": 1},
        "compute": {"device": "cpu"},
    }  # fmt: skip
    bench = Bench.of(load_config(raw))
    model = bench.loaded_model(bench.config.teacher.model, teachers[0.0])
    logits, names = [], []
    for split in (bench.data.train, bench.data.validation, bench.data.test):
        with torch.no_grad():
            logits += [model(batch.inputs) for batch in bench.whole_batches(split).epoch(0)]
        names += [str(Path(split.describe(index)).relative_to(images)) for index in range(len(split))]
    file = tmp_path_factory.mktemp("outputs") / "said.npz"
    np.savez(file, logits=torch.cat(logits).numpy(), names=np.array(names))
    return file


@pytest.fixture
def call(images: Path, outputs: Path) -> Call:
    return Call(str(outputs), STUDENT, data=str(images), overrides=FIXED)


def distilled(call: Call, root: Path, **changes: Any) -> dict[str, Any]:
    return run(dataclasses.replace(call, **changes), root, StudyProgress(Console(quiet=True)))


def student_of(result: dict[str, Any]) -> dict[str, torch.Tensor]:
    chosen = next(row for row in result["students"] if row["name"] == result["chosen"])
    return load_file(chosen["weights"])


def test_the_student_is_that_of_the_teacher_itself(call, images, teachers, tmp_path):
    """The one that learns from the model, shown the same one view of each image; but for the rounding of batches."""
    # Adam makes much of a rounding, and a frozen teacher may answer in bf16.
    plain = ["student.optimizer.name=sgd", "student.optimizer.learning_rate=0.01", "compute.teacher_precision=float32"]
    told = distilled(call, tmp_path / "told", temperatures=(2.0,), alphas=(0.0,), overrides=[*FIXED, *plain])
    view = [f"data.{key}=resize_center_crop" for key in ("train_augmentation", "eval_transform")]
    fixed = [*FIXED, *plain, *view, "cache=off"]
    live = distilled(
        Call(str(teachers[0.0]), STUDENT, data=str(images), teacher_model=TEACHER, overrides=fixed),
        tmp_path / "live", temperatures=(2.0,), alphas=(0.0,),
    )  # fmt: skip
    ours, theirs = student_of(told), student_of(live)
    for name, value in ours.items():
        torch.testing.assert_close(value, theirs[name], rtol=1e-3, atol=1e-4, msg=name)
    (row,), (other,) = told["teachers"], live["teachers"]
    for column in ("val/top1", "test/top1"):
        assert row[column] == pytest.approx(other[column])
    assert (row["model"], row["weights"], row["origin"]) == ("said.npz", None, "given")
    config = load_config(str(Path(told["study"]) / "study.yaml"))
    assert config.data.train_augmentation == "resize_center_crop"
    assert config.teacher.outputs_digest
    assert told["following"] is None
    console = Console(record=True, width=100)
    print_distilled(told, console)
    assert "said.npz → resnet8" in console.export_text()
    card = (Path(told["export"]["folder"]) / "README.md").read_text(encoding="utf-8")
    assert "| Teacher | said.npz (a0-s0, taken as given) |" in card
    assert str(tmp_path) not in (Path(told["export"]["folder"]) / "study.yaml").read_text(encoding="utf-8")
    with pytest.raises(StudyError, match="known only by its outputs"):
        export_model(told["study"], "teacher", output=tmp_path / "out")
    with pytest.raises(ConfigError, match=r"teacher\.outputs: said\.npz answers no other image"):
        run_study(config, tmp_path / "study", StudyProgress(Console(quiet=True)))


def test_it_is_audited_and_started_again_it_is_the_same(call, tmp_path):
    result = distilled(call, tmp_path)
    (teacher,) = result["teachers"]
    assert teacher["verdict"] == "undecided"  # four classes are too few to tell
    assert teacher["temperatures"] == [1.0, 2.0]
    assert (Path(result["study"]) / "teachers" / teacher["name"] / "audit.html").is_file()
    before = student_of(result)
    again = distilled(call, tmp_path)
    assert all(torch.equal(value, before[name]) for name, value in student_of(again).items())


def test_other_outputs_are_another_teacher(call, outputs, tmp_path):
    file = tmp_path / "said.npz"
    file.write_bytes(outputs.read_bytes())
    distilled(call, tmp_path, teacher=str(file))
    with np.load(outputs) as there:
        np.savez(file, logits=there["logits"] * 2, names=there["names"])
    with pytest.raises(StudyError, match="holds students of another teacher"):
        distilled(call, tmp_path, teacher=str(file))


def test_of_several_files_the_average_teaches(call, outputs, tmp_path):
    with np.load(outputs) as there:
        np.savez(tmp_path / "more.npz", logits=there["logits"] / 3, names=there["names"])
    both = f"{outputs},{tmp_path / 'more.npz'}"
    result = distilled(call, tmp_path, teacher=both, overrides=[*FIXED, "teacher.average=logits"])
    assert result["relation"].startswith("said.npz, more.npz: the average of 2 teachers' logits")
    assert json.loads((Path(result["study"]) / "distill.json").read_text(encoding="utf-8"))["teachers"]
    load_config(str(Path(result["export"]["folder"]) / "study.yaml"), [f"data.path={call.data}"])  # as the card says


def test_rows_of_other_images_are_found_out(call, outputs, tmp_path):
    with np.load(outputs) as there:
        mixed = np.random.default_rng(0).permutation(len(there["names"]))
        np.savez(tmp_path / "mixed.npz", logits=there["logits"][mixed], names=there["names"])
        moved = there["logits"][:, [1, 2, 3, 0]]
        np.savez(tmp_path / "moved.npz", logits=moved, names=there["names"])
    for name in ("mixed.npz", "moved.npz"):
        with pytest.raises(ConfigError, match="its columns are classes in another order, or its rows are of other"):
            distilled(call, tmp_path, teacher=str(tmp_path / name))


def test_mistakes_come_together(call, tmp_path):
    wrong = dataclasses.replace(
        call, teacher=f"{call.teacher},{tmp_path / 'none.npz'}", teacher_model=TEACHER, fine_tune=True,
        overrides=[
            *FIXED, "data.train_augmentation=imagenet", "data.random_erasing=0.1", "student.mixing={cutmix: 1.0}",
        ],
    )  # fmt: skip
    with pytest.raises(ConfigError) as caught:
        starting_config(wrong)
    text = "\n".join(caught.value.mistakes)
    assert "none.npz is no file" in text
    assert "--teacher-model: is of a teacher that is a model" in text
    assert "--fine-tune: is of a teacher that is a model" in text
    assert "data.train_augmentation: imagenet shows others" in text
    assert "leave out data.auto_augment and data.random_erasing" in text
    assert "student.mixing shows them mixed" in text


def test_what_the_outputs_cannot_have_is_refused(call):
    with pytest.raises(ConfigError, match="--alpha: outputs are of one teacher"):
        starting_config(dataclasses.replace(call, alphas=(0.0, 0.1)))
    with pytest.raises(ConfigError, match="--ema: is for a --teacher that is a file of weights"):
        starting_config(dataclasses.replace(call, ema=True))
    with pytest.raises(ConfigError, match=r"teacher\.average: counts for nothing without teacher\.outputs"):
        load_config("fashion-mnist", ["teacher.average=logits"])


def test_a_file_that_is_not_there_is_the_only_mistake(call, tmp_path):
    with pytest.raises(ConfigError) as caught:
        starting_config(dataclasses.replace(call, teacher=str(tmp_path / "none.npz")))
    assert caught.value.mistakes == [f"--teacher: {tmp_path / 'none.npz'} is no file"]


def test_files_that_are_not_those_of_the_digest_are_refused(call, tmp_path):
    with pytest.raises(ConfigError, match=r"teacher\.outputs_digest: other, but the files' is [0-9a-f]{64}"):
        distilled(call, tmp_path, overrides=[*call.overrides, "teacher.outputs_digest=other"])


def test_a_configuration_alone_does_not_bring_outputs(call, tmp_path, tiny_raw):
    tiny_raw["teacher"] |= {"outputs": [str(call.teacher)], "train": False, "label_smoothing": [0.0]}
    (tmp_path / "tiny.yaml").write_text(json.dumps(tiny_raw), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"teacher\.outputs: give the files as --teacher"):
        starting_config(Call(source=str(tmp_path / "tiny.yaml")))


def test_of_a_recipe_by_rows(tiny_raw, tmp_path):
    """Images that are no files, and a recipe's own student."""
    tiny_raw["student"] |= {"epochs": 1}
    data = Bench.of(load_config(tiny_raw)).data
    logits = 3 * torch.nn.functional.one_hot(data.train.split.split.labels, 10).float().numpy()
    np.savez(tmp_path / "rows.npz", logits=logits + np.random.default_rng(0).normal(size=logits.shape) / 2)
    (tmp_path / "tiny.yaml").write_text(json.dumps(tiny_raw), encoding="utf-8")
    call = Call(str(tmp_path / "rows.npz"), source=str(tmp_path / "tiny.yaml"), temperatures=(1.0, 4.0))
    result = distilled(call, tmp_path)
    (teacher,) = result["teachers"]
    assert teacher["val/top1"] > 90
    assert "test/top1" not in teacher  # of which it has said nothing
    assert len(result["students"]) == 2

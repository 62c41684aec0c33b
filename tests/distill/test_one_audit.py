"""One teacher, one audit: `tosmooth audit` and `tosmooth distill` see the same images of it, and say the same."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from rich.console import Console
from safetensors.torch import load_file
from transformers import ResNetConfig, ResNetForImageClassification, ViTImageProcessor

from tests.distill.conftest import CLASSES, STUDENT, TEACHER, raw_teachers
from tosmooth.audit.call import audit_teacher
from tosmooth.distill.call import Call
from tosmooth.distill.run import distill
from tosmooth.errors import ConfigError
from tosmooth.folder.writing import plain
from tosmooth.models.build import build_image_model
from tosmooth.models.weights import load_weights, save_weights
from tosmooth.recipes.reading import load_config
from tosmooth.study.progress import StudyProgress
from tosmooth.study.single import train_only_teachers

PLAIN = ["data.workers=0", "data.train_augmentation=none", "compute.device=cpu"]
BRIEF = [*PLAIN, "student.epochs=1", "student.batch_size=16", "student.model.kwargs={input_size: 64}"]


@pytest.fixture(scope="module")
def sized(tmp_path_factory: pytest.TempPathFactory, teachers: dict[float, Path]) -> Path:
    """The smoothed teacher, in a file that says that it wants 36 pixels."""
    model = build_image_model(TEACHER, len(CLASSES), kwargs={"input_size": 36})
    load_weights(model, teachers[0.1])
    path = tmp_path_factory.mktemp("sized") / "teacher.safetensors"
    save_weights(model, path)
    return path


def silent() -> StudyProgress:
    return StudyProgress(Console(quiet=True))


def distilled(images: Path, root: Path, *overrides: str, **arguments: Any) -> dict[str, Any]:
    call = Call(student=STUDENT, data=str(images), overrides=[*BRIEF, *overrides], **arguments)
    return distill(call, root, silent())


def audited(teacher: object, images: Path, *overrides: str) -> dict[str, Any]:
    """What `tosmooth audit` finds."""
    found = audit_teacher(str(teacher), None, [*PLAIN, *overrides], data=str(images))
    return json.loads(json.dumps(plain(found.as_dict())))


def of(result: dict[str, Any]) -> dict[str, Any]:
    """What `tosmooth distill` has written of its one teacher."""
    (teacher,) = result["teachers"]
    path = Path(result["study"]) / "teachers" / teacher["name"] / "audit.json"
    found = json.loads(path.read_text(encoding="utf-8"))
    assert found["smoothing"]["verdict"] == teacher["audit"]["verdict"]
    assert found["smoothing"]["alpha"] == teacher["audit"]["alpha"]
    return found


def facts(audit: dict[str, Any]) -> dict[str, Any]:
    """All figures. Sentences say whether it is known that these are training images, and that only a person knows."""
    smoothing = {key: value for key, value in audit["smoothing"].items() if key != "reasons"}
    return {"smoothing": smoothing, **{key: audit[key] for key in ("metrics", "stability", "soft_targets")}}


def test_a_file_that_says_its_size_is_audited_at_that_size_by_both(images: Path, sized: Path, tmp_path: Path):
    result = distilled(images, tmp_path, teacher=str(sized), teacher_model=TEACHER)
    config = yaml.safe_load((Path(result["study"]) / "study.yaml").read_text(encoding="utf-8"))
    assert config["data"]["image_size"] == 64  # the student's, as it is the larger one
    model, whole = f"teacher.model={TEACHER}", of(result)
    assert facts(audited(sized, images, model)) == facts(whole)
    assert whole["smoothing"]["evidence"]["samples"] == 4 * 32  # a fifth is the test; none is held out for validation
    other = audited(sized, images, model, "data.image_size=64")
    assert facts(other) != facts(whole)  # other pixels, and it shows


def test_a_student_from_nothing_is_judged_on_whole_images_and_its_teacher_audited_as_ever(
    images: Path, sized: Path, tmp_path: Path
):
    result = distilled(images, tmp_path, teacher=str(sized), teacher_model=TEACHER, from_scratch=True)
    config = yaml.safe_load((Path(result["study"]) / "study.yaml").read_text(encoding="utf-8"))
    assert config["data"]["eval_transform"] == "whole_center_crop"
    model = f"teacher.model={TEACHER}"
    assert facts(audited(sized, images, model)) == facts(of(result))
    assert facts(audited(sized, images, model, "data.eval_transform=whole_center_crop")) != facts(of(result))


def test_what_somebody_says_of_size_and_validation_counts_in_both(images: Path, sized: Path, tmp_path: Path):
    said = ["data.image_size=40", "data.validation=0.25"]
    result = distilled(images, tmp_path, *said, teacher=str(sized), teacher_model=TEACHER)
    assert facts(audited(sized, images, f"teacher.model={TEACHER}", *said)) == facts(of(result))
    assert of(result)["smoothing"]["evidence"]["samples"] == 4 * 24


@pytest.mark.slow
def test_where_no_weights_say_a_size_both_find_the_one_at_which_the_teacher_is_right(
    images: Path, teachers: dict[float, Path], tmp_path: Path
):
    """At the usual 224 this teacher of 32 pixels is lost; and what somebody says is taken all the same."""
    alone = audit_teacher(str(teachers[0.1]), None, PLAIN, data=str(images), teacher_model=TEACHER)
    found = json.loads(json.dumps(plain(alone.as_dict())))
    assert re.search(
        r"at 32 pixels it is right on \d+ % of 128 training images, at 224 pixels on \d+ %", found["notes"][-1]
    )
    assert facts(found) == facts(audited(teachers[0.1], images, f"teacher.model={TEACHER}", "data.image_size=32"))
    result = distilled(images, tmp_path, teacher=str(teachers[0.1]), teacher_model=TEACHER)
    assert facts(of(result)) == facts(found)
    assert any("at 32 pixels it is right on" in note for note in of(result)["notes"])
    config = yaml.safe_load((Path(result["study"]) / "study.yaml").read_text(encoding="utf-8"))
    assert config["data"]["image_size"] == 64  # the student's
    said = {"data": str(images), "teacher_model": TEACHER, "image_size": 64}
    lost = audit_teacher(str(teachers[0.1]), None, PLAIN, **said)  # type: ignore[arg-type]
    assert lost.metrics["top1"] < 50 < alone.metrics["top1"]
    assert "--image-size 32 shows it so" in lost.notes[-1]
    asked = {"teacher": str(teachers[0.1]), "teacher_model": TEACHER, "image_size": 64, "name": "lost"}
    share = rf"is right on {lost.metrics['top1']:.1f} % .* --image-size 32 shows it so\. .*--fine-tune.* \(--yes\)"
    for _ in range(2):  # the second time by what was noted
        with pytest.raises(ConfigError, match=share):
            distilled(images, tmp_path, **asked)
    gone_on = distilled(images, tmp_path, **asked, yes=True)
    assert gone_on["teachers"][0]["audit"]["right"] == pytest.approx(lost.metrics["top1"] / 100)
    # At chance or a little above it, as this machine's training has it.
    at_224 = r"(are its classes in another order|which is little for a teacher) .* --image-size 32 shows it so"
    with pytest.raises(ConfigError, match=at_224):
        distilled(images, tmp_path, **(asked | {"image_size": 224, "name": "at chance"}))


@pytest.mark.slow
def test_a_published_model_is_audited_at_the_size_of_its_weights_by_both(images: Path, tmp_path: Path):
    """A folder of transformers is one: its processor says 40 pixels."""
    names = dict(enumerate(CLASSES))
    config = ResNetConfig(
        embedding_size=8, hidden_sizes=[16, 32], depths=[1, 1], id2label=names,
        label2id={name: index for index, name in names.items()},
    )  # fmt: skip
    folder, root = tmp_path / "model", tmp_path / "training"
    network = ResNetForImageClassification(config)
    network.save_pretrained(folder)
    trained = train_only_teachers(load_config(raw_teachers(images, f"hf:{folder}", [0.1])), root, silent())
    network.load_state_dict(load_file(trained[0]["weights"]), strict=False)
    network.save_pretrained(folder)
    ViTImageProcessor(size={"height": 40, "width": 40}).save_pretrained(folder)
    result = distilled(images, tmp_path / "runs", teacher=f"hf:{folder}")
    alone = audited(f"hf:{folder}", images)
    assert facts(alone) == facts(of(result))
    assert facts(alone) == facts(audited(f"hf:{folder}", images, "data.image_size=40"))
    assert facts(alone) != facts(audited(f"hf:{folder}", images, "data.image_size=224"))


@pytest.fixture(scope="module")
def averaged(tmp_path_factory: pytest.TempPathFactory, teachers: dict[float, Path]) -> Path:
    """A training's file: weights that know nothing, and beside them, as their average, the smoothed teacher."""
    path = tmp_path_factory.mktemp("averaged") / "last.pth"
    plain_weights = build_image_model(TEACHER, len(CLASSES), seed=5).backbone.state_dict()
    torch.save({"state_dict": plain_weights, "state_dict_ema": load_file(teachers[0.1])}, path)
    return path


@pytest.mark.slow
def test_the_averaged_weights_of_a_file_where_they_are_asked_for(images: Path, averaged: Path, tmp_path: Path):
    """By the audit, by `distill`, and by a study; each says once what it took."""
    both = f"{averaged}: holds plain weights (state_dict) and averaged ones (EMA: state_dict_ema)"
    taken, size = f"{both}; state_dict{{}} was taken", "data.image_size=32"
    plain_ones = audited(averaged, images, f"teacher.model={TEACHER}", size)
    assert plain_ones["notes"][0] == f"{taken.format('')}, --ema (ema: true) takes the averaged ones"
    assert plain_ones["metrics"]["top1"] < 60
    result = distilled(images, tmp_path, size, teacher=str(averaged), teacher_model=TEACHER, ema=True)
    assert result["notes"][0].startswith(taken.format("_ema"))
    whole = of(result)
    assert whole["metrics"]["top1"] > 70
    assert whole["notes"] == result["notes"][: len(whole["notes"])]
    config = load_config(
        raw_teachers(images, TEACHER, [0.1]),
        ["teacher.train=false", f"teacher.checkpoints={{0.1: {averaged}}}", "teacher.model.ema=true"],
    )
    shown = io.StringIO()
    (row,) = train_only_teachers(config, tmp_path, StudyProgress(Console(file=shown, width=500)))
    assert row["val/top1"] > 70
    assert shown.getvalue().count(taken.format("_ema")) == 1


def test_averages_of_what_is_no_file_of_weights(tmp_path: Path):
    np.savez(tmp_path / "logits.npz", logits=np.eye(3), labels=np.arange(3))
    for teacher in ("timm:resnet18", str(tmp_path / "logits.npz")):
        with pytest.raises(ConfigError, match="--ema: of a file of weights"):
            audit_teacher(teacher, None, [], ema=True)
    with pytest.raises(ConfigError, match="--ema: is for a --teacher that is a file of weights"):
        distill(Call(teacher="timm:resnet18", ema=True), tmp_path, silent())

"""`tosmooth distill` with a teacher and images of one's own, end to end on real images and models."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import yaml
from rich.console import Console
from safetensors.torch import load_file, save_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.distill.conftest import CLASSES, SMALL, STUDENT, TEACHER, write_images
from tests.distill.hub import serving
from tosmooth.cli.distill import distill
from tosmooth.distill.call import Call
from tosmooth.distill.run import distill as run
from tosmooth.distill.start import starting_config
from tosmooth.distill.summary import print_distilled
from tosmooth.errors import ConfigError, ModelError, StudyError, UnfetchedError
from tosmooth.folder.writing import load_json
from tosmooth.models.build import build_image_model
from tosmooth.models.weights import load_weights, weights_hash
from tosmooth.study.progress import StudyProgress

ORDER = (2, 0, 3, 1)  # a teacher's output i is class ORDER[i] of the data


@pytest.fixture
def call(images: Path, teachers: dict[float, Path]) -> Call:
    return Call(str(teachers[0.0]), STUDENT, data=str(images), teacher_model=TEACHER, overrides=SMALL)


def distilled(call: Call, root: Path, **changes: Any) -> dict[str, Any]:
    silent = StudyProgress(Console(quiet=True))
    return run(dataclasses.replace(call, **changes), root, silent)


def reordered(weights: Path, path: Path, rows: tuple[int, ...], names: tuple[str, ...] | None, extra: int = 0) -> Path:
    """The teacher with its outputs in another order, and `extra` ones that are never the likeliest."""
    state = load_file(weights)
    worst = torch.full((extra,), -50.0)
    state["fc.weight"] = torch.cat([state["fc.weight"][list(rows)], torch.zeros(extra, state["fc.weight"].shape[1])])
    state["fc.bias"] = torch.cat([state["fc.bias"][list(rows)], worst])
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({key: value.contiguous() for key, value in state.items()}, path)
    if names is not None:
        path.with_name("labels.json").write_text(json.dumps(dict(enumerate(names))), encoding="utf-8")
    return path


def test_a_teacher_of_the_same_classes_is_audited_and_taken_as_it_is(call: Call, teachers, tmp_path: Path):
    result = distilled(call, tmp_path)
    study = Path(result["study"])
    (teacher,), students = result["teachers"], result["students"]
    (student,) = (row for row in students if row["name"] == result["chosen"])
    assert "the same order was assumed" in result["relation"]
    config = yaml.safe_load((study / "study.yaml").read_text(encoding="utf-8"))
    assert config["description"].endswith("its label smoothing: undecided")
    assert teacher["verdict"] == "undecided"  # four classes are too few to tell
    assert teacher["temperatures"] == [row["temperature"] for row in students] == [1.0, 2.0]
    assert teacher["why"] == "T of 1, 2 by validation, as it is not known whether the teacher was smoothed"
    assert teacher["val/top1"] > 70
    assert 0 <= student["test/top1"] <= 100
    assert result["notes"][0].startswith("test: 20 % of the images")
    ours, theirs = (build_image_model(TEACHER, 4) for _ in range(2))
    load_weights(ours, study / "teachers" / "a0-s0" / "model.safetensors")
    load_weights(theirs, teachers[0.0])
    assert weights_hash(ours) == weights_hash(theirs)
    assert ours.input == theirs.input  # its own normalisation came along
    assert config["teacher"]["smoothing"] == "unknown"
    assert "from a teacher whose label smoothing is not known" in (study / "export" / "README.md").read_text("utf-8")
    audit = json.loads((study / "teachers" / "a0-s0" / "audit.json").read_text(encoding="utf-8"))
    assert audit["seen"]["split"] == "train"
    assert (study / "teachers" / "a0-s0" / "audit.html").is_file()
    exported = build_image_model(STUDENT, 4)
    load_weights(exported, Path(result["export"]["folder"]) / "model.safetensors")
    kept = build_image_model(STUDENT, 4)
    load_weights(kept, Path(student["weights"]))
    assert weights_hash(exported) == weights_hash(kept)
    assert load_json(study / "distill.json", dict, "") == result

    # Again: nothing is trained or looked at twice.
    before = {path: path.stat().st_mtime_ns for path in study.rglob("*.safetensors") if "export" not in path.parts}
    again = distilled(call, tmp_path)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert again["students"] == result["students"]


def test_another_teacher_never_gets_the_students_of_the_first(call: Call, teachers, tmp_path: Path):
    first = distilled(call, tmp_path)
    kept = {path: path.read_bytes() for path in Path(first["study"]).rglob("*.safetensors")}
    with pytest.raises(StudyError, match="holds students of another teacher"):
        distilled(call, tmp_path, teacher=str(teachers[0.1]))
    assert {path: path.read_bytes() for path in kept} == kept  # the first one's weights are not touched
    again = distilled(call, tmp_path)
    assert again["students"] == first["students"]


def test_an_export_that_was_edited_is_told_before_the_work(call: Call, tmp_path: Path):
    result = distilled(call, tmp_path)
    card = Path(result["export"]["folder"]) / "README.md"
    card.write_text("mine", encoding="utf-8")
    students = sorted((Path(result["study"]) / "students").iterdir())
    with pytest.raises(StudyError, match="was changed since the export"):
        distilled(call, tmp_path, temperatures=(2.0,))
    assert sorted((Path(result["study"]) / "students").iterdir()) == students


def test_trackers_are_told_what_was_kept(call: Call, tmp_path: Path):
    result = distilled(call, tmp_path, overrides=[*SMALL, "trackers=[tensorboard]"])
    events = EventAccumulator(str(Path(result["study"]) / "tracking" / "tensorboard" / "study"))
    events.Reload()
    kept = next(row for row in result["students"] if row["name"] == result["chosen"])
    for kind, row in (("teachers", result["teachers"][0]), ("students", kept)):
        assert events.Scalars(f"{kind}/{row['name']}/test/top1")[0].value == pytest.approx(row["test/top1"])


def test_a_smoothed_teacher_at_a_raised_temperature_is_warned_about(call: Call, teachers, tmp_path: Path):
    result = distilled(call, tmp_path, teacher=str(teachers[0.1]), alphas=(0.1,), temperatures=(1.0, 4.0))
    assert any("label-smoothed and meets T = 4" in text for text in result["warnings"])
    assert any("one seed chose" in text for text in result["warnings"])
    assert [row["temperature"] for row in result["students"]] == [1.0, 4.0]
    best = max(result["students"], key=lambda row: (row["val/top1"], -row["temperature"]))
    assert result["chosen"] == best["name"]
    assert result["how"].startswith("the best of 2 students by validation")
    assert [("test/top1" in row) for row in result["students"]] == [row is best for row in result["students"]]
    with Console(width=100, record=True, quiet=False, file=Path(os.devnull).open("w", encoding="utf-8")) as console:
        print_distilled(result, console)
    said = " ".join(console.export_text().split())
    assert "Kept: " + best["name"] in said
    assert "warning: " in said


def test_what_was_gained_is_over_the_control_of_the_kept_students_seed(call: Call, tmp_path: Path):
    """With several seeds each has a control of its own, and only one of them had the student's weights and batches."""
    result = distilled(call, tmp_path, overrides=[*SMALL, "student.seeds=[0,1]"], temperatures=(1.0,))
    kept = next(row for row in result["students"] if row["name"] == result["chosen"])
    by_seed = {row["seed"]: row for row in result["controls"]}
    assert sorted(by_seed) == [0, 1]
    own = kept["test/top1"] - by_seed[kept["seed"]]["test/top1"]
    assert result["gained"]["mean"] == pytest.approx(own, abs=1e-4)
    assert result["gained"]["low"] <= own <= result["gained"]["high"]


def test_an_unsmoothed_teacher_lets_validation_choose_the_temperature(call: Call, tmp_path: Path):
    result = distilled(call, tmp_path, alphas=(0.0,))
    assert [row["temperature"] for row in result["students"]] == [1.0, 2.0, 4.0]
    assert not any("label-smoothed" in text for text in result["warnings"])
    card = (Path(result["export"]["folder"]) / "README.md").read_text(encoding="utf-8")
    assert "trained without label smoothing (α = 0)" in card  # as told, whatever the audit made of it


def test_outputs_are_put_in_order_by_their_names(call: Call, teachers, tmp_path: Path):
    names = tuple(CLASSES[i].lower().replace(" ", "_") for i in ORDER)
    file = reordered(teachers[0.0], tmp_path / "other" / "weights.safetensors", ORDER, names)
    result = distilled(call, tmp_path, teacher=str(file))
    assert "in another order" in result["relation"]
    assert result["teachers"][0]["val/top1"] > 70

    more = reordered(teachers[0.0], tmp_path / "wide" / "weights.safetensors", ORDER, (*names, "hat", "glove"), extra=2)
    chosen = distilled(call, tmp_path, teacher=str(more), name="more")
    assert "chosen by name" in chosen["relation"]
    assert chosen["teachers"][0]["val/top1"] == result["teachers"][0]["val/top1"]


def test_a_teacher_near_chance_asks_about_the_order_and_finds_it(call: Call, teachers, tmp_path: Path):
    file = reordered(teachers[0.0], tmp_path / "weights.safetensors", ORDER, None)
    with pytest.raises(ConfigError, match=r"are its classes in another order than the data's\?") as error:
        distilled(call, tmp_path / "runs", teacher=str(file), name="asked")
    suggestion = Path(str(error.value).rpartition("--class-map ")[2])
    assert yaml.safe_load(suggestion.read_text(encoding="utf-8")) == {CLASSES[c]: ORDER.index(c) for c in range(4)}
    assert not (tmp_path / "runs" / "asked" / "study.yaml").exists()
    result = distilled(call, tmp_path / "runs", teacher=str(file), name="asked", class_map=suggestion)
    assert result["teachers"][0]["val/top1"] > 70
    assert "by the class map" in result["relation"]


@pytest.mark.slow
def test_swapped_classes_are_doubted_until_a_class_map_settles_it(call: Call, teachers, tmp_path: Path):
    file = reordered(teachers[0.0], tmp_path / "weights.safetensors", (1, 0, 2, 3), None)
    doubt = "outputs for Ankle boot, Bag look as if they stood in each other's places"
    with pytest.raises(ConfigError, match=rf"which is little for a teacher of them; .*{doubt}"):
        distilled(call, tmp_path / "runs", teacher=str(file))
    call = dataclasses.replace(call, yes=True)
    result = distilled(call, tmp_path / "runs", teacher=str(file))
    assert any(doubt in text for text in result["warnings"])
    as_it_is = tmp_path / "map.yaml"
    as_it_is.write_text("".join(f"{name}: {place}\n" for place, name in enumerate(CLASSES)), encoding="utf-8")
    settled = distilled(call, tmp_path / "runs", teacher=str(file), class_map=as_it_is)
    assert not any(doubt in text for text in settled["warnings"])
    assert "by the class map" in settled["relation"]
    assert settled["students"] == result["students"]  # nothing was trained again
    again = distilled(call, tmp_path / "runs", teacher=str(file))
    assert any(doubt in text for text in again["warnings"])


def test_a_teacher_that_knows_nothing_is_not_distilled(call: Call, tmp_path: Path):
    path = tmp_path / "random.safetensors"
    torch.manual_seed(0)
    save_file(timm.create_model(TEACHER.removeprefix("timm:"), num_classes=4).state_dict(), path)
    with pytest.raises(ConfigError, match=r"No order of its outputs fits"):
        distilled(call, tmp_path, teacher=str(path))


def test_other_classes_are_refused_with_both_lists_or_fine_tuned(call: Call, teachers, tmp_path: Path):
    names = ("hat", "glove", "scarf", "belt", "tie", "sock")
    file = reordered(teachers[0.0], tmp_path / "weights.safetensors", ORDER, names, extra=2)
    with pytest.raises(ConfigError) as error:
        distilled(call, tmp_path, teacher=str(file), fine_tune=False)
    for text in ("Its 6: hat, glove, scarf", "The data's 4: Ankle boot, Bag, Dress", "--fine-tune", "--class-map FILE"):
        assert text in str(error.value)
    result = distilled(call, tmp_path, teacher=str(file), overrides=[*SMALL, "teacher.epochs=1"])
    assert result["relation"] is None
    assert [row["label_smoothing"] for row in result["teachers"]] == [0.0, 0.1]
    met = {(row["teacher"], row["temperature"]) for row in result["students"]}
    assert met == {("a0-s0", 1.0), ("a0-s0", 2.0), ("a0-s0", 4.0), ("a0.1-s0", 1.0), ("a0.1-s0", 2.0)}
    assert {row["verdict"] for row in result["teachers"]} == {"not smoothed", "smoothed"}
    assert (Path(result["study"]) / "teachers" / "a0.1-s0" / "audit.html").is_file()


def test_a_class_map_is_checked_whole(call: Call, teachers, tmp_path: Path):
    file = reordered(teachers[0.0], tmp_path / "weights.safetensors", ORDER, ("a", "b", "c", "d"))
    path = tmp_path / "map.yaml"
    path.write_text("Ankle boots: a\nBag: 9\nDress: c\nTrouser: 2\n", encoding="utf-8")
    with pytest.raises(ConfigError) as error:
        distilled(call, tmp_path, teacher=str(file), class_map=path)
    assert len(error.value.mistakes) == 3  # the misspelt class is not told as a missing one again
    for text in ("did you mean 'Ankle boot'", "'9'", "Dress, Trouser: stand for one output"):
        assert text in str(error.value).replace('"', "'"), error.value


def test_all_mistakes_of_a_call_at_once(tmp_path: Path):
    with pytest.raises(ConfigError) as error:
        distill(
            teacher="timm:resnet5000", student="timm:resnet188", data=str(tmp_path / "none"), temperature="0",
            overrides=["student.epoch=3"],
        )  # fmt: skip
    assert len(error.value.mistakes) == 5
    for text in (
        "--temperature", "--teacher: no such file, and", "did you mean 'timm:resnet18'", "neither a folder",
        "student.epoch: unknown key",
    ):  # fmt: skip
        assert text in str(error.value)


def test_what_does_not_go_together(call: Call, tmp_path: Path):
    for changes, text in (
        ({"teacher_model": None}, "--teacher-model: say which architecture"),
        ({"teacher": STUDENT}, "--teacher: resnet8 is no file, nor a published model"),
        ({"teacher": None}, "--teacher: give a published model"),
        ({"data": None}, "--data: give the folder of your images"),
        ({"class_map": tmp_path / "none.yaml"}, "none.yaml is no file"),
        ({"class_map": tmp_path / "none.yaml", "fine_tune": True}, "Give one of them"),
        ({"source": "translation-en-de"}, "use tosmooth study"),
        ({"path": tmp_path}, "is the folder already"),
        ({"alphas": (0.0, 0.1)}, "a teacher that is taken as it is has one; --fine-tune"),
        ({"overrides": ["student.temperatures=[2]"]}, "student.temperatures: .* use that instead"),
        ({"overrides": ["teacher.label_smoothing=[0.2]"]}, "you with --alpha"),
        ({"overrides": ["teacher.model.checkpoint=x"]}, "you with --teacher"),
    ):
        with pytest.raises(ConfigError, match=text):
            distilled(call, tmp_path, **changes)
    with pytest.raises(ConfigError, match="unknown format 'onx'"):
        distilled(call, tmp_path, formats=["onx"])
    assert not list(tmp_path.iterdir())


def test_a_file_or_format_that_is_wrong_hides_no_other_mistake(tmp_path: Path):
    with pytest.raises(ConfigError) as error:
        distill(
            "none.yaml", teacher="timm:resnet5000", student="resnet8", data=str(tmp_path / "no"), formats="xml",
            overrides=["student.model.pretrained=true"],
        )  # fmt: skip
    for text in ("none.yaml: no such file", "resnet5000", "neither a folder", "'xml'", "resnet8 has no published"):
        assert text in str(error.value)
    with pytest.raises(ConfigError, match=r"--teacher: none\.safetensors is no file, nor a published model"):
        distill("fashion-mnist", teacher="none.safetensors")


def test_the_study_is_named_after_data_and_models_and_both_mean_the_same_everywhere(
    images: Path, teachers, tmp_path: Path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    for name in ("con.images", "_x"):
        shutil.copytree(images, tmp_path / name)
    folder = tmp_path / "models" / "mine"
    folder.mkdir(parents=True)
    config = {"model_type": "resnet", "architectures": ["ResNetForImageClassification"]}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    own = Call(str(teachers[0.0]), "hf:models/mine", data="con.images", teacher_model=TEACHER, overrides=SMALL)
    start = starting_config(own)
    assert start.student.model.name == f"hf:{folder}"
    assert start.name == "images-con.images-test_resnet-mine"
    named = starting_config(dataclasses.replace(own, data="_x", student="resnet8"))
    assert named.name == "x-test_resnet-resnet8"


def test_a_wrong_architecture_is_asked_about(call: Call, tmp_path: Path):
    with pytest.raises(ModelError, match=r"another architecture than --teacher-model timm:resnet18\?"):
        distilled(call, tmp_path, teacher_model="timm:resnet18")
    with pytest.raises(ConfigError) as error:
        distill(teacher="timm:test_resnet", student="resnet8", data=call.data, alpha="2", seed=-1, temperature="0")
    assert len(error.value.mistakes) == 3  # in the words of the options, and once each
    assert all(text.startswith(("--alpha", "--seed", "--temperature")) for text in error.value.mistakes)


@pytest.mark.slow
def test_two_classes_get_no_study_and_one_temperature_gets_others_to_compare(call: Call, teachers, tmp_path: Path):
    result = distilled(call, tmp_path, temperatures=(1.0,))
    assert result["following"] == (
        f"tosmooth study {result['study']}/study.yaml 'student.seeds=[0,1,2]' 'student.temperatures=[1,2,4]' "
        f"-o {tmp_path}"
    )
    two = write_images(tmp_path / "two", {name: name for name in CLASSES[:2]})
    file = reordered(teachers[0.0], tmp_path / "half" / "weights.safetensors", (0, 1), None)
    (tmp_path / "two" / "Bag" / "000.png").write_bytes(b"torn")
    result = distilled(call, tmp_path, teacher=str(file), data=str(two), overrides=[*SMALL, "data.on_error=skip"])
    assert result["following"] is None
    assert any("1 image could not be read and were left out" in text for text in result["warnings"])


def test_weights_that_cannot_be_fetched_can_be_given(call: Call, tmp_path: Path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(UnfetchedError, match=r"--teacher FILE --teacher-model timm:resnet18\.a1_in1k"):
        distilled(call, tmp_path, teacher="timm:resnet18.a1_in1k", teacher_model=None)
    with pytest.raises(UnfetchedError, match=r"student\.model\.checkpoint=FILE .*--from-scratch"):
        distilled(call, tmp_path, student="timm:resnet18.a1_in1k")


@pytest.mark.slow
def test_a_published_teacher_comes_from_the_hub_and_knows_imagenet(teachers, tmp_path: Path):
    """Weights of a thousand classes over HTTP; the folders are called by synsets, so its outputs are chosen by name."""
    synsets = ["n02869837", "n02769748", "n03450230", "n03594734"]
    images = write_images(
        tmp_path / "images", dict(zip(synsets, ("Trouser", "Bag", "Dress", "Ankle boot"), strict=True))
    )
    known = timm.data.ImageNetInfo().label_names()
    hub = tmp_path / "hub" / "timm"
    state = load_file(teachers[0.1])
    weight, bias = torch.zeros(1000, state["fc.weight"].shape[1]), torch.full((1000,), -50.0)
    for row, synset in ((3, synsets[0]), (1, synsets[1]), (2, synsets[2]), (0, synsets[3])):  # as `CLASSES` are ordered
        weight[known.index(synset)], bias[known.index(synset)] = state["fc.weight"][row], state["fc.bias"][row]
    state |= {"fc.weight": weight, "fc.bias": bias}
    for name, content in (
        ("test_resnet.r160_in1k", state),
        ("test_efficientnet.r160_in1k", timm.create_model("test_efficientnet").state_dict()),
    ):
        (hub / name).mkdir(parents=True)
        save_file({key: value.contiguous() for key, value in content.items()}, hub / name / "model.safetensors")
    with serving(tmp_path / "hub") as address:
        # No fork: the hub's library, which timm imports, reads these variables when it is imported.
        run = subprocess.run(
            [
                sys.executable, "-m", "tosmooth", "distill", "--teacher", "timm:test_resnet.r160_in1k",
                "--student", "timm:test_efficientnet.r160_in1k", "--data", str(images), "--json",
                "teacher.model.kwargs={input_size: 32}", "student.model.kwargs={input_size: 32}", *SMALL,
            ],
            capture_output=True, text=True, cwd=tmp_path, timeout=240,
            env={**os.environ, "HF_ENDPOINT": address, "HF_HOME": str(tmp_path / "cache")},
        )  # fmt: skip
    assert run.returncode == 0, run.stderr
    result = json.loads(run.stdout)
    assert "chosen by name" in result["relation"]
    assert result["teachers"][0]["val/top1"] > 70
    config = yaml.safe_load((tmp_path / result["study"] / "study.yaml").read_text(encoding="utf-8"))
    assert config["student"]["model"]["pretrained"] is True
    assert config["teacher"]["train"] is False

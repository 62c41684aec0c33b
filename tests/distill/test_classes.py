"""Which output of a teacher is which class of the data."""

from __future__ import annotations

from pathlib import Path

import pytest
from safetensors.torch import save_file
from torch import nn
from transformers import ResNetConfig, ResNetForImageClassification

from tosmooth.config.schema import ModelConfig
from tosmooth.distill.classes import TeacherClasses, match, read_class_map
from tosmooth.distill.opening import choose_outputs, classes_of, has_published_weights
from tosmooth.errors import ConfigError, ModelError
from tosmooth.models.build import build_image_model, register_model_source
from tosmooth.models.image_model import InputSpec
from tosmooth.models.weights import save_weights


def named(*names: str) -> TeacherClasses:
    return TeacherClasses(len(names), tuple((name,) for name in names))


@pytest.mark.parametrize(
    ("theirs", "index", "how"),
    [
        (named("cat", "dog", "elk"), (0, 1, 2), "same names"),
        (named("Dog", "ELK", "cat"), (2, 0, 1), "other order"),
        (named("wolf", "dog", "elk", "cat"), (3, 1, 2), "by name"),
        (TeacherClasses(3), (0, 1, 2), "in order"),
        (named("Katze", "Hund", "Elch"), (0, 1, 2), "in order"),
    ],
)
def test_outputs_are_found(theirs: TeacherClasses, index: tuple[int, ...], how: str):
    found = match(("cat", "dog", "elk"), theirs)
    assert found is not None
    assert (found.index, found.how) == (index, how)


@pytest.mark.parametrize(
    "theirs",
    [
        TeacherClasses(4),
        named("wolf", "dog", "cat"),  # as many, but a name stands elsewhere: their order is not the data's
        named("cat", "cat", "dog", "elk"),  # ambiguous
        named("cat", "dog", "wolf", "bear"),
    ],
)
def test_outputs_that_cannot_be_told_are_not_guessed(theirs: TeacherClasses):
    assert match(("cat", "dog", "elk"), theirs) is None


CAFE = "caf\u00e9", "cafe\u0301"  # with one letter, and with an accent of its own, as macOS writes folders


@pytest.mark.parametrize(
    ("classes", "theirs", "index", "how"),
    [
        (("A", "a"), named("a", "A"), (1, 0), "other order"),  # as written before in any writing
        (("Cat", "cat"), named("CAT", "cat"), (0, 1), "same names"),
        ((CAFE[1], "tea"), named("tea", CAFE[0]), (1, 0), "other order"),
        ((CAFE[0], "tea"), named("tea", CAFE[1]), (1, 0), "other order"),
        ((CAFE[0], "tea"), named("tea", CAFE[1].upper()), (1, 0), "other order"),
    ],
)
def test_names_as_written_go_before_names_in_any_writing(classes, theirs: TeacherClasses, index, how):
    found = match(classes, theirs)
    assert found is not None
    assert (found.index, found.how) == (index, how)


def test_a_class_map_may_write_accents_otherwise(tmp_path: Path):
    path = tmp_path / "m.yaml"
    path.write_text(f"{CAFE[0]}: {CAFE[0]}\ntea: a\n", encoding="utf-8")
    assert read_class_map(path, (CAFE[1], "tea"), named("A", "a", CAFE[1])).index == (2, 1)


@pytest.mark.parametrize("text", ['{"0": "b", "1": "a"}', '["b", "a"]', '\ufeff{"a": 1, "b": 0}'])
def test_names_beside_the_weights(tmp_path: Path, text: str):
    model = build_image_model("resnet8", 2, width=0.25)
    save_weights(model, tmp_path / "w.safetensors")
    section = ModelConfig(name="resnet8", width=0.25)
    assert classes_of(section, tmp_path / "w.safetensors").names == ()
    (tmp_path / "labels.json").write_text(text, encoding="utf-8")
    assert classes_of(section, tmp_path / "w.safetensors").names == (("b",), ("a",))


@pytest.mark.parametrize("text", ['["a", "b", "c"]', '{"0": "a", "2": "b"}', "[1, 2]", "{", '"a"'])
def test_names_beside_the_weights_that_are_not_theirs(tmp_path: Path, text: str):
    save_weights(build_image_model("resnet8", 2, width=0.25), tmp_path / "w.safetensors")
    (tmp_path / "labels.json").write_text(text)
    with pytest.raises(ModelError, match=r"labels\.json: .* move it away from the weights"):
        classes_of(ModelConfig(name="resnet8", width=0.25), tmp_path / "w.safetensors")


def test_names_of_published_models_without_their_weights(tmp_path: Path):
    for name in ("timm:resnet50.a1_in1k", "torchvision:resnet18"):
        found = classes_of(ModelConfig(name=name), None)
        assert found.count == 1000
        assert {"tench", "n01440764"} <= set(found.names[0])
        assert match(("goldfish", "n01440764"), found).index == (1, 0)
    folder = tmp_path / "model"
    labels = {0: "dog", 1: "cat"}
    config = ResNetConfig(
        embedding_size=8,
        hidden_sizes=[8, 8],
        depths=[1, 1],
        id2label=labels,
        label2id={"dog": 0, "cat": 1},
    )
    ResNetForImageClassification(config).save_pretrained(folder)
    found = classes_of(ModelConfig(name=f"hf:{folder}"), None)
    assert match(("cat", "dog"), found).index == (1, 0)
    assert [has_published_weights(name) for name in ("timm:resnet18", "torchvision:resnet18", "resnet8")] == [
        True, True, False,
    ]  # fmt: skip


def test_a_class_map_as_csv_by_name_and_number(tmp_path: Path):
    path = tmp_path / "map.csv"
    path.write_text("cat,2\ndog,Wolf\n", encoding="utf-8")
    assert read_class_map(path, ("cat", "dog"), named("wolf", "bear", "lynx")).index == (2, 0)


def test_names_are_the_texts_that_stand_there_and_a_header_is_none(tmp_path: Path):
    classes = ("007", "no", "yes")
    theirs = TeacherClasses(3, (("on",), ("1e3",), ("off",)))
    yaml, csv = tmp_path / "m.yaml", tmp_path / "m.csv"
    yaml.write_text("yes: on\nno: off\n007: 1e3\n", encoding="utf-8")
    csv.write_text("data,teacher\nyes,on\nno,off\n007,1e3\n", encoding="utf-8")
    for path in (yaml, csv):
        assert read_class_map(path, classes, theirs).index == (1, 2, 0)
    csv.write_text("data,teacher\nyes,on\nno,off\n", encoding="utf-8")  # no header beside a class that is missing
    with pytest.raises(ConfigError, match="unknown class of the data 'data'"):
        read_class_map(csv, classes, theirs)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("m.csv", "cat\n", "expected two columns"),
        ("m.csv", "cat,1\ncat,2\n", "given twice: cat"),
        ("m.yaml", "- cat\n", "expected lines such as"),
        ("m.yaml", "a: [", "is not readable as YAML"),
        ("m.yaml", "cat: 7\ndog: 1\n", "unknown class of the teacher '7'"),
        ("m.yaml", "cat: true\ndog: 1\n", "unknown class of the teacher 'true'"),
    ],
)
def test_broken_class_maps(tmp_path: Path, name: str, content: str, reason: str):
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ConfigError, match=reason):
        read_class_map(path, ("cat", "dog"), named("wolf", "bear", "lynx"))


class Normalised:
    """A library whose logits depend on all outputs at once."""

    def validate(self, name: str, /) -> None: ...

    def build(self, name: str, request, /):
        layers = nn.Sequential(nn.Flatten(), nn.Linear(16, request.num_classes), nn.LogSoftmax(dim=1))
        return layers, InputSpec(channels=1, size=4)


def test_outputs_that_are_not_rows_of_a_last_layer_are_refused():
    register_model_source("normalised", Normalised())
    import torch

    images = torch.randint(0, 256, (3, 1, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    teacher, fresh = (build_image_model("normalised:x", k, channels=1, seed=0).eval() for k in (5, 2))
    with pytest.raises(ModelError, match="cannot be chosen one by one"):
        choose_outputs(teacher, (3, 1), fresh, images)


def test_weights_of_another_architecture_are_named(tmp_path: Path):
    path = tmp_path / "w.safetensors"
    save_file(nn.Linear(3, 4).state_dict(), path)
    with pytest.raises(ModelError, match="has no last layer of resnet8"):
        classes_of(ModelConfig(name="resnet8"), path)

"""Every format is opened by the library it is for, without tosmooth, and answers real images as the model does."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import onnxruntime
import pytest
import safetensors.torch
import timm
import torch
import torchvision
import transformers
from PIL import Image

from tests.export.folders import TEACHER, raw_study, subject_of, write_untrained
from tosmooth.errors import ConfigError, ModelError
from tosmooth.export import formats
from tosmooth.export.export import export_model
from tosmooth.export.huggingface import load
from tosmooth.models.cifar_network import CifarResNet

pytestmark = pytest.mark.slow  # in the suite, test_predict.py runs what every format leaves

MODELS: dict[str, dict[str, Any]] = {
    "resnet8": {"name": "resnet8", "width": 0.5},
    # Resized by the program itself, up and down, and grey made RGB.
    "timm": {"name": "timm:test_efficientnet", "kwargs": {"input_size": 48, "mean": [0.4, 0.5, 0.6]}},
    "torchvision": {"name": "torchvision:squeezenet1_1", "kwargs": {"input_size": 23}},
}  # fmt: skip


@pytest.fixture(scope="module")
def vit_folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("vit")
    sizes = {"hidden_size": 16, "intermediate_size": 32, "image_size": 24, "patch_size": 8}
    config = transformers.ViTConfig(num_hidden_layers=1, num_attention_heads=2, num_labels=10, **sizes)
    transformers.ViTForImageClassification(config).save_pretrained(folder)
    transformers.ViTImageProcessor(
        size={"height": 24, "width": 24}, image_mean=[0.1, 0.2, 0.3], image_std=[0.4, 0.5, 0.6]
    ).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def exported(tmp_path_factory, vit_folder):
    """By kind: the model, its real images, and the folder with all formats that it can have."""
    root, found = tmp_path_factory.mktemp("exported"), {}
    for kind, section in {**MODELS, "hf": {"name": f"hf:{vit_folder}"}}.items():
        study = write_untrained(root / kind, raw_study(section))
        own = [name for name in formats.FORMATS if name != "huggingface" or kind in {"timm", "hf"}]
        result = export_model(study, TEACHER, own, root / f"{kind}-out")
        assert set(result.differences) == set(own)
        found[kind] = subject_of(study), result.path
    return found


KINDS = (*MODELS, "hf")


def logits_of(subject) -> torch.Tensor:
    with torch.no_grad():
        return subject.classifier(subject.images)


def close(found: torch.Tensor, expected: torch.Tensor) -> None:
    assert expected.std() > 1e-3  # else anything would be close
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_onnx_takes_raw_images_in_batches_of_any_size(exported, kind):
    subject, folder = exported[kind]
    session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    assert (given.name, given.type, given.shape) == ("images", "tensor(uint8)", ["batch", 1, 28, 28])
    assert json.loads(session.get_modelmeta().custom_metadata_map["labels"])["9"] == "Ankle boot"
    for count in (1, 3, 8):
        (found,) = session.run(["logits"], {"images": subject.images[:count].numpy()})
        close(torch.from_numpy(found), logits_of(subject)[:count])


@pytest.mark.parametrize("kind", KINDS)
def test_torch_export_takes_raw_images_in_batches_of_any_size(exported, kind):
    subject, folder = exported[kind]
    program = torch.export.load(folder / "model.pt2").module()
    for count in (1, 3, 8):
        close(program(subject.images[:count]), logits_of(subject)[:count])


def test_programs_refuse_images_that_were_scaled_before(exported):
    subject, folder = exported["resnet8"]
    scaled = subject.images[:2].float() / 255
    with pytest.raises(RuntimeError, match="dtype"):
        torch.export.load(folder / "model.pt2").module()(scaled)
    session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    with pytest.raises(Exception, match="uint8"):
        session.run(["logits"], {"images": scaled.numpy()})


def test_timm_opens_the_weights_and_the_folder(exported):
    subject, folder = exported["timm"]
    prepared = subject.classifier.prepare(subject.images)
    name = "test_efficientnet"
    for file in ("model.safetensors", "model.pth"):
        with torch.no_grad():
            model = timm.create_model(name, num_classes=10, checkpoint_path=str(folder / file)).eval()
            close(model(prepared), logits_of(subject))
    model = timm.create_model(f"local-dir:{folder / 'huggingface'}", pretrained=True).eval()
    seen = timm.data.resolve_model_data_config(model)
    assert tuple(seen["input_size"]) == (3, 48, 48)
    assert model.pretrained_cfg["label_names"][9] == "Ankle boot"
    transform = timm.data.create_transform(**seen)
    pictures = torch.stack([transform(picture(image)) for image in subject.images])
    assert (pictures - prepared).abs().max() < 0.05  # PIL rounds to whole grey values when it resizes
    with torch.no_grad():
        torch.testing.assert_close(model(pictures), logits_of(subject), rtol=0.05, atol=0.05)


def test_torchvision_opens_the_weights(exported):
    subject, folder = exported["torchvision"]
    for state in (
        safetensors.torch.load_file(folder / "model.safetensors"),
        torch.load(folder / "model.pth", weights_only=True),
    ):
        model = torchvision.models.squeezenet1_1(num_classes=10).eval()
        model.load_state_dict(state)
        with torch.no_grad():
            close(model(subject.classifier.prepare(subject.images)), logits_of(subject))


def test_the_small_resnet_opens_the_weights(exported):
    subject, folder = exported["resnet8"]
    model = CifarResNet(8, 10, channels=1, width=0.5).eval()
    model.load_state_dict(torch.load(folder / "model.pth", weights_only=True))
    with torch.no_grad():
        close(model(subject.images.float() / 127.5 - 1), logits_of(subject))


def test_transformers_opens_the_folder_with_its_processor(exported):
    subject, folder = exported["hf"]
    folder = folder / "huggingface"
    model = transformers.AutoModelForImageClassification.from_pretrained(folder).eval()
    assert model.config.id2label[9] == "Ankle boot"
    assert model.config.label2id["Ankle boot"] == 9
    processor = transformers.AutoImageProcessor.from_pretrained(folder)
    given = processor([picture(image) for image in subject.images], return_tensors="pt")["pixel_values"]
    assert (given - subject.classifier.prepare(subject.images)).abs().max() < 0.05
    with torch.no_grad():
        close(model(subject.classifier.prepare(subject.images)).logits, logits_of(subject))
        torch.testing.assert_close(model(given).logits, logits_of(subject), rtol=0.05, atol=0.02)


@pytest.mark.parametrize(("transform", "shorter"), [("resize_center_crop", 32), ("whole_center_crop", 28)])
def test_the_processor_crops_as_the_study_did(transform, shorter, tmp_path, vit_folder):
    section = {"name": f"hf:{vit_folder}", "kwargs": {"image_size": 28, "patch_size": 7}}
    raw = raw_study(section, image_size=28, eval_transform=transform)
    study = write_untrained(tmp_path, raw)
    export_model(study, TEACHER, ["huggingface"], tmp_path / "out")
    subject = subject_of(study)
    assert subject.images.shape[2:] == (28, 28)
    processor = transformers.AutoImageProcessor.from_pretrained(tmp_path / "out" / "huggingface")
    split = subject.data.validation
    given = processor([picture(split[i]) for i in range(8)], return_tensors="pt")["pixel_values"]
    assert (given - subject.classifier.prepare(subject.images)).abs().max() < 0.05
    assert f"shorter side resized to {shorter}" in (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    told = json.loads((tmp_path / "out" / "preprocessing.json").read_text(encoding="utf-8"))["input"]
    assert (told["resize_shorter_side"], told["center_crop"]) == (shorter, 28)


def test_an_exported_folder_is_a_model_of_tosmooth_again(exported, tmp_path):
    subject, folder = exported["hf"]
    section = {"name": f"hf:{folder / 'huggingface'}", "pretrained": True}
    again = subject_of(write_untrained(tmp_path, raw_study(section)))
    close(logits_of(again), logits_of(subject))


def test_where_no_library_opens_such_a_folder_another_format_is_named(tmp_path):
    for kind in ("resnet8", "torchvision"):
        study = write_untrained(tmp_path / kind, raw_study(MODELS[kind]))
        with pytest.raises(ConfigError, match=r"no model of timm or transformers.*safetensors, onnx or torch_export"):
            export_model(study, TEACHER, ["onnx", "huggingface"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_mistakes_come_together_and_before_any_work(tmp_path, monkeypatch):
    monkeypatch.setattr(formats, "find_spec", lambda name: None if name == "onnxruntime" else find_spec(name))
    with pytest.raises(ConfigError) as caught:
        export_model(tmp_path / "nothing", None, ["onnx", "safetensor"], tmp_path / "out")
    assert len(caught.value.mistakes) == 2
    assert "onnx needs onnxruntime, not installed: pip install 'tosmooth[onnx]'" in str(caught.value)
    assert "unknown format 'safetensor'; did you mean 'safetensors'?" in str(caught.value)


def test_what_answers_otherwise_is_not_exported(tmp_path, monkeypatch):
    """A wrong program, as a bug of a converter would make it: here the images are turned upside down."""
    study = write_untrained(tmp_path, raw_study(MODELS["resnet8"]))
    subject = subject_of(study)
    right = formats.FORMATS["safetensors"]
    wrong = formats.Format(right.write, lambda s, f, images: right.answers(s, f, images.flip(2)), "upside down")
    monkeypatch.setitem(formats.FORMATS, "safetensors", wrong)
    with pytest.raises(ModelError, match=r"answers otherwise than the model.*nothing was exported"):
        export_model(study, TEACHER, ["safetensors"], tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert [path.name for path in tmp_path.iterdir()] == [subject.path.name]


@pytest.mark.parametrize("kind", KINDS)
def test_the_cards_code_runs_as_it_stands(exported, kind, monkeypatch):
    subject, folder = exported[kind]
    card = (folder / "README.md").read_text(encoding="utf-8")
    parts = card.split("```python\n")[1].split("```")[0].split("\n\n")
    assert len(parts) == len(json.loads((folder / "export.json").read_text(encoding="utf-8"))["formats"])
    monkeypatch.chdir(folder)
    expected = logits_of(subject)
    for part in parts:
        library = part[2:].split(";")[0].split(" ")[0]
        pictures = [picture(image) for image in subject.images]
        images = {"onnxruntime": subject.images.numpy(), "transformers": pictures}.get(library, subject.images)
        names: dict[str, Any] = {"images": images}
        with torch.no_grad():
            exec(compile(part, "card", "exec"), names)
            if library == "timm":
                names["logits"] = names["model"](torch.stack([names["transform"](image) for image in pictures]))
        roughly = library in {"timm", "transformers"}  # PIL rounds to whole grey values when it resizes
        tolerance = {"rtol": 0.05, "atol": 0.05} if roughly else {"rtol": 1e-3, "atol": 1e-4}
        torch.testing.assert_close(torch.as_tensor(names["logits"]), expected, **tolerance)


def test_loading_goes_by_the_library(exported):
    for kind, name in (("timm", "timm:test_efficientnet"), ("hf", "hf:anything")):
        assert not load(name, exported[kind][1] / "huggingface").training


def picture(image: torch.Tensor) -> Image.Image:
    """A real picture as users have it."""
    return Image.fromarray(image[0].numpy()).convert("RGB")

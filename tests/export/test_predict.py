"""`predict.py` beside an export says what tosmooth says, from real image files, where tosmooth cannot be imported."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from PIL import Image

from tests.export.folders import TEACHER, raw_study, subject_of, write_untrained
from tosmooth.data.augmentation import eval_transform
from tosmooth.data.fashion_mnist_sample import fashion_mnist_sample
from tosmooth.data.files import decoded
from tosmooth.data.registry import SourceRequest
from tosmooth.export.export import export_model

CLASSES = ("Boots, black", "café")
MODELS: dict[str, dict[str, Any]] = {
    # Resized again by the model itself.
    "timm": {"name": "timm:test_efficientnet", "kwargs": {"input_size": 48, "mean": [0.4, 0.5, 0.6]}},
    "torchvision": {"name": "torchvision:squeezenet1_1"},
    "resnet8": {"name": "resnet8", "width": 0.5},
}  # fmt: skip
FORMATS = {
    "timm": ["onnx", "torch_export", "huggingface", "safetensors", "state_dict"],
    "torchvision": ["safetensors", "state_dict"],
    "resnet8": ["safetensors"],
    "hf": ["huggingface", "safetensors"],
}
# The script of each export, as a module: what it makes of each file, and what it says of it.
WITHOUT_TOSMOOTH = """
import json, runpy, sys
blocked, jobs, files = map(json.loads, sys.argv[1:])
for name in blocked:
    sys.modules[name] = None  # whoever imports it gets an ImportError
told = []
for folder, form in jobs:
    script = runpy.run_path(folder + "/predict.py")
    model = script["load"](form)
    images = [script["read_image"](file) for file in files]
    told.append({
        "images": [image[0].tolist() for image in images],
        "logits": [model(image)[0].tolist() for image in images],
        "said": [script["predict"](file, model) for file in files],
    })
print(json.dumps(told))
"""
JOBS = [(kind, form) for kind, forms in FORMATS.items() for form in forms if (kind, form) != ("hf", "safetensors")]
WITH_PYTORCH = [job for job in JOBS if job[1] != "onnx"]


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> list[Path]:
    """Files of real images as people have them: held sideways, in grey, with a palette, and cut out."""
    folder = tmp_path_factory.mktemp("files")
    sample = fashion_mnist_sample(SourceRequest()).test
    grey = np.concatenate([sample[index][0].numpy() for index in range(3)], axis=1)
    colours = np.stack([grey, 255 - grey, grey // 2], axis=2)
    picture = Image.fromarray(colours).resize((150, 61))
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: turned by 90°
    found = [folder / name for name in ("plain.jpg", "held.jpg", "grey.jpg", "cut.png", "palette.gif", "la.png")]
    picture.save(found[0])
    picture.save(found[1], exif=exif)
    picture.convert("L").resize((41, 97)).save(found[2])
    cut = picture.convert("RGBA")
    cut.putalpha(Image.fromarray(grey).resize(picture.size))
    cut.save(found[3])
    picture.convert("P").save(found[4])
    cut.convert("LA").save(found[5])
    return found


@pytest.fixture(scope="module")
def exported(tmp_path_factory, files):
    """By kind: the model, and its export; of images in class folders whose names are awkward."""
    root, found = tmp_path_factory.mktemp("predict"), {}
    for split in ("train", "val"):
        for name in CLASSES:
            (root / "images" / split / name).mkdir(parents=True)
            for path in files[:4]:
                (root / "images" / split / name / path.name).write_bytes(path.read_bytes())
    sizes = {"hidden_size": 16, "intermediate_size": 32, "image_size": 28, "patch_size": 7}
    vit = transformers.ViTConfig(num_hidden_layers=1, num_attention_heads=2, **sizes)
    transformers.ViTForImageClassification(vit).save_pretrained(root / "vit")
    for kind, section in {**MODELS, "hf": {"name": f"hf:{root / 'vit'}"}}.items():
        raw = raw_study(section)
        raw["data"] = {
            "source": "folder", "path": str(root / "images"), "validation": 0.0, "image_size": 35,
            "eval_transform": "resize_center_crop", "train_augmentation": "imagenet",
        }  # fmt: skip
        study = write_untrained(root / kind, raw)
        result = export_model(study, TEACHER, FORMATS[kind], root / f"{kind}-out")
        found[kind] = subject_of(study), result.path
    return found


def told(exported, jobs: list[tuple[str, str]], files: list[Path], blocked: list[str]) -> list[dict[str, Any]]:
    """What the scripts say of the files, in a process that cannot import what is blocked."""
    where = [(str(exported[kind][1]), form) for kind, form in jobs]
    given = (json.dumps(value) for value in (blocked, where, [str(path) for path in files]))
    run = subprocess.run(
        [sys.executable, "-c", WITHOUT_TOSMOOTH, *given], capture_output=True, text=True, encoding="utf-8", check=False
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def with_pytorch(exported, files):
    return dict(zip(WITH_PYTORCH, told(exported, WITH_PYTORCH, files, ["tosmooth"]), strict=True))


def check(subject, found: dict[str, Any], files: list[Path]) -> None:
    """Its images are tosmooth's but for a resize that rounds otherwise; its answers are tosmooth's to these images."""
    data = subject.config.data
    transform = eval_transform(data.eval_transform, data.image_size)
    own = torch.stack([transform(decoded(path, path.name)) for path in files])
    images = torch.tensor(found["images"], dtype=torch.uint8)
    assert images.shape == own.shape == (len(files), 3, 35, 35)
    assert own.float().std(dim=0).max() > 30  # another file's image would not do
    assert int((images.int() - own.int()).abs().max()) <= 1
    with torch.no_grad():
        expected, of_own = subject.classifier(images), subject.classifier(own)
    torch.testing.assert_close(torch.tensor(found["logits"]), expected, rtol=1e-3, atol=1e-5)
    assert expected.std(dim=0).max() > 1e-3
    for row, (name, probability) in zip(expected, found["said"], strict=True):
        assert name == subject.classes[int(row.argmax())]
        assert probability == pytest.approx(float(row.softmax(0).max()), abs=1e-4)
    assert [name for name, _ in found["said"]] == [subject.classes[index] for index in of_own.argmax(1)]


@pytest.mark.parametrize(("kind", "form"), WITH_PYTORCH)
def test_every_format_says_what_tosmooth_says(exported, with_pytorch, files, kind, form):
    check(exported[kind][0], with_pytorch[kind, form], files)


def test_onnx_needs_no_pytorch(exported, files):
    ((kind, form),) = set(JOBS) - set(WITH_PYTORCH)
    (found,) = told(exported, [(kind, form)], files, ["tosmooth", "torch", "torchvision", "timm"])
    check(exported[kind][0], found, files)


def test_the_command_says_a_line_a_file_and_what_is_wrong(exported, files, tmp_path):
    _, folder = exported["timm"]
    Image.new("I;16", (40, 40)).save(tmp_path / "deep.png")

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "predict.py", *map(str, arguments)]  # the quickest format is ONNX
        return subprocess.run(
            command, cwd=folder, capture_output=True, text=True, encoding="utf-8", env={"PYTHONUTF8": "1"}, check=False
        )

    found = run(*files[:2])
    assert found.returncode == 0, found.stderr
    lines = [line.split("\t") for line in found.stdout.splitlines()]
    assert [line[0] for line in lines] == [str(path) for path in files[:2]]
    assert {line[1] for line in lines} <= set(CLASSES)
    wrong = run(tmp_path / "deep.png")
    assert wrong.returncode == 1
    assert "more than 8 bits" in wrong.stderr
    assert "No such file" in run(tmp_path / "none.png").stderr


def test_what_lies_beside_the_weights_is_enough(exported):
    subject, folder = exported["timm"]
    told = json.loads((folder / "preprocessing.json").read_text(encoding="utf-8"))
    assert told["classes"] == list(subject.classes)
    assert told["input"]["center_crop"] == 35
    assert told["network"] == {"library": "timm", "name": "test_efficientnet", "arguments": {"num_classes": 2}}
    assert not (folder / "network.py").exists()  # the library has it
    assert (exported["resnet8"][1] / "network.py").is_file()
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "python predict.py --format onnx photo.jpg" in card
    assert "\n0. Boots, black\n1. café\n" in card


def test_weights_of_a_network_that_no_name_builds_have_no_program(exported, tmp_path):
    subject, both = exported["hf"]
    alone = export_model(subject.path, TEACHER, ["safetensors"], tmp_path / "alone").path
    assert not (alone / "predict.py").exists()
    assert "predict.py" not in (alone / "README.md").read_text(encoding="utf-8")
    card = (both / "README.md").read_text(encoding="utf-8")
    assert "--format huggingface photo.jpg" in card
    assert "Not with safetensors: a name does not say how this network is built." in card

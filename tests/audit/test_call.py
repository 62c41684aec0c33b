"""`tosmooth audit` end to end: files of logits, a study's teacher, a published model; and what is refused."""

from __future__ import annotations

import dataclasses
import io
import json
import math
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console
from torch.nn import functional as F

from tests.data.image_files import write_folder
from tests.test_cli import tosmooth as command
from tosmooth.analysis import parts
from tosmooth.analysis.stability import stability
from tosmooth.audit import logits_files
from tosmooth.audit.call import audit_teacher
from tosmooth.audit.page import render_audit, write_audit
from tosmooth.audit.saved import audit_logits
from tosmooth.audit.summary import print_audit
from tosmooth.audit.teacher import published_classes
from tosmooth.errors import ConfigError, DataError, ModelError
from tosmooth.folder.results import StudyResults
from tosmooth.models.build import build_image_model
from tosmooth.models.weights import save_weights

HOSTILE = "<script>alert(1)</script>\x1b[31m"


def save_logits(path: Path, alpha: float, classes: int = 10, names: list[str] | None = None) -> Path:
    """Logits at the optimum for α, as a file."""
    generator = np.random.default_rng(0)
    labels = np.arange(1000) % classes
    margin = math.log((1 - alpha + alpha / classes) / (alpha / classes)) if alpha else 20.0
    spread = 0.1 if alpha else 4.0  # smoothing makes the other logits alike
    logits = np.eye(classes)[labels] * margin + spread * generator.normal(size=(1000, classes))
    if path.suffix == ".npz":
        np.savez(path, logits=logits.astype(np.float32), labels=labels)
    else:
        heading = ",".join(["label", *(names or [f"class {index}" for index in range(classes)])])
        np.savetxt(
            path, np.column_stack([labels, logits]), delimiter=",", header=heading, comments="", encoding="utf-8"
        )
    return path


class Page(HTMLParser):
    """Tags, attributes and text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in {"src", "href"}]

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_the_command_writes_json_and_a_page_that_asks_for_nothing(tmp_path: Path):
    path = save_logits(tmp_path / "logits.npz", 0.1)
    run = command("audit", path, "--training-data", "-o", tmp_path / "out", "--temperatures", "4,1")
    assert run.returncode == 0, run.stderr
    assert "This teacher was trained with label smoothing" in run.stdout
    assert "Distil at T = 1" in " ".join(run.stdout.split())
    found = json.loads((tmp_path / "out" / "audit.json").read_text(encoding="utf-8"))
    assert found["smoothing"]["verdict"] == "smoothed"
    assert found["smoothing"]["alpha"] == pytest.approx(0.1, abs=0.01)
    assert [row["temperature"] for row in found["soft_targets"]] == [1, 4]
    assert found["soft_targets"][1]["target_mass"] < found["soft_targets"][0]["target_mass"]
    assert {item["rule"] for item in found["advice"]} == {"low-temperature", "raised-temperature", "not-seen"}
    page = Page((tmp_path / "out" / "audit.html").read_text(encoding="utf-8"))
    assert "script" not in page.tags
    assert all(link.startswith(("#", "data:")) for link in page.links)
    assert "smoothed" in page.texts


def test_what_somebody_knows_of_saved_logits_counts(tmp_path: Path):
    saved = np.load(save_logits(tmp_path / "logits.npz", 0.1))
    np.savez(tmp_path / "sharp.npz", logits=5 * saved["logits"], labels=saved["labels"])
    verdicts = []
    for flags in ([], ["--own-logits"], ["--rescaled"]):
        run = command("audit", tmp_path / "sharp.npz", "--training-data", "--json", *flags)
        assert run.returncode == 0, run.stderr
        found = json.loads(run.stdout)
        verdicts.append((found["smoothing"]["verdict"], found["seen"]["rescaled"]))
    assert verdicts == [("undecided", None), ("not smoothed", False), ("undecided", True)]


def test_a_models_logits_are_its_own(tmp_path: Path):
    with pytest.raises(ConfigError, match="--rescaled, --own-logits: of saved logits"):
        audit_teacher("timm:resnet18", None, [], rescaled=True)


def test_an_unsmoothed_teacher_is_not_warned_about(tmp_path: Path):
    audit = audit_teacher(str(save_logits(tmp_path / "logits.npz", 0)), "fashion-mnist", [])
    assert audit.smoothing.verdict == "not smoothed"
    assert [item.rule for item in audit.advice] == ["any-temperature", "train-smoothed", "not-seen"]


def test_a_teacher_that_has_learnt_other_labels_gets_a_page_too(tmp_path: Path):
    labels = np.arange(500) % 10
    np.savez(tmp_path / "wrong.npz", logits=10 * np.eye(10)[(labels + 1) % 10], labels=labels)
    audit = audit_teacher(str(tmp_path / "wrong.npz"), "fashion-mnist", [])
    assert audit.smoothing.verdict == "undecided"
    write_audit(audit, tmp_path)
    assert json.loads((tmp_path / "audit.json").read_text(encoding="utf-8"))["smoothing"]["alpha"] is None
    assert "cannot be told" in " ".join(Page(render_audit(audit)).texts)


def test_numbers_are_those_of_the_library(tmp_path: Path):
    path = save_logits(tmp_path / "logits.npz", 0.2)
    audit = audit_teacher(str(path), "fashion-mnist", [], training_data=False)
    with np.load(path) as arrays:
        logits, labels = torch.from_numpy(arrays["logits"]), torch.from_numpy(arrays["labels"])
    assert audit.stability == pytest.approx(stability(logits.double().softmax(1), labels), abs=1e-9)
    assert audit.metrics["nll"] == pytest.approx(float(F.cross_entropy(logits, labels)), abs=1e-5)
    assert audit.soft_targets[0].target_mass == pytest.approx(
        float(logits.softmax(1)[torch.arange(1000), labels].mean()), abs=1e-6
    )
    assert audit.smoothing.verdict == "undecided"
    assert "class means of the teacher's logits" in str(audit.similar_source)
    assert "the images and labels that the teacher was trained on" in audit.advice[0].text
    assert sum(row["count"] for row in audit.reliability) == 1000


def test_hostile_names_stay_text(tmp_path: Path):
    names = [HOSTILE, *(f"name {index}" for index in range(9))]
    path = save_logits(tmp_path / "<img src=x onerror=alert(1)>.csv", 0.1, names=names)
    audit = audit_teacher(str(path), "fashion-mnist", [])
    text = render_audit(audit)
    page = Page(text)
    assert "script" not in page.tags
    assert "img" not in page.tags
    assert any(HOSTILE in part for part in page.texts)
    console = Console(file=io.StringIO(), width=200)
    print_audit(dataclasses.replace(audit, seen=dataclasses.replace(audit.seen, teacher=HOSTILE)), [path], console)
    printed = console.file.getvalue()
    assert "\x1b[31m" not in printed
    assert "<script>alert(1)</script>\\x1b[31m" in printed


def test_a_teacher_of_a_study(tiny_study: StudyResults, tmp_path: Path):
    weights = next(tiny_study.path.glob("teachers/a0.1-s0/model.safetensors"))
    audit = audit_teacher(str(weights), str(tiny_study.path / "study.yaml"), [], temperatures="1,2")
    assert audit.seen.training_data is True
    assert audit.smoothing.verdict == "undecided"  # two epochs
    assert audit.similar_source is not None
    assert "penultimate features" in audit.similar_source
    assert len(audit.neighbours) == 10
    assert audit.soft_targets[0].similar_share > 3 / 9
    test = audit_teacher(str(weights), str(tiny_study.path / "study.yaml"), [], split="test")
    assert test.seen.training_data is False
    assert "300 images of the test split" in test.seen.data
    written = write_audit(test, tmp_path)
    assert all(path.is_file() for path in written)


def test_every_mistake_of_a_call_at_once():
    with pytest.raises(ConfigError) as caught:
        audit_teacher(
            "nothing.npz", "fashion-mnist", [], data="foldr", path=Path("/no/such"), split="all", temperatures="1,zero"
        )
    assert len(caught.value.mistakes) == 5
    assert "did you mean 'folder'" in str(caught.value)
    for wrong in ("0", "", "nan", "inf", "-1", ",".join(map(str, range(1, 30)))):
        with pytest.raises(ConfigError, match="--temperatures"):
            audit_teacher("timm:resnet18", "fashion-mnist", [], temperatures=wrong)
    with pytest.raises(ConfigError, match="did you mean 'timm:resnet50'"):
        audit_teacher("timm:resnet5", "fashion-mnist", [])


def test_a_file_that_is_not_there_has_no_other_mistake():
    with pytest.raises(ConfigError) as caught:
        audit_teacher("x.pth", None, [], teacher_model="resnet20", image_size=64, ema=True)
    (mistake,) = caught.value.mistakes
    assert mistake.startswith("x.pth: no such file")


def test_a_published_model_must_know_the_classes():
    with pytest.raises(ModelError, match="its weights know 1000 classes, the data have 10"):
        audit_teacher("timm:resnet18.a1_in1k", "fashion-mnist", [])
    with pytest.raises(ModelError, match="its weights know 1000 classes"):
        audit_teacher("torchvision:resnet18", "fashion-mnist", [])
    assert published_classes("timm:vit_tiny_patch16_224.augreg_in21k") == 21843


def test_a_folder_of_a_hugging_face_model_on_a_folder_of_images(tmp_path: Path):
    transformers = pytest.importorskip("transformers")
    from PIL import Image

    config = transformers.ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 8], depths=[1, 1], num_labels=3, num_channels=3
    )
    transformers.ResNetForImageClassification(config).save_pretrained(tmp_path / "model")
    generator = np.random.default_rng(0)
    for split in ("train", "val"):
        for name in ("a", "b", "c"):
            (tmp_path / "data" / split / name).mkdir(parents=True)
            for number in range(4):
                pixels = generator.integers(0, 255, (40, 36, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(tmp_path / "data" / split / name / f"{number}.png")
    audit = audit_teacher(
        f"hf:{tmp_path / 'model'}",
        "fashion-mnist",
        ["data.image_size=32", "compute.device=cpu"],
        data="folder",
        path=tmp_path / "data",
    )
    assert audit.smoothing.verdict == "undecided"
    assert audit.smoothing.evidence["samples"] == 12
    assert audit.seen.training_data is None
    assert "with 3 classes" in " ".join(audit.smoothing.reasons) or math.isnan(audit.smoothing.alpha)


def test_json_on_stdout_is_plain_data(tmp_path: Path):
    run = command("audit", save_logits(tmp_path / "logits.csv", 0.1, classes=3), "--json")
    assert run.returncode == 0, run.stderr
    found = json.loads(run.stdout)
    assert found["smoothing"]["verdict"] == "undecided"
    assert found["smoothing"]["interval"][0] == 0
    assert found["written"] == []
    assert found["neighbours"].keys() == {"0: class 0", "1: class 1", "2: class 2"}


def test_probabilities_are_refused_in_one_sentence(tmp_path: Path):
    probabilities = np.full((300, 10), 0.1)
    np.savez(tmp_path / "a.npz", logits=probabilities, labels=np.arange(300) % 10)
    with pytest.raises(DataError, match="probabilities") as caught:
        audit_teacher(str(tmp_path / "a.npz"), "fashion-mnist", [])
    assert re.match(re.escape(str(tmp_path / "a.npz")), str(caught.value))


def test_a_folder_of_images_needs_no_source_to_be_named(tmp_path: Path):
    """`--data DIR` means the source `folder`; what is neither is told with both meanings."""
    images = write_folder(tmp_path / "images", splits={"train": 6, "val": 2})
    weights = tmp_path / "teacher.safetensors"
    save_weights(build_image_model("resnet8", 2, seed=0), weights)
    model = ["teacher.model=resnet8", "data.image_size=32"]
    found = audit_teacher(str(weights), "own-images", model, data=str(images))
    assert found.seen.data == "folder, 12 images of the train split"
    with pytest.raises(
        ConfigError, match=r"--data: 'foldr' is neither a folder nor a data source; did you mean 'folder'"
    ):
        audit_teacher(str(weights), "own-images", model, data="foldr")


def test_in_parts_is_the_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A file that is read and looked at in small parts says what one at once says, up to the order of sums."""
    saved = save_logits(tmp_path / "logits.npz", 0.1)
    whole = audit_logits(saved, [1, 4]).as_dict()
    monkeypatch.setattr(logits_files, "AT_ONCE", 370)
    monkeypatch.setitem(parts.AT_ONCE, "cpu", 110)
    found = audit_logits(saved, [1, 4]).as_dict()
    for key in ("metrics", "reliability", "soft_targets"):
        for own, other in zip(*(x[key] if key != "metrics" else [x[key]] for x in (found, whole)), strict=True):
            assert own == pytest.approx(other, rel=1e-6)
    assert found["stability"] == pytest.approx(whole["stability"], rel=1e-9)
    assert found["smoothing"]["evidence"] == pytest.approx(whole["smoothing"]["evidence"], rel=1e-9)
    assert found["neighbours"] == whole["neighbours"]

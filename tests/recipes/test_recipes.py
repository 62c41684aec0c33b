"""Every recipe of the paper, run to its end on a few real files in the layout that it asks for."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file
from torchvision import datasets

from tests.data.image_files import write_cub, write_imagenet
from tests.data.test_torchvision_sets import write_cifar
from tosmooth.data.torchvision_sets import CIFAR100_SUPERCLASSES
from tosmooth.data.translation.registry import PairRequest, read_pairs
from tosmooth.models.build import build_image_model
from tosmooth.models.weights import save_weights
from tosmooth.recipes import recipe_names, recipe_text
from tosmooth.recipes.layout import check_layout
from tosmooth.recipes.listing import listed, paper_table
from tosmooth.recipes.reading import load_config
from tosmooth.report.paper import published_results
from tosmooth.study.context import Context
from tosmooth.study.plan import make_plan
from tosmooth.study.progress import StudyProgress
from tosmooth.study.run import run_study
from tosmooth.tasks.find import find_task

IMAGENET = {
    "imagenet-resnet50-resnet18": "resnet18",
    "imagenet-resnet50-resnet50": "resnet50",
    "imagenet-resnet50-efficientnet-b0": "efficientnet_b0",
}
CUB = {
    "cub200-resnet50-resnet18": "resnet18",
    "cub200-resnet50-resnet50": "resnet50",
    "cub200-resnet50-mobilenet-v2": "mobilenet_v2",
    "cub200-resnet50-convnext-tiny": "convnext_tiny",
}
SENTENCES = ("iwslt14-en-de", "iwslt14-en-ru")
PAPER = {name: ("imagenet-1k", "resnet50", student) for name, student in IMAGENET.items()}
PAPER |= {name: ("cub-200-2011", "resnet50", student) for name, student in CUB.items()}
PAPER |= {name: (name, "transformer", "transformer") for name in SENTENCES}

ROLES = ("teacher", "student")

# The same pipeline and models, on few and small images; published weights are not fetched.
SMALL = (
    "compute.device=cpu",
    "compute.eval_batch_size=16",
    "student.temperatures=[2]",
    *(f"{role}.epochs=1" for role in ROLES),
    *(f"{role}.batch_size=4" for role in ROLES),
    *(f"{role}.optimizer.learning_rate=0.001" for role in ROLES),
    "teacher.schedule.warmup_epochs=0",
    "student.schedule.warmup_epochs=0",
)
SMALL_IMAGES = (
    "data.image_size=32",
    "data.workers=0",
    "teacher.model.pretrained=false",
    "student.model.pretrained=false",
)


def settings(name: str) -> dict[str, Any]:
    return yaml.safe_load(recipe_text(name))


def model_of(section: dict[str, Any]) -> str:
    model = section["model"]
    return model if isinstance(model, str) else model["name"]


def narrow(name: str) -> list[str]:
    """All layers of ResNet-50, but narrow ones: its weights would be most of the time."""
    deep = [role for role in ROLES if model_of(settings(name)[role]).startswith("torchvision:resnet50")]
    return [f"{role}.model.kwargs.width_per_group=8" for role in deep]


# Every data set in the suite, and every student in `make test-slow`.
ALIKE = (
    "imagenet-resnet50-resnet18", "imagenet-resnet50-resnet50", "cub200-resnet50-resnet50", "iwslt14-en-ru",
    "cub200-resnet50-convnext-tiny", "cub200-resnet50-resnet18",
)  # fmt: skip


def each(*names: str) -> list[Any]:
    return [pytest.param(name, marks=pytest.mark.slow) if name in ALIKE else name for name in names]


@pytest.mark.parametrize("name", each(*IMAGENET, *CUB))
def test_a_recipe_of_images_runs_to_its_report(name: str, tmp_path: Path, silent: StudyProgress) -> None:
    data = write_imagenet(tmp_path / "data") if name in IMAGENET else write_cub(tmp_path / "data")
    run(name, data, tmp_path, silent, *SMALL, *SMALL_IMAGES, *narrow(name))


@pytest.mark.slow
def test_the_same_with_models_as_wide_as_they_are(tmp_path: Path, silent: StudyProgress) -> None:
    run("imagenet-resnet50-resnet50", write_imagenet(tmp_path / "data"), tmp_path, silent, *SMALL, *SMALL_IMAGES)


def run(name: str, data: Path, root: Path, progress: StudyProgress, *overrides: str) -> None:
    config = load_config(name, [f"data.path={data}", *overrides])
    check_layout(config.data)
    results = run_study(config, root / "runs", progress)
    assert list(results.cells.status) == ["done", "done"]
    assert results.cells[find_task(config.task).metric.test].between(0, 100).all()
    page = (results.path / "report.html").read_text(encoding="utf-8")
    # Of ImageNet, three synsets are not the thousand.
    known = bool(paper_table(recipe_text(name))) and name not in IMAGENET
    assert ("The paper, same data set and models" in page) == known


@pytest.mark.slow
def test_cifar100_with_its_super_classes_runs_to_its_report(
    tmp_path: Path, silent: StudyProgress, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_cifar(tmp_path, datasets.CIFAR100, monkeypatch, per_class=2)
    few = ["data.validation=0.5", "student.seeds=[0]", "teacher.batch_size=50", "student.batch_size=50"]
    run("cifar100", tmp_path, tmp_path, silent, *SMALL, *few)
    text = (tmp_path / "runs" / "cifar100" / "analysis" / "similarity.json").read_text(encoding="utf-8")
    found = json.loads(text)
    assert found["source"].startswith("super-classes")
    groups = {name: group for group, members in CIFAR100_SUPERCLASSES.items() for name in members}
    for position, name in enumerate(found["classes"]):
        similar = {found["classes"][other] for other in found["similar"][str(position)]}
        assert similar == {other for other in groups if groups[other] == groups[name]} - {name}


@pytest.mark.parametrize("name", each(*SENTENCES))
def test_a_recipe_of_sentences_runs_to_its_report(name: str, tmp_path: Path, silent: StudyProgress) -> None:
    write_lines(tmp_path / "data", name.rpartition("-")[2])
    small = "{d_model: 32, encoder_layers: 1, decoder_layers: 1, encoder_ffn_dim: 48, decoder_ffn_dim: 48}"
    few = ["data.text.vocabulary=500", "analysis.tokens=20", "translation.beam=1", "compute.eval_batch_size=2000"]
    for role in ("teacher", "student"):
        few += [f"{role}.model.kwargs={small}", f"{role}.batch_size=400", f"{role}.average_last=1"]
        few.append(f"{role}.schedule.warmup_steps=1")
    run(name, tmp_path / "data", tmp_path, silent, *SMALL, *few)


def write_lines(folder: Path, target: str) -> None:
    """Real sentence pairs of the embedded sample as `train.en`, `train.de`, …"""
    folder.mkdir()
    sample = read_pairs("translation_sample", PairRequest(None, False, {}, target_language=target))
    short = [
        p for p in zip(sample.train.sources, sample.train.targets, strict=True) if max(len(s.split()) for s in p) < 7
    ]
    for part, first, last in (("train", 0, 60), ("valid", 60, 66), ("test", 66, 72)):
        for side, language in enumerate(("en", target)):
            lines = [pair[side] for pair in short[first:last]]
            (folder / f"{part}.{language}").write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.mark.parametrize("name", sorted(PAPER))
def test_the_papers_figures_in_a_header_are_the_published_ones(name: str) -> None:
    dataset, teacher, student = PAPER[name]
    rows = published_results()
    rows = rows[(rows.dataset == dataset) & (rows.teacher == teacher)]
    own = rows[rows.student == student]
    metric = "bleu" if name in SENTENCES else "top1"
    expected: dict[int | None, list[float]] = {}
    if not own.empty:
        expected[None] = rows[rows.role == "teacher"].sort_values("label_smoothing")[metric].tolist()
        for temperature, cells in own.groupby("temperature"):
            expected[int(temperature)] = cells.sort_values("label_smoothing")[metric].tolist()
    assert {t: list(values) for t, values in paper_table(recipe_text(name)).items()} == expected
    assert bool(expected) == (student not in {"efficientnet_b0", "convnext_tiny"})
    if not expected:
        assert "not among the published tables" in recipe_text(name)


@pytest.mark.parametrize("recipes", [IMAGENET, CUB], ids=["imagenet", "cub"])
def test_recipes_of_one_data_set_differ_in_nothing_but_the_student(recipes: dict[str, str]) -> None:
    shared = []
    for name, student in recipes.items():
        own = settings(name)
        assert own.pop("name") == name
        assert own.pop("description")
        assert model_of(own["student"]).removeprefix("torchvision:").partition(".")[0] == student
        model = own["student"].pop("model")
        shared.append((own, isinstance(model, dict) and model["pretrained"]))
    assert all(other == shared[0] for other in shared)


def test_settings_of_the_papers_recipes_are_those_of_the_authors_scripts(tmp_path: Path) -> None:
    imagenet, cub = (load_config(next(iter(names)), [f"data.path={tmp_path}"]) for names in (IMAGENET, CUB))
    for config in (imagenet, cub):
        assert (config.teacher.epochs, config.teacher.batch_size, config.teacher.schedule.step_epochs) == (90, 256, 30)
        assert (config.student.epochs, config.student.batch_size, config.student.schedule.step_epochs) == (200, 256, 80)
        assert config.teacher.optimizer.momentum == config.student.optimizer.momentum == 0.9
        assert (config.teacher.optimizer.weight_decay, config.teacher.schedule.gamma) == (1e-4, 0.1)
        assert (config.teacher.label_smoothing, config.student.temperatures) == ([0.0, 0.1], [1, 2, 3, 64])
        assert (config.data.validation, config.selection, config.student.hard_weight) == (0, "last", [0])
        assert (config.data.image_size, config.data.eval_transform) == (224, "resize_center_crop")
    assert (imagenet.teacher.optimizer.learning_rate, imagenet.student.optimizer.learning_rate) == (0.1, 0.1)
    assert (imagenet.student.schedule.warmup_epochs, imagenet.student.optimizer.weight_decay) == (5, 1e-4)
    assert (cub.teacher.optimizer.learning_rate, cub.student.optimizer.learning_rate) == (0.01, 0.01)
    assert (cub.student.schedule.warmup_epochs, cub.student.optimizer.weight_decay) == (0, 1e-3)
    assert cub.teacher.model.replace_head


def test_a_cub_teacher_starts_from_the_imagenet_teacher_of_its_smoothing(tmp_path: Path, silent: StudyProgress) -> None:
    """The weights of every layer but the last come from the file; the last one is new, of the birds' classes."""
    files = {}
    for alpha, seed in ((0.0, 1), (0.1, 2)):
        files[alpha] = tmp_path / f"{alpha}.safetensors"
        model = build_image_model("torchvision:resnet50", 1000, seed=seed, kwargs={"width_per_group": 8})
        save_weights(model, files[alpha])
    checkpoints = ", ".join(f"{alpha}: {path}" for alpha, path in files.items())
    config = load_config(
        "cub200-resnet50-resnet18",
        [
            f"data.path={write_cub(tmp_path / 'data')}",
            *SMALL,
            *SMALL_IMAGES,
            "teacher.model.kwargs.width_per_group=8",
            f"teacher.checkpoints={{{checkpoints}}}",
        ],
    )
    context = Context.join(config, tmp_path, silent)
    for teacher in context.plan.teachers:
        model = context.new_model(config.teacher.model, teacher.seed, teacher.checkpoint)
        stored = load_file(files[teacher.label_smoothing])
        assert torch.equal(model.backbone.state_dict()["layer4.2.conv3.weight"], stored["layer4.2.conv3.weight"])
        assert model.backbone.state_dict()["fc.weight"].shape == (4, 2048)


def test_every_recipe_is_listed_and_valid(tmp_path: Path) -> None:
    for name in recipe_names():
        row = listed(name)
        needs_data = "path: null" in recipe_text(name)
        config = load_config(name, [f"data.path={tmp_path}"] if needs_data else [])
        assert config.name == name
        assert row.about
        assert row.students == len(make_plan(config).cells)


def test_the_page_says_what_the_recipes_say() -> None:
    page = (Path(__file__).parents[2] / "docs" / "reproduce.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([a-z0-9-]+)`[^|]*\|([^|]+)\|([^|]+)\|([^|]+)\|$", page, flags=re.MULTILINE)
    assert {name for name, *_ in rows} == {*PAPER, "cifar100"}
    for name, *cells in rows:
        teachers, students, hours = (cell.strip() for cell in cells)
        table = paper_table(recipe_text(name))
        for said, temperature in ((teachers, None), (students, 1)):
            assert said == (" / ".join(f"{value:.1f}" for value in table[temperature]) if table else "–")
        time = listed(name).time
        assert (time is None) == (hours == "not reckoned")
        assert time is None or time.split()[1] == hours

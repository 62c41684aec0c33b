"""The benchmarks run, and compare like with like: the peers' first loss is ours."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import timm.data
import torch
from PIL import Image
from torch import nn
from torchvision.datasets import ImageFolder

pytest.importorskip("torchdistill", reason='the peers come with pip install ".[bench]"')

from timm.task import LogitDistillationTask
from torchdistill.losses.registry import get_high_level_loss

from benchmarks import common, decoding, write_docs
from benchmarks.decoding import SIZE, photographs
from benchmarks.grid import compare
from benchmarks.ours import GRID, Ours, plain_cross_entropy
from benchmarks.peers import GRIDS, Setting, TimmModel, _torchdistill_config
from benchmarks.workload import Workload, default_grid, folder_grid
from tosmooth.data.files import FileSplit
from tosmooth.losses.distillation import distillation_loss

DEVICE = torch.device("cpu")


def test_the_peers_minimise_the_same_loss() -> None:
    work = default_grid(128)
    student = TimmModel(work.build(work.student, 0).backbone, 1).eval()
    teacher = TimmModel(work.teachers["a0"].backbone, 1).eval()
    images = work.teachers["a0"].prepare(work.images)
    with torch.no_grad():
        logits, said = student(images), teacher(images)
        ours = distillation_loss(logits, said, 3.0)
        task = LogitDistillationTask(
            student, teacher, criterion=nn.CrossEntropyLoss(), task_loss_weight=0.0, temperature=3.0, verbose=False
        )
        torch.testing.assert_close(task(images, work.labels)["loss"], ours)
        criterion = get_high_level_loss(_torchdistill_config(work, 3.0, Setting())["criterion"])
        outputs = {"student": {".": {"output": logits}}, "teacher": {".": {"output": said}}}
        torch.testing.assert_close(9 * criterion(outputs, {}, work.labels), ours)  # its KDLoss leaves out T² at α = 0


@pytest.mark.parametrize("peer", list(GRIDS))
@pytest.mark.parametrize("setting", [Setting(), Setting(2, True, True)], ids=str)
def test_a_peer_runs_a_cell(peer: str, setting: Setting) -> None:
    GRIDS[peer](default_grid(256), GRID[:1], setting, DEVICE)


@pytest.fixture
def of_files(tmp_path: Path) -> Workload:
    """32 JPEGs in three classes, and small models."""
    return replace(folder_grid(photographs(tmp_path, 32, 3), "resnet8", 32, 16), teacher="resnet8")


@pytest.mark.parametrize("peer", list(GRIDS))
def test_a_peer_reads_files(peer: str, of_files: Workload) -> None:
    GRIDS[peer](of_files, GRID[:1], Setting(), DEVICE)


def test_the_peers_see_the_files_and_labels_that_we_see(of_files: Workload) -> None:
    files = of_files.files
    assert files is not None
    theirs = ImageFolder(str(files.root)), timm.data.ImageDataset(str(files.root))
    for dataset in theirs:
        assert len(dataset) == len(files)
    of_torchvision = {Path(path): label for path, label in theirs[0].samples}
    for path, label in zip(files.paths, files.labels.tolist(), strict=True):
        assert of_torchvision[path] == label
        with Image.open(path) as image:
            assert image.size == SIZE


def test_photographs_are_cut_where_there_are_any(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "there").mkdir()
    Image.new("RGB", (800, 400), "red").save(tmp_path / "there" / "red.jpg")
    Image.new("RGB", (400, 400), "blue").save(tmp_path / "there" / "too-small.jpg")
    monkeypatch.setattr(decoding, "PHOTOGRAPHS", tmp_path / "there")
    files = photographs(tmp_path, 3)
    assert [tuple(files[number].shape) for number in range(3)] == [(3, 375, 500)] * 3
    assert int(files[2][0].min()) > 250
    assert "mate-backgrounds" in decoding.made_of(files)


@pytest.mark.parametrize("files", [False, True])
def test_our_runs_train_what_they_say(files: bool, of_files: Workload) -> None:
    ours = Ours(of_files if files else default_grid(256), common.compute_of(device="cpu"))
    try:
        ours.fill()
        for run in (ours.live, ours.cached):
            run(GRID[:3])
        if files:
            assert isinstance(ours.ready, FileSplit)
            assert ours.ready.pixels is not None
            ours.live(GRID[:1], ours.ready)
            return
        plain_cross_entropy(ours, 1)
        forward, step = ours.parts(1)
        assert forward > 0
        assert step > 0
    finally:
        ours.close()


@pytest.mark.slow  # its parts are run above
def test_a_comparison_becomes_a_table_in_the_docs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(common, "RESULTS", tmp_path)
    monkeypatch.setattr(write_docs, "RESULTS", tmp_path)
    monkeypatch.setattr(write_docs, "DOCS", [tmp_path / "benchmarks.md"])
    (tmp_path / "benchmarks.md").write_text("# B\n\n<!-- grid -->\n<!-- end -->\n\nafter\n", encoding="utf-8")
    result = common.Result("grid", "t", ["grid", "mode", "run", "setting", "seconds", "range", "speed"])
    compare(default_grid(128), "float32", 1, result, single=False)
    result.finish(common.compute_of(device="cpu"))
    write_docs.main()
    text = (tmp_path / "benchmarks.md").read_text(encoding="utf-8")
    found = json.loads((tmp_path / "grid.json").read_text(encoding="utf-8"))
    assert [row[2] for row in found["rows"]] == ["tosmooth, live", "tosmooth, cached", "timm", "torchdistill"]
    assert torch.__version__.startswith(found["environment"]["torch"])  # without what was built for
    assert text.count("| default recipe |") == 4
    assert text.endswith("<!-- end -->\n\nafter\n")

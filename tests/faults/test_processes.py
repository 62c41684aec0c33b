"""One study in several processes: the numbers of one, one writer, one message; all with real process groups."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pytest
import torch
import yaml
from safetensors.torch import load_file

from tests.faults.studies import assert_same, content
from tests.processes import run_forked
from tosmooth.recipes.reading import load_config
from tosmooth.study.single import evaluate_weights

# Group normalisation: batch normalisation would see other batches. Everything in float32, as the rounding of stored
# logits would make steps out of the last bits in which sums over two processes differ. 266 training images in batches
# of 66 leave two for the last one: one process has no part in it.
UNNORMALISED: Mapping[str, Any] = {
    "name": "shared",
    "data": {"source": "fashion_mnist_sample", "limit_train": 333, "limit_test": 101, "validation": 0.2},
    "teacher": {
        "model": "timm:test_efficientnet_gn", "label_smoothing": [0.0, 0.1], "epochs": 2, "batch_size": 66,
        "optimizer": {"learning_rate": 0.02},
    },
    "student": {
        "model": "timm:test_efficientnet_gn", "temperatures": [1, 8], "seeds": [0], "epochs": 2, "batch_size": 66,
        "optimizer": {"learning_rate": 0.02}, "gradient_clip": 1.0,
    },
    "cache": "off",
    "compute": {"device": "cpu", "threads": 1, "teacher_precision": "float32"},
}  # fmt: skip
WEIGHTS = 5e-4  # largest difference of a weight, after 20 steps


def launch(raw: Mapping[str, Any], root: Path, processes: int) -> subprocess.Popen[str]:
    """`torchrun --nproc-per-node N -m tosmooth study`."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "study.yaml").write_text(yaml.safe_dump(dict(raw)), encoding="utf-8")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(processes)]
    torchrun += ["--master-port", str(free_port())]
    command = [*torchrun, "-m", "tosmooth", "study", "study.yaml", "-o", "runs"]
    environment = dict(os.environ, PYTHONPATH=str(Path.cwd()))
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen(command, cwd=root, env=environment, **pipes)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def run(raw: Mapping[str, Any], root: Path, processes: int) -> Path:
    """The study in one process, or in several that were told of one another as torchrun would tell them."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "study.yaml").write_text(yaml.safe_dump(dict(raw)), encoding="utf-8")
    where = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "WORLD_SIZE": str(processes)}
    ranks = [where | {"RANK": rank, "LOCAL_RANK": rank} for rank in map(str, range(processes))]
    command = ["study", "study.yaml", "-o", "runs"]
    with ThreadPoolExecutor(processes) as pool:
        told = [dict(os.environ) if processes == 1 else os.environ | rank for rank in ranks]
        done = list(pool.map(lambda environment: run_forked(command, environment, root), told))
    output = "".join(one.stdout + one.stderr for one in done)
    assert not any(one.returncode for one in done), output[-3000:]
    assert output.count("report: ") == 1, "one process speaks"
    return root / "runs" / raw["name"]


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("processes")
    return run(UNNORMALISED, root / "one", 1), run(UNNORMALISED, root / "two", 2)


@pytest.mark.faults
def test_two_processes_give_the_numbers_of_one(studies: tuple[Path, Path]):
    one, two = studies
    for path in sorted(one.rglob("model.safetensors")):
        weights, same = load_file(path), load_file(two / path.relative_to(one))
        difference = max(float((weights[name] - same[name]).abs().max()) for name in weights)
        assert 0 < difference < WEIGHTS, path  # 0 would mean that one process did all the work
    columns = ["train/loss", "val/nll", "test/nll", "diffusion/eta_s1", "diffusion/eta_s2_debiased"]
    columns += ["train/first_loss", "train/first_gradient", "diffusion/errors_s1", "diffusion/d_prime_s1"]
    columns += ["cal/temperature", "cal/ece_fitted", "cal/aurc"]  # missing where answers are no better than chance
    cells, shared = (pd.read_csv(path / "results.csv") for path in studies)
    one_table, two_table = (torch.tensor(table[columns].values) for table in (cells, shared))
    torch.testing.assert_close(one_table, two_table, rtol=1e-2, atol=2e-3, equal_nan=True)
    # 101 test images over two processes: accuracy is a count of 101, not of 102 or 100.
    for path in studies:
        top1 = pd.read_csv(path / "teachers.csv")["test/top1"] * 101 / 100
        assert (top1 - top1.round()).abs().max() < 1e-3


@pytest.mark.faults
def test_two_processes_mix_images_as_one_does(tmp_path: Path):
    mixing = {"mixing": {"mixup": 0.4, "cutmix": 1.0, "probability": 0.8}}
    raw = {**UNNORMALISED, **{role: {**UNNORMALISED[role], **mixing} for role in ("teacher", "student")}}
    one, two = run(raw, tmp_path / "one", 1), run(raw, tmp_path / "two", 2)
    for path in sorted(one.rglob("model.safetensors")):
        weights, same = load_file(path), load_file(two / path.relative_to(one))
        difference = max(float((weights[name] - same[name]).abs().max()) for name in weights)
        assert 0 < difference < WEIGHTS, path


@pytest.mark.faults
def test_centroids_are_reduced_exactly_once(studies: tuple[Path, Path]):
    for path in sorted(studies[0].rglob("centroids.safetensors")):
        one, two = load_file(path), load_file(studies[1] / path.relative_to(studies[0]))
        for split, images in (("train", 266), ("val", 67)):
            assert one[f"{split}.counts"].sum() == two[f"{split}.counts"].sum() == images
            torch.testing.assert_close(one[f"{split}.means"], two[f"{split}.means"], rtol=1e-2, atol=2e-3)


def ranks_of(process: subprocess.Popen[str]) -> Iterator[psutil.Process]:
    """The processes that torchrun has started, by rank."""
    children = psutil.Process(process.pid).children(recursive=True)
    return iter(sorted(children, key=lambda child: int(child.environ().get("RANK", "99"))))


def wait_for_checkpoint(process: subprocess.Popen[str], root: Path, pattern: str) -> None:
    until = time.monotonic() + 100
    while not any((root / "runs").glob(f"*/state/checkpoints/{pattern}/epoch-*/manifest.json")):
        assert process.poll() is None, process.communicate()[0][-3000:]
        assert time.monotonic() < until
        time.sleep(0.02)


LONGER = {**UNNORMALISED, "student": {**UNNORMALISED["student"], "epochs": 60}}


@pytest.mark.parametrize("victim", [0, 1])
@pytest.mark.faults
def test_a_killed_rank_ends_the_others_in_time_with_one_message(tmp_path: Path, victim: int):
    process = launch(LONGER, tmp_path, 2)
    wait_for_checkpoint(process, tmp_path, "5-models-*")
    ranks = list(ranks_of(process))
    ranks[victim].send_signal(signal.SIGKILL)
    killed = time.monotonic()
    output, _ = process.communicate(timeout=60)
    assert time.monotonic() - killed < 45
    assert process.returncode != 0
    assert not any(rank.is_running() for rank in ranks)
    ours = output.partition("torch.distributed.elastic")[0]  # what follows is torchrun's own account
    assert ours.count("error:") <= 1
    assert "[rank" not in output  # as PyTorch begins each line of a traceback
    assert "UserWarning" not in output
    assert "another process of this run died" in ours or (victim == 1 and "stopped by SIGTERM" in ours)


@pytest.mark.faults
def test_a_stopped_run_of_two_goes_on_to_the_same_bits(studies: tuple[Path, Path], tmp_path: Path):
    process = launch(UNNORMALISED, tmp_path, 2)
    wait_for_checkpoint(process, tmp_path, "5-models-*")
    for rank in ranks_of(process):
        rank.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    assert_same(content(studies[1]), content(run(UNNORMALISED, tmp_path, 2)))


@pytest.mark.faults
def test_accelerate_launch_does_the_same(studies: tuple[Path, Path], tmp_path: Path):
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(dict(UNNORMALISED)), encoding="utf-8")
    options = [
        "--cpu",
        "--num_processes",
        "2",
        "--num_machines",
        "1",
        "--mixed_precision",
        "no",
        "--dynamo_backend",
        "no",
    ]
    options += ["--main_process_port", str(free_port()), "-m"]
    launcher = [sys.executable, "-m", "accelerate.commands.launch", *options]
    command = [*launcher, "tosmooth", "study", "study.yaml", "-o", "runs"]
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=200, check=False)
    assert found.returncode == 0, (found.stdout + found.stderr)[-3000:]
    cells, same = (pd.read_csv(path / "results.csv") for path in (studies[1], tmp_path / "runs" / "shared"))
    columns = ["train/loss", "val/nll", "test/nll"]
    first, second = (torch.tensor(table[columns].values) for table in (cells, same))
    torch.testing.assert_close(first, second, rtol=1e-2, atol=2e-3)


@pytest.mark.faults
@pytest.mark.parametrize("average", [None, 0.8])
def test_with_batch_normalisation_the_figures_are_those_of_the_saved_weights(tmp_path: Path, average: float | None):
    """Each process has statistics of its own; rank 0's are judged, saved and measured."""
    raw = {
        **UNNORMALISED,
        "teacher": {**UNNORMALISED["teacher"], "model": {"name": "resnet8", "kwargs": {"stem_stride": 2}}},
        "student": {**UNNORMALISED["student"], "model": {"name": "resnet8", "width": 0.5}},
    }
    raw["teacher"]["moving_average"] = average
    study = run(raw, tmp_path, 2)
    teachers = pd.read_csv(study / "teachers.csv").set_index("teacher")
    config = load_config(str(study / "study.yaml"))
    for name in teachers.index:
        weights = study / "teachers" / name / "model.safetensors"
        found = evaluate_weights(config, weights, "teacher", "validation")
        assert found["top1"] == pytest.approx(teachers.loc[name, "val/top1"], abs=1e-3)
        assert found["nll"] == pytest.approx(teachers.loc[name, "val/nll"], rel=1e-4)

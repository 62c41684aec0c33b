"""An estimate beside its study: steps to the last one, disk within a factor, and nothing disturbed."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file

from tests.tasks.sentences import raw_study
from tosmooth.config.schema import StudyConfig
from tosmooth.recipes.reading import load_config
from tosmooth.study import measuring, on_test
from tosmooth.study.context import Context
from tosmooth.study.estimate import Estimate, estimate_study
from tosmooth.study.estimate_summary import duration, print_estimate, size
from tosmooth.study.progress import StudyProgress
from tosmooth.study.run import run_study
from tosmooth.study.stages import train_grid
from tosmooth.training.optimization import learning_rate

SHORT = 2.0  # seconds of the mini-run


class Counting(StudyProgress):
    """Counts the batches of each stage, and the samples that its models learn from."""

    def __init__(self) -> None:
        super().__init__(Console(quiet=True))
        self.steps: Counter[str] = Counter()
        self.sample_steps: Counter[str] = Counter()
        self._name, self._of_stage = "", 1

    def stage(self, title: str, *, epochs: int = 0, cost: float = 1.0, models: int = 1) -> None:
        super().stage(title, epochs=epochs, cost=cost, models=models)
        names = {"teachers": title.startswith("teachers"), "students": " students, seed" in title}
        names["stored answers"] = title.startswith("storing")
        self._name, self._of_stage = next((name for name, own in names.items() if own), "other"), models

    def batch(self, epoch: int, samples: int) -> None:
        super().batch(epoch, samples)
        self.steps[self._name] += self._of_stage
        self.sample_steps[self._name] += samples


@pytest.fixture(scope="module", params=[pytest.param("stored", marks=pytest.mark.slow), "grouped"])
def estimated_and_run(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Estimate, Path, Counting, Counter[str]]:
    """An estimate; its study, run to its end; and what was counted there: steps, and passes of models over splits."""
    from tests.conftest import TINY

    raw = {**TINY, "data": {**TINY["data"], "limit_train": 321, "limit_test": 80}}
    overrides = {
        "stored": ["teacher.seeds=[0,1]", "student.epochs=5"],  # the flip's two views pay from 4 passes on
        "grouped": ["cache=off", "compute.group_size=3", "selection=last", "student.seeds=[0]", "teacher.epochs=1"],
    }[request.param]
    config = load_config(raw, overrides)
    root = tmp_path_factory.mktemp(request.param)
    found = estimate_study(config, root, StudyProgress(Console(quiet=True)), seconds=SHORT)
    assert not list(root.iterdir()), "an estimate writes nothing"
    progress, passes = Counting(), Counter[str]()
    with pytest.MonkeyPatch.context() as patch:
        for module in (measuring, on_test):
            real = module.evaluate_together

            def counted(models: Any, batches: Any, *arguments: Any, real: Any = real, **named: Any) -> Any:
                passes["passes"] += len(models)
                passes["samples"] += batches.size  # read once for all of them
                return real(models, batches, *arguments, **named)

            patch.setattr(module, "evaluate_together", counted)
        run_study(config, root, progress)
    return found, root / "tiny", progress, passes


def test_steps_are_those_of_the_finished_study(estimated_and_run) -> None:
    found, path, progress, _ = estimated_and_run
    by_name = {time.stage.name: time.stage for time in found.times}
    for name in ("teachers", "students"):
        stage = by_name[name]
        assert progress.steps[name] == stage.steps
        of_training = sum(count for kind, count in stage.work.items() if kind.what == "train")
        assert progress.sample_steps[name] == of_training
        folders = sorted((path / name).iterdir())
        assert len(folders) == stage.models
        for folder in folders:  # the schedule remembers which step an epoch ended with
            records = [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
            assert len(records) == stage.epochs
            config = load_config(str(path / "study.yaml"))
            section = config.teacher if name == "teachers" else config.student
            for record in records:
                expected = learning_rate(
                    record["epoch"] * stage.steps_per_epoch - 1,
                    peak=section.optimizer.learning_rate,
                    steps_per_epoch=stage.steps_per_epoch,
                    epochs=section.epochs,
                    schedule=section.schedule,
                )
                assert record["learning_rate"] == expected
    if "stored answers" in by_name:
        assert progress.sample_steps["stored answers"] == by_name["stored answers"].loaded


def test_passes_of_evaluation_are_those_of_the_finished_study(estimated_and_run) -> None:
    found, path, _, passes = estimated_and_run
    stage = next(time.stage for time in found.times if time.stage.name == "evaluation")
    teachers = len(list((path / "teachers").iterdir()))
    # The pass for the older views goes its own way: one for each teacher, over all of training.
    assert stage.passes == passes["passes"] + teachers
    assert stage.loaded == passes["samples"] + teachers * found.splits["train"]


def test_disk_is_within_a_half_and_a_double(estimated_and_run) -> None:
    found, path, _, _ = estimated_and_run
    used = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    assert used / 2 < found.disk.results < 2 * used
    cache = sum(file.stat().st_size for file in (path.parent / ".cache").rglob("*.npy"))
    assert cache / 1.1 <= found.disk.cache <= 1.1 * cache
    assert found.disk.checkpoints > 0


def test_a_finished_study_has_nothing_left_to_do(estimated_and_run) -> None:
    found, path, _, _ = estimated_and_run
    config = load_config(str(path / "study.yaml"))
    again = estimate_study(config, path.parent, StudyProgress(Console(quiet=True)), seconds=SHORT)
    assert again.times == []
    assert again.students == (0, found.students[1])
    other = load_config(str(path / "study.yaml"), ["student.epochs=9"])
    (problem,) = estimate_study(other, path.parent, StudyProgress(Console(quiet=True)), seconds=SHORT).problems
    assert "holds another study: it differs in student.epochs" in problem


def test_a_study_after_an_estimate_ends_with_the_same_bits(tiny_raw: dict[str, Any], tmp_path: Path, silent) -> None:
    tiny_raw["data"] |= {"limit_train": 200, "limit_test": 60}
    config = load_config(tiny_raw, ["student.seeds=[0]", "student.temperatures=[8]", "student.epochs=1"])
    train(config, tmp_path / "without", silent)
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002 - the global state is what must not move
    random.seed(5)
    before = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()  # noqa: NPY002
    estimate_study(config, tmp_path / "with", silent, seconds=SHORT)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (np.random.get_state()[1].tolist(), random.getstate()) == before[1:]  # noqa: NPY002
    train(config, tmp_path / "with", silent)
    weights = sorted((tmp_path / "without").rglob("model.safetensors"))
    assert len(weights) == 4
    for path in weights:
        one, other = load_file(path), load_file(tmp_path / "with" / path.relative_to(tmp_path / "without"))
        assert all(torch.equal(one[name], other[name]) for name in one)


def train(config: StudyConfig, root: Path, progress: StudyProgress) -> None:
    with Context.open(config, root, progress) as context:
        train_grid(context)


def test_sentences_are_estimated_too(tmp_path: Path, silent) -> None:
    config = load_config(raw_study(), ["data.limit_validation=10"])
    found = estimate_study(config, tmp_path, silent, seconds=SHORT)
    assert found.samples == "tokens"
    assert {time.stage.name for time in found.times} >= {"teachers", "students", "evaluation"}
    assert any("translating the test split" in note for note in found.notes)
    assert not list(tmp_path.iterdir())


def test_students_of_translations_alone_are_timed_as_they_learn(tmp_path: Path, silent) -> None:
    """They learn from labels, not from a teacher's hidden states, though the fused loss is on."""
    config = load_config(
        raw_study(), ["student.objectives=[sequence]", "student.temperatures=[1]", "compute.fused_loss=on"]
    )
    found = estimate_study(config, tmp_path, silent, seconds=SHORT)
    assert {speed.what for speed in found.speeds} == {"read", "read for evaluation", "train", "evaluate"}
    assert not list(tmp_path.iterdir())


def test_what_is_printed_fits_a_screen(tiny_raw: dict[str, Any], tmp_path: Path, silent) -> None:
    found = estimate_study(load_config(tiny_raw, ["compute.precision=measured"]), tmp_path, silent, seconds=SHORT)
    console = Console(width=80, record=True, quiet=False, file=(tmp_path / "text").open("w", encoding="utf-8"))
    print_estimate(found, console)
    lines = console.export_text().splitlines()
    tables = [line for line in lines if any(line.lstrip().startswith(time.stage.name) for time in found.times)]
    assert len(tables) == 2 * len(found.times)
    assert max(map(len, tables)) <= 80
    (about,) = (line for line in lines if line.startswith("about "))
    assert f"{found.precision}; frozen teachers {found.teacher_precision})" in about
    assert "resnet8, not measured: " in found.teacher_precision
    json.dumps(found.record())


def test_numbers_in_words() -> None:
    assert [duration(s) for s in (7, 600, 3 * 3600, 10 * 86400)] == ["7 s", "10 min", "3.0 h", "10.0 days"]
    assert [size(n) for n in (5_000, 2_500_000, 42_000_000_000)] == ["5 kB", "2.5 MB", "42 GB"]

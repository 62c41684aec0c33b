"""A study's curves in TensorBoard, Weights & Biases and MLflow, read back with their own readers."""

from __future__ import annotations

import json
import os
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import wandb
from rich.console import Console
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.trackers.wandb_files import records_of
from tosmooth.errors import ConfigError
from tosmooth.folder.paths import StudyDirectory
from tosmooth.folder.results import StudyResults
from tosmooth.folder.writing import write_json
from tosmooth.recipes.reading import load_config
from tosmooth.study.progress import StudyProgress
from tosmooth.study.run import run_study
from tosmooth.study.single import train_only_teachers
from tosmooth.trackers import outbox as tracking
from tosmooth.trackers.outbox import Tracking

ALL = ["tensorboard", "wandb", "mlflow"]


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith(("WANDB_", "MLFLOW_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.chdir(tmp_path)
    wandb.teardown()  # it reads the environment once in a process


def recording() -> Console:
    return Console(width=400, record=True, file=Path(os.devnull).open("w", encoding="utf-8"))


def quiet() -> StudyProgress:
    return StudyProgress(Console(quiet=True))


def records(study: Path) -> dict[str, list[dict[str, Any]]]:
    """`metrics.jsonl` of every model."""
    return {
        path.parent.relative_to(study).as_posix(): [json.loads(line) for line in path.read_text("utf-8").splitlines()]
        for path in study.glob("*/*/metrics.jsonl")
    }


def in_tensorboard(study: Path, owner: str, key: str) -> dict[int, float]:
    events = EventAccumulator(str(study / "tracking" / "tensorboard" / owner))
    events.Reload()
    found = events.Scalars(key)
    assert len({event.step for event in found}) == len(found)
    return {event.step: event.value for event in found}


def in_mlflow(uri: str, key: str) -> list[tuple[int, float]]:
    import mlflow

    client = mlflow.MlflowClient(uri)
    (run,) = client.search_runs([client.get_experiment_by_name("tosmooth").experiment_id])
    return [(metric.step, metric.value) for metric in client.get_metric_history(run.info.run_id, key)]


def in_wandb(study: Path) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """All rows of all offline parts of the run, and its last summary."""
    rows: list[dict[str, Any]] = []
    summary: dict[str, Any] = {}
    for path in sorted((study / "tracking" / "wandb").glob("offline-run-*/run-*.wandb")):
        for record in records_of(path):
            if record.WhichOneof("record_type") == "history":
                items = record.history.item
                rows.append({i.key or "/".join(i.nested_key): json.loads(i.value_json) for i in items})
            for item in record.summary.update:
                summary[item.key or ".".join(item.nested_key)] = json.loads(item.value_json)
    return rows, summary


@pytest.mark.slow
def test_three_trackers_hold_every_epoch_and_change_no_bit(tmp_path: Path, tiny_raw, tiny_study: StudyResults):
    console = recording()
    results = run_study(load_config(tiny_raw | {"trackers": ALL}), tmp_path / "runs", StudyProgress(console))
    study = results.path
    uri = f"sqlite:///{study / 'tracking' / 'mlflow.db'}"
    known = records(study)
    assert len(known) == 2 + 8
    assert all([record["epoch"] for record in own] == [1, 2] for own in known.values())
    rows, summary = in_wandb(study)
    for owner, own in known.items():
        for key in ("train/loss", "val/top1"):
            expected = {record["epoch"]: pytest.approx(record[key], rel=1e-5) for record in own}
            assert in_tensorboard(study, owner, key) == expected
            assert dict(in_mlflow(uri, f"{owner}/{key}")) == expected
            assert len(in_mlflow(uri, f"{owner}/{key}")) == 2
            sent = [(row[f"{owner}/epoch"], row[f"{owner}/{key}"]) for row in rows if f"{owner}/{key}" in row]
            assert dict(sent) == expected
            assert len(sent) == 2
    cell = results.cells.iloc[0]
    assert summary[f"students/{cell.cell}/test/top1"] == pytest.approx(cell["test/top1"])
    assert "% test top-1" in summary["verdict"]
    assert in_mlflow(uri, f"students/{cell.cell}/test/top1")[0][1] == pytest.approx(cell["test/top1"])
    assert list((study / "tracking" / "mlflow-artifacts").rglob("report.html"))
    for path in tiny_study.path.rglob("model.safetensors"):
        assert (study / path.relative_to(tiny_study.path)).read_bytes() == path.read_bytes()
    assert console.export_text().count("tracked by") == 3

    # Started again, now with only one of them: nothing is sent twice, and it is no other study.
    again = run_study(load_config(tiny_raw | {"trackers": ["mlflow"]}), tmp_path / "runs", quiet())
    assert again.path == study
    assert len(in_mlflow(uri, f"students/{cell.cell}/val/top1")) == 2
    assert len(in_mlflow(uri, f"students/{cell.cell}/test/top1")) == 1


def test_one_that_comes_later_is_told_all_and_one_that_was_killed_repeats_nothing(tmp_path: Path, tiny_raw, silent):
    tiny_raw["trackers"] = ["tensorboard"]
    train_only_teachers(load_config(tiny_raw), tmp_path, silent)
    study = tmp_path / tiny_raw["name"]
    # As if it had been killed after sending an epoch and before noting so.
    noted = study / "state" / "tracking.json"
    state = json.loads(noted.read_text(encoding="utf-8"))
    assert state["tensorboard"]["sent"] == {"teachers/a0-s0": 2, "teachers/a0.1-s0": 2}
    state["tensorboard"]["sent"]["teachers/a0-s0"] = 1
    write_json(noted, state)
    train_only_teachers(load_config(tiny_raw | {"trackers": ["tensorboard", "wandb"]}), tmp_path, silent)
    losses = {record["epoch"]: pytest.approx(record["train/loss"]) for record in records(study)["teachers/a0-s0"]}
    assert in_tensorboard(study, "teachers/a0-s0", "train/loss") == losses
    rows, _ = in_wandb(study)
    assert Counter(row["teachers/a0-s0/epoch"] for row in rows if "teachers/a0-s0/epoch" in row) == {1: 1, 2: 1}


@pytest.mark.slow
def test_one_that_fails_stops_nothing_and_is_sent_the_rest_later(tmp_path: Path, tiny_raw, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/none/mlflow.db")
    (tmp_path / "none").write_text("a file where a folder should be", encoding="utf-8")
    monkeypatch.delenv("WANDB_MODE")
    monkeypatch.setenv("WANDB_API_KEY", "no key at all")
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    wandb.teardown()
    console = recording()
    config = load_config(tiny_raw | {"trackers": ["mlflow", "wandb"]})
    rows = train_only_teachers(config, tmp_path / "runs", StudyProgress(console))
    assert [row["status"] for row in rows] == ["done", "done"]
    said = console.export_text()
    assert said.count("is given up for this run") == 2
    assert "metrics.jsonl has everything" in said
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    train_only_teachers(load_config(tiny_raw | {"trackers": ["mlflow"]}), tmp_path / "runs", quiet())
    assert [step for step, _ in in_mlflow(uri, "teachers/a0-s0/train/loss")] == [1, 2]


@pytest.mark.parametrize(("told", "attempts"), [(None, 3), ("1", 2)], ids=["ours", "the user's word"])
def test_a_server_that_is_out_of_order_is_not_asked_for_minutes(tmp_path: Path, tiny_raw, monkeypatch, told, attempts):
    asked: list[str] = []

    class OutOfOrder(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(503)

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), OutOfOrder) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "0")
        if told is not None:
            monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", told)
        said: list[str] = []
        with Tracking(load_config(tiny_raw | {"trackers": ["mlflow"]}), StudyDirectory(tmp_path), said.append):
            pass
        server.shutdown()
    assert max(Counter(asked).values()) == attempts
    assert "is given up for this run" in said[0]
    assert os.environ.get("MLFLOW_HTTP_REQUEST_MAX_RETRIES") == told


def test_damaged_records_and_a_full_disk_end_no_study(tmp_path: Path, tiny_raw):
    directory = StudyDirectory(tmp_path / "study")
    said: list[str] = []
    with Tracking(load_config(tiny_raw | {"trackers": ["tensorboard"]}), directory, said.append) as one:
        path = directory.path / "teachers" / "a0-s0" / "metrics.jsonl"
        path.parent.mkdir(parents=True)
        path.write_bytes(b'{"epoch": 1, "train/loss": 2.5}\n{"epoch": 2, "train/lo\xff')
        one.update()
        (directory.state / "tracking.json").unlink()
        (directory.state / "tracking.json").mkdir()
        one.update()
    assert in_tensorboard(directory.path, "teachers/a0-s0", "train/loss") == {1: 2.5}
    assert any("could not be noted" in line for line in said)


def test_missing_libraries_and_unknown_names_are_told_before_any_work(tmp_path: Path, tiny_raw, silent, monkeypatch):
    with pytest.raises(ConfigError, match=r"trackers\.0: .*'tensorboard', 'wandb' or 'mlflow'"):
        load_config(tiny_raw | {"trackers": ["tensorbord"]})
    monkeypatch.setitem(tracking.PACKAGES, "wandb", ("no_such_package",))
    with pytest.raises(ConfigError, match=r'needs no_such_package, not installed: pip install "tosmooth\[tracking\]"'):
        train_only_teachers(load_config(tiny_raw | {"trackers": "wandb"}), tmp_path, silent)
    assert not (tmp_path / tiny_raw["name"]).exists()


def test_without_trackers_nothing_is_written(tmp_path: Path, tiny_raw):
    directory = StudyDirectory(tmp_path / "study")
    with Tracking(load_config(tiny_raw), directory, print) as none:
        none.update()
        none.conclude({}, {}, directory.report)
    assert not directory.path.exists()

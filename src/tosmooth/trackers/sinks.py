"""One class for each tracker: what Accelerate's classes need to know of a study, and nothing that they do already."""

from __future__ import annotations

import logging
import os
import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from accelerate.tracking import MLflowTracker, TensorBoardTracker, WandBTracker

from tosmooth.terminal import quoted

PROJECT = "tosmooth"  # where the library's own environment variables name none
# MLflow asks a server that is away for four minutes and more; a study that waits loses more than the next start sends.
MLFLOW_PATIENCE = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "10", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2"}


class Sink(ABC):
    """A tracker of one study.

    Args:
        folder: the study's, for what the tracker keeps on this machine.
        study: the study's name.
        state: what is remembered between runs; a sink adds its run's id.
    """

    def __init__(self, folder: Path, study: str, state: dict[str, Any]) -> None:
        self.folder, self.study, self.state = folder, study, state

    @abstractmethod
    def open(self, config: Mapping[str, Any]) -> str | None:
        """Begin, or go on with the run of an earlier start.

        Args:
            config: dotted keys of the configuration with plain values.

        Returns:
            Where a person finds it, in words.
        """

    @abstractmethod
    def send(self, owner: str, epoch: int, values: Mapping[str, float]) -> None:
        """Send the figures of one model after one epoch.

        Args:
            owner: `teachers/<name>` or `students/<name>`.
            epoch: from 1; no model's epochs come twice, and they come in order.
            values: finite numbers by column.
        """

    @abstractmethod
    def conclude(self, sentences: Mapping[str, str], figures: Mapping[str, float], report: Path) -> None:
        """Send what the study came to: sentences and figures by name, and the report's file."""

    @abstractmethod
    def close(self) -> None:
        """End this process's part; the run can be gone on with."""


class _TensorBoard(Sink):
    """A run for each model, so that the curves of all students lie in one chart."""

    def __init__(self, folder: Path, study: str, state: dict[str, Any]) -> None:
        super().__init__(folder, study, state)
        self._root = folder / "tensorboard"
        self._writers: dict[str, TensorBoardTracker] = {}

    def open(self, config: Mapping[str, Any]) -> str:
        rows = [f"| {key} | {_cell(value)} |" for key, value in config.items()]
        text = "\n".join(["| key | value |", "|---|---|", *rows])
        if self.state.get("configured") != text:  # a grid may grow
            self._writer("study").log({"configuration": text}, step=0)
            self.state["configured"] = text
        return f"tensorboard --logdir {quoted(self._root)}"

    def send(self, owner: str, epoch: int, values: Mapping[str, float]) -> None:
        self._writer(owner, epoch).log(dict(values), step=epoch)

    def conclude(self, sentences: Mapping[str, str], figures: Mapping[str, float], report: Path) -> None:
        text = "\n\n".join([*sentences.values(), f"Report: {report}"])
        self._writer("study").log({"conclusion": text, **figures}, step=0)

    def close(self) -> None:
        for writer in self._writers.values():
            writer.finish()
        self._writers.clear()

    def _writer(self, owner: str, first: int | None = None) -> TensorBoardTracker:
        if owner not in self._writers:
            # An epoch that was sent by a run which was killed before it could note so is not shown twice.
            options = {} if first is None else {"purge_step": first}
            self._writers[owner] = TensorBoardTracker(owner, self._root, **options)
            self._writers[owner].start()
        return self._writers[owner]


class _WeightsAndBiases(Sink):
    """One run for the study; its models' epochs are axes of their own, as a run has only one count of steps."""

    def __init__(self, folder: Path, study: str, state: dict[str, Any]) -> None:
        super().__init__(folder, study, state)
        self._defined: set[str] = set()
        self._tracker: WandBTracker | None = None

    def open(self, config: Mapping[str, Any]) -> str | None:
        import wandb

        self.state.setdefault("id", uuid.uuid4().hex[:12])
        self.folder.mkdir(parents=True, exist_ok=True)
        self._tracker = WandBTracker(
            os.environ.get("WANDB_PROJECT", PROJECT),
            id=self.state["id"],
            name=self.study,
            resume="allow",
            dir=str(self.folder),
            settings=wandb.Settings(console="off", silent=True),
        )
        self._tracker.start()
        self._tracker.store_init_configuration(dict(config))
        if self._tracker.tracker.offline:
            return f"offline; wandb sync {quoted(self.folder / 'wandb')}/offline-run-*-{self.state['id']}"
        return str(self._tracker.tracker.url)

    def send(self, owner: str, epoch: int, values: Mapping[str, float]) -> None:
        assert self._tracker is not None
        axis = f"{owner}/epoch"
        if owner not in self._defined:
            self._tracker.tracker.define_metric(axis, hidden=True)
            self._tracker.tracker.define_metric(f"{owner}/*", step_metric=axis)
            self._defined.add(owner)
        self._tracker.log({axis: epoch, **{f"{owner}/{name}": value for name, value in values.items()}})

    def conclude(self, sentences: Mapping[str, str], figures: Mapping[str, float], report: Path) -> None:
        assert self._tracker is not None
        self._tracker.tracker.summary.update({**sentences, **figures})
        self._tracker.tracker.save(str(report), base_path=str(report.parent), policy="now")

    def close(self) -> None:
        if self._tracker is not None:
            self._tracker.finish()


class _MLflow(Sink):
    """One run for the study. Without a server of the user's, a database in the study's folder."""

    def __init__(self, folder: Path, study: str, state: dict[str, Any]) -> None:
        super().__init__(folder, study, state)
        self._tracker: MLflowTracker | None = None
        self._own = "MLFLOW_TRACKING_URI" not in os.environ

    def open(self, config: Mapping[str, Any]) -> str:
        import mlflow

        own = self._own
        artifacts = None
        if own:
            self.folder.mkdir(parents=True, exist_ok=True)
            logging.getLogger("mlflow").setLevel(logging.WARNING)  # it tells of every table that it makes
            mlflow.set_tracking_uri(f"sqlite:///{(self.folder / 'mlflow.db').resolve()}")
            artifacts = (self.folder / "mlflow-artifacts").resolve().as_uri()
        with _impatient():
            tracker = MLflowTracker(
                experiment_name=PROJECT, logging_dir=artifacts, run_id=self.state.get("id"), run_name=self.study
            )
            tracker.start()
            self._tracker = tracker
            self.state["id"] = tracker.tracker.info.run_id
            if not self.state.get("configured"):  # a parameter cannot be changed
                tracker.store_init_configuration(dict(config))
                self.state["configured"] = True
        where = mlflow.get_tracking_uri()
        return f"mlflow ui --backend-store-uri {quoted(where)}" if own else f"run {self.state['id']} at {where}"

    def send(self, owner: str, epoch: int, values: Mapping[str, float]) -> None:
        assert self._tracker is not None
        with _impatient():
            self._tracker.log({f"{owner}/{name}": value for name, value in values.items()}, step=epoch)

    def conclude(self, sentences: Mapping[str, str], figures: Mapping[str, float], report: Path) -> None:
        import mlflow

        assert self._tracker is not None
        with _impatient():
            mlflow.set_tags(dict(sentences))
            self._tracker.log(dict(figures))
            self._tracker.log_artifact(str(report))

    def close(self) -> None:
        import mlflow

        if self._tracker is not None:
            with _impatient():
                self._tracker.finish()
        if self._own:  # else the next study of this process would be sent to this one's database
            mlflow.set_tracking_uri(None)  # type: ignore[arg-type]


@contextmanager
def _impatient() -> Iterator[None]:
    """MLflow's patience as we want it, unless the user has said how much."""
    ours = {name: value for name, value in MLFLOW_PATIENCE.items() if name not in os.environ}
    os.environ.update(ours)
    try:
        yield
    finally:
        for name in ours:
            os.environ.pop(name, None)


def _cell(value: object) -> str:
    return " ".join(str(value).split()).replace("|", "\\|")


SINKS: dict[str, type[Sink]] = {"tensorboard": _TensorBoard, "wandb": _WeightsAndBiases, "mlflow": _MLflow}

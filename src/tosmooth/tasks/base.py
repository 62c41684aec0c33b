"""What a task is: how its data, batches and models come about, and what is measured of them besides.

Everything else (groups, schedules, caches, checkpoints, diffusion, advice, report) is the same for all tasks, because a
*sample* is whatever has one label: an image, or a target token. Batches have N of them, logits are (N, K).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from tosmooth.config.schema import DataConfig, ModelConfig, StudyConfig
from tosmooth.data.batches import Batches
from tosmooth.data.views import ViewSchedule
from tosmooth.models.study_model import StudyModel
from tosmooth.tasks.metric import Metric
from tosmooth.training.compute import Compute


class Split(Protocol):
    """One split: N labelled samples."""

    labels: Tensor  # (N,) int64

    def __len__(self) -> int:
        """N."""

    def describe(self, index: int) -> str:
        """Where sample `index` comes from, for messages."""

    def digest(self, *, with_times: bool = False) -> str:
        """A hash of what the split holds."""


class StudyData(Protocol):
    """Train, validation and test, and the classes that the analysis speaks of."""

    @property
    def source(self) -> str:
        """The source's name."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes whose centroids are followed."""

    @property
    def num_classes(self) -> int:
        """How many these are."""

    @property
    def num_outputs(self) -> int:
        """K, the width of the logits."""

    @property
    def class_outputs(self) -> Tensor | None:
        """Which output each class is, (classes,) int64; None: classes and outputs are the same."""

    @property
    def superclasses(self) -> tuple[str, ...] | None:
        """A group's name for each class, where the data have such."""

    @property
    def fingerprint(self) -> str:
        """SHA-256 of all that was read."""

    @property
    def notes(self) -> tuple[str, ...]:
        """How the splits were made, in sentences for the report."""

    @property
    def train(self) -> Any:
        """A `Split`."""

    @property
    def validation(self) -> Any:
        """A `Split`, which may be empty."""

    @property
    def test(self) -> Any:
        """A `Split`."""


class Pipeline(Protocol):
    """From splits to batches."""

    unreadable: dict[str, None]

    def training(self, split: Any, *, batch_size: int, seed: int, views: ViewSchedule | None = None) -> Batches:
        """Shuffled and augmented by `seed`."""

    def in_order(self, split: Any, *, batch_size: int, views: ViewSchedule) -> Batches:
        """In order, whole, with given views: to store what a teacher says to them."""

    def evaluation(self, split: Any, *, batch_size: int) -> Batches:
        """In order."""

    def training_outcomes(self, split: Any) -> int | None:
        """In how many ways the training augmentation can turn out; None where they cannot be numbered."""


class Task(ABC):
    """One kind of study.

    Attributes:
        name: as `task` in a configuration.
        metric: what settings are compared by.
        samples: what a sample is, in the plural.
        measuring: what `measure` does, for the progress bar; None: nothing that takes time.
    """

    name: str
    metric: Metric
    samples: str
    measuring: str | None = None

    @abstractmethod
    def data_sources(self) -> tuple[str, ...]:
        """Names that `data.source` can have."""

    @abstractmethod
    def check_model_name(self, name: str) -> None:
        """Refuse a model's name that is not one, quickly and without building anything.

        Raises:
            ModelError: it is not.
        """

    @abstractmethod
    def load_data(self, config: StudyConfig) -> StudyData:
        """The data of a configuration.

        Raises:
            DataError: they are not there, or not what was said.
        """

    @abstractmethod
    def check(self, config: StudyConfig, data: StudyData) -> None:
        """Look for mistakes that only the data reveal, before any work.

        Raises:
            DataError: one was found.
        """

    def check_weights(self, data: StudyData, weights: Path) -> None:  # noqa: B027
        """Refuse a file of weights that does not go with the data, where what lies beside it tells.

        Raises:
            ModelError: it does not.
        """

    @abstractmethod
    def pipeline(
        self, config: DataConfig, data: StudyData, device: torch.device, process: tuple[int, int] = (0, 1)
    ) -> Pipeline:
        """From this task's splits to batches."""

    @abstractmethod
    def new_model(
        self, config: StudyConfig, data: StudyData, section: ModelConfig, seed: int, checkpoint: Path | None = None
    ) -> StudyModel:
        """A model as its section describes it, on the CPU; its weights drawn from `seed` or loaded.

        Raises:
            ModelError: it cannot be built, or does not fit the data.
        """

    def score(
        self, config: StudyConfig, data: StudyData, model: StudyModel, split: Any, compute: Compute
    ) -> dict[str, Any]:
        """Figures of a model on a split beside those of its samples, by name, such as BLEU.

        Args:
            config: of the study.
            data: of the study.
            model: on the device.
            split: a `Split`.
            compute: device and precision.
        """
        return {}

    def measure(
        self, config: StudyConfig, data: StudyData, model: StudyModel, split: str, compute: Compute, folder: Path
    ) -> dict[str, Any]:
        """What is measured of a finished model beside the pass over its samples, by column; one process does it.

        Args:
            config: of the study.
            data: of the study.
            model: with its kept weights, on the device.
            split: "val" or "test".
            compute: device and precision.
            folder: of the model, for what belongs beside its weights.
        """
        return {}

    def of_correct(self, split: Any, correct: Tensor) -> dict[str, Any]:
        """Figures of the samples that a model got right, beside their share, by name; they cost no pass of their own.

        Args:
            split: a `Split`.
            correct: (N,) int8 by position in the split: 1 = right, 0 = wrong, −1 = could not be read.
        """
        return {}

"""What a task is: how its data, batches and models come about, and what is measured of them besides.

Everything else (groups, schedules, caches, checkpoints, diffusion, advice, report) is the same for all tasks, because a
*sample* is whatever has one label: an image, or a target token. Batches have N of them, logits are (N, K).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from tosmooth.config.schema import DataConfig, ModelConfig, StudyConfig
from tosmooth.errors import DataError, did_you_mean
from tosmooth.folder.columns import OF_EVERY_PASS, column
from tosmooth.tasks.metric import TOP1, Figure, Metric, capital, figures_of
from tosmooth.tasks.published import Published

if TYPE_CHECKING:  # configurations are read, and reports written, without what trains
    import torch
    from torch import Tensor

    from tosmooth.data.batches import Batches
    from tosmooth.data.views import ViewSchedule
    from tosmooth.models.study_model import StudyModel
    from tosmooth.training.compute import Compute

# What `--quick` changes: the same pipeline end to end in about a minute. Its numbers are a preview and say so.
QUICK: Mapping[str, Any] = {
    "preview": True,
    "data.limit_train": 4000,
    "data.limit_test": 2000,
    "teacher.epochs": 4,
    "student.epochs": 2,
    "student.seeds": [0, 1],
}


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


class Traits:
    """What configurations, tables and sentences have to know of a task. Nothing of it needs the task's libraries.

    Attributes:
        name: as `task` in a configuration.
        metric: what settings are compared by.
        samples: what a sample is, in the plural.
        measuring: what `measure` does, for the progress bar; None: nothing that takes time.
        schema: what a configuration of such a study may hold; with sections of its own where it has any.
        quick: what `--quick` changes, by dotted key.
        figures: what tables show of a model, in this order; empty: the metric, and what every pass yields.
        measured: names of figures that `measure` and `of_correct` find on each split, beside the metric's and those of
            every pass.
        texts: columns of texts that `measure` finds, such as how a score was computed.
        units: what captions say of the figures; empty: their titles with their units.
        published: the paper's tables of such studies; None: there are none.
        hidden_states: whether its models hand out what enters their last layer (`HiddenStateModel`), so that last layer
            and loss can be one, and features can be stored in the place of more outputs.
        relabels: whether a teacher can write labels, as objectives such as `sequence` need it.
        calibrated: whether the confidence of an answer can be held against how often it is right.
        augmented: whether a sample can be shown in several augmented views, as mutual information needs it.
        mixes: whether samples can be mixed in pairs, as MixUp and CutMix do with images; inputs are images, then.
        takes_unlabelled: whether there may be samples without labels, which students of a teacher alone learn from
            (`data.unlabelled`).
        takes_outputs: whether a teacher may be known only by its outputs, one row a sample (`teacher.outputs`).
        glossary: pairs of a word and its meaning, for the report.
        export_formats: what a model of it can be exported as.
        hub_tag: its kind of model on the Hugging Face hub; None: it has no name there.
    """

    name: str
    metric: Metric
    samples: str
    measuring: str | None = None
    schema: type[StudyConfig] = StudyConfig
    quick: Mapping[str, Any] = QUICK
    figures: tuple[Figure, ...] = ()
    measured: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    units: str = ""
    published: Published | None = None
    hidden_states: bool = False
    relabels: bool = False
    calibrated: bool = True
    augmented: bool = False
    mixes: bool = False
    takes_unlabelled: bool = False
    takes_outputs: bool = False
    glossary: tuple[tuple[str, str], ...] = ()
    export_formats: tuple[str, ...] = ("safetensors", "state_dict")
    hub_tag: str | None = None

    @property
    def shown_figures(self) -> tuple[Figure, ...]:
        """What tables show of a model."""
        return self.figures or figures_of(self.metric)

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of figures in the tables of a study: those of the task, those of every pass, and texts."""
        own = dict.fromkeys((self.metric.name, *self.measured))
        own = {name: None for name in own if name not in OF_EVERY_PASS}
        of_splits = [column(s, name) for names in (own, OF_EVERY_PASS) for s in ("val", "test") for name in names]
        return ("train/loss", *of_splits, *self.texts)

    @property
    def figure_units(self) -> str:
        """What captions say of the figures."""
        if self.units:
            return self.units
        told = [f"{one.title} in {one.unit.replace('%', 'percent')}" for one in self.shown_figures if one.unit]
        return capital(f"{'; '.join(told)}.") if told else ""


class Absent(Traits):
    """A task whose package is not installed here: its studies are shown by what their files say.

    Args:
        name: of the task.
        advice: of the study, which may be anyone's: it has the metric's column on validation, and whether less is
            better. Before there is any, nobody knows what settings are compared by, and nothing is taken for it.
    """

    def __init__(self, name: str, advice: Mapping[str, Any]) -> None:
        column, less = advice.get("metric"), advice.get("lower_is_better") is True
        own = (column.rpartition("/")[2] if isinstance(column, str) else "") or "metric"
        self.name, self.samples = name, "samples"
        unknown = Metric(own, own, "", own, own, own, self.samples, lower_is_better=less)
        self.metric = replace(TOP1, samples=self.samples) if own == TOP1.name else unknown


class Task(Traits, ABC):
    """One kind of study: its traits, and how its data, batches and models come about."""

    @abstractmethod
    def data_sources(self) -> tuple[str, ...]:
        """Names that `data.source` can have."""

    @abstractmethod
    def check_model_name(self, name: str) -> None:
        """Refuse a model's name that is not one, quickly and without building anything.

        Raises:
            ModelError: it is not.
        """

    def check_source(self, name: str) -> None:
        """Refuse a data source that is not one of this task, or cannot be used.

        Raises:
            DataError: it is not.
        """
        if name not in self.data_sources():
            raise DataError(f"unknown data source {name!r}; {did_you_mean(name, self.data_sources())}")

    def brings_validation(self, source: str) -> bool:
        """Whether data of that source may come with a validation split of their own."""
        return False

    def mistakes(self, sections: Mapping[str, Any]) -> Iterable[str]:
        """What contradicts in a configuration as far as this task alone knows, each with its key.

        Args:
            sections: of the configuration by name, checked one by one; those that are wrong by themselves are missing.
        """
        return ()

    def model_mistakes(self, model: ModelConfig) -> Iterable[tuple[str, str]]:
        """What is wrong with a model's section beside its name: pairs of the key in it and the mistake."""
        return ()

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

    def check_weights(self, data: StudyData, weights: Path) -> None:
        """Refuse a file of weights that does not go with the data, where what lies beside it tells.

        Raises:
            ModelError: it does not.
        """

    @abstractmethod
    def pipeline(
        self, config: DataConfig, data: StudyData, device: torch.device, process: tuple[int, int] = (0, 1)
    ) -> Pipeline:
        """From this task's splits to batches."""

    def longest_sample(self, config: StudyConfig) -> int:
        """How much of a batch's size one sample may take; a batch must hold the longest."""
        return 1

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

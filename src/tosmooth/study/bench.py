"""What it takes to look at a model: a configuration, its data and a device; no grid, and no folder to write to."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tosmooth.config.schema import ModelConfig, StudyConfig
from tosmooth.data.batches import Batches
from tosmooth.errors import ConfigError, did_you_mean
from tosmooth.models.study_model import StudyModel
from tosmooth.models.weights import load_weights
from tosmooth.tasks.base import Pipeline, Split, StudyData, Task
from tosmooth.tasks.find import find_task
from tosmooth.training.compute import Compute

SPLITS = ("train", "validation", "test")


def load_data(config: StudyConfig) -> StudyData:
    """The data of a configuration."""
    return find_task(config.task).load_data(config)


@dataclass(frozen=True)
class Bench:
    """A configuration with its data and its device: models are built, evaluated and audited on it."""

    config: StudyConfig
    data: StudyData
    compute: Compute

    @staticmethod
    def of(config: StudyConfig) -> Bench:
        """Find the device and load the data.

        Raises:
            TosmoothError: there is no such device, or the data cannot be read.
        """
        compute = Compute.from_config(config.compute)
        return Bench(config, load_data(config), compute)

    @cached_property
    def task(self) -> Task:
        """What the study is about."""
        return find_task(self.config.task)

    @cached_property
    def pipeline(self) -> Pipeline:
        """From splits to batches."""
        processes = self.compute.processes
        process = processes.rank, processes.world
        return self.task.pipeline(self.config.data, self.data, self.compute.device, process)

    def evaluation_batches(self, split: Split) -> Batches:
        """A split in order, with the evaluation transform; shared out where there are several processes."""
        return self.pipeline.evaluation(split, batch_size=self.config.compute.eval_batch_size)

    def whole_batches(self, split: Split) -> Batches:
        """The same, all of it in this process: for what rank 0 does alone."""
        if self.compute.processes.world == 1:
            return self.evaluation_batches(split)
        size = self.config.compute.eval_batch_size
        alone = self.task.pipeline(self.config.data, self.data, self.compute.device)
        return alone.evaluation(split, batch_size=size)

    def split(self, name: str) -> Split:
        """The split of that name: "train", "validation" or "test".

        Raises:
            ConfigError: there is none, or it is empty.
        """
        if name not in SPLITS:
            raise ConfigError([f"--split: unknown split {name!r}; {did_you_mean(name, SPLITS)}"])
        found: Split = getattr(self.data, name)
        if not len(found):
            share = self.config.data.validation
            raise ConfigError([f"--split: there is no {name} split (data.validation={share:g})"])
        return found

    def new_model(self, section: ModelConfig, seed: int, checkpoint: Path | None = None) -> StudyModel:
        """A model as its section describes it, on the CPU."""
        return self.task.new_model(self.config, self.data, section, seed, checkpoint)

    def loaded_model(self, section: ModelConfig, weights: Path) -> StudyModel:
        """The architecture of a section with the weights of a file, on the device, in eval mode."""
        model = self.new_model(section.without_weights(), 0)
        load_weights(model, weights, ema=section.ema)
        return self.compute.place(model).eval()

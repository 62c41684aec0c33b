"""What is exported: one finished model of a study, with the data's classes and a few real inputs to compare on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from tosmooth.advice.best_student import best_by_validation
from tosmooth.advice.comparisons import KEY
from tosmooth.config.schema import ModelConfig, StudyConfig
from tosmooth.data.augmentation import eval_transform
from tosmooth.data.base import ImageData, readable
from tosmooth.data.translation.config import TextConfig
from tosmooth.data.translation.data import TranslationData
from tosmooth.errors import ConfigError, StudyError, did_you_mean
from tosmooth.export.torch_export import trace
from tosmooth.folder.claim import data_of
from tosmooth.folder.paths import WEIGHTS_FILE, StudyDirectory
from tosmooth.folder.strange import study_at
from tosmooth.folder.sums import check_config
from tosmooth.folder.writing import read_record
from tosmooth.models.image_model import ImageModel
from tosmooth.models.study_model import StudyModel
from tosmooth.models.translation_model import TranslationModel
from tosmooth.models.weights import load_weights
from tosmooth.recipes.reading import load_config
from tosmooth.report.reading import StudyFiles, read_study
from tosmooth.study.later_seeds import with_later_seeds
from tosmooth.study.learning_rates import settled
from tosmooth.study.plan import Cell, Plan, Teacher, make_plan, section_of
from tosmooth.tasks.base import StudyData, Task
from tosmooth.tasks.find import find_task
from tosmooth.tasks.translation import of_sentences
from tosmooth.words.students import without_teacher

EXAMPLES = 8  # real inputs that every export is compared on
FINISHED = ("done", "given")  # status of a model that was trained to its end, or taken as it is
ROLES = ("student", "teacher", "control")
_HOW_TO_CONTROL = "student.controls: [cross_entropy] trains some"


@dataclass(frozen=True)
class Subject:
    """One finished model of a study.

    Attributes:
        path: the study's folder.
        config: of the study.
        data: of the study.
        owner: the teacher or cell whose model it is.
        chosen: how it came to be this one, in a sentence.
        record: its figures, by column.
        model: with its kept weights, on the CPU, in eval mode.
        files: the study's results; None where it has none yet.
        controls: the figures of the finished students without a teacher of the same model, by what they are called;
            none beside a teacher, or beside one of them.
    """

    path: Path
    config: StudyConfig
    data: StudyData
    owner: Teacher | Cell
    chosen: str
    record: dict[str, Any]
    model: StudyModel
    files: StudyFiles | None
    controls: Mapping[str, list[dict[str, Any]]] = field(default_factory=dict)

    @property
    def role(self) -> str:
        """ "teacher" or "student"."""
        return "teacher" if isinstance(self.owner, Teacher) else "student"

    def figure(self, column: str) -> float | None:
        """A figure of its record; None where there is none."""
        value = number(self.record.get(column))
        return value if math.isfinite(value) else None

    @property
    def section(self) -> ModelConfig:
        """The section of the configuration that describes the model."""
        return section_of(self.config, self.owner)

    @property
    def classifier(self) -> ImageModel:
        """The model, known to be one of images."""
        assert isinstance(self.model, ImageModel)
        return self.model

    @property
    def translates(self) -> bool:
        """Whether it is a model of sentences."""
        return isinstance(self.model, TranslationModel)

    @property
    def classifies(self) -> bool:
        """Whether it is a classifier of images, which brings its own preparation of them."""
        return isinstance(self.model, ImageModel)

    @property
    def task(self) -> Task:
        """What the study is about."""
        return find_task(self.config.task)

    @property
    def text(self) -> TextConfig:
        """What the configuration says of sentences, of a model that is known to translate."""
        return of_sentences(self.config).data.text

    @property
    def pairs(self) -> TranslationData:
        """The data, known to be sentence pairs."""
        return cast(TranslationData, self.data)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the outputs of an image classifier, in their order."""
        return self.data.classes

    @cached_property
    def images(self) -> Tensor:
        """(n, C, H, W) uint8: real images as the data's evaluation brings them; of validation, else of training.

        Of a classifier of images; `inputs` are those of any model.

        Raises:
            StudyError: none can be read.
        """
        data, section = cast(ImageData, self.data), self.config.data
        split = data.validation if len(data.validation) else data.train
        transform = eval_transform(section.eval_transform, section.image_size)
        found = list(islice(readable(split, range(len(split)), section.on_error == "skip"), EXAMPLES))
        if not found:
            raise StudyError(f"{self.path}: none of its images can be read, so no export could be compared on any")
        return torch.stack([transform(image) for image in found])

    @cached_property
    def inputs(self) -> Any:
        """A few real inputs as the data's evaluation brings them, on the CPU; of validation, else of training.

        Raises:
            StudyError: none can be read.
        """
        if self.classifies:
            return self.images
        split = self.data.validation if len(self.data.validation) else self.data.train
        pipeline = self.task.pipeline(self.config.data, self.data, torch.device("cpu"))
        batch = next(iter(pipeline.evaluation(split, batch_size=EXAMPLES).epoch(0)), None)
        if batch is None or not batch.counted:
            raise StudyError(f"{self.path}: none of its samples can be read, so no export could be compared on any")
        return batch.inputs

    @cached_property
    def program(self) -> Any:
        """The model with its preparation as an exported program, for ONNX and `torch.export`."""
        return trace(self.model, self.images)

    def fresh_model(self) -> StudyModel:
        """The same architecture with other weights, on the CPU, in eval mode."""
        return self.task.new_model(self.config, self.data, self.section.without_weights(), 1).eval()


@dataclass(frozen=True)
class Choice:
    """A model that was found by name, by role, or by the study's advice; nothing of it is loaded yet."""

    directory: StudyDirectory
    config: StudyConfig
    owner: Teacher | Cell
    chosen: str
    record: dict[str, Any]
    files: StudyFiles | None
    controls: Mapping[str, list[dict[str, Any]]]

    @property
    def section(self) -> ModelConfig:
        """The section of the configuration that describes the model."""
        return section_of(self.config, self.owner)

    def load(self) -> Subject:
        """Load the data and the weights.

        Raises:
            StudyError: the data are no longer those of the study.
            DataError: they cannot be read.
            ModelError: the weights are not of this model.
        """
        task = find_task(self.config.task)
        data, directory = task.load_data(self.config), self.directory
        if data_of(directory) not in {None, data.fingerprint}:
            raise StudyError(
                f"the data are not those that {directory.path} was made with, so the names of classes or tokens may be "
                "others; put them back"
            )
        model = task.new_model(self.config, data, self.section.without_weights(), 0)
        load_weights(model, _folder(directory, self.owner) / WEIGHTS_FILE)
        model.requires_grad_(False).eval()
        return Subject(
            directory.path, self.config, data, self.owner, self.chosen, self.record, model, self.files, self.controls
        )


def choose(path: Path, name: str | None) -> Choice:
    """Find the model of that name or role.

    Args:
        path: a study's folder, also one of `train-teacher` or `distill`.
        name: of a finished teacher (`a0.1-s0`) or student; "teacher" or "student": the best seed by validation of the
            recommended setting; "control": that of all students without a teacher; None: "student". Test figures are
            never looked at.

    Raises:
        StudyError: the folder is no study, or has no such model yet.
        ConfigError: an unknown name.
    """
    directory = study_at(path)
    check_config(directory.config)
    config = load_config(str(directory.config))
    files = read_study(path) if directory.results.is_file() else None
    plan = with_later_seeds(make_plan(config), config, directory)
    plan = settled(plan, directory, find_task(config.task).metric)
    models: list[Teacher | Cell] = [*plan.teachers, *plan.students]
    owners = {owner.name: owner for owner in models}
    records = {key: record for key, owner in owners.items() if (record := _record(directory, owner)) is not None}
    if name is None or name in ROLES:
        key, chosen = _best(path, plan, records, files, name or "student", config)
    elif name not in owners:
        raise ConfigError([f"MODEL: unknown model {name!r}; {did_you_mean(name, [*ROLES, *owners])}"])
    elif name not in records:
        raise StudyError(f"{path}: {name} was not trained to its end; start the study again, or name another model")
    else:
        key, chosen = name, "It was asked for by its name."
    if isinstance(owners[key], Teacher) and config.teacher.outputs:
        raise StudyError(f"{path}: the teacher {key} is known only by its outputs; there is no model to export")
    controls = _controls_beside(owners[key], plan, records)
    return Choice(directory, config, owners[key], chosen, records[key], files, controls)


def _controls_beside(
    owner: Teacher | Cell, plan: Plan, records: Mapping[str, dict[str, Any]]
) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    if isinstance(owner, Cell) and not owner.is_control:
        for control in plan.untaught:
            if control.student == owner.student and control.name in records:
                found.setdefault(without_teacher(control.label_smoothing), []).append(records[control.name])
    return found


def _folder(directory: StudyDirectory, owner: Teacher | Cell) -> Path:
    return directory.teacher(owner.name) if isinstance(owner, Teacher) else directory.student(owner.name)


def _record(directory: StudyDirectory, owner: Teacher | Cell) -> dict[str, Any] | None:
    record = read_record(_folder(directory, owner))
    return record if record is not None and record.get("status") in FINISHED else None


def _best(
    path: Path,
    plan: Plan,
    records: dict[str, dict[str, Any]],
    files: StudyFiles | None,
    role: str,
    config: StudyConfig,
) -> tuple[str, str]:
    """The best seed by validation of the recommended setting, or the only model there is; and how it was found."""
    recommended = (files.advice.get("recommendation") if files is not None else None) or {}
    of_role: dict[str, list[Teacher | Cell]] = {
        "teacher": [*plan.teachers], "student": [*plan.cells], "control": [*plan.untaught]
    }  # fmt: skip
    owners = [owner for owner in of_role[role] if owner.name in records]
    if role == "control" and not owners:
        raise StudyError(f"{path} has no finished student without a teacher; {_HOW_TO_CONTROL}")
    if role != "control" and not recommended:
        if len(owners) == 1:
            return owners[0].name, f"It is the only {role} of the study."
        names = ", ".join(owner.name for owner in owners[:5]) + (", …" if len(owners) > 5 else "")
        advice = f"name one of them: {names}" if owners else "run the study again with the same command to go on"
        raise StudyError(f"{path} recommends nothing yet and has {len(owners)} finished {role}s; {advice}")
    keys = {"teacher": ["label_smoothing"], "student": KEY, "control": []}[role]
    of_setting = [owner for owner in owners if all(getattr(owner, key) == recommended.get(key) for key in keys)]
    if not of_setting:
        raise StudyError(f"{path}: the recommended setting has no finished {role}; name a model")
    metric = find_task(config.task).metric
    best, known = best_by_validation({owner.name: records[owner.name] for owner in of_setting}, metric)
    if not known:
        which = "without a teacher" if role == "control" else "of the recommended setting"
        return best, f"It is the first seed {which}: there is no validation split."
    seeds = f"the best of {known} seeds by validation" if known > 1 else "the only seed"
    what = {"teacher": "of the recommended α", "control": "without a teacher"}.get(role, "of the recommended setting")
    return best, f"It is {seeds} {what}; test figures had no say."


def number(value: Any) -> float:
    """A figure of a record; NaN where it is none."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan

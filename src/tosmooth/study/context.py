"""What every stage of a study needs at hand."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeVar

import pandas as pd

from tosmooth.config.schema import ModelConfig, StudyConfig, TrainingConfig
from tosmooth.data.batches import Batches
from tosmooth.data.mixing import Mixing
from tosmooth.data.views import ViewSchedule
from tosmooth.errors import ConfigError, ModelError, StudyError
from tosmooth.folder.claim import check_usable, claim
from tosmooth.folder.growth import Change, in_words
from tosmooth.folder.lock import StudyLock
from tosmooth.folder.paths import CHECKPOINTS, WEIGHTS_FILE, StudyDirectory
from tosmooth.folder.reading import harmless, read_unreadable
from tosmooth.folder.remedies import made_again
from tosmooth.folder.sums import OF_MODEL
from tosmooth.folder.writing import read_record, write_csv, write_record
from tosmooth.losses.objectives import find_objective
from tosmooth.memory import blaming
from tosmooth.models.study_model import HiddenStateModel, StudyModel
from tosmooth.models.weights import load_weights
from tosmooth.study.bench import Bench, load_data
from tosmooth.study.kinds import Choice, Kind
from tosmooth.study.later_seeds import with_later_seeds
from tosmooth.study.learning_rates import choosable, settled
from tosmooth.study.peers import one_message
from tosmooth.study.plan import Cell, Plan, Teacher, make_plan, section_of
from tosmooth.study.progress import StudyProgress
from tosmooth.tasks.base import Split, StudyData
from tosmooth.tasks.find import find_task
from tosmooth.trackers.outbox import Tracking, check_trackers
from tosmooth.training.checkpoint import CheckpointStore
from tosmooth.training.compute import Compute
from tosmooth.training.device import APPLE_LEFT_ALONE, leaves_apple_alone
from tosmooth.training.optimization import build_optimizer
from tosmooth.training.stopping import Stopping

Owner = TypeVar("Owner", Teacher, Cell)

# `cache: auto` stores no more than this a teacher: whoever wants to spend more disk says how many views.
AUTO_CACHE_BYTES = 4 * 2**30
FUSED_FROM = 1000  # outputs; measured on two cores: 1.1 to 1.3 times faster at 2,000, 1.8 times at 32,000
MOST_FEATURES = 2048  # of the usual models; where there are more outputs, features are stored in their place


@dataclass(frozen=True)
class Context(Bench):
    """Configuration, data and device of one study in work, and its plan and folder."""

    plan: Plan
    directory: StudyDirectory
    progress: StudyProgress
    stopping: Stopping = field(default_factory=Stopping)
    group_limit: list[int] = field(default_factory=list)  # sizes of groups that fitted after one that did not
    looked_for_pixels: set[str] = field(default_factory=set)  # of "files" and "views": once a process and study
    tracking: Tracking | None = None  # of the process that has claimed the folder
    precisions: dict[Kind, Choice] = field(default_factory=dict)  # under `measured`; see `precision`
    _counted: dict[tuple[bool, str], int] = field(default_factory=dict)  # parameters by role and model

    @classmethod
    @contextmanager
    def open(
        cls,
        config: StudyConfig,
        root: Path,
        progress: StudyProgress,
        check: Callable[[StudyConfig, StudyData], object] = lambda config, data: None,
    ) -> Iterator[Context]:
        """Find the device, load the data, `check` them against the configuration, and only then claim the folder.

        The folder is locked, and signals are heard, until the block ends.
        """
        with Stopping() as stopping, ExitStack() as stack:
            context = cls.join(config, root, progress, check, stopping)
            directory, processes = context.directory, context.compute.processes

            def lock_and_claim() -> Change | None:
                check_usable(directory, context.estimated_bytes())
                try:
                    stack.enter_context(StudyLock(directory.state, str(directory.path), progress.note))
                except OSError as error:
                    raise StudyError(
                        f"{directory.path} cannot be written: {error.strerror}; choose another --output"
                    ) from None
                return claim(directory, context.config, context.data.fingerprint)

            change = processes.on_main(lock_and_claim)
            if change is not None:
                context.tell(change)
            stack.enter_context(one_message(processes, directory.state))
            if processes.main:
                tracking = stack.enter_context(Tracking(context.config, directory, progress.note))
                context = replace(context, tracking=tracking)
            yield context

    @classmethod
    def join(
        cls,
        config: StudyConfig,
        root: Path,
        progress: StudyProgress,
        check: Callable[[StudyConfig, StudyData], object] = lambda config, data: None,
        stopping: Stopping | None = None,
    ) -> Context:
        """The same without a claim: for a process that works on a study which another one has claimed."""
        check_trackers(config.trackers)
        compute = Compute.from_config(config.compute)
        if leaves_apple_alone(config.compute):
            progress.note_once(APPLE_LEFT_ALONE)
        if compute.graphs is not None:
            compute.graphs.note = progress.note_once
        progress.samples = find_task(config.task).samples

        def load() -> StudyData:
            data = load_data(config)
            check(config, data)
            if config.selection == "best" and not len(data.validation):
                raise ConfigError(
                    ["selection: best needs a validation split; set data.validation above 0, or selection=last"]
                )
            if (topk := config.student.topk) is not None and topk > data.num_outputs:
                raise ConfigError([f"student.topk: {topk} of {data.num_outputs} outputs; give fewer, or null for all"])
            find_task(config.task).check(config, data)
            return data

        if config.data.download:  # once, not in every process
            compute.processes.on_main(lambda: len(load_data(config).train))
        data = compute.processes.agree(load)
        for sentence in getattr(data, "unread", ()):  # a task of one's own need not have it
            progress.note(sentence)
        config = choosable(config, data, progress.note)
        directory = StudyDirectory(root / config.name)
        context = cls(config, data, compute, make_plan(config), directory, progress, stopping or Stopping())
        compute.processes.agree(context.check_schedules)
        compute.processes.agree(context.check_layers)
        return context.at_own_rates()

    def at_own_rates(self) -> Context:
        """The context with each setting at its own learning rate, as far as its trials have ended.

        And with the seeds that were added to the study, as far as they are planned by now.
        """
        directory, metric = self.directory, self.task.metric

        def plan() -> Plan:
            return settled(with_later_seeds(self.plan, self.config, directory), directory, metric)

        return replace(self, plan=self.compute.processes.on_main(plan))

    def tell(self, change: Change) -> None:
        """Say what a changed grid means for the students."""
        kept = sum(self.read_record(cell) is not None for cell in self.plan.students)
        names = {cell.name for cell in self.plan.students}
        aside = sum(path.name not in names for path in self.directory.students.glob("*"))
        open_trials = any(self.read_record(cell) is None for group in self.plan.trials for cell in group)
        new = len(self.plan.students) - kept
        self.progress.note(in_words(change, new, kept, aside, at_least=open_trials))

    @cached_property
    def checkpoints(self) -> CheckpointStore:
        """Checkpoints of models in training."""
        return CheckpointStore(self.directory.state / CHECKPOINTS, warn=self.progress.note)

    @property
    def selection(self) -> Literal["best", "last", "best_on_test"]:
        """The selection rule, with `auto` resolved against the data."""
        return self.config.kept_epoch(validated=len(self.data.validation) > 0)

    @property
    def selection_split_name(self) -> Literal["val", "test"]:
        """The split the kept epoch is chosen on: validation, or test where `best_on_test` asks for it."""
        return "test" if self.selection == "best_on_test" else "val"

    @property
    def selection_split(self) -> Split:
        """That split; empty where there is no validation."""
        split: Split = self.data.test if self.selection_split_name == "test" else self.data.validation
        return split

    @property
    def cache_directory(self) -> Path:
        """The folder of all caches: beside the studies, so that they share it."""
        given = self.config.cache.directory
        return given.expanduser() if given is not None else self.directory.path.parent / ".cache"

    @property
    def taught(self) -> Any:
        """The split that students learn a teacher's answers to: training, and images without labels where there are."""
        return getattr(self.data, "taught", self.data.train)

    def split_of(self, cell: Cell) -> Any:
        """The split that a student learns from; those without a teacher take as many steps an epoch as the others."""
        return self.taught if cell.distilled else getattr(self.data, "untaught", self.data.train)

    def training_batches(
        self, training: TrainingConfig, seed: int, views: ViewSchedule | None = None, split: Any = None
    ) -> Batches:
        """The training split, shuffled and augmented by `seed`.

        Args:
            training: whose batch size.
            seed: of order and augmentation.
            views: as stored; None for fresh ones.
            split: other samples than those of the training split, such as a teacher's translations.
        """
        samples = self.data.train if split is None else split
        with blaming("where its data are put on the device: data.in_memory=off leaves images where they are"):
            batches = self.pipeline.training(samples, batch_size=training.batch_size, seed=seed, views=views)
        batches.neighbours = training.mixing.on
        return batches

    def mixing(self, training: TrainingConfig, seed: int) -> Mixing | None:
        """How the batches of a teacher's or student's section are mixed; None where they are not."""
        return Mixing(training.mixing, self.data.num_outputs, seed) if training.mixing.on else None

    @cached_property
    def stored_views(self) -> int | None:
        """V, the views of each training image that teachers are asked about once and for all; None: they run live.

        `auto` stores all outcomes of the augmentation, so that students see exactly what they would see live, and only
        where computing them takes at most half of the teacher passes that it saves. A mixed image is never seen twice.
        """
        views = self.config.cache.views
        if views == "off" or self.config.student.mixing.on or self.config.teacher.outputs:
            return None
        outcomes = self.pipeline.training_outcomes(self.taught)
        if views != "auto":
            return views if outcomes is None else min(views, outcomes)  # more would only repeat them
        seeds = 1 if self.config.paired_seeds else len(self.config.student.seeds)  # that learn from one teacher
        passes = seeds * self.config.student.epochs
        if outcomes is None or 2 * outcomes > passes:
            return None
        nbytes = 2 * outcomes * len(self.taught) * self._stored_width()
        return outcomes if nbytes <= AUTO_CACHE_BYTES else None

    def _stored_width(self) -> int:
        """About how many numbers are stored of a teacher's answer: features, where they are fewer than outputs."""
        if self.task.hidden_states:
            model = self.new_model(self.config.teacher.model.without_weights(), 0)
            if isinstance(model, HiddenStateModel):
                return min(self.data.num_outputs, model.last_layer.in_features)
        return min(self.data.num_outputs, MOST_FEATURES)

    def check_schedules(self) -> None:
        """A warm-up in steps must end within the training; how many steps there are, only the data tell.

        Raises:
            ConfigError: it does not.
        """
        of_student: tuple[str, TrainingConfig, Any] = ("student", self.config.student, self.taught)
        for name, section, split in (("teacher", self.config.teacher, self.data.train), of_student):
            if not section.schedule.warmup_steps:
                continue
            steps = section.epochs * len(self.training_batches(section, 0, split=split))
            if section.schedule.warmup_steps >= steps:
                raise ConfigError(
                    [
                        f"{name}.schedule.warmup_steps: {section.schedule.warmup_steps} leaves nothing of the {steps} "
                        f"steps of {section.epochs} epochs; give fewer"
                    ]
                )

    def check_layers(self) -> None:
        """Learning rates by layer need models that tell their layers; which ones do, only the built models tell.

        Raises:
            ConfigError: one does not.
        """
        mistakes = []
        teacher, student = self.config.teacher, self.config.student
        trained = [teacher.model] if any(not own.given for own in self.plan.teachers) else []
        sections: tuple[tuple[str, TrainingConfig, list[ModelConfig]], ...] = (
            ("teacher", teacher, trained),
            ("student", student, student.all_models),
        )
        for name, section, models in sections:
            for model in models if section.optimizer.layer_decay is not None else []:
                try:
                    build_optimizer(self.new_model(model.without_weights(), 0).backbone, section.optimizer)
                except ModelError as error:
                    mistakes.append(f"{name}.optimizer.layer_decay: {model.name}: {error}")
        if mistakes:
            raise ConfigError(mistakes)

    @cached_property
    def fused_loss(self) -> bool:
        """Whether students learn by the fused loss; one process only, as DDP wants the whole model in its forward."""
        asked, alone = self.config.compute.fused_loss, self.compute.processes.world == 1
        if not self.task.hidden_states or asked == "off" or not alone:
            return False
        wanted = [find_objective(name) for name in self.config.student.objectives]
        known = all(objective.fused or objective.relabels for objective in wanted)  # others want all logits
        return asked == "on" or (known and self.data.num_outputs >= FUSED_FROM)

    def model_section(self, owner: Teacher | Cell) -> ModelConfig:
        """The section of the configuration that describes a teacher's or a student's model."""
        return section_of(self.config, owner)

    def trained_model(self, owner: Teacher | Cell) -> StudyModel:
        """A teacher or student with its kept weights, on the device, in eval mode.

        Raises:
            StudyError: they are missing or damaged.
        """
        folder = self.folder(owner)
        model = self.new_model(self.model_section(owner).without_weights(), 0)
        try:
            load_weights(model, folder / WEIGHTS_FILE)
        except ModelError as error:
            raise StudyError(f"{error}; {made_again(folder)}") from None
        return self.compute.place(model).eval()

    def count_parameters(self, section: ModelConfig) -> int:
        """Parameters of a section's model; the architecture decides, so no weights are fetched."""
        return sum(p.numel() for p in self.new_model(section.without_weights(), 0).parameters())

    def parameters_of(self, owner: Teacher | Cell) -> int:
        """Parameters of a teacher's or a student's model."""
        section = self.model_section(owner)
        if isinstance(owner, Teacher) and self.config.teacher.outputs:
            return 0
        key = (isinstance(owner, Teacher), section.name)
        if key not in self._counted:
            self._counted[key] = self.count_parameters(section)
        return self._counted[key]

    def last_layer(self, owner: Teacher | Cell) -> str | None:
        """The configured name of the last linear layer, if one was given."""
        return self.model_section(owner).last_layer

    def measure(self, owner: Teacher | Cell, model: StudyModel, split: str) -> dict[str, Any]:
        """What the task measures of a finished model beside the pass over its samples; rank 0 does it for all.

        Args:
            owner: the teacher or cell.
            model: with its kept weights.
            split: "val" or "test".
        """
        if self.task.measuring is not None:
            split_name = {"val": "validation", "test": "test"}[split]
            self.progress.stage(f"{self.task.measuring} the {split_name} split: {owner.name}")
        arguments = self.config, self.data, model, split, self.compute, self.folder(owner)
        return self.compute.processes.on_main(lambda: self.task.measure(*arguments))

    def folder(self, owner: Teacher | Cell) -> Path:
        """The folder of a teacher or of a cell's student."""
        is_teacher = isinstance(owner, Teacher)
        return self.directory.teacher(owner.name) if is_teacher else self.directory.student(owner.name)

    def read_record(self, owner: Teacher | Cell) -> dict[str, Any] | None:
        """What `write_record` wrote, or None where this model is not finished."""
        return read_record(self.folder(owner))

    def write_record(self, owner: Teacher | Cell, record: Mapping[str, Any], renewed: Iterable[str] = OF_MODEL) -> None:
        """Mark a model as finished, with its figures and the sums of its files. Written last: without it, the model is
        trained again.

        `renewed`: its files that were written since an earlier record.
        """
        self.compute.processes.on_main(lambda: write_record(self.folder(owner), record, renewed))

    def unfinished(self, owners: Iterable[Owner]) -> list[Owner]:
        """Those without a result; rank 0 looks, so that all processes work on the same ones."""
        return self.compute.processes.on_main(lambda: [own for own in owners if self.read_record(own) is None])

    def finished(self, name: str) -> bool:
        """Whether the teacher or cell of that name has a result, or belongs to the grid no more."""
        owners: list[Teacher | Cell] = [*self.plan.teachers, *self.plan.students]
        return all(self.read_record(owner) is not None for owner in owners if owner.name == name)

    def write_unreadable(self) -> None:
        """Write the list of images that were left out, as far as it is known."""
        path = self.directory.unreadable
        found = {line for lines in self.compute.processes.gather(list(self.pipeline.unreadable)) for line in lines}
        if found and self.compute.processes.main:
            known = {harmless(line) for line in found} | set(read_unreadable(path))
            write_csv(path, pd.DataFrame({"image": sorted(known)}))

    def estimated_bytes(self) -> int:
        """Roughly what the study writes: two sets of weights a model, its centroids, and the report."""
        needed = 30_000_000  # report, figures, tables
        owners: list[Teacher | Cell] = [*self.plan.teachers, *self.plan.students]
        for owner in owners:
            needed += 8 * self.parameters_of(owner) + 32 * self.data.num_classes * 2048
        return needed

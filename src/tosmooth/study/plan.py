"""From a configuration to the work: teachers, cells of the grid, and the groups that train together.

Names say what a model is, not where it stands in the grid, so that they stay when the grid grows. The students of the
first teacher seed go without its number: a study that was begun with one teacher seed keeps their names.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

from tosmooth.advice.units import Setting, reference_temperature
from tosmooth.config.schema import ModelConfig, StudyConfig
from tosmooth.files import path_safe, short_digest
from tosmooth.losses.objectives import CONTROL_LOSSES, find_objective, has_temperature


@dataclass(frozen=True)
class Teacher:
    """One teacher of the study."""

    name: str
    label_smoothing: float
    seed: int
    checkpoint: Path | None
    given: bool = False  # taken as the checkpoint has it, not trained


@dataclass(frozen=True)
class Cell:
    """One student: (teacher α, teacher seed, T, objective, student model, seed), at a learning rate.

    `objective` is what tables call it: the objective, and the weight of hard labels where the grid has several and
    this one is above 0. A control has no teacher: its `objective` is a loss of `CONTROL_LOSSES`, α is the smoothing of
    its own labels, and T and the teacher's seed stand for nothing.
    """

    name: str
    teacher: str
    label_smoothing: float
    teacher_seed: int
    temperature: float
    objective: str
    student: str
    seed: int
    rate: float = 1.0  # factor of the student section's learning rate
    loss: str = ""  # the objective's registered name
    hard_weight: float = 0.0  # of the hard-label cross-entropy

    @property
    def is_control(self) -> bool:
        """Whether it is trained without a teacher."""
        return not self.teacher

    @property
    def relabels(self) -> bool:
        """Whether it learns its teacher's translations as labels."""
        return not self.is_control and find_objective(self.loss).relabels

    @property
    def distilled(self) -> bool:
        """Whether it learns from a teacher's answers, rather than from labels."""
        return not self.is_control and not self.relabels

    @property
    def setting(self) -> Setting:
        """The setting that this student is a replicate of."""
        return (self.objective, self.label_smoothing, self.temperature, self.student)

    @property
    def columns(self) -> dict[str, Any]:
        """Who it is, as tables of students have it."""
        return {
            "cell": self.name,
            "objective": self.objective,
            "label_smoothing": self.label_smoothing,
            "temperature": None if self.is_control else self.temperature,
            "student": self.student,
            "seed": self.seed,
            "teacher": self.teacher,
            "teacher_seed": None if self.is_control else self.teacher_seed,
        }

    def at_rate(self, rate: float) -> Cell:
        """The same student at another learning rate; its name says the factor, unless that is 1."""
        return replace(self, rate=rate, name=self.name.removesuffix(_rate_label(self.rate)) + _rate_label(rate))


def _rate_label(rate: float) -> str:
    return "" if rate == 1 else f"-lr{rate:.12g}"


@dataclass(frozen=True)
class Plan:
    """All teachers, and the students.

    Attributes:
        teachers: in their order.
        groups: the grid: one student for every setting and pair of seeds; where seeds are paired, a student seed has
            the teachers of one teacher seed alone. One group per student seed, in the order they run.
        controls: the students without a teacher, one group per student seed.
        trials: where there are several learning rates: the students of the first seeds at every one of them, one group
            per seed. By these each setting gets its own rate (`study.learning_rates`).
    """

    teachers: tuple[Teacher, ...]
    groups: tuple[tuple[Cell, ...], ...]
    controls: tuple[tuple[Cell, ...], ...] = ()
    trials: tuple[tuple[Cell, ...], ...] = ()

    @property
    def cells(self) -> tuple[Cell, ...]:
        """The students of the grid, group after group."""
        return tuple(cell for group in self.groups for cell in group)

    @property
    def untaught(self) -> tuple[Cell, ...]:
        """The students without a teacher, seed after seed."""
        return tuple(cell for group in self.controls for cell in group)

    @property
    def kept(self) -> tuple[Cell, ...]:
        """The students that figures and tables are of: those of the grid and the controls, seed after seed."""
        return tuple(cell for group in self.together for cell in group)

    @property
    def together(self) -> tuple[tuple[Cell, ...], ...]:
        """The students of each seed that train side by side: of the grid, and its controls."""
        controls = self.controls or ((),) * len(self.groups)
        return tuple((*group, *own) for group, own in zip(self.groups, controls, strict=True))

    @property
    def students(self) -> tuple[Cell, ...]:
        """All students that are trained: trials, then those of the grid and controls that are no trial."""
        return tuple(dict.fromkeys(cell for group in (*self.trials, *self.together) for cell in group))

    def at_rates(self, rates: Mapping[Setting, float]) -> Plan:
        """The plan with the students of these settings at these learning rates, but for its trials."""
        groups, controls = (
            tuple(tuple(cell.at_rate(rates.get(cell.setting, cell.rate)) for cell in group) for group in own)
            for own in (self.groups, self.controls)
        )
        return replace(self, groups=groups, controls=controls)

    def only(self, wanted: Callable[[Cell], bool]) -> Plan:
        """The plan with some of the students that have a teacher; controls and groups stay, even empty ones."""
        groups, trials = (
            tuple(tuple(cell for cell in group if cell.is_control or wanted(cell)) for group in own)
            for own in (self.groups, self.trials)
        )
        return replace(self, groups=groups, trials=trials)


def section_of(config: StudyConfig, owner: Teacher | Cell) -> ModelConfig:
    """The section of the configuration that describes a teacher's or a student's model."""
    if isinstance(owner, Teacher):
        return config.teacher.model
    return next(model for model in config.student.all_models if model.name == owner.student)


def objective_label(objective: str, options: Mapping[str, Any]) -> str:
    """An objective with its options as part of a folder name: `dkd-alpha1-beta4`; without options, its name alone.

    Other options are another loss, and must never take over the students of these.
    """
    if objective != path_safe(objective):  # a user's own, with signs that no folder takes
        objective = f"{path_safe(objective)}-{short_digest(objective)}"
    if not options:
        return objective
    ordered = sorted(options.items())
    if all(isinstance(value, int | float) and not isinstance(value, bool) for _, value in ordered):
        return "-".join([objective, *(f"{key}{float(value):.12g}" for key, value in ordered)])
    return f"{objective}-{short_digest(json.dumps(ordered, default=str))}"


def _weights(config: StudyConfig, alpha: float, position: int) -> Path | None:
    """The file that a teacher is, or starts from; `position` of its seed in the list."""
    given = config.teacher.given.get(alpha)
    return given[position] if given is not None else config.teacher.checkpoints.get(alpha)


def make_plan(config: StudyConfig) -> Plan:
    """The grid in a fixed order: seed, student model, objective, weight of hard labels, teacher seed, α, T."""
    teachers = tuple(
        Teacher(f"a{alpha:g}-s{seed}", alpha, seed, _weights(config, alpha, position), config.teacher.is_given(alpha))
        for (position, seed), alpha in product(enumerate(config.teacher.seeds), config.teacher.label_smoothing)
    )
    student, first = config.student, config.teacher.seeds[0]
    lowest, weights = reference_temperature(student.temperatures), student.hard_weight
    paired = config.paired_seeds
    labels = {name: objective_label(name, student.objective_options.get(name, {})) for name in student.objectives}
    groups = tuple(
        tuple(
            Cell(
                name=f"{labels[objective]}{'' if weight == weights[0] else f'-hard{weight:g}'}"
                f"-a{teacher.label_smoothing:g}-T{temperature:g}-{path_safe(model.name)}-s{seed}"
                + ("" if teacher.seed == first else f"-t{teacher.seed}"),
                teacher=teacher.name,
                label_smoothing=teacher.label_smoothing,
                teacher_seed=teacher.seed,
                temperature=temperature,
                objective=f"{objective} + {weight:g} hard" if weight and len(weights) > 1 else objective,
                student=model.name,
                seed=seed,
                loss=objective,
                hard_weight=weight,
            ).at_rate(student.shared_rate)
            for model, objective, weight, teacher, temperature in product(
                student.all_models, student.objectives, weights, teachers, student.temperatures
            )
            if paired.get(seed, teacher.seed) == teacher.seed
            and (has_temperature(objective) or (temperature, weight) == (lowest, weights[0]))
        )
        for seed in student.seeds
    )
    plan = Plan(teachers, groups, _controls(config))
    return replace(plan, trials=_trials(config, plan.together))


def _controls(config: StudyConfig) -> tuple[tuple[Cell, ...], ...]:
    """The students of each seed that have no teacher: one for each loss and student model."""
    student = config.student
    return tuple(
        tuple(
            Cell(
                name=f"{CONTROL_LOSSES[alpha > 0]}{f'{alpha:g}' if alpha else ''}-{path_safe(model.name)}-s{seed}",
                teacher="",
                label_smoothing=alpha,
                teacher_seed=config.teacher.seeds[0],
                temperature=1.0,
                objective=CONTROL_LOSSES[alpha > 0],
                student=model.name,
                seed=seed,
            ).at_rate(student.shared_rate)
            for model, alpha in product(student.all_models, student.control_smoothings)
        )
        for seed in student.seeds
    )


def _trials(config: StudyConfig, groups: tuple[tuple[Cell, ...], ...]) -> tuple[tuple[Cell, ...], ...]:
    rates, first = config.student.learning_rates, config.teacher.seeds[0]
    if len(rates) == 1:
        return ()
    choosing, paired = groups[: config.student.learning_rate_seeds], config.paired_seeds
    return tuple(
        tuple(cell.at_rate(rate) for cell in group if paired or cell.teacher_seed == first for rate in rates)
        for group in choosing
    )

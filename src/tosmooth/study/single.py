"""Parts of a study on their own: only the teachers, one student, one evaluation, the projection again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tosmooth.config.schema import StudyConfig
from tosmooth.errors import ConfigError, StudyError, did_you_mean
from tosmooth.folder.paths import WEIGHTS_FILE, StudyDirectory
from tosmooth.folder.results import load_study
from tosmooth.recipes.reading import load_config
from tosmooth.report.build import build_report
from tosmooth.study.context import Context, load_data
from tosmooth.study.plan import make_plan
from tosmooth.study.progress import StudyProgress
from tosmooth.study.projection import analyse_projection, given_classes
from tosmooth.study.results import failures, finished_cells, read_test_of
from tosmooth.study.stages import train_students, train_teachers
from tosmooth.study.teacher_answers import StudyTeaching
from tosmooth.training.compute import Compute
from tosmooth.training.evaluation import evaluate


def train_only_teachers(config: StudyConfig, root: Path, progress: StudyProgress | None = None) -> list[dict[str, Any]]:
    """Train the teachers of a study; returns one record per teacher, with the path of its weights."""
    with progress or StudyProgress() as shown, Context.open(config, root, shown) as context:
        train_teachers(context)
    return [
        {"teacher": teacher.name, **(context.read_record(teacher) or {})}
        | {"weights": str(context.folder(teacher) / WEIGHTS_FILE)}
        for teacher in context.plan.teachers
    ]


def distill_one(config: StudyConfig, root: Path, progress: StudyProgress | None = None) -> list[dict[str, Any]]:
    """Train (or take over) the teacher, distil every cell of a small grid, and read the test split at the end.

    Returns:
        One record per student, with its metrics and the path of its weights.
    """
    with progress or StudyProgress() as shown, Context.open(config, root, shown, given_classes) as context:
        train_teachers(context)
        teaching = StudyTeaching(context)
        for group in context.plan.groups:
            train_students(context, group, teaching)
        batches = context.evaluation_batches(context.data.test)
        rows = []
        for cell in finished_cells(context).values():
            read_test_of(context, cell, batches)
            record = context.read_record(cell) or {}
            rows.append({"student": cell.name, **record, "weights": str(context.folder(cell) / WEIGHTS_FILE)})
    if not rows:
        raise StudyError("no student was trained to the end:\n" + "\n".join(failures(context)))
    return rows


def evaluate_weights(config: StudyConfig, weights: Path, role: str, split: str) -> dict[str, Any]:
    """Metrics of saved weights on a split.

    Args:
        role: "student", "teacher" or the name of a student model: whose model section the weights belong to.
        split: "train", "validation" or "test".
    """
    sections = {model.name: model for model in config.student.all_models}
    sections |= {"student": config.student.model, "teacher": config.teacher.model}
    if role not in sections:
        raise ConfigError([f"--role: unknown role {role!r}; {did_you_mean(role, sections)}"])
    compute = Compute.from_config(config.compute)
    data = load_data(config)
    splits = {"train": data.train, "validation": data.validation, "test": data.test}
    if split not in splits:
        raise ConfigError([f"--split: unknown split {split!r}; {did_you_mean(split, splits)}"])
    if not len(splits[split]):
        raise ConfigError([f"--split: there is no {split} split (data.validation={config.data.validation:g})"])
    context = Context(config, make_plan(config), StudyDirectory(Path()), data, compute, StudyProgress())
    context.task.check_weights(data, weights)
    model = context.loaded_model(sections[role], weights)
    found = evaluate(model, context.evaluation_batches(splits[split]), compute)
    figures = found.metrics.compute() | context.task.score(config, data, model, splits[split], compute)
    figures |= context.task.of_correct(splits[split], found.correct)
    return {"weights": str(weights), "split": split, context.task.samples: len(splits[split]), **figures}


def project_study(path: Path, classes: str | None, plane: str) -> Path:
    """Compute and draw the projection of a finished study again, for other classes or another plane."""
    if plane not in {"algorithm1", "templates"}:
        raise ConfigError([f"--plane: unknown plane {plane!r}; {did_you_mean(plane, ['algorithm1', 'templates'])}"])
    load_study(path)  # refuses what is not a study, before anything is loaded
    config = load_config(str(StudyDirectory(path).config))
    data = load_data(config)
    if classes is not None:
        indices = [_class_index(text.strip(), data.classes) for text in classes.split(",")]
        if len(indices) != 3:
            raise ConfigError([f"--classes: three classes are projected, {len(indices)} given"])
        analysis = config.analysis.model_copy(update={"projection_classes": indices})
        config = config.model_copy(update={"analysis": analysis})
    compute = Compute.from_config(config.compute)
    context = Context(config, make_plan(config), StudyDirectory(path), data, compute, StudyProgress())
    analyse_projection(context, finished_cells(context), plane=plane)
    return build_report(path)


def _class_index(text: str, names: tuple[str, ...]) -> int:
    if text in names:
        return names.index(text)
    if text.isdigit() and int(text) < len(names):
        return int(text)
    raise ConfigError([f"--classes: unknown class {text!r}; {did_you_mean(text, names)}"])

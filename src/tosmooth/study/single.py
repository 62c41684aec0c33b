"""Parts of a study on their own: only the teachers, one evaluation, the projection again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tosmooth.config.schema import StudyConfig
from tosmooth.errors import ConfigError, did_you_mean
from tosmooth.folder.paths import WEIGHTS_FILE, StudyDirectory
from tosmooth.folder.results import load_study
from tosmooth.folder.strange import study_at
from tosmooth.recipes.reading import load_config
from tosmooth.report.build import build_report
from tosmooth.study.bench import Bench
from tosmooth.study.context import Context
from tosmooth.study.given_outputs import refuse_outputs
from tosmooth.study.plan import make_plan
from tosmooth.study.progress import StudyProgress
from tosmooth.study.projection import analyse_projection
from tosmooth.study.results import finished_cells
from tosmooth.study.stages import train_teachers
from tosmooth.training.evaluation import evaluate


def train_only_teachers(config: StudyConfig, root: Path, progress: StudyProgress | None = None) -> list[dict[str, Any]]:
    """Train the teachers of a study; returns one record per teacher, with the path of its weights."""
    refuse_outputs(config)
    with progress or StudyProgress() as shown, Context.open(config, root, shown) as context:
        train_teachers(context)
    return [
        {"teacher": teacher.name, **(context.read_record(teacher) or {})}
        | {"weights": str(context.folder(teacher) / WEIGHTS_FILE)}
        for teacher in context.plan.teachers
    ]


def evaluate_weights(config: StudyConfig, weights: Path, role: str, split: str, *, ema: bool = False) -> dict[str, Any]:
    """Metrics of saved weights on a split.

    Args:
        role: "student", "teacher" or the name of a student model: whose model section the weights belong to.
        split: "train", "validation" or "test".
        ema: take the averaged weights of a file that has plain ones, too.
    """
    sections = {model.name: model for model in config.student.all_models}
    sections |= {"student": config.student.model, "teacher": config.teacher.model}
    if role not in sections:
        raise ConfigError([f"--role: unknown role {role!r}; {did_you_mean(role, sections)}"])
    bench = Bench.of(config)
    samples, data, task = bench.split(split), bench.data, bench.task
    task.check_weights(data, weights)
    model = bench.loaded_model(sections[role].of_averages(ema), weights)
    found = evaluate(model, bench.evaluation_batches(samples), bench.compute)
    figures = found.metrics.compute() | task.score(config, data, model, samples, bench.compute)
    figures |= task.of_correct(samples, found.correct)
    notes = {"notes": list(model.notes)} if model.notes else {}
    return {"weights": str(weights), "split": split, task.samples: len(samples), **figures, **notes}


def project_study(path: Path, classes: str | None, plane: str) -> Path:
    """Compute and draw the projection of a finished study again, for other classes or another plane."""
    if plane not in {"algorithm1", "templates"}:
        raise ConfigError([f"--plane: unknown plane {plane!r}; {did_you_mean(plane, ['algorithm1', 'templates'])}"])
    study_at(path, written=True)  # before anything is loaded
    load_study(path)
    config = load_config(str(StudyDirectory(path).config))
    bench = Bench.of(config)
    if classes is not None:
        indices = [_class_index(text.strip(), bench.data.classes) for text in classes.split(",")]
        if len(indices) != 3:
            raise ConfigError([f"--classes: three classes are projected, {len(indices)} given"])
        analysis = config.analysis.model_copy(update={"projection_classes": indices})
        config = config.model_copy(update={"analysis": analysis})
    directory = StudyDirectory(path)
    context = Context(config, bench.data, bench.compute, make_plan(config), directory, StudyProgress()).at_own_rates()
    analyse_projection(context, finished_cells(context), plane=plane)
    return build_report(path)


def _class_index(text: str, names: tuple[str, ...]) -> int:
    if text in names:
        return names.index(text)
    if text.isdigit() and int(text) < len(names):
        return int(text)
    raise ConfigError([f"--classes: unknown class {text!r}; {did_you_mean(text, names)}"])

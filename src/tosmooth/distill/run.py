"""From a call to a distilled, evaluated and exported student.

What the teacher is and which T it meets comes from a recipe or from an audit (`settling`). From there on it is one way:
train, choose by validation, read the test split once, export, and write down what was done.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

from tosmooth.analysis.mixed_answers import ImageMixing
from tosmooth.audit.page import write_audit
from tosmooth.audit.result import Seen
from tosmooth.audit.seeing import as_right, doubt, is_poor
from tosmooth.audit.teacher import audit_model, can_be_audited
from tosmooth.config.schema import StudyConfig
from tosmooth.distill.announcing import announce
from tosmooth.distill.call import Call
from tosmooth.distill.given import AUDITED_TEMPERATURES, ask_about_poor, summary_of
from tosmooth.distill.outcome import (
    ONE_SEED,
    choose,
    control_of,
    following,
    gained,
    left_out,
    no_worse,
    origin,
    row_of,
    shortfalls,
    teacher_row,
    unfinished,
)
from tosmooth.distill.outputs import settle_by_outputs
from tosmooth.distill.settling import Settled, settle_by_audit, settle_by_recipe, warning
from tosmooth.distill.start import formats_of, starting_config
from tosmooth.errors import StudyError, UnfetchedError
from tosmooth.export.export import export_model
from tosmooth.export.folder import refuse_unless_ours
from tosmooth.files import write_bytes
from tosmooth.folder.curves import read_curve
from tosmooth.folder.judged import read_correct
from tosmooth.folder.paths import AUDIT_FILE, AUDIT_PAGE_FILE, AUDIT_SUMMARY_FILE, CURVE_FILE, DISTILL_FILE, EXPORT
from tosmooth.folder.writing import load_json, plain, write_json
from tosmooth.study.context import Context
from tosmooth.study.on_test import read_test_of
from tosmooth.study.plan import Cell, Teacher
from tosmooth.study.progress import StudyProgress
from tosmooth.study.projection import given_classes
from tosmooth.study.results import failures, finished_cells, require_finished
from tosmooth.study.run import expect_work
from tosmooth.study.stages import train_grid, train_teachers


def distill(call: Call, root: Path, progress: StudyProgress | None = None) -> dict[str, Any]:
    """Settle teacher and T, distil, choose by validation, read test once, export.

    Args:
        call: the arguments.
        root: folder that holds the studies.
        progress: where progress is shown; None = a bar on stderr.

    Returns:
        What was decided and measured, as in `distill.json`.

    Raises:
        TosmoothError: anything wrong with the call, the data, the models or the training, in one sentence.
    """
    start = starting_config(call)
    refuse_unless_ours(root / start.name / EXPORT)  # before all the work, not after it
    try:
        with progress or StudyProgress() as shown:
            if call.outputs:
                settled = settle_by_outputs(call, start, root, shown)
            else:
                settled = settle_by_recipe(call, start) if call.of_recipe else settle_by_audit(call, start, root, shown)
            with Context.open(settled.config, root, shown, given_classes) as context:
                return _distill(call, context, settled)
    except UnfetchedError as error:
        if call.of_recipe:
            raise
        raise UnfetchedError(error.model, error.reason, _remedy(error.model, start)) from None


def _remedy(model: str, start: StudyConfig) -> str:
    """What can be done where a model's weights cannot be fetched."""
    teachers = model == start.teacher.model.name
    if model.startswith("hf:"):  # of which a file of weights is not enough
        return f"give its folder: {'--teacher' if teachers else '--student'} hf:FOLDER"
    if teachers:
        return f"give the file: --teacher FILE --teacher-model {model}"
    return "give the file: student.model.checkpoint=FILE student.model.pretrained=false (or --from-scratch)"


def _distill(call: Call, context: Context, settled: Settled) -> dict[str, Any]:
    on_main, metric = context.compute.processes.on_main, context.task.metric
    context = _of_settled_temperatures(context, settled)
    announce(context, settled)
    expect_work(context)
    train_teachers(context)
    audits = on_main(lambda: _audits(call, context, settled))
    warnings = _known_before(call, context, settled)
    for text in warnings:
        context.progress.note(f"warning: {text}")
    train_grid(context)
    context = context.at_own_rates()
    done = on_main(lambda: require_finished(context))

    controls = on_main(lambda: list(finished_cells(context, context.plan.untaught).values()))
    scores = on_main(lambda: _validation_of(context, [*context.plan.teachers, *done.values(), *controls]))
    better = {name: None if (score := scores[name]) is None else metric.sign * score for name in done}
    chosen, how = choose(list(done.values()), better)
    if tried := len(context.config.student.learning_rates) - 1:
        rate = context.config.student.peak_rate(chosen.rate)
        how += f", at learning rate {rate:g}, the best of {tried + 1} by validation"
    teacher = next(teacher for teacher in context.plan.teachers if teacher.name == chosen.teacher)
    context.progress.stage("reading the test split, once")
    read_test_of(context, [teacher, chosen, *controls])
    context.write_unreadable()
    if metric.counts_right:
        warnings += shortfalls(scores[teacher.name], scores[chosen.name], context.data.num_classes)
        curve = on_main(lambda: _curve(context, chosen))
        warnings += unfinished(metric, scores[chosen.name], scores[teacher.name], curve)
    warnings += no_worse(metric, scores[chosen.name], [scores[control.name] for control in controls])
    if len(context.plan.cells) > 1 and len(context.config.student.seeds) == 1:
        warnings.append(ONE_SEED)

    def conclude() -> dict[str, Any]:
        result: dict[str, Any] = {
            "study": str(context.directory.path),
            "relation": None if settled.given is None else settled.given.relation,
            "distilled_on": {
                "labelled": len(context.data.train),
                "unlabelled": len(context.taught) - len(context.data.train),
            },
            "metric": {"name": metric.name, "unit": metric.unit},
            "teachers": [teacher_row(context, one, settled, audits[one.name]) for one in context.plan.teachers],
            "students": [row_of(context, cell) for cell in done.values()],
            "controls": [row_of(context, cell) for cell in controls],
            "failures": failures(context),
            "chosen": chosen.name,
            "gained": _gained(context, chosen, controls),
            "how": how,
            "warnings": [*warnings, *left_out(context)],
            "notes": [*(() if settled.given is None else settled.given.notes), *context.data.notes],
            "following": following(call, context),
            "export": _exported(call, context, chosen),
        }
        write_json(context.directory.path / DISTILL_FILE, result)
        _tell_trackers(context, result)
        return cast(dict[str, Any], plain(result))

    return on_main(conclude)


def _curve(context: Context, cell: Cell) -> list[float]:
    """Of the chosen student, on validation; empty where there is none, or not every epoch has a figure."""
    with suppress(StudyError):
        return read_curve(context.folder(cell) / CURVE_FILE, "", context.task.metric.judged_by.val)
    return []


def _gained(context: Context, chosen: Cell, controls: Sequence[Cell]) -> dict[str, float] | None:
    """Over the control of the same seed; None where there is none, or right and wrong are not counted."""
    control = control_of(chosen, controls)
    if control is None or not context.task.metric.counts_right:
        return None
    ours, without = (read_correct(context.folder(cell), "test") for cell in (chosen, control))
    return gained(ours, without)


def _validation_of(context: Context, owners: Sequence[Teacher | Cell]) -> dict[str, float | None]:
    """The metric on validation by name; None where there is none."""
    return {owner.name: (context.read_record(owner) or {}).get(context.task.metric.val) for owner in owners}


def _of_settled_temperatures(context: Context, settled: Settled) -> Context:
    """The context with a plan in which each teacher meets its own temperatures only."""

    def meets(cell: Cell) -> bool:
        return cell.temperature in settled.temperatures[cell.label_smoothing].values

    return dataclasses.replace(context, plan=context.plan.only(meets))


def _audits(call: Call, context: Context, settled: Settled) -> dict[str, dict[str, Any] | None]:
    """The audit of every teacher by its name. How often it is right is told before it teaches, and asked about.

    Raises:
        ConfigError: a teacher that was taken as it is is right on few of the training images, and nobody has said to go
            on.
    """
    found = {teacher.name: _audit(context, teacher, settled) for teacher in context.plan.teachers}
    classes = context.data.num_classes
    for teacher in context.plan.teachers:
        audit = found[teacher.name]
        if audit is None or settled.given is not None:  # told already
            continue
        right = audit.get("right", audit["top1"] / 100)
        words = as_right(right, classes, trained=None if teacher.given else True)
        context.progress.note(f"teacher {teacher.name}: {words}")
        if teacher.given and is_poor(right, classes):
            ask_about_poor(call, call.teacher_name(context.config.teacher.model), doubt(right, classes, None))
    return found


def _audit(context: Context, teacher: Teacher, settled: Settled) -> dict[str, Any] | None:
    """The audit of one teacher beside its weights: made before, or now; None where its task has none."""
    folder = context.folder(teacher)
    if settled.given is not None:
        for name in (AUDIT_FILE, AUDIT_PAGE_FILE):
            target, made = folder / name, settled.given.file.parent / name
            if made.is_file() and not target.is_file():
                write_bytes(target, made.read_bytes())
        return settled.given.audit
    if not can_be_audited(context.task):
        return None
    noted = folder / AUDIT_SUMMARY_FILE
    if noted.is_file() and (folder / AUDIT_PAGE_FILE).is_file():
        return load_json(noted, dict, "delete it, and the audit is made again")
    context.progress.stage(f"auditing the teacher of α = {teacher.label_smoothing:g}")
    model, layer = context.trained_model(teacher), context.last_layer(teacher)
    mixing = context.config.teacher.mixing
    seen = Seen(teacher.name, "", "train", None)
    if not teacher.given:
        own = ImageMixing(mixing.mixup, mixing.cutmix, mixing.probability)
        seen = dataclasses.replace(seen, training_data=True, mixing=(own,))
    audit = audit_model(context, model, seen, AUDITED_TEMPERATURES, layer)
    write_audit(audit, folder)
    write_json(noted, summary_of(audit))
    return summary_of(audit)


def _known_before(call: Call, context: Context, settled: Settled) -> list[str]:
    """What is doubtful about the teachers, and smoothed ones that meet a raised T."""
    name = call.teacher_name(context.config.teacher.model)
    if settled.given is not None:
        names, warnings = dict.fromkeys(settled.verdicts, name), list(settled.given.warnings)
    else:
        origins = {teacher.label_smoothing: origin(context, teacher) for teacher in context.plan.teachers}
        names, warnings = {alpha: f"{name} ({how}, α = {alpha:g})" for alpha, how in origins.items()}, []
    smoothed = [alpha for alpha, verdict in settled.verdicts.items() if verdict == "smoothed"]
    found = (warning(names[alpha], settled.temperatures[alpha].values) for alpha in smoothed)
    return [*warnings, *(text for text in found if text is not None)]


def _exported(call: Call, context: Context, chosen: Cell) -> dict[str, Any] | None:
    """The chosen student in the formats asked for; None where its task has none."""
    formats = formats_of(call, context.task)
    if not formats:
        return None
    context.progress.stage("exporting")
    # A student was chosen once; a later call with other temperatures may choose another, so ours may be replaced.
    folder = context.directory.path / EXPORT
    exported = export_model(context.directory.path, chosen.name, formats, folder)
    return {"folder": str(folder), "files": list(exported.files), "differences": exported.differences}


def _tell_trackers(context: Context, result: Mapping[str, Any]) -> None:
    if context.tracking is None:
        return
    column = context.task.metric.test
    figures = {
        f"{kind}/{row['name']}/{column}": row[column]
        for kind in ("teachers", "students", "controls")
        for row in result[kind]
        if column in row
    }
    sentences = {"verdict": f"Kept {result['chosen']}, {result['how']}."}
    context.tracking.conclude(sentences, figures, context.directory.path / DISTILL_FILE)

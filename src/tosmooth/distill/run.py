"""From a call to a distilled, evaluated and exported student."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any, cast

from tosmooth.analysis.label_smoothing import Verdict
from tosmooth.audit.page import write_audit
from tosmooth.audit.result import Seen
from tosmooth.audit.teacher import audit_model
from tosmooth.config.schema import StudyConfig
from tosmooth.data.base import ImageData
from tosmooth.distill.call import Call, starting_config, teacher_name
from tosmooth.distill.classes import TeacherClasses
from tosmooth.distill.deciding import AUDITED_TEMPERATURES, Given, find_outputs, summary_of, take_as_it_is
from tosmooth.distill.outcome import ONE_SEED, Taught, choose, following, left_out, row_of, shortfalls, teacher_row
from tosmooth.distill.temperature import temperatures_for, warning
from tosmooth.errors import ConfigError, StudyError, UnfetchedError
from tosmooth.export.export import export_model
from tosmooth.export.folder import refuse_unless_ours
from tosmooth.folder.claim import check_usable, compared_with
from tosmooth.folder.paths import (
    AUDIT_FILE,
    AUDIT_PAGE_FILE,
    AUDIT_SUMMARY_FILE,
    DISTILL_FILE,
    EXPORT,
    StudyDirectory,
)
from tosmooth.folder.writing import load_json, plain, write_json
from tosmooth.models.image_model import ImageModel
from tosmooth.recipes.reading import apply_override, load_config
from tosmooth.study.context import Context, load_data
from tosmooth.study.plan import Plan, Teacher, make_plan
from tosmooth.study.progress import StudyProgress
from tosmooth.study.results import failures, finished_cells, read_test_of
from tosmooth.study.run import expect_work
from tosmooth.study.stages import train_students, train_teachers
from tosmooth.study.teacher_answers import StudyTeaching
from tosmooth.tasks.find import find_task
from tosmooth.training.compute import Compute

USUAL_SIZE = 224  # pixels, where neither model says what it wants to see
LEAST_ALPHA = 0.01  # of a teacher that was found to be smoothed, as its two digits have it


def distill_own(call: Call, root: Path, progress: StudyProgress | None = None) -> dict[str, Any]:
    """Audit or fine-tune the teacher, distil, choose by validation, read test once, export.

    Args:
        call: the arguments.
        root: folder that holds the studies.
        progress: where progress is shown; None = a bar on stderr.

    Returns:
        What was decided and measured, as in `distill.json`.

    Raises:
        TosmoothError: anything wrong with the call, the data, the models or the training, in one sentence.
    """
    start, raw = starting_config(call)
    try:
        with progress or StudyProgress() as shown:
            return _from_start(call, start, raw, root, shown)
    except UnfetchedError as error:
        teachers = error.model == start.teacher.model.name
        if error.model.startswith("hf:"):  # of which a file of weights is not enough
            remedy = f"give its folder: {'--teacher' if teachers else '--student'} hf:FOLDER"
        elif teachers:
            remedy = f"give the file: --teacher FILE --teacher-model {error.model}"
        else:
            remedy = "give the file: student.model.checkpoint=FILE student.model.pretrained=false (or --from-scratch)"
        raise UnfetchedError(error.model, error.reason, remedy) from None


def _from_start(
    call: Call, start: StudyConfig, raw: dict[str, Any], root: Path, progress: StudyProgress
) -> dict[str, Any]:
    compute = Compute.from_config(start.compute)
    if compute.processes.world > 1:
        raise ConfigError(["several processes: this command works in one; tosmooth study works in several"])
    data = cast(ImageData, load_data(start))
    outputs, theirs = find_outputs(call, start, data)
    if call.sets_image_size:
        apply_override(raw, "data.image_size", _image_size(start, data))
        start = load_config(raw)
    find_task(start.task).check(start, data)
    directory = StudyDirectory(root / start.name)
    check_usable(directory, 0)
    refuse_unless_ours(directory.path / EXPORT)  # before all the work, not after it
    given: Given | None = None
    if outputs is not None:
        looking = Context(start, make_plan(start), directory, data, compute, progress)
        given = take_as_it_is(call, looking, outputs, theirs)
        progress.note(f"{given.relation}. {given.audit['headline']}")
    else:
        progress.note(_fine_tuned(call, start, data, theirs))
    config = _final_config(call, raw, given, validated=len(data.validation) > 0)
    _refuse_another_teacher(call, config, directory)
    with Context.open(config, root, progress) as context:
        return _distill(call, context, given)


def _refuse_another_teacher(call: Call, config: StudyConfig, directory: StudyDirectory) -> None:
    """In words of the call: a study's folder would name keys that nobody has set."""
    there = directory.config.exists()
    if there and any(key.startswith("teacher.") for key in compared_with(directory, config).refused):
        raise StudyError(
            f"{directory.path} holds students of another teacher, or of one that was trained or taken otherwise than "
            f"{teacher_name(call, config.teacher.model)} now is; give this one its own name (name=…) or --output"
        )


def _fine_tuned(call: Call, config: StudyConfig, data: ImageData, theirs: TeacherClasses) -> str:
    """Why a teacher is not taken as it is."""
    name = teacher_name(call, config.teacher.model)
    why = "as asked for" if call.fine_tune else f"as its {theirs.count} classes are not the data's {data.num_classes}"
    alphas = ", ".join(f"{alpha:g}" for alpha in config.teacher.label_smoothing)
    return f"{name} is fine-tuned on the data first, {why}; α = {alphas}"


def _image_size(config: StudyConfig, data: ImageData) -> int:
    """The larger of what both models want to see, so that neither is shown enlarged images."""
    models = [
        cast(ImageModel, find_task(config.task).new_model(config, data, section, 0))
        for section in (config.teacher.model, config.student.model)
    ]
    return max((model.input.size for model in models if model.input.size), default=USUAL_SIZE)


def _final_config(call: Call, raw: dict[str, Any], given: Given | None, *, validated: bool) -> StudyConfig:
    """The study with the teacher as it was found; its temperatures are all that any of its teachers may meet."""
    told = call.temperatures
    if given is not None:
        alpha = call.alphas[0] if call.alphas else _estimated(given)
        section = raw["teacher"]["model"] | {"pretrained": False, "checkpoint": None, "replace_head": False}
        apply_override(raw, "teacher.model", section)
        apply_override(raw, "teacher.train", False)
        apply_override(raw, "teacher.label_smoothing", [alpha])
        known = "known" if call.alphas else "unknown" if given.verdict == "undecided" else "estimated"
        apply_override(raw, "teacher.smoothing", known)
        apply_override(raw, "teacher.checkpoints", {alpha: str(given.file)})
        said = "as told" if call.alphas else given.verdict
        apply_override(raw, "description", f"{given.relation}; its label smoothing: {said}")
        verdicts = [_verdict(call, given.verdict)]
    else:
        alphas = raw["teacher"]["label_smoothing"]
        verdicts = [trained_verdict(alpha) for alpha in (alphas if isinstance(alphas, list) else [alphas])]
    values = {t for verdict in verdicts for t in temperatures_for(verdict, told, validated=validated).values}
    apply_override(raw, "student.temperatures", sorted(values))
    return load_config(raw)


def trained_verdict(alpha: float) -> Verdict:
    """What we know of a teacher that we trained ourselves, audit or not."""
    return "smoothed" if alpha > 0 else "not smoothed"


def _verdict(call: Call, found: Verdict) -> Verdict:
    """What the user knows goes before what was estimated."""
    return trained_verdict(call.alphas[0]) if call.alphas else found


def _estimated(given: Given) -> float:
    """α as the study's files name the teacher: estimated if it was smoothed, else 0."""
    alpha = given.audit["alpha"]
    return max(LEAST_ALPHA, round(alpha, 2)) if given.verdict == "smoothed" and math.isfinite(alpha) else 0.0


def _distill(call: Call, context: Context, given: Given | None) -> dict[str, Any]:
    validated = len(context.data.validation) > 0
    taught = [
        Taught(teacher, verdict, temperatures_for(verdict, call.temperatures, validated=validated))
        for teacher in context.plan.teachers
        for verdict in [trained_verdict(teacher.label_smoothing) if given is None else _verdict(call, given.verdict)]
    ]
    allowed = {one.teacher.name: one.temperatures.values for one in taught}
    groups = [[cell for cell in group if cell.temperature in allowed[cell.teacher]] for group in context.plan.groups]
    context = dataclasses.replace(context, plan=Plan(context.plan.teachers, tuple(map(tuple, groups))))
    expect_work(context)
    train_teachers(context)
    audits = {one.teacher.name: _audit(context, one.teacher, given) for one in taught}
    warnings = [] if given is None else list(given.warnings)
    warnings += [text for one in taught if (text := _raised(call, context, one, given))]
    for text in warnings:
        context.progress.note(f"warning: {text}")
    teaching = StudyTeaching(context)
    for group in context.plan.groups:
        train_students(context, group, teaching)
    done = finished_cells(context)
    if not done:
        raise StudyError("no student was trained to the end:\n" + "\n".join(failures(context)))
    column = context.task.metric.val
    scores = {name: (context.read_record(cell) or {}).get(column) for name, cell in done.items()}
    chosen, how = choose(list(done.values()), scores)
    teacher = next(one.teacher for one in taught if one.teacher.name == chosen.teacher)
    context.progress.stage("reading the test split, once")
    batches = context.evaluation_batches(context.data.test)
    for owner in (teacher, chosen):
        read_test_of(context, owner, batches)
    theirs = (context.read_record(teacher) or {}).get(column)
    warnings += shortfalls(theirs, scores[chosen.name], context.data.num_classes)
    if len(context.plan.cells) > 1:
        warnings.append(ONE_SEED)
    context.write_unreadable()
    warnings += left_out(context)
    context.progress.stage("exporting")
    # A student was chosen once; a later call with other temperatures may choose another, so ours may be replaced.
    folder = context.directory.path / EXPORT
    exported = export_model(context.directory.path, chosen.name, call.formats, folder)
    result: dict[str, Any] = {
        "study": str(context.directory.path),
        "relation": None if given is None else given.relation,
        "teachers": [teacher_row(context, one, audits[one.teacher.name]) for one in taught],
        "students": [row_of(context, cell) for cell in done.values()],
        "failures": failures(context),
        "chosen": chosen.name,
        "how": how,
        "warnings": warnings,
        "notes": list(cast(ImageData, context.data).notes),
        "following": following(call, context),
        "export": {"folder": str(folder), "files": list(exported.files), "differences": exported.differences},
    }
    write_json(context.directory.path / DISTILL_FILE, result)
    _tell_trackers(context, result)
    return cast(dict[str, Any], plain(result))


def _tell_trackers(context: Context, result: dict[str, Any]) -> None:
    if context.tracking is None:
        return
    column = context.task.metric.test
    figures = {
        f"{kind}/{row['name']}/{column}": row[column]
        for kind in ("teachers", "students")
        for row in result[kind]
        if column in row
    }
    sentences = {"verdict": f"Kept {result['chosen']}, {result['how']}."}
    context.tracking.conclude(sentences, figures, context.directory.path / DISTILL_FILE)


def _audit(context: Context, teacher: Teacher, given: Given | None) -> dict[str, Any]:
    """The audit of one teacher beside its weights: made before, if it was given; now, if fine-tuned."""
    folder = context.folder(teacher)
    if given is not None:
        for name in (AUDIT_FILE, AUDIT_PAGE_FILE):
            target, made = folder / name, given.file.parent / name
            if made.is_file() and not target.is_file():
                target.write_bytes(made.read_bytes())
        return given.audit
    noted = folder / AUDIT_SUMMARY_FILE
    if noted.is_file() and (folder / AUDIT_PAGE_FILE).is_file():
        return load_json(noted, dict, "delete it, and the audit is made again")
    context.progress.stage(f"auditing the fine-tuned teacher, α = {teacher.label_smoothing:g}")
    model, layer = context.trained_model(teacher), context.last_layer(teacher)
    audit = audit_model(context, model, Seen(teacher.name, "", "train", True), AUDITED_TEMPERATURES, layer)
    write_audit(audit, folder)
    write_json(noted, summary_of(audit))
    return summary_of(audit)


def _raised(call: Call, context: Context, one: Taught, given: Given | None) -> str | None:
    """The warning about a smoothed teacher at a raised T."""
    if one.verdict != "smoothed":
        return None
    known = teacher_name(call, context.config.teacher.model)
    name = known if given is not None else f"{known} (fine-tuned, α = {one.teacher.label_smoothing:g})"
    return warning(name, one.temperatures.values)

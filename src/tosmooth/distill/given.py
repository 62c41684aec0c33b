"""A teacher of one's own: can it be taken as it is, was it smoothed, and does it know the data?

What was found is kept in the study's state, so that the same command does not look twice.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from tosmooth.analysis.smoothing_rules import Verdict
from tosmooth.audit.images import AUDITED_VIEW, FOLDERS_OF_IMAGES, is_said, with_data
from tosmooth.audit.page import HEADLINES, write_audit
from tosmooth.audit.result import Audit, Seen
from tosmooth.audit.seeing import doubt, is_poor, other_views, shown_best
from tosmooth.audit.teacher import Outputs as AuditedOutputs
from tosmooth.audit.teacher import audit_model
from tosmooth.config.schema import StudyConfig
from tosmooth.data.augmentation import eval_transform
from tosmooth.data.base import SKIP_HINT, ImageData
from tosmooth.distill.agreement import Agreement, Confusion, others, question
from tosmooth.distill.call import Call
from tosmooth.distill.classes import WORDS, Outputs, TeacherClasses, match, read_class_map, refusal
from tosmooth.distill.opening import choose_outputs, classes_of, open_teacher
from tosmooth.errors import ConfigError, DataError, ModelError
from tosmooth.files import file_digest, write_text
from tosmooth.folder.paths import CLASS_MAP_FILE, GIVEN, GIVEN_NOTE_FILE, GIVEN_WEIGHTS_FILE, StudyDirectory
from tosmooth.folder.sums import FILES, check_kept, file_sum
from tosmooth.folder.writing import load_json, write_json
from tosmooth.models.image_model import ImageModel
from tosmooth.models.weights import save_weights
from tosmooth.study.bench import Bench, load_data
from tosmooth.study.progress import StudyProgress
from tosmooth.yaml_traps import dump

AUDITED_TEMPERATURES = (1.0, 2.0, 3.0, 4.0, 8.0, 64.0)
POOR_WAYS = (
    "Are these the classes and the kind of images that it was trained on? Give another teacher, fine-tune this one on "
    "the data (--fine-tune), or go on with it all the same (--yes)"
)
COMPARED = 4  # real images on which the chosen outputs must agree with all of them


@dataclass(frozen=True)
class Given:
    """A teacher that is taken as it is.

    Attributes:
        file: its weights, with the data's outputs in the data's order.
        relation: how its classes are the data's, in words.
        audit: what the audit found, in short: `verdict`, `alpha`, `interval`, `headline`, `advice`, `top1`; all of it
            lies beside the file.
        side: of the images that it wants to see, in pixels; None: they may have any.
        warnings: what is doubtful about it.
        notes: what was left out of its file, and how it is shown images.
    """

    file: Path
    relation: str
    audit: dict[str, Any]
    side: int | None
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """Of the audit."""
        return cast(Verdict, self.audit["verdict"])


def find_outputs(call: Call, config: StudyConfig, data: ImageData) -> tuple[Outputs | None, TeacherClasses]:
    """Which outputs of the teacher are the data's classes; None: it is to be fine-tuned.

    Raises:
        ConfigError: the class map is wrong, or there is no way to take the teacher.
        ModelError: the teacher cannot be opened.
    """
    section = config.teacher.model
    theirs = classes_of(section.without_weights(), call.weights)
    if call.fine_tune:
        return None, theirs
    if call.class_map is not None:
        outputs: Outputs | None = read_class_map(call.class_map, data.classes, theirs)
    else:
        outputs = match(data.classes, theirs)
    if outputs is None and call.fine_tune is False:
        raise ConfigError([f"--no-fine-tune: {refusal(call.teacher_name(section), data.classes, theirs)}"])
    if outputs is not None and call.alphas and len(call.alphas) > 1:
        given = ", ".join(f"{alpha:g}" for alpha in call.alphas)
        raise ConfigError(
            [f"--alpha: {given}, but a teacher that is taken as it is has one; --fine-tune trains a teacher for each"]
        )
    return outputs, theirs


def take_as_it_is(
    call: Call,
    bench: Bench,
    directory: StudyDirectory,
    outputs: Outputs,
    theirs: TeacherClasses,
    progress: StudyProgress,
) -> Given:
    """Open the teacher, audit it, ask where it does not know the data, and write its weights for the study.

    Args:
        call: the arguments.
        bench: the study's data, as its models will see them.
        directory: of the study, where things are written; it need not be there yet.
        outputs: which of the teacher's outputs are the data's classes.
        theirs: what its outputs are called.
        progress: where it is shown.

    Raises:
        ConfigError: the teacher does not know the data, or hardly; a question about the order of its classes.
        TosmoothError: the teacher or the data cannot be read.
    """
    section, data = bench.config.teacher.model.without_weights(), cast(ImageData, bench.data)
    name = call.teacher_name(section)
    asked = _asked(call, bench, outputs)
    # Another teacher has another folder: it can neither take this one's place unnoticed nor disturb a study at work.
    key = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:12]
    folder = directory.state / GIVEN / key
    file, noted = (folder / GIVEN_WEIGHTS_FILE).resolve(), folder / GIVEN_NOTE_FILE
    relation = f"{name} {WORDS[outputs.how]}"
    known = load_json(noted, dict, "delete it, and the teacher is looked at again") if noted.is_file() else {}
    if file.is_file() and {"side", "poor"} <= known.keys():  # an earlier version did not note them
        check_kept(file, GIVEN_NOTE_FILE)
        notes = tuple(known.get("notes", ()))
        ask_about_poor(call, name, known["poor"])
        return Given(file, relation, known["audit"], known["side"], _open_doubts(known["doubts"], outputs), notes)
    progress.stage(f"opening {name}")
    teacher = open_teacher(section, call.weights, theirs.count, data.channels)
    for text in teacher.notes:  # before its answers are looked at, which may be why they are not what was expected
        progress.note(text)
    fresh = cast(ImageModel, bench.new_model(section, 0))
    chosen = choose_outputs(teacher, outputs.index, fresh, _few(bench.config, data))
    looked_at = _as_audits_see(call, bench)
    teacher, open_size = bench.compute.place(teacher), call.sets_image_size
    progress.stage(f"trying {name} on a sample of {len(looked_at.data.train)} training images")
    looked_at, trial = shown_best(looked_at, teacher, size_open=open_size, index=outputs.index)
    told = list(teacher.notes)
    if trial is not None and trial.words is not None:
        told.append(f"{name}: {trial.words}; it is shown {trial.best.side} (--image-size says another)")
        progress.note(told[-1])
    progress.stage(f"auditing {name} on {len(looked_at.data.train)} training images")
    audit, agreement = _audited(call, looked_at, teacher, outputs, theirs)
    if not agreement.above_chance or (agreement.far_better and outputs.how != "class map"):
        suggestion = None
        if agreement.far_better and agreement.order is not None:
            places = tuple(outputs.index[place] for place in agreement.order)
            suggestion = str(_suggest(directory, data.classes, places, theirs))
        asked_about = question(name, agreement, data.classes, suggestion)
        views = None if suggestion is not None else other_views(looked_at, teacher, trial, outputs.index)
        raise ConfigError([f"--teacher: {asked_about}{'' if views is None else views.proposal}"])
    doubts, poor = others(agreement, data.classes), None
    if is_poor(agreement.accuracy, data.num_classes):
        poor = doubt(agreement.accuracy, data.num_classes, other_views(looked_at, teacher, trial, outputs.index))
        poor = "; ".join([poor, *_open_doubts(doubts, outputs)])
    chosen.use_input(teacher.input)
    save_weights(chosen, file)
    write_audit(dataclasses.replace(audit, notes=tuple(told)), folder)
    found = summary_of(audit, agreement.accuracy)
    side = teacher.input.size
    note = {"asked": asked, "audit": found, "side": side, "doubts": doubts, "poor": poor, "notes": told}
    write_json(noted, note | {FILES: {GIVEN_WEIGHTS_FILE: file_sum(file)}})
    ask_about_poor(call, name, poor)
    warnings = _open_doubts(doubts, outputs)
    return Given(file, relation, found, side, warnings, tuple(told))


def ask_about_poor(call: Call, name: str, poor: str | None, ways: str = POOR_WAYS) -> None:
    """Ask about a teacher that is right on few of the training images.

    Args:
        call: which may have said to go on.
        name: of the teacher.
        poor: what `doubt` says of it; None where it is not poor.
        ways: what can be done.

    Raises:
        ConfigError: it is poor, and nobody has said to go on.
    """
    if poor is not None and not call.yes:
        raise ConfigError([f"--teacher: {name} {poor.rstrip('.')}. {ways}"])


def _open_doubts(doubts: Sequence[str], outputs: Outputs) -> tuple[str, ...]:
    """Doubts about the order of the classes; who gave a class map has answered them."""
    return () if outputs.how == "class map" else tuple(doubts)


def summary_of(audit: Audit, right: float | None = None) -> dict[str, Any]:
    """An audit in short, as plain data.

    Args:
        audit: of all outputs of a teacher.
        right: share of the images that it is right on among the data's classes alone; None: those are all it knows.
    """
    smoothing = audit.smoothing
    return {
        "verdict": smoothing.verdict,
        "alpha": smoothing.alpha,
        "interval": list(smoothing.interval),
        "headline": HEADLINES[smoothing.verdict],
        "reasons": list(smoothing.reasons),
        "advice": [item.text for item in audit.advice],
        "top1": audit.metrics["top1"],
        "right": audit.metrics["top1"] / 100 if right is None else right,
    }


def _as_audits_see(call: Call, bench: Bench) -> Bench:
    """What `tosmooth audit` looks at: all training images of a source that was named, as it shows them."""
    settings: dict[str, Any] = {}
    if call.data is not None and not is_said("data.validation", call.overrides):
        settings["validation"] = 0.0
    own = call.source is None and call.data is not None and bench.config.data.source in FOLDERS_OF_IMAGES
    if own and not is_said("data.eval_transform", call.overrides):
        settings["eval_transform"] = AUDITED_VIEW
    config = with_data(bench.config, **settings)
    same = config.data.validation == bench.config.data.validation
    return Bench(config, bench.data if same else load_data(config), bench.compute)


def _audited(
    call: Call, bench: Bench, teacher: ImageModel, outputs: Outputs, theirs: TeacherClasses
) -> tuple[Audit, Agreement]:
    """The audit of all of a teacher's outputs, and how its answers for the data's classes agree with the labels."""
    section = bench.config.teacher.model
    confusion = Confusion(bench.data.num_classes)
    index = torch.tensor(outputs.index)

    def watch(logits: Tensor, labels: Tensor) -> None:
        predicted = logits[:, index.to(logits.device)].argmax(dim=1)
        confusion.update(labels.cpu().numpy(), predicted.cpu().numpy())

    seen = Seen(call.teacher_name(section), "", "train", None)
    of_teacher = AuditedOutputs(index, theirs.shown)
    audit = audit_model(bench, teacher, seen, AUDITED_TEMPERATURES, section.last_layer, outputs=of_teacher, watch=watch)
    return dataclasses.replace(audit, notes=teacher.notes), confusion.agreement()


def _suggest(directory: StudyDirectory, classes: Sequence[str], places: Sequence[int], theirs: TeacherClasses) -> Path:
    """Write a class map that fits the data better than the order as it is."""
    path = directory.state / CLASS_MAP_FILE
    shown = theirs.shown
    known = len(set(shown)) == len(shown) and bool(theirs.names)
    targets = {name: shown[place] if known else place for name, place in zip(classes, places, strict=True)}
    heading = "# Class of the data: class of the teacher. Found from its predictions; look whether it makes sense.\n"
    write_text(path, heading + dump(targets, allow_unicode=True, sort_keys=False))
    return path


def _asked(call: Call, bench: Bench, outputs: Outputs) -> dict[str, Any]:
    """What the look at a teacher depends on."""
    name = bench.config.teacher.model.name
    local = Path(name.removeprefix("hf:")).expanduser() if name.startswith("hf:") else None
    files = [call.weights] if call.weights is not None else []
    if local is not None and local.is_dir():
        files = sorted(path for path in local.iterdir() if path.is_file())
    digest = [file_digest(path) for path in files]
    return {
        "teacher": call.teacher,
        "file": digest,
        "model": bench.config.teacher.model.model_dump(mode="json"),
        "outputs": list(outputs.index),
        "data": bench.data.fingerprint,
        "transform": [bench.config.data.eval_transform, None if call.sets_image_size else bench.config.data.image_size],
    }


def _few(config: StudyConfig, data: ImageData) -> Tensor:
    """A few real images as evaluation brings them, (n, C, H, W) uint8."""
    transform, found = eval_transform(config.data.eval_transform, config.data.image_size), []
    for index in range(len(data.train)):
        try:
            found.append(transform(data.train[index]))
        except DataError as error:
            if config.data.on_error == "raise":
                raise DataError(f"{error}; {SKIP_HINT}") from None
        if len(found) == COMPARED:
            break
    if not found:
        raise ModelError("none of the training images can be read, so the teacher cannot be tried on any")
    return torch.stack(found)

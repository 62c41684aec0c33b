"""The model card: what the model is, how good it is and how sure that is, and what to know before using it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import pandas as pd
import torch

from tosmooth.config.schema import TrainingConfig
from tosmooth.export import reload
from tosmooth.export.formats import FORMATS
from tosmooth.export.huggingface import FOLDER, library_of
from tosmooth.export.markdown import code, plain, table
from tosmooth.export.preprocessing import steps
from tosmooth.export.program import PREDICT, answered_by
from tosmooth.export.subject import FINISHED, number
from tosmooth.folder.columns import column
from tosmooth.losses.objectives import has_temperature
from tosmooth.report.caveats import caveats
from tosmooth.study.answering_time import per_image
from tosmooth.study.plan import Teacher
from tosmooth.terminal import shown
from tosmooth.words.answer import answers, basis, forwarded
from tosmooth.words.conclusions import conclusions
from tosmooth.words.numbers import MISSING, decimals_for, fixed, half_width, over_seeds, plus_minus
from tosmooth.words.students import how_fast, how_mixed, without_teacher
from tosmooth.words.teachers import how_trained, in_figures

if TYPE_CHECKING:
    from tosmooth.export.subject import Subject

MOST_CLASSES = 50  # names that the card lists; all are in labels.json
KEYS = ("objective", "label_smoothing", "temperature", "student")


def model_card(subject: Subject, formats: Sequence[str], *, hub_folder: str = FOLDER) -> str:
    """The card as Markdown, with the YAML head that the Hugging Face hub reads.

    Args:
        subject: the exported model.
        formats: as they were written; their loading is shown.
        hub_folder: where the folder of the format "huggingface" is, seen from the card.
    """
    parts = [
        _head(subject, formats),
        f"# {plain(subject.owner.name)}, from the study {plain(subject.config.name)}",
        _what(subject),
        _facts(subject),
        "## How good it is",
        *_figures(subject),
        "## What the study says",
        *_advice(subject),
        "## Before relying on it",
        _list(_caveats(subject)),
        "## What goes in and comes out",
        *_inputs(subject),
        "## Load it",
        *_loading(subject, formats, hub_folder),
        "## Licence",
        "**To be filled in before this model is passed on:** the licence of the data it was trained on (source "
        f"{plain(subject.config.data.source)}), that of any weights it started from, and your own. Nothing was "
        "chosen for you.",
        "## Versions",
        _versions(subject),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _head(subject: Subject, formats: Sequence[str]) -> str:
    library = library_of(subject.model.name)
    lines = ["license: unknown  # to be filled in"]
    if subject.task.hub_tag:
        lines.append(f"pipeline_tag: {subject.task.hub_tag}")
    if "huggingface" in formats and library:
        lines.insert(0, f"library_name: {library}")
    return "\n".join(["---", *lines, "tags: [tosmooth, knowledge-distillation, label-smoothing]", "---"])


def _what(subject: Subject) -> str:
    owner = subject.owner
    of = how_trained(owner.label_smoothing, subject.config.teacher.smoothing)
    if not isinstance(owner, Teacher) and owner.is_control:
        text = (
            f"A student, {plain(subject.model.name)}, trained {without_teacher(owner.label_smoothing)}; "
            f"seed {owner.seed}."
        )
    elif isinstance(owner, Teacher):
        how = "taken as given" if owner.given else of
        text = f"A teacher, {plain(subject.model.name)}, {how}, seed {owner.seed}."
    elif not has_temperature(owner.objective):  # its labels are translations
        text = (
            f"A student, {plain(subject.model.name)}, trained on the translations (objective {plain(owner.objective)}) "
            f"of a teacher {of}; seed {owner.seed}."
        )
    else:
        text = (
            f"A student, {plain(subject.model.name)}, distilled at temperature T = {owner.temperature:g} with the "
            f"objective {plain(owner.objective)} from a teacher {of}; seed {owner.seed}."
        )
    return f"{text} {plain(subject.chosen)}" + (
        "" if not subject.config.preview else " **A preview: trained too briefly.**"
    )


def _facts(subject: Subject) -> str:
    owner, config, record = subject.owner, subject.config, subject.record
    added = subject.files.seeds if subject.files is not None else []  # more than configured, where it ran until sure
    seeds = ", ".join(map(str, dict.fromkeys([*config.student.seeds, *added])))
    data: Any = subject.data
    training = config.teacher if isinstance(owner, Teacher) else config.student
    rows = [("Task", config.task.replace("_", " ")), ("Data", config.data.source)]
    if subject.translates:
        text = subject.text
        rows.append(("Languages", f"{text.source_language} to {text.target_language}"))
        rows.append(("Vocabulary", f"{data.num_outputs:,} tokens"))
    else:
        rows.append(("Classes", f"{data.num_outputs:,}"))
    sizes = [len(split) for split in (data.train, data.validation, data.test)]
    samples = "target tokens" if subject.translates else subject.task.samples
    rows.append(("Training, validation, test", ", ".join(f"{n:,}" for n in sizes) + f" {samples}"))
    unlabelled = getattr(data, "unlabelled", None)
    if unlabelled is not None and not isinstance(owner, Teacher) and owner.distilled:
        rows.append(("Distilled on", f"{len(data.train):,} labelled and {len(unlabelled):,} unlabelled images"))
    rows.append(("Model", subject.model.name))
    if isinstance(record.get("parameters"), int):
        rows.append(("Parameters", f"{record['parameters']:,} ({_megabytes(subject):.3g} MB)"))
    if speed := _speed(subject):
        rows.append(("Time", speed))
    given = config.teacher.is_given(owner.label_smoothing)
    if not isinstance(owner, Teacher) and owner.is_control:
        rows += [("Teacher", "none"), ("Seeds in the study", seeds)]
    elif not isinstance(owner, Teacher):
        rows += [
            ("Teacher", f"{config.teacher.called} ({owner.teacher}{', taken as given' if given else ''})"),
            ("Label smoothing of the teacher", in_figures(owner.label_smoothing, config.teacher.smoothing)),
            *([("Temperature", f"T = {owner.temperature:g}")] if has_temperature(owner.objective) else []),
            ("Objective", owner.loss),
            *([] if owner.relabels else [("Weight of hard labels", _hard_weight(owner.hard_weight))]),
            ("Seeds in the study", seeds),
        ]
    else:
        rows += [("Label smoothing", f"α = {owner.label_smoothing:g}")]
    if isinstance(owner, Teacher) or not owner.is_control:
        added = subject.files.teacher_seeds if subject.files is not None else []
        rows.append(("Teacher seeds", ", ".join(map(str, dict.fromkeys([*config.teacher.seeds, *added])))))
    if not (isinstance(owner, Teacher) and given):  # of those, the configuration does not know
        rows.append(("Epochs", _epochs(training, record)))
        if mixed := how_mixed(training.mixing.model_dump()):
            rows.append(("Training", mixed))
    return table(["", ""], [(title, plain(text)) for title, text in rows])


def _megabytes(subject: Subject) -> float:
    size: int = sum(tensor.numel() * tensor.element_size() for tensor in subject.model.state_dict().values())
    return size / 1e6


def _speed(subject: Subject) -> str:
    """How long an image takes: where the study ran, else here; empty for models of anything else."""
    name = subject.owner.name
    known = how_fast({} if subject.files is None else subject.files.environment, name)
    if known or not subject.classifies:
        return known
    taken = per_image(subject.model, subject.images[0], len(subject.images))
    here = {"milliseconds_per_image": {"cell": name, **taken}, "threads": torch.get_num_threads()}
    return how_fast(here, name, "where it was exported")


def _hard_weight(weight: float) -> str:
    return f"{weight:g}" if weight else "0: it learnt from the teacher's answers alone"


def _epochs(training: TrainingConfig, record: dict[str, Any]) -> str:
    """How long it was trained, and which weights were kept."""
    epoch = record.get("selected_epoch")
    if not epoch:
        return f"{training.epochs}"
    if training.average_last > 1:
        return f"{training.epochs}, kept: the mean of the weights after each of the last {training.average_last}"
    kept = f"{training.epochs}, kept: {epoch} ({record.get('selection')})"
    if (average := training.moving_average) is not None:
        kept += f", the moving average (EMA) of the weights, decay {average.decay:g}"
    return kept


def _figures(subject: Subject) -> list[str]:
    table_of, unit = _setting_rows(subject)
    count = 0 if table_of is None else table_of[unit].nunique()
    word = unit.replace("_", " ")
    rows = []
    for figure in subject.task.shown_figures:
        # Of one model, which says nothing of its spread: no second decimal of percent and points.
        decimals = figure.decimals if figure.unit == "nats" else min(1, figure.decimals)
        cells = []
        for place in (column("val", figure.name), column("test", figure.name)):
            own = subject.figure(place)
            cells.append(fixed(None if own is None else own * figure.factor, decimals))
            if count > 1:
                cells.append(_over_units(table_of, unit, place, decimals, figure.factor))
        if any(cell != MISSING for cell in cells):
            rows.append([figure.heading, *cells])
    if not rows:
        return ["No figures were recorded for this model."]
    titles = [""]
    for split in ("Validation", "Test"):
        titles += [split] + ([f"{split}, {count} {word}s"] if count > 1 else [])
    text = "Validation chose what there was to choose; test was read once."
    if subject.config.selection == "best_on_test":
        text = "The kept epoch was chosen on the test split: its figures are optimistic."
    if count > 1:
        text += f" Over {count} {word}s: mean ± half of the 95 % t-interval, of the same setting."
    elif count == 1:
        text += f" One {word}: nothing here can be told from chance."
    return [table(titles, rows), text, *_beside(subject), *_signature(subject)]


def _beside(subject: Subject) -> list[str]:
    """What the same model reaches without a teacher; nothing where that was not tried."""
    metric = subject.task.metric
    shown = next(figure for figure in subject.task.shown_figures if figure.name == metric.name)
    decimals, found = min(1, shown.decimals), []
    for name, records in subject.controls.items():
        cells = [
            f"{fixed(interval.mean * shown.factor, decimals)}{metric.unit} on {split}"
            for split, place in (("validation", metric.val), ("test", metric.test))
            if (interval := over_seeds(number(record.get(place)) for record in records)).n
        ]
        if cells:
            seeds = f" (mean over {len(records)} seeds)" if len(records) > 1 else ""
            found.append(f"The same model trained {name}: {metric.words} {' and '.join(cells)}{seeds}.")
    return [plain(" ".join(found))] if found else []


def _signature(subject: Subject) -> list[str]:
    found = [subject.record.get(name) for name in subject.task.texts]
    words = subject.task.metric.words
    return [f"{words} as {plain(text)}." for text in found if isinstance(text, str) and text]


def _setting_rows(subject: Subject) -> tuple[pd.DataFrame | None, str]:
    """The finished rows of the same setting in the study's tables, and the column of their unit."""
    files, owner = subject.files, subject.owner
    if files is None:
        return None, "seed"
    if isinstance(owner, Teacher):
        teachers = files.teachers
        if "teacher" not in teachers or "label_smoothing" not in teachers:
            return None, "seed"
        finished = teachers["status"].isin(FINISHED)
        return teachers[finished & (teachers["label_smoothing"] == owner.label_smoothing)], "seed"
    if owner.is_control:
        named = dict(files.controls_of(shown(owner.student)))
        return named.get(without_teacher(owner.label_smoothing)), "seed"
    own = files.cells[files.cells["cell"] == shown(owner.name)]
    if own.empty:
        return None, "seed"
    same = files.done
    for key in KEYS:
        same = same[same[key] == own.iloc[0][key]]
    return same, files.unit


def _over_units(rows: pd.DataFrame | None, unit: str, column: str, decimals: int, factor: float) -> str:
    if rows is None or column not in rows:
        return MISSING
    interval = over_seeds(rows.groupby(unit)[column].mean() * factor)
    return plus_minus(interval, decimals_for([half_width(interval)], otherwise=decimals, least=1, most=3))


def _advice(subject: Subject) -> list[str]:
    files = subject.files
    advice = {} if files is None else files.advice
    if files is None or not advice:
        return ["No advice was given: this model is not the outcome of a whole study."]
    parts = []
    if files.answer is not None:
        found = answers(files.answer, files.wording)
        parts = [forwarded(files.answer, files.wording)]
        parts += [f"{one.question} {one.verdict}. {one.sentence}" for one in found]
        parts.append(basis(files.answer, files.wording))
    concluded = conclusions(advice, files.wording)
    parts += [concluded[key] for key in ("rule", "effect") if key in concluded]
    chosen = advice.get("recommendation") or {}
    if isinstance(subject.owner, Teacher):
        other = chosen.get("label_smoothing") != subject.owner.label_smoothing
    else:
        other = any(chosen.get(key) != getattr(subject.owner, key) for key in KEYS)
    text = " ".join(plain(part) for part in parts)
    return [text, "**This is not the setting that the study recommends.**"] if other else [text]


def _caveats(subject: Subject) -> list[str]:
    found = [] if subject.files is None else caveats(subject.files)
    if subject.files is None:
        found = ["The model comes without a whole study: nothing says how much of its figures is chance."]
    return [*found, "Figures are of the study's own data; on other data the model may be far worse."]


def _inputs(subject: Subject) -> list[str]:
    if subject.translates:
        text = subject.text
        return [
            f"Sentences in and out, of at most {text.max_length} tokens; longer ones must be cut first. The joint "
            "vocabulary is beside the weights."
        ]
    if not subject.classifies:
        return [f"Inputs as task: {subject.task.name} brings them; out come logits, (N, {subject.data.num_outputs})."]
    names = subject.classes
    listed = [f"{index}. {plain(name)}" for index, name in enumerate(names[:MOST_CLASSES])]
    more = [f"The other {len(names) - MOST_CLASSES:,} are in `labels.json`."] if len(names) > MOST_CLASSES else []
    return [
        "The programs (ONNX, `torch.export`) do all but the first step themselves; weights alone do none of it.",
        "\n".join(f"{number}. {plain(step)}" for number, step in enumerate(steps(subject), 1)),
        f"Out come logits, (N, {len(names)}); softmax makes probabilities of them. The classes in their order, as "
        "`classes` in `preprocessing.json` and by number in `labels.json`:",
        "\n".join(listed),
        *more,
    ]


def _loading(subject: Subject, formats: Sequence[str], hub_folder: str) -> Iterable[str]:
    yield table(["format", "what it is"], [(name, FORMATS[name].words) for name in formats])
    if subject.classifies and hub_folder != "." and (answered := answered_by(subject, formats)):
        yield "From an image file to the name of its class, without tosmooth:"
        yield code("\n".join(f"python {PREDICT} --format {name} photo.jpg" for name in answered), "bash")
        if left := [name for name in formats if name not in answered]:
            yield f"Not with {', '.join(left)}: a name does not say how this network is built."
    if "safetensors" in formats:
        yield "In tosmooth:"
        yield code(reload.command(subject), "bash")
    yield code(reload.python(subject, formats, hub_folder), "python")


def _versions(subject: Subject) -> str:
    environment = {} if subject.files is None else subject.files.environment
    trained = [
        f"{key} {environment[key]}"
        for key in ("tosmooth", "torch", "torchvision", "timm", "python")
        if key in environment
    ]
    now = [f"{key} {version(key)}" for key in ("tosmooth", "torch")]
    owner = subject.owner
    word = "Measured" if isinstance(owner, Teacher) and owner.given else "Trained"
    lines = [f"{word} with {plain(', '.join(trained))}."] if trained else []
    when = datetime.now(UTC).date().isoformat()
    lines.append(f"Exported with {plain(', '.join(now))} on {when}.")
    fingerprint = subject.data.fingerprint
    return " ".join([*lines, f"Fingerprint of the data: `{fingerprint[:16]}`."])


def _list(lines: Sequence[str]) -> str:
    return "\n".join(f"- {plain(line)}" for line in lines)

"""The words of the first screen and of "how it was run", from the study's files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pandas as pd

from tosmooth.advice.advise import answer_of
from tosmooth.folder.paths import WEIGHTS_FILE, StudyDirectory
from tosmooth.folder.sums import check_model_file
from tosmooth.losses.objectives import has_temperature
from tosmooth.report.reading import StudyFiles
from tosmooth.terminal import quoted
from tosmooth.untrusted import is_folder_name
from tosmooth.words import answer
from tosmooth.words.conclusions import conclusions
from tosmooth.words.numbers import count_of
from tosmooth.words.precision import precision_in_words
from tosmooth.words.students import how_fast, how_mixed
from tosmooth.words.teachers import how_trained
from tosmooth.words.wording import Wording

EFFECT_WORDS = {
    "shown": "Systematic diffusion: shown",
    "not shown": "Systematic diffusion: not shown",
    "mixed": "Systematic diffusion: shown in part, its opposite in part",
    "opposite": "Systematic diffusion: the opposite is shown",
    "inconclusive": "Systematic diffusion: undecided",
}
ENVIRONMENT_WORDS = {
    "command": "command", "started": "started", "finished": "finished", "seconds": "time", "device": "device",
    "gpu": "GPU", "cpu": "CPU", "cores": "cores", "threads": "threads", "precision": "precision",
    "teacher_precision": "precision of frozen teachers", "teacher_logits": "teacher logits",
    "platform": "platform",
    "python": "Python", "tosmooth": "tosmooth", "torch": "PyTorch", "torchvision": "torchvision", "timm": "timm",
    "accelerate": "Accelerate", "git": "git",
}  # fmt: skip
NOT_LISTED = {*ENVIRONMENT_WORDS, "notes", "milliseconds_per_image"}  # they have their own places


def headline(files: StudyFiles) -> str:
    """The sentence to forward, else how far the study is."""
    if files.answer is not None:
        return answer.headline(files.answer, files.wording)
    if not files.advice:
        return f"No verdict yet: {len(files.done)} of {count_of(len(files.cells), 'student')} finished."
    chosen = files.advice["recommendation"]
    by = "by the paper's rule alone" if chosen.get("mean") is None else "by validation; test was not read yet"
    return f"Distil from {files.wording.with_rate(chosen)}, {by}."


def beside_students(files: StudyFiles) -> Wording:
    """The wording of conclusions on the page, where what students were trained with stands beside all of them."""
    return replace(files.wording, training="")


def recommendation(files: StudyFiles) -> list[tuple[str, str]]:
    """What to do, as a short list of what and which; empty without advice."""
    chosen = files.advice.get("recommendation")
    if not isinstance(chosen, Mapping):
        return []
    alpha = chosen.get("label_smoothing")
    teacher = "–" if alpha is None else how_trained(alpha, files.advice.get("smoothing", "known"))
    items = [("Teacher", teacher)]
    if has_temperature(chosen.get("objective")):
        items.append(("Temperature", f"T = {chosen['temperature']:g}"))
    else:
        items.append(("Labels", "what the teacher writes, so no temperature"))
    if chosen.get("learning_rate") is not None:
        items.append(("Learning rate", f"{chosen['learning_rate']:g}"))
    if files.wording.training:
        items.append(("Students", files.wording.training))
    if size := _size(files):
        items.append(("Size", size))
    if len(files.settings) > 1:
        items += [("Objective", str(chosen.get("objective"))), ("Student", str(chosen.get("student")))]
    return items


def _size(files: StudyFiles) -> str:
    """Parameters of the student to keep, and what its weights weigh; empty where nothing is known."""
    kept = files.kept_student or {}
    parts = [f"{number:,.0f} parameters"] if (number := kept.get("parameters")) and number > 0 else []
    if is_folder_name(name := str(kept.get("cell", ""))):
        weights = StudyDirectory(files.path).student(name) / WEIGHTS_FILE
        if weights.is_file():
            check_model_file(weights)
            megabytes = weights.stat().st_size / 1e6
            parts.append(f"{megabytes:.{0 if megabytes >= 10 else 1 if megabytes >= 1 else 2}f} MB of weights")
    return "; ".join(filter(None, [", ".join(parts), how_fast(files.environment, name)]))


def export_command(files: StudyFiles) -> str:
    """The command that takes the recommended student out of the study."""
    return f"tosmooth export {quoted(str(files.path))}"


def by_student(files: StudyFiles) -> list[tuple[str, str]]:
    """What to do for each student model, with what its diffusion is; empty for one model."""
    advice, verdict = (found.get("by_student") or {} for found in (files.advice, files.verdict))
    items = []
    for student, own in advice.items() if isinstance(advice, Mapping) else ():
        facts = answer_of(own, verdict.get(student) or files.verdict, files.cells, files.controls, files.metric)
        parts = [] if facts is None else [answer.headline(facts, files.wording)]
        effect = conclusions(own, beside_students(files)).get("effect")
        items.append((str(student), " ".join([*parts, effect] if effect else parts)))
    return items


def duration(seconds: float) -> str:
    """`7 min 1 s`, `2 h 3 min`."""
    whole = round(seconds)
    hours, rest = divmod(whole, 3600)
    minutes, left = divmod(rest, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {left} s" if minutes else f"{left} s"


def how_it_was_run(files: StudyFiles) -> list[tuple[str, str]]:
    """Configuration in brief, versions, hardware and time."""
    config = files.config
    data, teacher, student = (config.get(key) or {} for key in ("data", "teacher", "student"))
    models = student.get("models") or []
    items: list[tuple[str, Any]] = [
        ("data", data.get("source")),
        ("validation", _validation(files, data)),
        ("selected epoch", _selection(files)),
        ("teacher", _training(teacher)),
        ("student", _training(student)),
        ("further students", ", ".join(str(m.get("name")) for m in models if isinstance(m, Mapping))),
        (
            "grid",
            f"α ∈ {{{_set(files.alphas)}}} × T ∈ {{{_set(files.temperatures)}}} × " + _seeds(files),
        ),
        ("objectives", ", ".join(map(_objective, dict.fromkeys(files.cells["objective"])))),
        ("similar classes", files.similarity.get("source")),
        ("advice frozen", files.advice.get("frozen_at")),
    ]
    for name in files.task.texts:
        items += [(files.metric.words, text) for text in _texts(files.cells.get(name))]
    items += [("notes on the data", note) for note in _texts(files.environment.get("notes"))]
    for key, word in ENVIRONMENT_WORDS.items():
        value = files.environment.get(key)
        value = precision_in_words(value) if key in {"precision", "teacher_precision"} else value
        items.append((word, duration(float(value)) if key == "seconds" and value is not None else value))
    items += [(key, value) for key, value in files.environment.items() if key not in NOT_LISTED]
    return [(word, str(value)) for word, value in items if value not in (None, "", {})]


def _validation(files: StudyFiles, data: Mapping[str, Any]) -> str | None:
    """Where the validation split comes from; the notes on the data say it, where there are any."""
    if files.environment.get("notes"):
        return None
    return f"{data['validation']:.0%} of training" if data.get("validation") else "none of its own"


def _selection(files: StudyFiles) -> str:
    """Which epoch was kept, or of how many weights are the mean; and by what, where the metric is only
    measured at the end."""
    rule = str((files.advice or {}).get("selection") or files.config.get("selection") or "")
    judged_by = files.metric.judged_by
    rule += f", by {judged_by.quantity}" if judged_by.name != files.metric.name and rule.startswith("best") else ""
    epochs = {role: (files.config.get(role) or {}).get("average_last") for role in ("teacher", "student")}
    means = {role: number for role, number in epochs.items() if type(number) is int and number > 1}
    if not means:
        return rule
    if len(set(epochs.values())) == 1:
        return f"none: weights are the mean over those after the last {means['student']} epochs"
    told = [f"{role}s: the mean of the weights after the last {number} epochs" for role, number in means.items()]
    return "; ".join([*told, *(f"{role}s: {rule}" for role in epochs if role not in means)])


def _texts(found: Any) -> list[str]:
    """The different texts of a list or column, in its order; empty where there is none."""
    values = list(found) if isinstance(found, list | pd.Series) else []
    return list(dict.fromkeys(value for value in values if isinstance(value, str) and value))


def _objective(name: str) -> str:
    return name if has_temperature(name) else f"{name} (no temperature)"


def _seeds(files: StudyFiles) -> str:
    seeds = count_of(len(files.seeds), "seed")
    if files.unit != "teacher_seed":
        return seeds
    pairs = files.cells[["teacher_seed", "seed"]].dropna().drop_duplicates()
    if not (pairs.teacher_seed.duplicated().any() or pairs.seed.duplicated().any()):
        return f"{seeds}, each with teachers of its own"
    return f"{count_of(len(files.teacher_seeds), 'teacher seed')} × {seeds}"


def _set(values: list[float]) -> str:
    return ", ".join(f"{value:g}" for value in values)


def _training(section: Mapping[str, Any]) -> str:
    model = section.get("model") or {}
    name = model.get("name") if isinstance(model, Mapping) else model
    epochs, average = section.get("epochs"), section.get("moving_average")
    if not (name and epochs):
        return str(name or "")
    decay = average.get("decay") if isinstance(average, Mapping) else None
    kept = f"kept: the moving average of the weights (decay {decay:g})" if isinstance(decay, float) else None
    return "; ".join(filter(None, [f"{name}, {count_of(epochs, 'epoch')}", how_mixed(section.get("mixing")), kept]))


def how_classes_were_chosen(similarity: Mapping[str, Any]) -> str:
    """One sentence for the list of words."""
    source, m = similarity.get("source"), similarity.get("m")
    by = f", by the {source}" if source else ""
    if m and "dissimilar_source" not in similarity:
        return f"The {m} nearest and the {m} farthest classes of each class{by}."
    similar = f"The {m} nearest classes of each class{by}" if m else f"The other classes of each class’s own group{by}"
    return f"{similar}; dissimilar: {similarity.get('dissimilar_source', 'all classes of other groups')}."

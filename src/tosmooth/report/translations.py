"""Sample translations: the same few sentences by the recommended student and by one that learnt at the highest T."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from tosmooth.advice.comparisons import KEY
from tosmooth.folder.paths import StudyDirectory
from tosmooth.folder.reading import harmless
from tosmooth.folder.translations import Translations, read_translations
from tosmooth.losses.objectives import has_temperature
from tosmooth.report.reading import StudyFiles
from tosmooth.report.tables import Column, Table, text_column
from tosmooth.untrusted import is_folder_name
from tosmooth.words.numbers import alpha_label, temperature_label

SENTENCES = 8
LONGEST = 300  # characters of a text in the table
SPLITS = {"test": "test", "val": "validation"}  # the first that was translated is shown


def translations_table(files: StudyFiles) -> Table | None:
    """Source, reference and the translations of two students, side by side.

    One student is of the recommended setting; the other of the most smoothed teacher at the highest T. Where that is
    the recommended one, or the recommended one has no T, it is of the other setting with the worst figure. Sentences
    are evenly spaced over the split: nobody chose them.

    Returns:
        None without advice, and where there are no translations.

    Raises:
        StudyError: a file of translations is damaged.
    """
    chosen = files.advice.get("recommendation")
    if not isinstance(chosen, Mapping):
        return None
    own = _cells_of(files, chosen)
    other = _cells_of(files, _other_setting(files, chosen))
    for split, words in SPLITS.items():
        for seed, cell in own.items():
            found = _translations(files, cell, split)
            if found is not None and found.sources:
                second = _translations(files, other[seed], split) if seed in other else None
                if second is not None and list(second.sources) != list(found.sources):
                    second = None
                return _table(files, found, second, (own[seed], other.get(seed)), words)
    return None


def _cells_of(files: StudyFiles, setting: Mapping[str, Any]) -> dict[tuple[int, int], pd.Series]:
    """The finished cells of a setting by their seeds, ascending."""
    done = files.done
    for key in KEY:
        done = done[done[key] == setting.get(key)]
    teachers = done["teacher_seed"].fillna(0) if "teacher_seed" in done else pd.Series(0, index=done.index)
    rows = [row for _, row in done.iterrows()]
    by_seeds = {(int(t), int(row["seed"])): row for t, row in zip(teachers, rows, strict=True)}
    return dict(sorted(by_seeds.items()))


def _other_setting(files: StudyFiles, chosen: Mapping[str, Any]) -> dict[str, Any]:
    """The most smoothed teacher at the highest T; where that is the chosen one, the other with the worst figure.

    Beside a setting without a temperature, the one of its student model with the worst figure, whatever the objective.
    """
    if not has_temperature(chosen.get("objective")):
        return _lowest(files, files.done[files.done["student"] == chosen.get("student")], chosen)
    same = {"objective": chosen.get("objective"), "student": chosen.get("student")}
    highest = same | {"label_smoothing": files.alphas[-1], "temperature": files.highest_temperature}
    if any(highest[key] != chosen.get(key) for key in KEY):
        return highest
    cells = files.cells_of((str(same["objective"]), str(same["student"])))
    return _lowest(files, cells, chosen)


def _lowest(files: StudyFiles, cells: pd.DataFrame, chosen: Mapping[str, Any]) -> dict[str, Any]:
    """The setting with the worst figure among cells, other than the chosen one where there is another."""
    if files.accuracy is None:
        return dict(chosen)
    means = cells.groupby(KEY)[files.accuracy].mean().dropna()
    means = means[[setting != tuple(chosen.get(key) for key in KEY) for setting in means.index]]
    return dict(zip(KEY, (-files.metric.sign * means).idxmax(), strict=True)) if len(means) else dict(chosen)


def _translations(files: StudyFiles, cell: pd.Series, split: str) -> Translations | None:
    name = str(cell["cell"])
    if not is_folder_name(name):
        return None
    return read_translations(StudyDirectory(files.path).student(name), split)


def _table(
    files: StudyFiles,
    found: Translations,
    second: Translations | None,
    cells: tuple[pd.Series, pd.Series | None],
    split: str,
) -> Table:
    count = len(found.sources)
    rows = sorted({int(i) for i in np.linspace(0, count - 1, min(SENTENCES, count)).round()})
    titled = [("source", found.sources), ("reference", found.references), (_title(cells[0]), found.hypotheses)]
    both = second is not None and cells[1] is not None and cells[1]["cell"] != cells[0]["cell"]
    if second is not None and cells[1] is not None and both:
        titled.append((_title(cells[1]), second.hypotheses))
    data = {title: [harmless(texts[i]) for i in rows] for title, texts in titled}
    columns: list[Column] = [text_column(title, [_shortened(text) for text in texts]) for title, texts in data.items()]
    seeds = f"seed {int(cells[0]['seed'])}"
    if files.unit == "teacher_seed":
        seeds += f", teacher seed {int(cells[0]['teacher_seed'])}"
    caption = (
        f"{len(rows)} of {count:,} sentences of the {split} split, evenly spaced, not chosen: what the recommended "
        f"student makes of them{', and another one' if both else ''} ({seeds}). “–”: no words at all."
    )
    return Table("translations", caption, columns, pd.DataFrame(data))


def _title(cell: pd.Series) -> str:
    objective = cell["objective"]
    place = temperature_label(float(cell["temperature"])) if has_temperature(objective) else str(objective)
    return f"{alpha_label(float(cell['label_smoothing']))}, {place}"


def _shortened(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"

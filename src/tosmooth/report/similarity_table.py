"""Which classes were taken for similar and dissimilar, every source side by side, so that a reader can judge them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from tosmooth.report.reading import StudyFiles
from tosmooth.report.tables import Column, Table, text_column

MOST_NAMES = 8  # classes listed in a cell of the table; the CSV file has all of them


def similarity_table(files: StudyFiles) -> Table | None:
    """S1(π) and S2(π) of each class as used, and S1(π) by the other sources that the study had at hand."""
    found = files.similarity
    classes = [str(name) for name in found.get("classes", [])]
    if not classes or "dissimilar_source" not in found:  # of an older study: its classes stand in the table of η
        return None
    compared = [part for part in found.get("compared", []) if isinstance(part, dict)]
    sets = [("similar", found.get("similar", {})), ("dissimilar", found.get("dissimilar", {}))]
    sets += [(f"similar by the {part.get('source', '')}", part.get("similar", {})) for part in compared]
    columns: list[Column] = [text_column("class", classes)]
    data = {"class_name": classes}
    for title, members in sets:
        listing = [_named(members, index, classes) for index in range(len(classes))]
        columns.append(text_column(title, [_shortened(names) for names in listing]))
        data[title] = ["; ".join(names) for names in listing]
    caption = f"Similar classes (S1) by the {found.get('source', '')}; dissimilar (S2): {found['dissimilar_source']}."
    caption += "".join(f" {_agreement(part)}" for part in compared)
    return Table("similar-classes", caption, columns, pd.DataFrame(data), sortable=True)


def how_classes_were_chosen(similarity: Mapping[str, Any]) -> str:
    """One sentence for the list of words."""
    source, m = similarity.get("source"), similarity.get("m")
    by = f", by the {source}" if source else ""
    if m and "dissimilar_source" not in similarity:
        return f"The {m} nearest and the {m} farthest classes of each class{by}."
    similar = f"The {m} nearest classes of each class{by}" if m else f"The other classes of each class’s own group{by}"
    return f"{similar}; dissimilar: {similarity.get('dissimilar_source', 'all classes of other groups')}."


def _named(members: Any, index: int, classes: list[str]) -> list[str]:
    return [classes[k] for k in members.get(str(index), [])]


def _shortened(names: list[str]) -> str:
    more = len(names) - MOST_NAMES
    return ", ".join(names[:MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


def _agreement(part: Mapping[str, Any]) -> str:
    share, chance = part.get("share"), part.get("chance")
    if not isinstance(share, int | float) or not isinstance(chance, int | float):
        return ""
    return (
        f"Of the pairs used, {100 * share:.0f} % are also similar by the {part.get('source', '')}; "
        f"chance would give {100 * chance:.0f} %."
    )

"""What to do where a file of a study is damaged, by its name."""

from __future__ import annotations

from pathlib import Path

from tosmooth.folder.paths import (
    CENTROIDS_FILE,
    CHANGES_FILE,
    CONFIG_FILE,
    CURVE_FILE,
    DATA_FILE,
    DISTILL_FILE,
    ENVIRONMENT_FILE,
    EXPORT,
    FIGURES,
    GIVEN,
    GIVEN_NOTE_FILE,
    GIVEN_WEIGHTS_FILE,
    JUDGED_FILE,
    LAST_WEIGHTS_FILE,
    PRECISION_FILE,
    RECORD_FILE,
    REPORT_FILE,
    REPORT_SUMS_FILE,
    SEARCH_FILE,
    SEARCH_TABLE_FILE,
    STATE,
    SUMS_FILE,
    TABLES,
    TRACKING_FILE,
    TRANSLATIONS_FILE,
    UNREADABLE_FILE,
    UNTIL_SURE_FILE,
    VOCABULARY_FOLDER,
    WEIGHTS_FILE,
)

AGAIN = "delete it, and the next run of the study makes it again"
_ONLY_BY_TRAINING = {RECORD_FILE, WEIGHTS_FILE, CENTROIDS_FILE}
_OF_REPORTS = "`tosmooth report` makes it again"
_OF_DISTILL = "delete it, and the same `distill` makes it again"
_BY_NAME = {
    CONFIG_FILE: "put back what the study wrote. To change the grid, edit a copy and start the study with that; where "
    "a change by hand is right, delete the first line, which holds the sum",
    DATA_FILE: "delete it if the data are the same as before",
    CHANGES_FILE: "without it, nobody knows how the grid was changed; begin a study of another name",
    CURVE_FILE: "delete it, and the model is left out of learning curves",
    JUDGED_FILE: "delete it, and what compares the answers of models does without this one",
    TRANSLATIONS_FILE: "delete it, and comparisons and the report do without them",
    LAST_WEIGHTS_FILE: "delete it; nobody needs it",
    ENVIRONMENT_FILE: "delete it; the next run of the study makes it again, and counts its time anew",
    UNREADABLE_FILE: "delete it; the images are listed again when they are met",
    UNTIL_SURE_FILE: "delete it, and the same command looks again, from the students that are there",
    PRECISION_FILE: "delete it, and it is measured again for kinds with unfinished models, perhaps with another "
    "outcome than finished ones of the kind had",
    SUMS_FILE: "delete it; what is made again from then on has its sum",
    REPORT_SUMS_FILE: _OF_REPORTS,
    REPORT_FILE: _OF_REPORTS,
    SEARCH_FILE: "delete it, and the same search goes through its rungs again, from the models that are there",
    SEARCH_TABLE_FILE: "delete it; the search writes it again when it decides something",
    DISTILL_FILE: _OF_DISTILL,
    TRACKING_FILE: "delete it, and all is sent again",
    GIVEN_NOTE_FILE: "delete it, and the teacher is looked at again",
    GIVEN_WEIGHTS_FILE: "delete it, and the teacher is looked at again",
}

KNOWN = frozenset(_BY_NAME)  # names of files that no one else's file has in a study's own folder
# What may be deleted for good: nothing but itself is lost.
DISPENSABLE = {
    CURVE_FILE, JUDGED_FILE, TRANSLATIONS_FILE, LAST_WEIGHTS_FILE, UNREADABLE_FILE, SEARCH_TABLE_FILE,
}  # fmt: skip


def made_again(folder: Path) -> str:
    """What to do where a file is lost that only training and measuring a model can make again."""
    return f"delete {folder}, and the next run of the study makes it again"


def remedy_of(path: Path) -> str:
    """What to do where a file of a study is damaged, as the end of a sentence."""
    if EXPORT in {path.parent.name, path.parent.parent.name}:
        return _OF_DISTILL
    if path.parent.name == VOCABULARY_FOLDER:
        return made_again(path.parent.parent)
    if path.name in _ONLY_BY_TRAINING and path.parent.parent.name not in {STATE, GIVEN}:
        return made_again(path.parent)
    if path.parent.name in {FIGURES, TABLES}:
        return _OF_REPORTS
    return _BY_NAME.get(path.name, AGAIN)

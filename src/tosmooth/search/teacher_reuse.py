"""Finished teachers of a study that was run before, taken over instead of trained again."""

from __future__ import annotations

import shutil
from pathlib import Path

from tosmooth.config.schema import StudyConfig
from tosmooth.errors import StudyError
from tosmooth.files import temporary_of
from tosmooth.folder.claim import data_of
from tosmooth.folder.columns import COSTS_ON_TEST, OF_EVERY_PASS, column
from tosmooth.folder.growth import compare
from tosmooth.folder.judged import forget_judged
from tosmooth.folder.paths import RECORD_FILE, RELIABILITY_FILE, TRANSLATIONS_FILE, WEIGHTS_FILE, StudyDirectory
from tosmooth.folder.sums import check_config, check_model
from tosmooth.folder.writing import read_record, write_record
from tosmooth.study.context import Context
from tosmooth.untrusted import read_yaml

NOT_OF_TEACHERS = ("student.", "analysis.", "cache.", "description", "name", "preview")  # cannot change a teacher


def same_teachers(study: StudyDirectory, config: StudyConfig, fingerprint: str) -> bool:
    """Whether a study's teachers are those that `config` would train.

    They are where all that a teacher depends on is equal: the sections data, teacher and compute and the selection rule
    (the grid's smoothing factors may differ), and the data themselves by their fingerprint.
    """
    try:
        check_config(study.config)
        there = read_yaml(study.config.read_text(encoding="utf-8"))
        data = data_of(study)
    except (OSError, ValueError, StudyError):
        return False
    refused = [key for key in compare(there, config).refused if not key.startswith(NOT_OF_TEACHERS)]
    return not refused and data == fingerprint


def take_over_teachers(context: Context, study: Path) -> list[str]:
    """Copy those teachers of the plan that `study` has finished, if it is of the same configuration.

    Their test figures are left behind: a search has not read the test split yet. A teacher that has begun here is
    left alone.

    Returns:
        Names of the teachers that were copied.
    """
    source = StudyDirectory(study)
    if not same_teachers(source, context.config, context.data.fingerprint):
        return []
    taken = []
    for teacher in context.plan.teachers:
        there, here = source.teacher(teacher.name), context.folder(teacher)
        if here.exists() or not (there / WEIGHTS_FILE).is_file():
            continue
        record = read_record(there)
        if record is None or record.get("status") not in {"done", "given"}:
            continue
        check_model(there)
        temporary = temporary_of(here)
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.copytree(
            there, temporary, ignore=shutil.ignore_patterns(RELIABILITY_FILE, RECORD_FILE, TRANSLATIONS_FILE, ".*")
        )
        forget_judged(temporary, "test")
        on_test = {column("test", name) for name in OF_EVERY_PASS} | {*COSTS_ON_TEST}
        kept = {key: value for key, value in record.items() if key not in on_test and not key.startswith("test/")}
        write_record(temporary, kept, name=here.name)
        temporary.replace(here)
        taken.append(teacher.name)
    return taken

"""The seeds that `--until-sure` has added to a study: the file that holds them, and the plan that they make.

`until-sure.json` is the plan of the later seeds: of each look the settings that were left, and the seeds whose students
these settings then got. Whoever opens the folder plans from it: `study` without `--until-sure`, `export`, `project`. A
later seed has students of the settings that were left, and all controls; the others are not planned. Where student
seeds are paired with teacher seeds, each brings its own teachers: those of the smoothing factors that were left.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from tosmooth.advice.comparisons import KEY
from tosmooth.advice.units import Setting
from tosmooth.advice.until_sure import confidence_of
from tosmooth.config.schema import StudyConfig
from tosmooth.errors import StudyError
from tosmooth.folder.paths import UNTIL_SURE_FILE, StudyDirectory
from tosmooth.folder.remedies import remedy_of
from tosmooth.folder.writing import load_json, write_json
from tosmooth.study.plan import Plan, make_plan


def named(settings: Sequence[Setting]) -> list[dict[str, Any]]:
    """Settings as the file holds them."""
    return [dict(zip(KEY, setting, strict=True)) for setting in settings]


def settings_of(rows: Sequence[Mapping[str, Any]]) -> list[Setting]:
    """The same, read again."""
    return [tuple(row[key] for key in KEY) for row in rows]  # type: ignore[misc]


def read_looks(directory: StudyDirectory) -> dict[str, Any] | None:
    """What the file holds; None where no seeds were added.

    Raises:
        StudyError: it is damaged.
    """
    path = directory.path / UNTIL_SURE_FILE
    if not path.is_file():
        return None
    found = load_json(path, dict, remedy_of(path))
    if not _sound(found):
        raise StudyError(f"{path} is damaged; {remedy_of(path)}")
    return found


def write_looks(directory: StudyDirectory, record: Mapping[str, Any]) -> None:
    """Write the file, in one step."""
    write_json(directory.path / UNTIL_SURE_FILE, record)


def _sound(found: Mapping[str, Any]) -> bool:
    def numbers(value: Any) -> bool:
        return isinstance(value, list) and all(isinstance(item, int) for item in value)

    def rows(value: Any) -> bool:
        return isinstance(value, list) and all(isinstance(row, dict) and set(KEY) <= row.keys() for row in value)

    looks = found.get("looks")
    return (
        all(numbers(found.get(key)) for key in ("first_seeds", "looks_at"))
        and rows(found.get("settings"))
        and isinstance(found.get("seconds"), int | float)
        and isinstance(looks, list)
        and all(isinstance(one, dict) and rows(one.get("left")) and numbers(one.get("next_seeds")) for one in looks)
        and len(looks) <= len(found["looks_at"])
    )


def later_seeds(record: Mapping[str, Any]) -> list[int]:
    """The seeds that were added, in their order."""
    return [seed for look in record["looks"] for seed in look["next_seeds"]]


def out_of(record: Mapping[str, Any]) -> list[Setting]:
    """The settings that have left the set so far, in the order of the grid."""
    left = settings_of(record["looks"][-1]["left"]) if record["looks"] else settings_of(record["settings"])
    return [setting for setting in settings_of(record["settings"]) if setting not in left]


def with_later_seeds(plan: Plan, config: StudyConfig, directory: StudyDirectory) -> Plan:
    """The plan with the students of the seeds that were added. Seeds that it has already stay as they are.

    Args:
        plan: of the study.
        config: of the study.
        directory: of the study; nothing may be there yet.

    Raises:
        StudyError: the file of the looks is damaged.
    """
    record = read_looks(directory)
    if record is None:
        return plan
    left = {seed: settings_of(look["left"]) for look in record["looks"] for seed in look["next_seeds"]}
    later = [seed for seed in left if seed not in config.student.seeds]
    planned = {cell.seed for cell in plan.students}
    if planned.issuperset(later):
        return plan
    # Of all later seeds, those that the plan has by now among them: which teachers a seed has goes by its place.
    wide, first = make_plan(with_seeds(config, later)), len(config.student.seeds)
    added = {seed: first + place for place, seed in enumerate(later) if seed not in planned}
    groups = tuple(
        tuple(cell for cell in wide.groups[place] if cell.setting in left[seed]) for seed, place in added.items()
    )
    controls = plan.controls or ((),) * len(plan.groups)
    wanted = {cell.teacher for group in groups for cell in group} - {teacher.name for teacher in plan.teachers}
    return replace(
        plan,
        teachers=(*plan.teachers, *(teacher for teacher in wide.teachers if teacher.name in wanted)),
        groups=(*plan.groups, *groups),
        controls=(*controls, *(wide.controls[place] for place in added.values())),
    )


def with_seeds(config: StudyConfig, added: Sequence[int]) -> StudyConfig:
    """The configuration with further student seeds; where seeds are paired, with as many further teacher seeds."""
    student = config.student.model_copy(update={"seeds": [*config.student.seeds, *added]})
    if not config.paired_seeds:
        return config.model_copy(update={"student": student})
    teachers = [*config.teacher.seeds, *next_seeds(config.teacher.seeds, len(added))]
    teacher = config.teacher.model_copy(update={"seeds": teachers})
    return config.model_copy(update={"student": student, "teacher": teacher})


def next_seeds(seeds: Sequence[int], number: int) -> list[int]:
    """So many further seeds: those after the largest."""
    return [max(seeds) + 1 + place for place in range(number)]


def facts_of(directory: StudyDirectory) -> dict[str, Any] | None:
    """What an answer must know of the looks; None where nobody has looked.

    Returns:
        `reason` (None where it was not looked to the end), `seeds` and `looks` (numbers), `first` (seeds that all
        settings have), `confidence` of the answer, and `out`: settings that have left the set.

    Raises:
        StudyError: the file of the looks is damaged.
    """
    record = read_looks(directory)
    if record is None or not record["looks"]:
        return None
    looks, stopped = len(record["looks"]), record.get("stopped") or {}
    seeds = len(record["first_seeds"]) + len(later_seeds(record))
    confidence = stopped.get("confidence") or confidence_of(len(record["looks_at"]), looks + 1, last=True)
    return {
        "reason": stopped.get("reason"),
        "seeds": seeds,
        "first": len(record["first_seeds"]),
        "looks": looks,
        "confidence": confidence,
        "out": named(out_of(record)),
    }

"""What becomes of a study's folder when its configuration changes: the grid may grow or shrink, all else may not."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any

import yaml
from pydantic import ValidationError

from tosmooth.config.schema import StudyConfig, dump_config
from tosmooth.folder.older import without_leftovers
from tosmooth.folder.paths import CONFIG_FILE

# Keys that say how the work is done; what comes out is the same but for rounding. `on_error`: a run that would have
# stopped at an unreadable image has met none so far, so up to there both ways are one.
FREE = {
    "cache.directory", "cache.pixels", "compute.checkpoint_minutes", "compute.compile", "compute.eval_batch_size",
    "compute.fused_loss", "compute.graphs", "compute.group_size", "compute.threads", "compute.timeout_minutes",
    "data.in_memory", "data.on_error", "data.workers", "description", "trackers",
}  # fmt: skip
# Keys that say which cells there are. A cell's result depends on no other cell.
GRID = {
    "student.models": "student model",
    "student.learning_rates": "learning rate factor", "student.learning_rate_seeds": "seeds that choose learning rates",
    "student.pairing": "student seeds and teacher seeds",
    "student.controls": "control", "student.hard_weight": "weight of hard labels",
    "student.objectives": "objective", "student.seeds": "seed", "student.temperatures": "T",
    "teacher.label_smoothing": "α", "teacher.seeds": "teacher seed", "teacher.checkpoints": "checkpoint of α",
    "student.objective_options": "options of an objective",
    "teacher.given": "given teacher of α",
    "teacher.smoothing": "label smoothing of the teacher",
}  # fmt: skip


COUNTED = {"teacher.seeds", "student.hard_weight"}  # the first of the list goes without its number in names


@dataclass(frozen=True)
class Change:
    """How a configuration differs from the one a study was begun with.

    Attributes:
        refused: keys that would make it another study.
        added: values new to the grid, in words.
        removed: values that the grid no longer has, in words.
    """

    refused: tuple[str, ...]
    added: tuple[str, ...]
    removed: tuple[str, ...]

    @property
    def grid(self) -> bool:
        """Whether the grid has changed."""
        return bool(self.added or self.removed)


def compare(there: Any, config: StudyConfig) -> Change:
    """How `config` differs from a `study.yaml` that was read."""
    here = yaml.safe_load(dump_config(config))
    with contextlib.suppress(ValidationError):  # an older tosmooth wrote it: keys it did not know have their defaults
        schema = type(config)
        there = yaml.safe_load(dump_config(schema.model_validate(without_leftovers(there, schema))))
    differing = _differences(there, here) - FREE
    if {_cache_views(there), _cache_views(here)} <= {"auto", "off"}:
        differing.discard("cache.views")  # what `auto` stores is what students would see live
    if not isinstance(there, dict):
        return Change((CONFIG_FILE,), (), ())
    if (digest := _at(here, "teacher.outputs_digest")) and digest == _at(there, "teacher.outputs_digest"):
        differing = {key for key in differing if key != "teacher.outputs"}  # the same files, wherever they lie
    added, removed, refused = [], [], set()
    for key in differing:
        grid_key = next((name for name in GRID if key == name or key.startswith(f"{name}.")), None)
        before, after = _at(there, grid_key), _at(here, grid_key)
        if grid_key in {"teacher.checkpoints", "teacher.given"}:
            # Another start of a teacher that is there already would be another teacher under its name.
            changed = [a for a in before.keys() & after.keys() if not _same_teachers(before[a], after[a])]
            lost_or_new = before.keys() ^ after.keys()
            same = {str(float(a)) for a in lost_or_new}
            for grid in (there, here):  # an α that comes or goes brings or takes its checkpoint
                same &= {str(float(a)) for a in _at(grid, "teacher.label_smoothing")}
            if changed or same:
                refused.add(grid_key)
        elif grid_key in COUNTED and (not isinstance(before, list) or before[:1] != after[:1]):
            refused.add(grid_key)  # the names of the students count from it
        elif grid_key == "student.objective_options":  # they are part of a cell's name, so others are other cells
            added += [_options(name, after[name]) for name in after if after[name] != before.get(name)]
            removed += [_options(name, before[name]) for name in before if before[name] != after.get(name)]
        elif grid_key == "student.pairing":
            continue  # told below, where it changes who learns from whom
        elif grid_key == "teacher.smoothing":  # the cells are the same; what is said of them is not
            added.append(f"{GRID[grid_key]}: {after}")
        elif grid_key == "student.learning_rate_seeds":
            continue  # told below, where others choose by it
        elif grid_key == "student.models" and _changed_models(before, after):
            refused.add(grid_key)
        elif grid_key is not None and isinstance(before, list) and isinstance(after, list):
            label = GRID[grid_key]
            added += [f"{label} = {_short(value)}" for value in after if value not in before]
            removed += [f"{label} = {_short(value)}" for value in before if value not in after]
        else:
            refused.add(key)
    known = _at(there, "student.seeds"), _at(here, "student.seeds")
    both = [seed for seed in known[0] if seed in known[1]] if all(isinstance(one, list) for one in known) else []
    if any(_teachers_of(there, seed) != _teachers_of(here, seed) for seed in both) and (
        "paired" in (_at(there, "student.pairing"), _at(here, "student.pairing"))
    ):
        added.append(f"{GRID['student.pairing']}: {_at(here, 'student.pairing')}")
    if (before := _choosing(there)) and (after := _choosing(here)) and before != after:  # the choice may be another
        added.append(f"{GRID['student.learning_rate_seeds']}: {', '.join(map(str, after))}")
    return Change(tuple(sorted(refused)), tuple(sorted(set(added))), tuple(sorted(set(removed))))


def _teachers_of(config: Any, seed: Any) -> list[Any]:
    """The seeds of the teachers that students of a seed learn from."""
    students, teachers = _at(config, "student.seeds"), _at(config, "teacher.seeds")
    if _at(config, "student.pairing") != "paired" or not isinstance(teachers, list) or len(teachers) < 2:
        return teachers if isinstance(teachers, list) else []
    return teachers[students.index(seed) :][:1]


def _choosing(config: Any) -> list[Any]:
    """The seeds whose students choose each setting's learning rate; none where there is one rate."""
    seeds, rates = _at(config, "student.seeds"), _at(config, "student.learning_rates")
    number = _at(config, "student.learning_rate_seeds")
    if not isinstance(seeds, list) or not isinstance(rates, list) or len(rates) < 2 or not isinstance(number, int):
        return []
    return seeds[:number]


def _options(name: str, options: Any) -> str:
    given = options.items() if isinstance(options, dict) else ()
    return f"{name} with {', '.join(f'{key} = {_short(value)}' for key, value in given) or 'its defaults'}"


def _same_teachers(before: Any, after: Any) -> bool:
    """Whether those teacher seeds that are in both have the same files."""
    if isinstance(before, list) and isinstance(after, list):
        return all(one == other for one, other in zip(before, after, strict=False))
    return bool(before == after)


def _changed_models(before: Any, after: Any) -> bool:
    """Whether a model that is in both lists is not the same in both."""
    if not isinstance(before, list) or not isinstance(after, list):
        return True
    known = {model.get("name"): model for model in before if isinstance(model, dict)}
    return any(known.get(model["name"], model) != model for model in after)


def _short(value: Any) -> str:
    if isinstance(value, dict):  # a model, or a control with its α
        return str(value["name"]) if "name" in value else " ".join(f"{key} {item:g}" for key, item in value.items())
    return f"{value:g}" if isinstance(value, float) else str(value)


def _at(config: Any, key: str | None) -> Any:
    for part in (key or "").split("."):
        config = config.get(part) if isinstance(config, dict) else None
    return config if config is not None else {}


def _cache_views(config: Any) -> Any:
    return (config.get("cache") or {}).get("views", "auto") if isinstance(config, dict) else None


def _differences(one: Any, other: Any, prefix: str = "") -> set[str]:
    """Dotted keys at which two nested mappings differ."""
    if not (isinstance(one, dict) and isinstance(other, dict)):
        return set() if one == other else {prefix}
    found: set[str] = set()
    for key in one.keys() | other.keys():
        found |= _differences(one.get(key), other.get(key), f"{prefix}.{key}" if prefix else str(key))
    return found


def in_words(change: Change, new: int, kept: int, aside: int, *, at_least: bool = False) -> str:
    """One sentence for the terminal: what changed, and how many students run, are kept, and leave the results.

    `at_least`: learning rates are to be chosen anew, and settings that get another one are trained at it.
    """
    parts = []
    if change.added:
        parts.append(f"new: {', '.join(change.added)}")
    if change.removed:
        parts.append(f"no longer: {', '.join(change.removed)}")
    left = f"; {aside} students leave the results and stay on disk" if aside else ""
    least = "at least " if at_least else ""
    return f"the grid has changed ({'; '.join(parts)}): {least}{new} students to train, {kept} kept as they are{left}"


def caveats(changes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What a reader must know about a grid that was changed under way: a caveat "grid changed" for each change."""
    return [
        {"code": "grid changed", "test_was_read": bool(change.get("test_was_read"))}
        | {key: change[key] for key in ("added", "removed")}
        for change in changes
    ]

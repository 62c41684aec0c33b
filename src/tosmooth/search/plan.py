"""A search before any work: its rungs, its candidates and its cost, or all that is wrong with it."""

from __future__ import annotations

from typing import Any

from tosmooth.config.schema import StudyConfig
from tosmooth.errors import ConfigError
from tosmooth.search.halving import Rungs, plan_rungs
from tosmooth.search.record import candidates_of, new_record
from tosmooth.study.plan import make_plan
from tosmooth.tasks.find import find_task

SUFFIX = "-search"
LONGEST_NAME = 100  # of a folder, as the schema has it
NO_VALIDATION = "data.validation: a search chooses on a validation split, and there is none; set it above 0"


def planned(config: StudyConfig, budget: float | None = None, eta: float = 3.0) -> tuple[Rungs, dict[str, Any]]:
    """The rungs of a search over the configuration's grid, and its record before any work.

    Raises:
        ConfigError: the configuration has no validation split, there is nothing to choose from, or the budget or eta is
            out of its range.
    """
    mistakes = []
    if config.selection == "best_on_test":
        mistakes.append("selection: best_on_test chooses on the test split; a search chooses on validation only")
    task = find_task(config.task)
    if config.data.validation == 0 and not task.brings_validation(config.data.source):
        mistakes.append(NO_VALIDATION)
    if len(config.name) > LONGEST_NAME - len(SUFFIX):
        mistakes.append(f"name: at most {LONGEST_NAME - len(SUFFIX)} letters, as the folder's name ends with {SUFFIX}")
    cells = make_plan(config).cells
    candidates = len(candidates_of(cells))
    if candidates < 2:
        mistakes.append("a search chooses between settings, and this grid has one; add temperatures, α or objectives")
    plan = None
    try:
        plan = plan_rungs(candidates, config.student.epochs, eta, budget)
    except ConfigError as error:
        mistakes += error.mistakes
    if mistakes or plan is None:
        raise ConfigError(mistakes)
    selection = config.kept_epoch(validated=True)
    return plan, new_record(plan, cells, config.name, selection, task.metric)

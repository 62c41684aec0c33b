"""The files in which a study says what its other objectives do."""

from __future__ import annotations

import pandas as pd

from tosmooth.advice.objectives import compare_objectives, judge_objectives
from tosmooth.folder.paths import OBJECTIVES_FILE, OBJECTIVES_INFO_FILE
from tosmooth.folder.sums import remove_kept
from tosmooth.folder.writing import write_csv, write_json
from tosmooth.study.context import Context


def write_objectives(context: Context, diffusion: pd.DataFrame, results: pd.DataFrame) -> None:
    """Write `analysis/objectives.csv` and the verdicts, where the study has several objectives.

    A study that has lost its other objectives loses the files of an earlier run, too.
    """
    metric = context.task.metric
    table = compare_objectives(
        diffusion, results, list(dict.fromkeys(cell.objective for cell in context.plan.cells)), metric
    )
    paths = [context.directory.analysis / name for name in (OBJECTIVES_FILE, OBJECTIVES_INFO_FILE)]
    if table.empty:
        remove_kept(paths[0].parent, paths[0].name)
        paths[1].unlink(missing_ok=True)
        return
    write_csv(paths[0], table)
    write_json(paths[1], {"reference": table.reference.iloc[0], "verdicts": judge_objectives(table)})

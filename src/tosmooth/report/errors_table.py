"""The table that says where the students' errors land, and how far classes stand apart."""

from __future__ import annotations

import pandas as pd

from tosmooth.advice.units import by_unit
from tosmooth.analysis.inference import Interval
from tosmooth.report.reading import StudyFiles
from tosmooth.report.tables import Column, Table
from tosmooth.words.numbers import decimals_for, fixed, half_width, over_seeds, plus_minus

ERRORS = {"diffusion/errors_s1": "on similar classes", "diffusion/errors_s2": "on dissimilar classes"}
SEPARATION = {"diffusion/d_prime_s1": "d′ to similar", "diffusion/d_prime_s2": "d′ to dissimilar"}


def errors_table(files: StudyFiles) -> Table | None:
    """Errors of the main setting's students on S1 and on S2, by α and T; None of a study that does not say."""
    cells, metric = files.cells_of(files.settings[0]), files.metric
    if not metric.counts_right or not {*ERRORS, metric.val} <= set(cells.columns):
        return None
    cells = cells.dropna(subset=[*ERRORS, metric.val])
    if cells.empty:
        return None
    cells = cells.assign(all=100 - cells[metric.val])
    keys = ["label_smoothing", "temperature"]
    apart = [name for name in SEPARATION if name in cells and cells[name].notna().all()]
    units = by_unit(cells, [*ERRORS, "all", *apart], keys, unit=files.unit)
    settings = list(units.groupby(keys).groups)
    parts = {setting: units[(units[keys] == setting).all(axis=1)] for setting in settings}
    found: dict[str, list[Interval]] = {
        name: [over_seeds(parts[setting][name]) for setting in settings] for name in ("all", *ERRORS, *apart)
    }
    rates = [half_width(i) for name in ("all", *ERRORS) for i in found[name]]
    digits = decimals_for(rates, otherwise=1, least=1, most=2)
    share = [
        100 * s1.mean / every.mean if every.mean else float("nan")
        for s1, every in zip(found["diffusion/errors_s1"], found["all"], strict=True)
    ]
    columns = [
        Column("α", [f"{a:g}" for a, _ in settings], [a for a, _ in settings]),
        Column("T", [f"{t:g}" for _, t in settings], [t for _, t in settings]),
        *(
            Column(title, [plus_minus(i, digits) for i in found[name]], [i.mean for i in found[name]])
            for name, title in {"all": "errors, %", **ERRORS}.items()
        ),
        Column("share on similar, %", [fixed(s, 0) for s in share], share),
        *(
            Column(SEPARATION[name], [plus_minus(i, 2) for i in found[name]], [i.mean for i in found[name]])
            for name in apart
        ),
    ]
    several = len(files.units) > 1
    bars = (
        f"mean ± half of the 95 % t-interval over {len(files.units)} {files.unit_word}s"
        if several
        else f"one {files.unit_word}"
    )
    caption = (
        f"Errors on validation, in percent of all {metric.samples}, {bars}: all; those that land on a class "
        "similar to the right one, and on a dissimilar one; and the share of all errors that land on similar classes."
        + (" d′: distance of centroids over the spread of the classes along the line between them." if apart else "")
    )
    data = pd.DataFrame(
        {
            "label_smoothing": a,
            "temperature": t,
            "quantity": name,
            "mean": i.mean,
            "low": i.low,
            "high": i.high,
            "n": i.n,
        }
        for name, own in found.items()
        for (a, t), i in zip(settings, own, strict=True)
    )
    return Table("errors", caption, columns, data, sortable=True)

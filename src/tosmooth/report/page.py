"""The HTML page: everything it needs is in it, and its policy lets nothing else in."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from tosmooth.report.caveats import caveats
from tosmooth.report.figures.figure import PREVIEW_NOTE, Figure
from tosmooth.report.figures.style import theme
from tosmooth.report.paper_match import matching, what_differs
from tosmooth.report.reading import StudyFiles
from tosmooth.report.smoothing_view_tables import inheritance, objectives_title, sentences
from tosmooth.report.tables import Table
from tosmooth.report.terms import explained, meanings, metric_meaning
from tosmooth.report.wording import (
    EFFECT_WORDS,
    beside_students,
    by_student,
    export_command,
    headline,
    how_classes_were_chosen,
    how_it_was_run,
    recommendation,
)
from tosmooth.tasks.metric import capital
from tosmooth.words.answer import answers, basis
from tosmooth.words.caveats import caveat_sentences
from tosmooth.words.conclusions import conclusions
from tosmooth.words.numbers import alpha_label, unbroken
from tosmooth.words.objectives import objective_sentences
from tosmooth.yaml_traps import dump


def render_page(
    files: StudyFiles,
    figures: list[Figure],
    images: dict[str, str],
    tables: list[Table],
    vega: str,
    lost: list[dict[str, Any]],
) -> str:
    """The page as text.

    Args:
        images: a data URL of each static figure by its key, for print and for readers without JavaScript; one that
            could not be drawn is missing.
        vega: the script that draws the charts in the browser; without it the static figures stand there.
        lost: caveats on what could not be drawn.
    """
    script = f"{vega}\n{_asset('report.js')}"
    by_key = {figure.key: figure for figure in figures}
    named = {table.key: table for table in tables}
    concluded = conclusions(files.advice, beside_students(files))
    facts = files.answer
    charts = {
        "specs": {figure.key: figure.screen_spec() for figure in figures},
        "themes": {"light": theme(files.alphas, "light"), "dark": theme(files.alphas, "dark")},
    }
    template = _environment().get_template("report.html.j2")
    page: str = template.render(
        files=files,
        terms=meanings(files),
        metric=files.metric,
        metric_name=capital(files.metric.noun),
        task=files.task,
        published=files.task.published,
        headline=headline(files),
        recommendation=recommendation(files),
        answers=[] if facts is None else answers(facts, files.wording),
        basis="" if facts is None else basis(facts, files.wording),
        export=export_command(files),
        effect_words=EFFECT_WORDS.get(str((files.advice.get("effect") or {}).get("verdict")), "Systematic diffusion"),
        effect=" ".join(concluded[key] for key in ("effect", "consequence") if key in concluded),
        rule=concluded.get("rule", ""),
        metric_meaning=metric_meaning(files),
        preview_note=PREVIEW_NOTE,
        figures=by_key,
        other_accuracy=[figure for figure in figures if figure.key.startswith(f"{files.metric.key}-")],
        tables=named,
        accuracy_maps=[figure for figure in figures if figure.key.startswith(f"heatmap-{files.metric.key}")],
        diffusion_maps=[figure for figure in figures if figure.key.startswith("heatmap-diffusion")],
        other_diffusion=[figure for figure in figures if figure.key.startswith("diffusion-")],
        other_diffusion_tables=[table for table in tables if table.key.startswith("diffusion-")],
        by_student=by_student(files),
        other_tables=[table for table in tables if table.key.startswith(f"{files.metric.key}-")],
        paper=[table for table in tables if table.key.startswith("paper-")],
        paper_differs=what_differs(files, matched) if (matched := matching(files, files.settings[0])) else [],
        objectives_title=objectives_title(files),
        images=images,
        views=sentences(files),
        inherited=inheritance(files),
        objectives=objective_sentences(files.objectives, files.metric),
        caveats=[*caveats(files), *caveat_sentences(lost, files.wording)],
        run=how_it_was_run(files),
        config=dump(files.config, sort_keys=False, allow_unicode=True),
        similar=how_classes_were_chosen(files.similarity),
        alphas=[alpha_label(alpha) for alpha in files.alphas],
        style=Markup(_asset("report.css")),
        script=Markup(script),
        # Only these bytes may run: a script that slipped through all escaping would still be refused by the browser.
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        charts=charts,
    )
    return page


@cache
def _environment() -> Environment:
    """The templates, compiled once a process: that takes longer than to fill one in."""
    made = Environment(
        loader=PackageLoader("tosmooth.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    made.filters |= {"unbroken": unbroken, "capital": capital, "explained": explained}
    return made


def _asset(name: str) -> str:
    text = resources.files("tosmooth.report").joinpath("templates", name).read_text(encoding="utf-8")
    return text.replace("\r\n", "\n")

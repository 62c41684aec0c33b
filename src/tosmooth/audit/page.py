"""`audit.html`: one page that holds all it needs and asks for nothing."""

from __future__ import annotations

import math
import re
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from tosmooth.audit.result import Audit
from tosmooth.errors import StudyError
from tosmooth.files import write_text
from tosmooth.folder.paths import AUDIT_FILE, AUDIT_PAGE_FILE
from tosmooth.folder.writing import write_json
from tosmooth.words.numbers import fixed, unbroken

MOST_ROWS = 200  # of the list of similar classes
HEADLINES = {
    "smoothed": "This teacher was trained with label smoothing.",
    "not smoothed": "This teacher was trained without label smoothing.",
    "undecided": "Whether this teacher was trained with label smoothing cannot be told from what was seen.",
}
TRAINED_ON = {True: "yes", False: "no", None: "not known"}


def write_audit(audit: Audit, folder: Path) -> tuple[Path, Path]:
    """Write `audit.json` and `audit.html`, replacing earlier ones.

    Returns:
        Their paths.

    Raises:
        StudyError: the folder cannot be written.
    """
    page = render_audit(audit)
    paths = folder / AUDIT_FILE, folder / AUDIT_PAGE_FILE
    try:
        write_json(paths[0], audit.as_dict())
        write_text(paths[1], page)
    except OSError as error:
        raise StudyError(f"{folder} cannot be written: {error.strerror}; choose another --output") from None
    return paths


def render_audit(audit: Audit) -> str:
    """The page as text."""
    environment = Environment(
        loader=PackageLoader("tosmooth.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters["unbroken"] = unbroken
    environment.filters["fixed"] = fixed
    environment.filters["with_code"] = with_code
    style = resources.files("tosmooth.report").joinpath("templates", "report.css").read_text(encoding="utf-8")
    whole = len(audit.neighbours)
    page: str = environment.get_template("audit.html.j2").render(
        audit=audit,
        headline=HEADLINES[audit.smoothing.verdict],
        trained_on=TRAINED_ON[audit.seen.training_data],
        level={"smoothed": "low", "not smoothed": "high"}.get(audit.smoothing.verdict, "moderate"),
        chart=_interval_chart(audit),
        has_shares=any(not math.isnan(target.similar_share) for target in audit.soft_targets),
        even=audit.similar_count / max(1, int(audit.smoothing.evidence["classes"]) - 1),
        neighbours=list(audit.neighbours.items())[:MOST_ROWS],
        left_out=max(0, whole - MOST_ROWS),
        evidence=_evidence(audit),
        ways=by_mixing(audit),
        told=audit.smoothing.mixed is not None and audit.smoothing.mixed.told,
        style=Markup(style.replace("\r\n", "\n")),
    )
    return page


def _interval_chart(audit: Audit) -> dict[str, Any]:
    """Where α̂ and its interval lie on an axis from 0, in the units of the drawing (0 to 600)."""
    low, high = audit.smoothing.interval
    end = next((end for end in (0.1, 0.2, 0.5, 1.0) if high <= end), 1.0)
    alpha = audit.smoothing.alpha
    place = {"low": 600 * low / end, "high": 600 * high / end, "alpha": 600 * min(alpha, end) / end}
    known = {key: None if math.isnan(value) else round(value, 1) for key, value in place.items()}
    return known | {"ticks": [(600 * part / 5, f"{end * part / 5:g}") for part in range(6)]}


def _evidence(audit: Audit) -> list[tuple[str, str]]:
    seen = audit.smoothing.evidence
    return [
        ("Moment estimate of α", fixed(seen["moment"], 4)),
        ("Median estimate of α", fixed(seen["median"], 4)),
        ("α shared out evenly (lower quartile)", fixed(seen["floor"], 4)),
        ("Estimate under binary cross-entropy", fixed(seen["binary"], 4)),
        ("Margin δ (median), nats", fixed(seen["margin"], 2)),
        ("Upper tail of δ, relative", fixed(seen["tail"], 3)),
        ("Spread of the other logits, relative to δ", fixed(seen["uneven"], 3)),
        ("Spread of the other logits, nats", fixed(seen["uneven_nats"], 2)),
        ("Mean logit, relative to δ", fixed(seen["level"], 3)),
        ("Sum of the logits' sigmoids", fixed(seen["sigmoids"], 3)),
    ]


def by_mixing(audit: Audit) -> list[tuple[str, str]]:
    """How the training may have mixed images, and α̂ if it did; empty where the teacher was not asked about any."""
    asked = audit.smoothing.mixed
    return [
        (one.mixing.words, fixed(max(0.0, one.alpha), 3) if one.possible else "ruled out")
        for one in (() if asked is None else asked.estimates)
    ]


def with_code(text: str) -> Markup:
    """Text with its `commands` set as code; everything in it is escaped first."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(unbroken(text)))))

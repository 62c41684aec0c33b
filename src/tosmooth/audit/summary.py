"""The audit on a terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tosmooth.audit.page import HEADLINES, by_mixing
from tosmooth.audit.result import Audit
from tosmooth.terminal import markup
from tosmooth.words.numbers import fixed


def print_audit(audit: Audit, written: Sequence[Path], out: Console) -> None:
    """Verdict, reasons, soft targets and advice; and which files hold all of it."""
    low, high = audit.smoothing.interval
    out.print(f"[bold]{markup(audit.seen.teacher)}[/bold]  {markup(audit.seen.data)}", soft_wrap=True)
    for note in audit.notes:
        out.print(markup(note), soft_wrap=True)
    out.print(f"[bold]{HEADLINES[audit.smoothing.verdict]}[/bold]")
    out.print(f"α about {fixed(audit.smoothing.alpha, 3)} ({fixed(low, 3)} to {fixed(high, 3)})")
    for reason in audit.smoothing.reasons:
        out.print(f"  - {markup(reason)}")
    if ways := by_mixing(audit):
        told = " · ".join(f"{words} {alpha}" for words, alpha in ways)
        out.print(f"α by how its training may have mixed images: {told}")
    metrics = audit.metrics
    out.print(
        f"top-1 {metrics['top1']:.2f} %, calibration error {metrics['ece']:.4f}, NLL {metrics['nll']:.4f}, "
        f"stability {fixed(audit.stability, 4)}"
    )
    table = Table(box=None, pad_edge=False)
    for heading in ("T", "entropy", "target mass", "rest on similar classes"):
        table.add_column(heading, justify="right")
    for row in audit.soft_targets:
        share = "–" if math.isnan(row.similar_share) else f"{row.similar_share:.3f}"
        table.add_row(f"{row.temperature:g}", f"{row.entropy:.3f}", f"{row.target_mass:.3f}", share)
    out.print(table)
    if audit.similar_source:
        out.print(f"similar classes: the {audit.similar_count} nearest, by the {audit.similar_source}")
    for item in audit.advice:
        out.print(f"- {markup(item.text)}")
    for file in written:
        out.print(f"written: {markup(file)}", soft_wrap=True)

"""How numbers are written in the report: no more digits than the interval supports, a true minus sign, words for p."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from tosmooth.analysis.inference import Interval, t_interval

MISSING = "–"
NO_SPREAD = 1e-9  # a half width below this is rounding of equal numbers, not an interval


def decimals_for(half_widths: Iterable[float], *, otherwise: int, least: int = 0, most: int = 4) -> int:
    """Decimals that the typical half width of an interval supports.

    That is the place of the half width's first significant digit: 88.0 ± 0.2, 87.96 ± 0.04, 84 ± 2.

    Args:
        half_widths: of the intervals that share a column; non-finite and zero ones are ignored.
        otherwise: the answer where none is left, as with a single seed.
        least: never fewer decimals than this.
        most: never more decimals than this.
    """
    usable = sorted(width for width in half_widths if math.isfinite(width) and width > NO_SPREAD)
    if not usable:
        return otherwise
    # 0.096 is written 0.1: it belongs to the place above.
    return min(most, max(least, -math.floor(math.log10(usable[len(usable) // 2] / 0.95))))


def fixed(value: float | None, decimals: int) -> str:
    """A number with so many decimals, `–` where there is none, and never a negative zero."""
    if value is None or not math.isfinite(value):
        return MISSING
    text = f"{value:.{decimals}f}"
    if float(text) == 0:
        text = text.removeprefix("-")
    return text.replace("-", "−")


def signed(value: float | None, decimals: int) -> str:
    """Like `fixed`, with a plus sign on what is written as positive."""
    text = fixed(value, decimals)
    return text if text.startswith(("−", MISSING)) or float(text) == 0 else f"+{text}"


def plus_minus(interval: Interval, decimals: int, *, sign: bool = False) -> str:
    """`88.0 ± 0.2`, or the mean alone where one seed gives no interval."""
    mean = signed(interval.mean, decimals) if sign else fixed(interval.mean, decimals)
    width = half_width(interval)
    if not math.isfinite(width):
        return mean
    # A width finer than the column's digits is said to be small, not to be nothing.
    small = NO_SPREAD < width < 0.5 * 10**-decimals
    return f"{mean} ± {f'<{10**-decimals:g}' if small else fixed(width, decimals)}"


def half_width(interval: Interval) -> float:
    """Half the interval's width; NaN where there is no interval."""
    return (interval.high - interval.low) / 2


def between(low: float | None, high: float | None, decimals: int) -> str:
    """`−0.1 to 0.3`, or `–` without an interval."""
    if low is None or high is None or not (math.isfinite(low) and math.isfinite(high)):
        return MISSING
    return f"{fixed(low, decimals)} to {fixed(high, decimals)}"


def p_text(p: float | None) -> str:
    """A p-value with two significant digits at most, `< 0.001` below that."""
    if p is None or not math.isfinite(p):
        return MISSING
    if p < 0.001:
        return "< 0.001"
    return f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def over_seeds(values: Iterable[float]) -> Interval:
    """Mean and 95 % t-interval of the finite values, one a unit; an interval of NaN where none is finite."""
    finite = [float(value) for value in values if value is not None and math.isfinite(value)]
    if not finite:
        return Interval(math.nan, math.nan, math.nan, 0)
    return t_interval(finite)


def interval_of(row: Mapping[str, Any] | pd.Series) -> Interval:
    """The interval that a row of `diffusion_summary.csv` or a part of an answer holds; NaN where it holds none."""
    mean, low, high = (math.nan if (value := row.get(key)) is None else float(value) for key in ("mean", "low", "high"))
    return Interval(mean, low, high, int(row.get("n") or 0))


def alpha_label(alpha: float) -> str:
    """`α = 0.1`."""
    return f"α = {alpha:g}"


def temperature_label(temperature: float) -> str:
    """`T = 64`."""
    return f"T = {temperature:g}"


def listed(parts: list[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}" if parts else ""


def unbroken(text: str) -> str:
    """The text with spaces that keep `T = 1`, `88.0 ± 0.2` and `3 %` on one line, and true minus signs."""
    text = re.sub(r"(?<!\w)-(?=\d)", "−", text)
    return re.sub(r"(?<=[Tαη]) = (?=[\d−])|(?<=\d) ± (?=\d)|(?<=\d) (?=%)", lambda m: m[0].replace(" ", "\u00a0"), text)


def file_name(*parts: str) -> str:
    """Parts joined to a name that is safe as a file's and as an anchor: `timm:a/b` becomes `timm-a-b`.

    Names that differ may give the same; at most 120 characters are kept.
    """
    return re.sub(r"[^A-Za-z0-9._-]+", "-", "-".join(parts))[:120].strip("-.")


def quoted(name: object, most: int = 32) -> str:
    """A class name as part of a sentence: in quotation marks, cut where it is very long."""
    text = " ".join(str(name).split())
    return f"“{text if len(text) <= most else text[: most - 1] + '…'}”"


def count_of(number: int, noun: str) -> str:
    """`1 seed`, `6 seeds`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"

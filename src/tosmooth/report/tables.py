"""A table of the report: shown in the page, and written as CSV (raw numbers) and LaTeX (as shown, booktabs)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from tosmooth.words.numbers import MISSING

# Brackets and stars too: at the start of a row they would be read as arguments of the \\\\ before it.
LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", "[": "{[}", "]": "{]}", "*": "{*}", '"': r"\textquotedbl{}",
    "′": r"$^\prime$", "α": r"$\alpha$", "η": r"$\eta$", "±": r"$\pm$", "−": r"$-$",
    "×": r"$\times$", "→": r"$\rightarrow$", "–": "--", "…": r"\dots{}", "\n": " ", "\r": " ", "\t": " ",
}  # fmt: skip

FORMULA_SIGNS = tuple("=+-@\uff1d\uff0b\uff0d\uff20")  # in East Asian versions of Excel the full-width ones too


def latex_escape(text: str) -> str:
    """Text that LaTeX prints as it stands, whatever class or study names hold."""
    return "".join(LATEX.get(character, character) for character in text)


@dataclass(frozen=True)
class Column:
    """One column as shown.

    Attributes:
        title: its heading.
        texts: one text a row.
        keys: what the rows are sorted by, numbers or texts; None where nothing is known. Empty: not sortable.
        numeric: right-aligned, tabular figures.
    """

    title: str
    texts: Sequence[str]
    keys: Sequence[float | str | None] = ()
    numeric: bool = True

    def sort_key(self, row: int) -> str:
        """The sort key of a row as an attribute's text; empty where nothing is known."""
        key = self.keys[row] if self.keys else None
        return "" if key is None or (isinstance(key, float) and not math.isfinite(key)) else str(key)


@dataclass(frozen=True)
class Table:
    """A table of the report.

    Attributes:
        key: file name and anchor.
        caption: what it holds, units included.
        columns: as shown, all of one length.
        data: the raw numbers, for the CSV file.
        sortable: whether headings are buttons that sort.
    """

    key: str
    caption: str
    columns: Sequence[Column]
    data: pd.DataFrame
    sortable: bool = False

    @property
    def rows(self) -> range:
        """Indices of the rows shown."""
        return range(len(self.columns[0].texts))

    def csv(self) -> str:
        """The raw numbers as CSV. Names that a spreadsheet would run as a formula get an apostrophe before them."""
        data = self.data.rename(columns=_no_formula)
        for position, dtype in enumerate(data.dtypes):
            if not pd.api.types.is_numeric_dtype(dtype):
                data.isetitem(position, [_no_formula(value) for value in data.iloc[:, position]])
        text: str = data.to_csv(index=False)
        return text

    def latex(self, note: str = "") -> str:
        """A `table` environment with booktabs rules, ready to be put in a paper.

        Args:
            note: added to the caption, for example that the study is a preview.
        """
        alignment = "".join("r" if column.numeric else "l" for column in self.columns)
        caption = latex_escape(f"{self.caption} {note}".strip())
        head = " & ".join(latex_escape(column.title) for column in self.columns)
        body = [" & ".join(latex_escape(column.texts[row]) for column in self.columns) + r" \\" for row in self.rows]
        lines = [
            "% needs \\usepackage{booktabs}",
            r"\begin{table}",
            r"  \centering",
            f"  \\caption{{{caption}}}",
            f"  \\label{{tab:{self.key}}}",
            f"  \\begin{{tabular}}{{{alignment}}}",
            r"    \toprule",
            f"    {head} \\\\",
            r"    \midrule",
            *(f"    {line}" for line in body),
            r"    \bottomrule",
            r"  \end{tabular}",
            r"\end{table}",
        ]
        return "\n".join(lines) + "\n"


def _no_formula(value: Any) -> Any:
    """A text that begins like a formula, marked as text. Numbers are left alone, also those that come as text."""
    if not isinstance(value, str) or not value.lstrip().startswith(FORMULA_SIGNS):
        return value
    try:
        float(value)
    except ValueError:
        return f"'{value}"
    return value


def text_column(title: str, values: Sequence[object]) -> Column:
    """A left-aligned column of texts, sorted as texts."""
    texts = [MISSING if value is None or value == "" else str(value) for value in values]
    return Column(title, texts, texts, numeric=False)

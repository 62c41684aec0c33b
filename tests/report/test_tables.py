from __future__ import annotations

import math
import re

import pandas as pd
import pytest

from tosmooth.report.tables import Column, Table, latex_escape, text_column


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r"a_b & 50 % #1 $x$", r"a\_b \& 50 \% \#1 \$x\$"),
        ("\\input{/etc/passwd}", r"\textbackslash{}input\{/etc/passwd\}"),
        ("~^", r"\textasciitilde{}\textasciicircum{}"),
        ("α = 0.1 ± 2 − 1", r"$\alpha$ = 0.1 $\pm$ 2 $-$ 1"),
        ("[2cm]*", "{[}2cm{]}{*}"),  # after a row's \\ these would be its arguments
        ("a\nb", "a b"),
    ],
)
def test_latex_prints_text_as_it_stands(text: str, expected: str) -> None:
    assert latex_escape(text) == expected


def _table() -> Table:
    columns = [text_column("class", ["a_b", ""]), Column("η", ["0.10", "–"], [0.1, math.nan])]
    return Table("demo", "50 % of α.", columns, pd.DataFrame({"eta": [0.1, math.nan]}), sortable=True)


def test_latex_table_is_booktabs_with_aligned_columns() -> None:
    lines = _table().latex("Preview.").splitlines()
    assert r"  \caption{50 \% of $\alpha$. Preview.}" in lines
    assert r"  \begin{tabular}{lr}" in lines
    assert r"    class & $\eta$ \\" in lines
    assert r"    a\_b & 0.10 \\" in lines
    assert r"    -- & -- \\" in lines
    rules = [line.strip() for line in lines if re.search(r"rule$", line)]
    assert rules == [r"\toprule", r"\midrule", r"\bottomrule"]


def test_csv_holds_raw_numbers() -> None:
    assert _table().csv() == 'eta\n0.1\n""\n'


def test_sort_keys_are_empty_where_nothing_is_known() -> None:
    column = _table().columns[1]
    assert [column.sort_key(row) for row in (0, 1)] == ["0.1", ""]

"""Every rule of `docs/advice.md` has a test that is marked with its number, and every marked number is a rule."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_every_rule_has_its_test():
    listed = set(
        re.findall(r"^- \*\*(R\d+)\b", (ROOT / "docs" / "advice.md").read_text(encoding="utf-8"), re.MULTILINE)
    )
    files = (ROOT / "tests" / "advice").glob("test_*.py")
    tested = {
        name for file in files for name in re.findall(r'mark\.rule\("(R\d+)"\)', file.read_text(encoding="utf-8"))
    }
    assert len(listed) >= 20
    assert tested == listed

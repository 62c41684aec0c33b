from __future__ import annotations

import re

from tosmooth.report.reading import StudyFiles
from tosmooth.report.terms import explained, meanings

HEADLINE = (
    "With these teachers: smooth the teacher (α = 0.1). Distil at T = 1: 88.0 ± 0.2 % test top-1; T = 2 is worse."
)


def test_the_first_of_each_term_explains_itself(effect_files: StudyFiles) -> None:
    html = str(explained(HEADLINE, meanings(effect_files)))
    assert re.findall(r"<abbr[^>]*>(.*?)</abbr>", html) == ["α", "T", "±", "top-1"]
    assert html.count('tabindex="0" title="') == 4  # the keyboard reaches each
    assert "The share of images" in html
    assert re.sub("<[^>]*>", "", html).replace("\u00a0", " ") == HEADLINE


def test_markup_in_the_text_stays_text(effect_files: StudyFiles) -> None:
    text = "<b title='α = 1'>&T = 1</b> \"top-1\" ±"
    html = str(explained(text, meanings(effect_files)))
    assert html.startswith("&lt;b title=&#39;<abbr")
    assert set(re.findall(r"<(/?\w+)", html)) == {"abbr", "/abbr"}

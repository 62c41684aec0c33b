"""One sentence for each caveat's code."""

from __future__ import annotations

from typing import Any

import pytest

from tosmooth.tasks.translation import BLEU
from tosmooth.words.caveats import SENTENCES, caveat_sentences
from tosmooth.words.wording import Wording

OFF = {"label_smoothing": 0.1, "temperature": 64.0, "way_to_reference": 0.4, "reference_temperature": 1.0}
ONLY_WORDS = {
    "chosen on test", "no validation", "one teacher", "few samples", "smoothing unknown", "smoothing estimated",
    "as good as its teacher", "no advice", "no unsmoothed teacher", "no smoothed teacher",
}  # fmt: skip
WITH_NUMBERS: list[tuple[dict[str, Any], str]] = [
    ({"code": "preview"}, "Preview: few sentences, few epochs, few seeds. Run the full study before you decide."),
    ({"code": "one seed", "unit": "teacher seed"}, "One teacher seed: nothing here can be told from chance."),
    ({"code": "few seeds", "units": 3, "unit": "seed"}, "3 seeds: the exact sign-flip test cannot reach p < 0.05"),
    ({"code": "not finished", "students": 1, "of": 16}, "1 of 16 students did not finish and are left out."),
    ({"code": "given teachers", "label_smoothing": [0.0, 0.1]}, "The teachers of α = 0, 0.1 were given, the others"),
    ({"code": "largest label_smoothing", "value": 0.1}, "The best α is the largest of the grid (0.1): a larger one"),
    ({"code": "largest temperature", "value": 64.0}, "The best T is the largest of the grid (64): a larger one"),
    (
        {"code": "one learning rate", "learning_rate": 0.1},
        "All settings were trained at one learning rate (0.1), which",
    ),
    (
        {"code": "largest learning rate", "learning_rate": 0.9, "settings": 2, "of": 6},
        "The best learning rate is the largest tried (0.9) for 2 of 6 settings: a larger one may be better still.",
    ),
    (
        {"code": "smallest learning rate", "learning_rate": 0.1, "settings": 4, "of": 6},
        "The best learning rate is the smallest tried (0.1) for 4 of 6 settings: a smaller one may be better still.",
    ),
    (
        {"code": "not trained alike", "settings": 2} | OFF,
        "The students at α = 0.1, T = 64 have gone 40 % of the way that those at T = 1 went, the farthest off of 2: "
        "what",
    ),
    (
        {"code": "sign of eta", "forms": [{"normalisation": "none", "debiased": True}]},
        "The sign of η_S1 − η_S2 depends on how η is computed: it turns with none, debiased.",
    ),
    (
        {"code": "grid changed", "added": ["T = 2"], "removed": ["T = 8"], "test_was_read": True},
        "The grid was changed after its test split had been read (new: T = 2; no longer: T = 8); this advice was made",
    ),
    (
        {"code": "not drawn", "files": ["figures/classes.pdf", "figures/classes.png"], "reason": "no memory"},
        "figures/classes.pdf, figures/classes.png could not be drawn (no memory); all",
    ),
    (
        {"code": "charts stand still", "reason": "no memory"},
        "The page's script could not be made (no memory): static figures",
    ),
    ({"code": "unreadable images", "images": 1}, "1 image could not be read and were left out."),
    ({"code": "weaker evidence", "source": "given order"}, "Similar classes come from the given order, not from an"),
]


@pytest.mark.parametrize(("caveat", "start"), WITH_NUMBERS)
def test_numbers_stand_in_the_sentence(caveat: dict[str, Any], start: str):
    (text,) = caveat_sentences([caveat], Wording(BLEU))
    assert text.startswith(start)
    assert text.endswith(".")


def test_every_code_is_looked_at():
    assert ONLY_WORDS | {caveat["code"] for caveat, _ in WITH_NUMBERS} == set(SENTENCES)
    texts = caveat_sentences([{"code": code} for code in sorted(ONLY_WORDS)], Wording())
    assert len(set(texts)) == len(ONLY_WORDS)
    assert all(text[0].isupper() and text.endswith(".") and "{" not in text for text in texts)


def test_what_an_earlier_version_wrote_is_said_as_it_is():
    written = ["2 seeds: the exact sign-flip test {x}.", "Something else."]
    assert caveat_sentences(written, Wording()) == written

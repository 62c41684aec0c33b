"""What a frozen advice concludes: from facts, or as an earlier version wrote it."""

from __future__ import annotations

from tosmooth.words.conclusions import conclusions
from tosmooth.words.wording import Wording

RULE = {"verdict": "best", "agrees": True, "temperature": 1.0}


def test_only_what_has_something_to_say_is_there():
    advice = {"consequence": {"verdict": None, "rows": []}, "rule": RULE, "effect": None, "caveats": []}
    assert list(conclusions(advice, Wording())) == ["rule"]
    assert conclusions({}, Wording()) == {}


def test_what_an_earlier_version_wrote_is_said_as_it_is():
    old = {"effect": {"verdict": "shown", "sentence": "Shown."}, "consequence": {"sentence": ""}, "rule": RULE}
    found = conclusions(old, Wording(training="SGD at 0.1, 4 epochs"))
    assert found["effect"] == "Shown."
    assert found["rule"].endswith("by validation. Students: SGD at 0.1, 4 epochs.")
    assert "consequence" not in found

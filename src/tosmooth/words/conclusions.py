"""What a frozen advice concludes beside its answer: on diffusion, on its consequence and on the paper's rule."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tosmooth.folder.older import as_written
from tosmooth.words.consequence import consequence_sentence
from tosmooth.words.effect import effect_sentence
from tosmooth.words.paper_rule import rule_sentence
from tosmooth.words.wording import Facts, Wording

PARTS: dict[str, Callable[[Facts, Wording], str]] = {
    "effect": effect_sentence,
    "consequence": consequence_sentence,
    "rule": rule_sentence,
}


def conclusions(advice: Facts, wording: Wording) -> dict[str, str]:
    """A sentence for each part of the advice that has something to say, by "effect", "consequence" and "rule".

    Args:
        advice: frozen; of the whole study or of one of its student models. What an earlier version wrote as a sentence
            is said as it is.
        wording: of the study; its `training` is said in each sentence, as each may go out alone.
    """
    found = {}
    for key, says in PARTS.items():
        if isinstance(part := advice.get(key), Mapping):
            written = as_written(part)
            found[key] = says(part, wording) if written is None else written
    return {key: text for key, text in found.items() if text}

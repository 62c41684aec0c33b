"""The words of the first screen that a newcomer may not know, explained where they stand: on hover, tap and focus."""

from __future__ import annotations

import re
from collections.abc import Mapping

from markupsafe import Markup, escape

from tosmooth.report.reading import StudyFiles
from tosmooth.words.numbers import unbroken

# What stands for a term, by term. Texts have spaces that do not break before a sign of equality.
WHERE = {"α": r"α(?=[ \u00a0]=)", "T": r"\bT(?=[ \u00a0]=)", "±": "±"}
SMOOTHING = "Label smoothing: the weight of the uniform distribution in the teacher’s training target; 0: none"
TEMPERATURE = "Temperature: divides the logits before the softmax in the distillation loss; higher is softer"


def meanings(files: StudyFiles) -> dict[str, str]:
    """The terms of a study's headline with their meanings; the metric is among them where its task explains it."""
    unit = files.unit_word
    interval = f"Half of the 95 % interval over {unit}s: it says what other {unit}s would give"
    return {"α": SMOOTHING, "T": TEMPERATURE, "±": interval} | metric_meaning(files)


def metric_meaning(files: StudyFiles) -> dict[str, str]:
    """What the metric is, by its words; empty where the task does not say."""
    words = files.metric.words
    found = (meaning for word, meaning in files.task.glossary if words.casefold() in word.casefold().split(", "))
    meaning = next(found, None)
    return {} if meaning is None else {words: meaning}


def explained(text: str, terms: Mapping[str, str]) -> Markup:
    """The text, escaped, with the first of each term marked for the page to explain.

    Args:
        text: of anybody: it is escaped before anything is marked in it.
        terms: meanings by term, ours.
    """
    safe = str(escape(unbroken(text)))
    for term in terms:
        where = WHERE.get(term, rf"\b{re.escape(str(escape(unbroken(term))))}\b")
        # Marks hold terms too, so each is set as a sign that no page has, and made an element at the end.
        safe = re.sub(where, f"\x00{list(terms).index(term)}\x00", safe, count=1)
    for position, (term, meaning) in enumerate(terms.items()):
        safe = safe.replace(f"\x00{position}\x00", str(marked(term, meaning)))
    return Markup(safe)


def marked(term: str, meaning: str) -> Markup:
    """A term that explains itself: an abbreviation that the keyboard and a finger reach."""
    return Markup('<abbr tabindex="0" title="{}">{}</abbr>').format(meaning, unbroken(term))

"""A study's answer in words: the headline, and a short answer to each question that a reader has.

From the facts of `advice.answer` alone, for report, terminal, model card and trackers: a better sentence reaches old
studies, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tosmooth.tasks.metric import Metric
from tosmooth.words.numbers import count_of, decimals_for, fixed, interval_of, listed, signed
from tosmooth.words.settings import describe_distillation, written
from tosmooth.words.students import of_students, without_teacher
from tosmooth.words.teachers import which_teacher
from tosmooth.words.wording import Facts, Wording

SPLITS = {"val": "validation", "test": "test"}


@dataclass(frozen=True)
class Answer:
    """One question with its answer.

    Attributes:
        key: "teacher", "smooth", "temperature", "risk", "settle" or "contradiction".
        question: as a reader asks it.
        verdict: one or two words: "yes", "not settled".
        sentence: with the numbers.
    """

    key: str
    question: str
    verdict: str
    sentence: str


@dataclass(frozen=True)
class _Told:
    """The facts at hand while sentences are made."""

    facts: Facts
    wording: Wording
    decimals: int = field(default=1)

    def points(self, value: float | None) -> str:
        return f"{fixed(value, self.decimals)} points"

    def between(self, low: float | None, high: float | None) -> str:
        if low is None or high is None:
            return ""
        return f" ({signed(low, self.decimals)} to {signed(high, self.decimals)})"

    def part(self, key: str) -> Facts:
        found = self.facts.get(key)
        return found if isinstance(found, Mapping) else {}


def headline(facts: Facts, wording: Wording) -> str:
    """What to do, with the figure to expect: the sentence that is passed on.

    Args:
        facts: of `advice.answer`.
        wording: of the study.
    """
    chosen = dict(facts["chosen"])
    row = _row(facts, chosen)
    metric, on = wording.metric, SPLITS[facts["split"]]
    figure = f"{written(interval_of(row), metric.unit)} {on} {metric.words}" if row else ""
    rates = {"learning_rate": facts["learning_rate"]} if facts.get("learning_rate") is not None else {}
    which = wording.with_rate(chosen | rates)
    figure += f" over {count_of(facts['units'], facts['unit'])}" if facts["units"] > 1 else f" (one {facts['unit']})"
    start = "Preview, too short to conclude from. " if wording.preview else ""
    teacher = facts.get("teacher") or {}
    if facts.get("contradicted"):
        better = next((one for one in facts.get("settings") or [] if one.get("relation") == "best"), None)
        by = ""
        if better is not None and row.get("behind") is not None:
            by = f"; there {wording.name(better)} is {fixed(row['behind'], _decimals(facts))} points better"
        if facts.get("validated", True):
            return f"{start}The splits disagree. Validation chose {which}: {figure}{by}."
        return f"{start}The paper's rule does not hold here. It is {which}: {figure}{by}."
    if teacher.get("verdict") == "worse":
        start += f"Train {without_teacher(teacher.get('label_smoothing') or 0)}: the teacher does harm here. "
    verdict = str((facts.get("smooth") or {}).get("verdict"))
    if verdict in {"yes", "no"}:
        how = describe_distillation(chosen | rates, wording.varied, wording.rates)
        side = f"smooth the teacher (α = {chosen['label_smoothing']:g})" if verdict == "yes" else "do not smooth"
        # One teacher of each kind says nothing of others: that belongs into the headline.
        side = side.capitalize() if facts.get("teachers", 1) > 1 else f"With these teachers: {side}"
        return f"{start}{side}. Distil {how}: {figure}."
    # Of two that chance cannot tell apart, the one that validation chose may be behind on test.
    behind = facts.get("validated", True) and facts["split"] == "test" and (row.get("behind") or 0) > 0
    opening = {
        "does not matter": "Smoothing the teacher does not matter. Distil from ",
        "open": f"Whether to smooth the teacher is not settled. {'Validation chose ' if behind else 'Best so far: '}",
    }.get(verdict, "Distil from ")
    if verdict == "does not matter" and facts.get("teachers", 1) < 2:
        opening = "With these teachers, smoothing does not matter. Distil from "
    return f"{start}{opening}{which}: {figure}."


def forwarded(facts: Facts, wording: Wording) -> str:
    """The headline as it goes out alone, with what the students were trained with."""
    return headline(facts, wording) + of_students(wording.training)


def answers(facts: Facts, wording: Wording) -> list[Answer]:
    """Question by question, in the order in which a reader asks.

    Args:
        facts: of `advice.answer`.
        wording: of the study.
    """
    told = _Told(facts, wording, _decimals(facts))
    found = [_contradiction(told), _teacher(told), _smooth(told), _temperature(told), _risk(told), _settle(told)]
    return [one for one in found if one is not None]


def basis(facts: Facts, wording: Wording) -> str:
    """What the answers rest on: the split, and what the intervals hold for."""
    on, samples = SPLITS[facts["split"]], facts.get("samples")
    until_sure = facts.get("until_sure")
    over = count_of(facts["units"], facts["unit"])
    read = "read once, after the choice was frozen on validation"
    if facts["split"] == "val":
        read = "the split that chose as well, so all of it is slightly optimistic"
    elif not facts.get("validated", True):
        read = "with nothing chosen on data: the setting is the paper's rule's"
    if facts["units"] < 2:
        return f"One {facts['unit']}, on {on} data, {read}: differences are those of these very students."
    new = (
        f"for new {facts['unit']}s and for new {wording.metric.samples} of the same kind ({samples:,} here)"
        if samples
        else f"for new {facts['unit']}s; the {wording.metric.samples} are taken as they are"
    )
    if isinstance(until_sure, Mapping):
        return f"On {on} data, {read}. {_ended(until_sure, wording)} Intervals are over {over}, {new}."
    return f"On {on} data, {read}. Intervals are of 95 % over {over}, {new}."


def _ended(until_sure: Facts, wording: Wording) -> str:
    """Of a study that was run until sure: after how many seeds it ended, and why."""
    why = why_it_ended(str(until_sure.get("reason")), wording.metric)
    seeds, looks, confidence = (until_sure.get(key) for key in ("seeds", "looks", "confidence"))
    percent = 100 * float(confidence) if isinstance(confidence, int | float) else 95.0
    shown = "over 99.99" if percent > 99.99 else f"{percent:.4g}"
    return (
        f"Seeds were added until sure: after {count_of(int(seeds or 0), 'seed')} and "
        f"{count_of(int(looks or 0), 'look')} it stopped, because {why}. "
        f"Differences have {shown} % confidence, so that all looks together keep 95 %."
    )


def why_it_ended(reason: str, metric: Metric) -> str:
    """Why no more seeds were added, as the end of a sentence; `reason` is one of `advice.until_sure.REASONS`."""
    return {
        "sure": "the answer is sure",
        "as good": "what is left is as good as one another within the margin",
        "samples": f"the number of validation {metric.samples} limits what more seeds could tell",
        "training": "what is left open was not trained alike",
        "budget": "its time was used up",
        "seeds": "no more seeds were allowed",
    }.get(reason, "it was ended")


def _teacher(told: _Told) -> Answer | None:
    teacher, unit = told.part("teacher"), told.wording.metric.unit
    verdict = str(teacher.get("verdict"))
    question = "Is a teacher worth it?"
    if verdict not in {"better", "as good", "worse", "open"}:
        return None
    against = f"training {without_teacher(teacher.get('label_smoothing') or 0)} ({written(interval_of(teacher), unit)})"
    gap = teacher.get("difference")
    ends = told.between(teacher.get("difference_low"), teacher.get("difference_high"))
    points = f"{signed(gap, told.decimals)} points{ends} against {against}"
    margin = f"{told.facts.get('margin', 0.5):g} points"
    words, sentence = {
        "better": ("Yes", f"{points}."),
        "worse": ("No", f"{points}: the student is better without."),
        "as good": ("It makes no difference", f"{points}, within the margin of {margin}."),
        "open": ("Not settled", f"{points}, which {_told_by(told)} cannot tell from chance."),
    }[verdict]
    if verdict == "worse" and told.facts.get("contradicted"):
        words, sentence = (
            "Not this one",
            f"{points}. Another setting is better than the chosen one, so it may still be.",
        )
    return Answer("teacher", question, words, sentence)


def _told_by(told: _Told) -> str:
    return count_of(told.facts["units"], told.facts["unit"])


def _smooth(told: _Told) -> Answer | None:
    smooth = told.part("smooth")
    verdict = str(smooth.get("verdict"))
    question = "Smooth the teacher?"
    if verdict not in {"yes", "no", "does not matter", "open"}:
        return None
    smoothed, unsmoothed = smooth.get("smoothed") or {}, smooth.get("unsmoothed") or {}
    ahead_is_smoothed = (smoothed.get("behind") or 0) <= (unsmoothed.get("behind") or 0)
    best, lost = (smoothed, unsmoothed) if ahead_is_smoothed else (unsmoothed, smoothed)
    ends = told.between(smooth.get("behind_low"), smooth.get("behind_high"))
    gap = f"{told.points(smooth.get('behind'))} behind{ends}"
    losing, winning = told.wording.name(lost), told.wording.name(best)
    margin, on = f"{told.facts.get('margin', 0.5):g} points", SPLITS[told.facts["split"]]
    words, sentence = {
        "yes": ("Yes", f"The best without smoothing, {losing}, is {gap}."),
        "no": ("No", f"The best with smoothing, {losing}, is {gap}."),
        "does not matter": (
            "It does not matter",
            f"The best of either side is as good as the other within {margin}: {losing} is {gap}.",
        ),
        "open": ("Not settled", f"{winning[:1].upper()}{winning[1:]} leads on {on}; {losing} is {gap}."),
    }[verdict]
    if told.facts.get("teachers", 1) < 2:
        sentence += " This is about these teachers: another pair, trained alike, may differ."
    return Answer("smooth", question, words, sentence)


def _temperature(told: _Told) -> Answer | None:
    found = told.part("temperature")
    good, left, behind = (list(found.get(key) or []) for key in ("as_good", "open", "behind"))
    if len(good) + len(left) + len(behind) < 2:
        return None
    unlike = list(found.get("unlike") or [])
    some = [*good, *left]
    maybe = sorted(t for t in some if t not in unlike)
    single = len(some) == 1
    if not some:  # another objective, or another α, is what is left
        return None
    if not behind:
        words = "It does not matter" if not left else "Not settled"
        text = (
            f"T = {_numbers(good)} are as good as one another."
            if not left
            else f"T = {_numbers(sorted(some))} are not told apart."
        )
    else:
        words = f"T = {_numbers(sorted(some))}"
        lost = f"T = {_numbers(behind)} {'is' if len(behind) == 1 else 'are'} worse."
        text = lost if single else f"{'Either' if len(some) == 2 else 'Any'} may be the best; {lost}"
    if unlike:
        text += (
            f" At T = {_numbers(unlike)} students were not trained as far as at T = {_numbers(maybe[:1] or some[:1])}: "
            "nothing is said against it."
        )
    if told.part("smooth").get("verdict") in {"open", "does not matter"} and found.get("label_smoothing") is not None:
        # Both sides are left, so that a reader could take it for either.
        teacher = which_teacher(found["label_smoothing"], told.wording.smoothing)
        text = f"Under {teacher}: {text[0].lower() if not text.startswith('T =') else text[0]}{text[1:]}"
    return Answer("temperature", "Which T?", words, text)


def _numbers(values: list[float]) -> str:
    return listed([f"{value:g}" for value in values])


def _risk(told: _Told) -> Answer | None:
    risk = told.facts.get("risk")
    if risk is None:
        return None
    size = fixed(risk, max(1, told.decimals))
    if float(size.replace("−", "-")) == 0:
        size = f"less than {10 ** -max(1, told.decimals):g}"
    text = f"Following this costs {size} points on average against knowing the best setting of the grid."
    return Answer("risk", "What do I risk?", f"{size} points", text)


def _settle(told: _Told) -> Answer | None:
    settle, unit = told.part("settle"), told.facts["unit"]
    kind, number = settle.get("kind"), settle.get("number")
    samples, split = told.wording.metric.samples, SPLITS[told.facts["split"]]
    where = "teacher.seeds" if unit == "teacher seed" else "student.seeds"
    if told.facts.get("paired"):
        where = "teacher.seeds and student.seeds, or --until-sure"
    seeds = f"About {number} more {unit}{'s' * (number > 1)} ({where})." if number else ""
    found = {
        "units": ("More seeds", seeds or f"In {where}; how many cannot be told."),
        "samples": (f"More {samples}", f"No number of seeds settles it: {split} has too few {samples}."),
        "teachers": (
            "More teachers",
            "Two more teachers of each kind (teacher.seeds=[0,1,2]) would say whether this holds for new ones.",
        ),
        "training": (
            "Training alike",
            "Settings that were not trained as far as the others: longer training, or more student.learning_rates.",
        ),
    }.get(str(kind))
    return None if found is None else Answer("settle", "What would settle the rest?", *found)


def _contradiction(told: _Told) -> Answer | None:
    if not told.facts.get("contradicted"):
        return None
    row = _row(told.facts, told.facts["chosen"])
    ends = told.between(row.get("behind_low"), row.get("behind_high"))
    best: Facts = next((one for one in told.facts.get("settings") or [] if one.get("relation") == "best"), {})
    on = SPLITS[told.facts["split"]]
    question, chose, stays = "Do the splits agree?", "Validation chose", "The choice stays as it was frozen."
    if not told.facts.get("validated", True):
        question, chose, stays = "Does the paper's rule hold?", "It is", "Nothing else was chosen on data."
    return Answer(
        "contradiction",
        question,
        "No",
        f"{chose} {told.wording.name(told.facts['chosen'])}; on {on} data it is "
        f"{told.points(row.get('behind'))} behind{ends} {told.wording.name(best)}. {stays}",
    )


def _row(facts: Facts, setting: Facts) -> Facts:
    keys = ("objective", "label_smoothing", "temperature", "student")
    rows = facts.get("settings") or []
    return next((row for row in rows if all(row.get(key) == setting.get(key) for key in keys)), {})


def _decimals(facts: Facts) -> int:
    """One decimal, or two where intervals of differences support them."""
    ends = [(row.get("behind_low"), row.get("behind_high")) for row in facts.get("settings") or []]
    widths = [(high - low) / 2 for low, high in ends if low is not None and high is not None]
    return decimals_for(widths, otherwise=1, least=1, most=2)

"""What each caveat says: one sentence for each code."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from tosmooth.folder.older import as_written, caveat_of
from tosmooth.words.convergence import way_gone
from tosmooth.words.numbers import count_of
from tosmooth.words.teachers import UNKNOWN
from tosmooth.words.wording import Facts, Wording


def caveat_sentences(caveats: Iterable[Facts], wording: Wording) -> list[str]:
    """Caveats in words, in their order.

    Args:
        caveats: each a "code" and numbers; what an earlier version wrote as a sentence is said as it is.
        wording: of the study.
    """
    return [_sentence(caveat_of(caveat), wording) for caveat in caveats]


def _sentence(caveat: Facts, wording: Wording) -> str:
    if (written := as_written(caveat)) is not None:
        return written
    says = SENTENCES.get(caveat["code"])
    if says is None:  # of a later version
        return f"{caveat['code']}."
    return says(caveat) if callable(says) else says.format(**caveat, samples=wording.metric.samples)


def _given_teachers(caveat: Facts) -> str:
    given = ", ".join(f"{alpha:g}" for alpha in caveat["label_smoothing"])
    return (
        f"The teachers of α = {given} were given, the others trained here: what sets them apart may be their training, "
        "not their smoothing."
    )


def _not_trained_alike(caveat: Facts) -> str:
    text, number = way_gone(caveat, caveat["reference_temperature"]), caveat["settings"]
    others = f", the farthest off of {number}" if number > 1 else ""
    return (
        f"{text[0].upper()}{text[1:]}{others}: what looks like an effect of T may be one of the learning rate. Longer "
        "training, another learning rate or AdamW would tell."
    )


def _sign_of_eta(caveat: Facts) -> str:
    forms = [f"{form['normalisation']}{', debiased' if form['debiased'] else ''}" for form in caveat["forms"]]
    return f"The sign of η_S1 − η_S2 depends on how η is computed: it turns with {'; '.join(forms)}."


def _grid_changed(caveat: Facts) -> str:
    words = {"added": "new:", "removed": "no longer:"}
    what = "; ".join(f"{word} {', '.join(caveat[key])}" for key, word in words.items() if caveat[key])
    when = "after its test split had been read" if caveat["test_was_read"] else "before its test split was read"
    return f"The grid was changed {when} ({what}); this advice was made anew from validation figures."


def _unreadable(caveat: Facts) -> str:
    return f"{count_of(caveat['images'], 'image')} could not be read and were left out."


def _not_drawn(caveat: Facts) -> str:
    return f"{', '.join(caveat['files'])} could not be drawn ({caveat['reason']}); all else of the report is there."


_EDGE_OF_RATES = (
    "The best learning rate is the {which} tried ({{learning_rate:g}}) for {{settings}} of {{of}} settings: a {beyond} "
    "one may be better still."
)
SENTENCES: dict[str, str | Callable[[Facts], str]] = {
    "chosen on test": (
        "Epochs were chosen on the test split, as the paper's scripts do: the test figures are optimistic."
    ),
    "no validation": "There is no validation split (data.validation: 0): nothing was selected on data of its own.",
    "preview": "Preview: few {samples}, few epochs, few seeds. Run the full study before you decide.",
    "one seed": "One {unit}: nothing here can be told from chance. Train at least three, better six.",
    "few seeds": "{units} {unit}s: the exact sign-flip test cannot reach p < 0.05 with fewer than 6.",
    "not finished": "{students} of {of} students did not finish and are left out.",
    "one teacher": "One teacher per α: the conclusion holds for this pair of teachers, not for smoothing in general.",
    "few samples": "Some classes have fewer than 20 samples on a split: η there is unreliable.",
    "smoothing unknown": f"{UNKNOWN[0].upper()}{UNKNOWN[1:]}: where figures and tables say α, read: not known.",
    "smoothing estimated": "The teacher's α was estimated by an audit, from its outputs on training images.",
    "given teachers": _given_teachers,
    "as good as its teacher": (
        "The best student is at least as good as the best teacher: a stronger teacher may change the picture."
    ),
    "largest label_smoothing": "The best α is the largest of the grid ({value:g}): a larger one may be better still.",
    "largest temperature": "The best T is the largest of the grid ({value:g}): a larger one may be better still.",
    "one learning rate": (
        "All settings were trained at one learning rate ({learning_rate:g}), which may suit some of them better than "
        "others: student.learning_rates=[1,3] lets each have its own."
    ),
    "largest learning rate": _EDGE_OF_RATES.format(which="largest", beyond="larger"),
    "smallest learning rate": _EDGE_OF_RATES.format(which="smallest", beyond="smaller"),
    "not trained alike": _not_trained_alike,
    "sign of eta": _sign_of_eta,
    "grid changed": _grid_changed,
    # What only the report sees.
    "no advice": "No advice was given yet: the study has not come to its end.",
    "unreadable images": _unreadable,
    "not drawn": _not_drawn,
    "charts stand still": (
        "The page's script could not be made ({reason}): static figures take the place of its charts."
    ),
    "no unsmoothed teacher": (
        "There is no unsmoothed teacher (α = 0) in this study: what smoothing itself does cannot be told."
    ),
    "no smoothed teacher": "There is no smoothed teacher (α > 0) in this study: smoothing cannot be judged.",
    "weaker evidence": "Similar classes come from the {source}, not from an unsmoothed teacher: weaker evidence.",
}

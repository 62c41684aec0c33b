"""The kinds of work that a study consists of: what is counted, what is timed, and what has a precision of its own."""

from __future__ import annotations

from typing import Literal, NamedTuple


class Kind(NamedTuple):
    """What is done with a sample: it is read, trains a model, a frozen teacher is asked about it, or a model judged."""

    what: Literal["read", "read for evaluation", "train", "ask", "evaluate"]
    role: Literal["teacher", "student", ""]
    model: str  # whose; empty of reading


class Choice(NamedTuple):
    """The precision of a kind of work under `measured`.

    Attributes:
        precision: "float32" or "bf16"; None where nobody knows it any more.
        reason: "measured", or why it was not: "no bf16", "too few steps", "out of memory", "not known".
    """

    precision: str | None
    reason: str


READ, READ_FOR_EVALUATION = Kind("read", "", ""), Kind("read for evaluation", "", "")

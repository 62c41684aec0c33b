"""The kinds of work that a study consists of: what is counted, and what is timed."""

from __future__ import annotations

from typing import Literal, NamedTuple


class Kind(NamedTuple):
    """What is done with a sample: it is read, trains a model, a frozen teacher is asked about it, or a model judged."""

    what: Literal["read", "read for evaluation", "train", "ask", "evaluate"]
    role: Literal["teacher", "student", ""]
    model: str  # whose; empty of reading


READ, READ_FOR_EVALUATION = Kind("read", "", ""), Kind("read for evaluation", "", "")

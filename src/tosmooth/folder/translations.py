"""What the students of a translation study made of the same sentences, so that two of one seed can be compared.

Right or wrong by token would say little: after an early mistake the rest of a sentence differs. So two students are
compared on whole translations, in BLEU, by resampling the sentences.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tosmooth.analysis.translation_metrics import TOKENISER, TOKENISERS, sentence_statistics
from tosmooth.errors import StudyError
from tosmooth.folder.paths import TRANSLATIONS_FILE
from tosmooth.folder.sums import check_model_file
from tosmooth.untrusted import UnreadableError, read_json

LARGEST_FILE = 200_000_000  # bytes


@dataclass(frozen=True)
class Translations:
    """The translations of one split by one student.

    Attributes:
        hypotheses: what it made of each sentence.
        references: what people made of it.
        sources: the sentences; empty in files that lack them.
        tokenize: sacrebleu's tokeniser for them.
    """

    hypotheses: Sequence[str]
    references: Sequence[str]
    sources: Sequence[str] = ()
    tokenize: str = TOKENISER

    @cached_property
    def statistics(self) -> NDArray[np.float64]:
        """Of each sentence, for BLEU."""
        return sentence_statistics(self.hypotheses, self.references, self.tokenize)


def read_translations(folder: Path, split: str = "val") -> Translations | None:
    """A student's translations of a split; None where there are none.

    Raises:
        StudyError: the file is damaged (named).
    """
    path = folder / TRANSLATIONS_FILE
    if not path.is_file():
        return None
    check_model_file(path)
    remedy = "delete it, and it is left out"
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise StudyError(f"{path} is larger than {LARGEST_FILE / 1e6:g} MB; {remedy}")
        found = read_json(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, UnreadableError) as error:
        reason = str(error) if isinstance(error, UnreadableError) else "is not valid UTF-8"
        raise StudyError(f"{path} {reason}; {remedy}") from None
    except OSError as error:
        raise StudyError(f"{path} cannot be read: {error.strerror or error}; {remedy}") from None
    if not isinstance(found, dict):
        raise StudyError(f"{path}: expected a JSON object, found {type(found).__name__}; {remedy}")
    if split not in found:
        return None
    own = found[split]
    hypotheses, references, sources = (_texts(own, key) for key in ("hypotheses", "references", "sources"))
    if hypotheses is None or references is None or sources is None:
        raise StudyError(f"{path}: {split}.hypotheses, .references and .sources must be lists of texts; {remedy}")
    if len(hypotheses) != len(references) or len(sources) not in {0, len(hypotheses)}:
        raise StudyError(f"{path}: the lists of {split} must have one text a sentence each; {remedy}")
    tokenize = own.get("tokenize", TOKENISER)
    if tokenize not in TOKENISERS:
        raise StudyError(f"{path}: {split}.tokenize must be one of {', '.join(TOKENISERS)}; {remedy}")
    return Translations(hypotheses, references, sources, tokenize) if hypotheses else None


def _texts(own: Any, key: str) -> list[str] | None:
    """A list of texts of a mapping, empty where it is missing; None where it is something else."""
    found = own.get(key, []) if isinstance(own, dict) else None
    return found if isinstance(found, list) and all(isinstance(text, str) for text in found) else None

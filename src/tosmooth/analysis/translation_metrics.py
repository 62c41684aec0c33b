"""How good translations are: BLEU and chrF as sacrebleu has them, and whether two systems differ beyond chance.

BLEU (Papineni et al., ACL 2002) is of the whole corpus, on texts as people read them: sacrebleu splits them itself, by
the rules of a tokeniser that suits the language (Post, WMT 2018). Its signature says all that a figure depends on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tosmooth.errors import DataError

TOKENISER = "13a"  # sacrebleu's own choice for all languages with spaces between words
TOKENISERS = (TOKENISER, "zh", "ja-mecab", "ko-mecab", "char")
ORDER = 4  # of the longest n-grams that BLEU counts
RESAMPLES = 1000
SEED = 12345  # sacrebleu's own
AT_ONCE = 100  # resamples drawn at a time: (100, N) positions in memory, not (1000, N)


@dataclass(frozen=True)
class TranslationScores:
    """Scores of a set of translations.

    Attributes:
        bleu: of the whole corpus, 0 to 100.
        chrf: chrF2 of the whole corpus, 0 to 100 (Popović, WMT 2015).
        bleu_novel: BLEU of the novel sentences alone; None where there are none, or nobody said which they are.
        chrf_novel: chrF2 of the same.
        signature: of BLEU, as sacrebleu writes it.
        sentences: how many were scored.
    """

    bleu: float
    chrf: float
    bleu_novel: float | None
    chrf_novel: float | None
    signature: str
    sentences: int


@dataclass(frozen=True)
class PairedBleu:
    """The difference in BLEU of two systems on the same sentences: for these systems, not for others trained alike.

    Attributes:
        difference: BLEU of the first less that of the second, in points.
        low, high: its 95 % percentile interval over resamples of the sentences.
        p: two-sided, by sacrebleu's formula; at least 1 / (resamples + 1).
        sentences: how many there are.
    """

    difference: float
    low: float
    high: float
    p: float
    sentences: int


def score_translations(
    hypotheses: Sequence[str], references: Sequence[str], novel: ArrayLike | None = None, *, tokenize: str = TOKENISER
) -> TranslationScores:
    """BLEU and chrF of translations, each against one reference.

    Args:
        hypotheses: texts of N translations, not split into tokens; empty ones count as translations that say nothing.
        references: N texts.
        novel: (N,) booleans: sentences unlike those in training.
        tokenize: sacrebleu's tokeniser for the language: `13a` parts words at spaces and punctuation; `zh`, `ja-mecab`,
            `ko-mecab`, `char`.

    Returns:
        The scores. The same texts in another order have the same.

    Raises:
        DataError: sacrebleu is not installed.
        ValueError: the lengths differ, or there are no sentences.

    Example:
        >>> score_translations(["The cat sat on the mat."], ["The cat sat on the mat."]).bleu
        100.00000000000004
    """
    sacrebleu = _sacrebleu()
    said, meant = _pairs(hypotheses, references)
    bleu, chrf = sacrebleu.BLEU(force=True, tokenize=tokenize), sacrebleu.CHRF()
    of_all = bleu.corpus_score(said, [meant])
    bleu_novel = chrf_novel = None
    if novel is not None:
        chosen = np.asarray(novel, dtype=bool)
        if chosen.shape != (len(said),):
            raise ValueError(f"novel must say yes or no for each of {len(said)} sentences, found {chosen.shape}")
        rows = np.flatnonzero(chosen)
        if len(rows):
            own, references_of_own = [said[i] for i in rows], [[meant[i] for i in rows]]
            bleu_novel = float(bleu.corpus_score(own, references_of_own).score)
            chrf_novel = float(chrf.corpus_score(own, references_of_own).score)
    return TranslationScores(
        bleu=float(of_all.score),
        chrf=float(chrf.corpus_score(said, [meant]).score),
        bleu_novel=bleu_novel,
        chrf_novel=chrf_novel,
        signature=str(bleu.get_signature()),
        sentences=len(said),
    )


def paired_bootstrap(
    hypotheses_a: Sequence[str],
    hypotheses_b: Sequence[str],
    references: Sequence[str],
    samples: int = RESAMPLES,
    seed: int = SEED,
) -> PairedBleu:
    """Do two systems differ in BLEU by more than the choice of sentences explains? (Koehn, EMNLP 2004.)

    The resamples and the p-value are those of sacrebleu's own paired bootstrap. Its one oddity is left out: it gives
    two systems that never differ its smallest p; here that is 1.

    Args:
        hypotheses_a: N texts of one system.
        hypotheses_b: N texts of the other.
        references: N texts.
        samples: resamples of the sentences.
        seed: of them.

    Raises:
        DataError: sacrebleu is not installed.
        ValueError: the lengths differ, there are no sentences, or there are no samples.
    """
    statistics = (sentence_statistics(texts, references) for texts in (hypotheses_a, hypotheses_b))
    return bootstrap_difference(*statistics, samples=samples, seed=seed)


def sentence_statistics(
    hypotheses: Sequence[str], references: Sequence[str], tokenize: str = TOKENISER
) -> NDArray[np.float64]:
    """What BLEU is made of, sentence by sentence: sums of rows give the BLEU of any set of sentences.

    Args:
        hypotheses, references: N texts each.
        tokenize: as for `score_translations`.

    Returns:
        (N, 10): length of hypothesis and of reference in tokens, n-grams that match (1 to 4), n-grams (1 to 4).
    """
    bleu = _sacrebleu().BLEU(
        force=True, effective_order=True, tokenize=tokenize
    )  # of one sentence; it changes none of the counts
    said, meant = _pairs(hypotheses, references)
    rows = []
    for hypothesis, reference in zip(said, meant, strict=True):
        found = bleu.sentence_score(hypothesis, [reference])
        rows.append([found.sys_len, found.ref_len, *found.counts, *found.totals])
    return np.array(rows, dtype=float)


def bootstrap_difference(
    first: NDArray[np.float64], second: NDArray[np.float64], *, samples: int = RESAMPLES, seed: int = SEED
) -> PairedBleu:
    """`paired_bootstrap` from the sentence statistics of both systems, (N, 10) each."""
    if first.shape != second.shape or not len(first):
        raise ValueError(f"both systems must have translated the same sentences, found {len(first)} and {len(second)}")
    if samples < 1:
        raise ValueError(f"samples must be at least 1, found {samples}")
    generator, count = np.random.default_rng(seed), len(first)
    found: list[float] = []
    while len(found) < samples:
        drawn = generator.choice(count, size=(min(AT_ONCE, samples - len(found)), count), replace=True)
        for positions in drawn:
            times = np.bincount(positions, minlength=count).astype(float)
            found.append(_bleu(times @ first) - _bleu(times @ second))
    differences = np.array(found)
    own = _bleu(first.sum(0)) - _bleu(second.sum(0))
    sizes = np.abs(differences)
    beyond = int((sizes - sizes.mean() > abs(own)).sum())
    p = 1.0 if not sizes.any() else (beyond + 1) / (samples + 1)
    low, high = np.quantile(differences, [0.025, 0.975])
    return PairedBleu(own, float(low), float(high), p, count)


def _bleu(sums: NDArray[np.float64]) -> float:
    """BLEU from summed statistics."""
    whole = [int(value) for value in sums]
    score = _sacrebleu().BLEU.compute_bleu(
        whole[2 : 2 + ORDER], whole[2 + ORDER :], whole[0], whole[1], smooth_method="exp", max_ngram_order=ORDER
    )
    return float(score.score)


def _pairs(hypotheses: Sequence[str], references: Sequence[str]) -> tuple[list[str], list[str]]:
    said, meant = list(hypotheses), list(references)
    if len(said) != len(meant):
        raise ValueError(f"every translation needs its reference, found {len(said)} and {len(meant)}")
    if not said:
        raise ValueError("there are no translations to score")
    return said, meant


def _sacrebleu() -> Any:
    """The `metrics` of sacrebleu.

    Raises:
        DataError: it is not installed.
    """
    try:
        from sacrebleu import metrics
    except ImportError:
        raise DataError("translations are scored by sacrebleu: pip install 'tosmooth[translation]'") from None
    return metrics

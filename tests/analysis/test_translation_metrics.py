from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np
import pytest
import sacrebleu
from sacrebleu.significance import PairedTest

from tosmooth.analysis.translation_metrics import (
    SEED,
    bootstrap_difference,
    paired_bootstrap,
    score_translations,
    sentence_statistics,
)
from tosmooth.errors import DataError

# Sentences of user interfaces, with what a small model makes of them.
GERMAN = [
    "Die Datei konnte nicht gespeichert werden, weil der Datenträger voll ist.",
    "Wählen Sie einen Ordner, in dem die Ergebnisse abgelegt werden sollen.",
    "Dieses Feld darf nicht leer sein.",
    "Möchten Sie die Änderungen verwerfen und das Fenster schließen?",
    "Es wurden 3 neue Nachrichten empfangen (2 davon ungelesen).",
    "Zum Fortfahren melden Sie sich bitte mit Ihrem Konto an.",
]
GOOD = [
    "Die Datei konnte nicht gespeichert werden, da der Datenträger voll ist.",
    "Wählen Sie einen Ordner, in dem die Ergebnisse gespeichert werden sollen.",
    "Dieses Feld darf nicht leer sein.",
    "Möchten Sie die Änderungen verwerfen und das Fenster schließen?",
    "Es wurden 3 neue Nachrichten empfangen.",
    "Bitte melden Sie sich mit Ihrem Konto an.",
]
BAD = [
    "Die Datei ist nicht gespeichert.",
    "Ein Ordner für die Ergebnisse.",
    "Das Feld ist leer.",
    "",
    "Nachrichten Nachrichten Nachrichten",
    "Bitte melden Sie sich mit Ihrem Konto an.",
]
RUSSIAN = [
    "Не удалось сохранить файл, так как диск заполнен.",
    "Это поле не может быть пустым.",
    "Вы хотите отменить изменения и закрыть окно?",
]


@pytest.mark.parametrize("said", [GOOD, BAD])
def test_the_scores_are_those_of_sacrebleu(said: list[str]) -> None:
    found = score_translations(said, GERMAN)
    assert found.bleu == sacrebleu.corpus_bleu(said, [GERMAN]).score
    assert found.chrf == sacrebleu.corpus_chrf(said, [GERMAN]).score
    assert (found.sentences, found.bleu_novel) == (6, None)
    version = sacrebleu.__version__
    assert found.signature == f"nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:{version}"
    assert score_translations(said[::-1], GERMAN[::-1]).bleu == pytest.approx(found.bleu)


def test_by_hand() -> None:
    perfect = score_translations(["the cat sat on the mat"], ["the cat sat on the mat"])
    assert perfect.bleu == pytest.approx(100)
    assert perfect.chrf == pytest.approx(100)
    assert score_translations(["xx yy zz vv"], ["the cat sat on"]).bleu == 0.0
    # Five of six words, 3 of 5 pairs, 1 of 4 triples, none of 3 fours (counted as half a one); both are of one length.
    one_off = score_translations(["the cat sat by the mat"], ["the cat sat on the mat"])
    by_hand = 5 / 6 * 3 / 5 * 1 / 4 * (0.5 / 3)
    assert one_off.bleu == pytest.approx(100 * by_hand**0.25)
    # Half as long and all of it right: the brevity penalty alone, exp(1 − 8 / 4).
    short = score_translations(["a b c d"], ["a b c d e f g h"])
    assert short.bleu == pytest.approx(100 * math.exp(-1))


def test_letters_beyond_latin_ones_count_and_words_are_parted_from_their_signs() -> None:
    assert score_translations(RUSSIAN, RUSSIAN).bleu == pytest.approx(100)
    said = ["Не удалось сохранить файл, так как диск переполнен.", RUSSIAN[1], RUSSIAN[2]]
    found = score_translations(said, RUSSIAN)
    assert 70 < found.bleu < 100
    assert found.bleu == sacrebleu.corpus_bleu(said, [RUSSIAN]).score
    # 13a parts the full stop from the word before it: without it all but one token are right.
    statistics = sentence_statistics(["Это поле не может быть пустым"], [RUSSIAN[1]])
    assert statistics[0, :3].tolist() == [6, 7, 6]


def test_saying_nothing_scores_nothing() -> None:
    empty = score_translations([""] * 3, RUSSIAN)
    assert (empty.bleu, empty.chrf) == (0.0, 0.0)
    some = score_translations(["", *RUSSIAN[1:]], RUSSIAN)
    assert 0 < some.bleu < 100
    assert sentence_statistics([""], ["a b"])[0].tolist() == [0, 2, *[0] * 8]


def test_the_novel_sentences_are_scored_by_themselves() -> None:
    novel = [True, False, True, False, False, False]
    found = score_translations(GOOD, GERMAN, novel)
    assert found.bleu_novel == score_translations([GOOD[0], GOOD[2]], [GERMAN[0], GERMAN[2]]).bleu
    assert found.bleu == score_translations(GOOD, GERMAN).bleu
    assert score_translations(GOOD, GERMAN, np.zeros(6, bool)).bleu_novel is None


def test_lists_that_do_not_match_are_refused() -> None:
    with pytest.raises(ValueError, match="every translation needs its reference, found 5 and 6"):
        score_translations(GOOD[:5], GERMAN)
    with pytest.raises(ValueError, match="no translations"):
        score_translations([], [])
    with pytest.raises(ValueError, match="novel must say yes or no for each of 6 sentences"):
        score_translations(GOOD, GERMAN, [True])
    with pytest.raises(ValueError, match="every translation needs its reference, found 6 and 5"):
        paired_bootstrap(GOOD, BAD, GERMAN[:5])
    with pytest.raises(ValueError, match="the same sentences, found 6 and 5"):
        bootstrap_difference(sentence_statistics(GOOD, GERMAN), sentence_statistics(BAD[:5], GERMAN[:5]))
    with pytest.raises(ValueError, match="samples must be at least 1"):
        paired_bootstrap(GOOD, BAD, GERMAN, samples=0)


def test_sums_of_sentences_are_the_corpus() -> None:
    every = sentence_statistics(GOOD, GERMAN).sum(0)
    whole = sacrebleu.corpus_bleu(GOOD, [GERMAN])
    assert every.tolist() == [whole.sys_len, whole.ref_len, *whole.counts, *whole.totals]


@pytest.mark.parametrize("samples", [100, 250, 1000])
def test_the_bootstrap_is_sacrebleus_own(samples: int) -> None:
    # Half of each: near enough that p is neither end of its range.
    mixed = [*BAD[:2], *GOOD[2:4], GERMAN[4], BAD[5]] * 5
    close = [*GOOD[:1], *BAD[1:3], *GOOD[3:5], GERMAN[5]] * 5
    references = GERMAN * 5
    systems: list[Any] = [("b", close), ("a", mixed)]
    _, theirs = PairedTest(systems, {"BLEU": sacrebleu.BLEU()}, [references], test_type="bs", n_samples=samples)()
    other, own = theirs["BLEU"]
    found = paired_bootstrap(mixed, close, references, samples=samples, seed=SEED)
    assert found.difference == pytest.approx(own.score - other.score)
    assert found.p == pytest.approx(own.p_value)
    assert found.low < found.difference < found.high
    assert found.sentences == 30


def test_better_beyond_chance_and_the_other_way_round() -> None:
    said, worse, references = GOOD * 10, BAD * 10, GERMAN * 10
    found = paired_bootstrap(said, worse, references)
    assert found.difference == pytest.approx(
        score_translations(GOOD, GERMAN).bleu - score_translations(BAD, GERMAN).bleu
    )
    assert found.low > 0
    assert found.p == pytest.approx(1 / 1001)
    turned = paired_bootstrap(worse, said, references)
    assert (turned.difference, turned.low, turned.high) == pytest.approx((-found.difference, -found.high, -found.low))
    assert turned.p == found.p


def test_the_bootstrap_is_a_function_of_its_seed() -> None:
    first, again, other = (paired_bootstrap(GOOD, BAD, GERMAN, samples=200, seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first.low != other.low


def test_a_system_does_not_differ_from_itself() -> None:
    found = paired_bootstrap(BAD, BAD, GERMAN)
    assert (found.difference, found.low, found.high, found.p) == (0, 0, 0, 1)


def test_without_sacrebleu_the_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sacrebleu", None)
    with pytest.raises(DataError, match=r"pip install 'tosmooth\[translation\]'"):
        score_translations(GOOD, GERMAN)

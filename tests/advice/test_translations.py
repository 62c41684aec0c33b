"""Advice for translation: sentences that speak of BLEU, and students of one seed compared on their translations."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save_file

from tests.advice.said import said, said_on_test
from tests.fake_study.tables import diffusion_table, results_table, teacher_rows
from tosmooth.advice.advise import advise, conclude
from tosmooth.advice.caveats import Rules
from tosmooth.advice.comparisons import compare_with, read_judged, scores_by_seed
from tosmooth.advice.consequence import judge_consequence
from tosmooth.advice.objectives import compare_objectives
from tosmooth.analysis.translation_metrics import paired_bootstrap
from tosmooth.errors import StudyError
from tosmooth.folder.paths import JUDGED_FILE
from tosmooth.folder.translations import Translations, read_translations
from tosmooth.tasks.sample_tests import FEWEST_SENTENCES, WholeTranslations
from tosmooth.tasks.translation import BLEU
from tosmooth.words.answer import answers as questions
from tosmooth.words.answer import basis
from tosmooth.words.caveats import caveat_sentences
from tosmooth.words.conclusions import conclusions
from tosmooth.words.consequence import consequence_sentence
from tosmooth.words.objectives import objective_sentences
from tosmooth.words.wording import Wording, wording_of

REFERENCES = [f"the file number {i} could not be saved in folder {i % 7}" for i in range(120)]
DIFFUSES = diffusion_table(lambda a, t: (0.3 if a > 0 and t > 1 else 0.05, 0.05))
NOTHING = diffusion_table(lambda a, t: (0.02, 0.02))


def wrong(share: int) -> list[str]:
    """Every so many sentences without their last words."""
    return [text.rsplit(" in ", 1)[0] if i % share == 0 else text for i, text in enumerate(REFERENCES)]


def translated(table: pd.DataFrame) -> pd.DataFrame:
    """The same table with its figures as BLEU."""
    names = {"val/top1": "val/bleu", "test/top1": "test/bleu"}
    return table.rename(columns=names).assign(**{"val/top1": 50.0, "test/top1": 50.0})


def bleu(alpha: float, temperature: float) -> float:
    return 12.0 if (alpha, temperature) == (0.1, 1.0) else 11.0 if temperature < 64 else 3.0


TEACHERS = teacher_rows(20, 21).rename(columns={"val/top1": "val/bleu"})


def test_sentences_speak_of_bleu():
    table = translated(results_table(bleu))
    advice = advise(table, TEACHERS, DIFFUSES, Rules(metric=BLEU))
    assert advice["metric"] == "val/bleu"
    start = "With these teachers: smooth the teacher (α = 0.1). Distil at T = 1: "
    assert said(advice, table, BLEU).startswith(f"{start}12.0 ± 0.1 validation BLEU")
    assert said_on_test(advice, table, BLEU).startswith(f"{start}11.0 ± 0.1 test BLEU over 6 seeds.")
    facts = conclude(advice, table, pd.DataFrame(), preview=False, metric=BLEU)["answer"]
    wording = wording_of(advice, table, BLEU)
    found = [*(one.sentence for one in questions(facts, wording)), basis(facts, wording)]
    found += [*conclusions(advice, wording).values(), *caveat_sentences(advice["caveats"], wording)]
    written = json.dumps([advice, *found, said_on_test(advice, table, BLEU)], default=str, ensure_ascii=False)
    assert "%" not in written.replace("95 %", "")
    assert "top-1" not in written
    assert "ccuracy" not in written


def test_caveats_are_about_sentences_and_bleu():
    table = translated(results_table(bleu))
    weak = advise(table, TEACHERS.assign(**{"val/bleu": 9}), DIFFUSES, Rules(preview=True, metric=BLEU))["caveats"]
    assert "Preview: few sentences" in caveat_sentences(weak, Wording(BLEU))[0]
    assert {"code": "as good as its teacher"} in weak
    assert {"code": "as good as its teacher"} not in advise(table, TEACHERS, DIFFUSES, Rules(metric=BLEU))["caveats"]


def test_without_validation_figures_of_bleu_nothing_is_chosen_by_token_accuracy():
    table = translated(results_table(bleu)).assign(**{"val/bleu": np.nan})
    advice = advise(table, TEACHERS, DIFFUSES, Rules(metric=BLEU))
    assert advice["answer"] is None
    assert advice["caveats"][0] == {"code": "no validation"}


def test_the_consequence_is_said_of_bleu():
    scores = scores_by_seed(translated(results_table(lambda a, t: 20 - 10 * a * t)), "val/bleu")
    with_it, without = (
        consequence_sentence(judge_consequence(scores, shown, "hinton", "resnet8", BLEU), Wording(BLEU))
        for shown in ([(0.1, 64.0)], [])
    )
    assert with_it.startswith("BLEU falls with it, as the paper says: from T = 1 to 64")
    assert without.endswith("What costs BLEU here is not shown to be diffusion.")


def test_other_objectives_are_compared_in_bleu():
    results, diffusion = translated(results_table(bleu)), diffusion_table(lambda a, t: (0.3 if a else 0.0, 0.0))
    other = results.assign(objective="dkd", cell="dkd-" + results.cell, **{"val/bleu": results["val/bleu"] + 2})
    calmer = diffusion.assign(objective="dkd", cell="dkd-" + diffusion.cell, eta_s1=diffusion.eta_s1 * 0.01)
    table = compare_objectives(pd.concat([diffusion, calmer]), pd.concat([results, other]), ["hinton", "dkd"], BLEU)
    assert table.top1_change.tolist() == pytest.approx([2.0, 2.0])
    assert "Validation BLEU against hinton there: +2.0 points" in objective_sentences(table, BLEU)[0]


@pytest.mark.rule("R6")
def test_one_seed_is_compared_over_sentences():
    table = translated(results_table(bleu, seeds=1))
    of_best, of_others = Translations(wrong(40), REFERENCES), Translations(wrong(2), REFERENCES)
    judged = {
        row.cell: of_best if (row.label_smoothing, row.temperature) == (0.1, 1.0) else of_others
        for row in table.itertuples()
    }
    advice = advise(table, TEACHERS, NOTHING, Rules(metric=BLEU), judged)
    others = [row for row in advice["comparisons"] if row["relation"] != "best"]
    expected = paired_bootstrap(wrong(40), wrong(2), REFERENCES)
    for row in others:
        assert (row["unit"], row["n"]) == ("sentences", 120)
        assert (row["difference"], row["low"], row["high"], row["p"]) == pytest.approx(
            (expected.difference, expected.low, expected.high, expected.p)
        )
        assert row["p_holm"] == pytest.approx(5 * expected.p)
        assert row["relation"] == "worse"
    assert advice["answer"]["smooth"]["verdict"] == "open"
    several = advise(translated(results_table(bleu)), TEACHERS, NOTHING, Rules(metric=BLEU), judged)
    assert {row["unit"] for row in several["comparisons"]} == {"seeds"}


@pytest.mark.rule("R6")
def test_few_sentences_or_other_ones_say_nothing_about_two_students():
    few = Translations(REFERENCES[: FEWEST_SENTENCES - 1], REFERENCES[: FEWEST_SENTENCES - 1])
    assert WholeTranslations().compare(few, few) is None
    whole = Translations(REFERENCES, REFERENCES)
    assert WholeTranslations().compare(whole, Translations(REFERENCES[::-1], REFERENCES[::-1])) is None
    index = pd.MultiIndex.from_tuples(
        [("hinton", 0.1, t, "resnet8") for t in (1.0, 2.0)],
        names=["objective", "label_smoothing", "temperature", "student"],
    )
    scores = pd.DataFrame({0: [12.0, 3.0]}, index=index)
    rows = compare_with(index[0], scores, 0.5, {index[0]: few, index[1]: few}, BLEU)
    assert (rows[1]["unit"], rows[1]["relation"]) == ("seeds", "undecided")
    tied = compare_with(index[0], scores, 0.5, {index[0]: whole, index[1]: whole}, BLEU)
    assert (tied[1]["unit"], tied[1]["relation"], tied[1]["difference"]) == ("sentences", "tied", 0.0)


def test_translations_are_read_where_there_are_some(tmp_path: Path):
    for name, content in (("a", {"val": {"hypotheses": ["x"], "references": ["y"], "sources": ["z"]}}), ("b", {})):
        (tmp_path / name).mkdir()
        (tmp_path / name / "translations.json").write_text(json.dumps(content), encoding="utf-8")
    (tmp_path / "c").mkdir()
    save_file({"val.correct": np.ones(3, np.int8)}, tmp_path / "a" / JUDGED_FILE)
    folders = {name: tmp_path / name for name in "abc"}
    assert read_judged(folders, BLEU) == {"a": Translations(["x"], ["y"], ["z"])}
    assert read_judged(folders)["a"].tolist() == [1, 1, 1]
    assert read_translations(tmp_path / "a", "test") is None


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("[", "is not readable as JSON"),
        ("[]", "expected a JSON object, found list"),
        ({"val": ["x"]}, "must be lists of texts"),
        ({"val": {"hypotheses": "xy", "references": ["a", "b"]}}, "must be lists of texts"),
        ({"val": {"hypotheses": ["x", 3], "references": ["a", "b"]}}, "must be lists of texts"),
        ({"val": {"hypotheses": ["x"], "references": ["a", "b"]}}, "must have one text a sentence each"),
        ({"val": {"hypotheses": ["x"], "references": ["a"], "sources": ["b", "c"]}}, "must have one text a sentence"),
        (b"\xff\xfe", "is not valid UTF-8"),
        ({"val": {"hypotheses": ["\ud800"], "references": ["a"]}}, "not valid Unicode"),
    ],
)
def test_a_damaged_file_of_translations_is_named(tmp_path: Path, content: Any, reason: str):
    path = tmp_path / "translations.json"
    path.write_bytes(
        content
        if isinstance(content, bytes)
        else (content if isinstance(content, str) else json.dumps(content)).encode()
    )
    with pytest.raises(StudyError, match=rf"translations\.json.*{reason}.*delete it"):
        read_translations(tmp_path)

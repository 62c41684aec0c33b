"""Sequence-level distillation has no temperature: its settings can win, but say nothing about T."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from tests.advice.said import said, said_on_test
from tests.fake_study.tables import diffusion_table, results_table, teacher_rows
from tosmooth.advice.advise import advise
from tosmooth.advice.caveats import Rules
from tosmooth.advice.comparisons import read_judged
from tosmooth.advice.objectives import compare_objectives
from tosmooth.losses.objectives import leading_objective, reference_objective
from tosmooth.tasks.metric import TOP1
from tosmooth.tasks.translation import BLEU
from tosmooth.words.objectives import objective_sentences
from tosmooth.words.settings import describe

SMOOTHED_WINS = {(0.1, 1.0): 90.0, (0.0, 1.0): 88.0, (0.0, 2.0): 88.5}
UNSMOOTHED_WINS = {(0.0, 2.0): 90.0, (0.1, 1.0): 88.0}
DIFFUSES = diffusion_table(lambda a, t: (0.1, -0.02) if a > 0 else (0.0, 0.0))


def with_sequence(hinton: dict[tuple[float, float], float], smoothed: float, plain: float) -> pd.DataFrame:
    """Both objectives, `sequence` first as in `objectives: [sequence, hinton]`; its cells stand at T₀ alone."""
    scores = {0.1: smoothed, 0.0: plain}
    own = results_table(lambda a, t: scores[a])
    own = own[own.temperature == 1].assign(objective="sequence")
    own["cell"] = own.cell.str.replace("hinton", "sequence")
    own["val/top1"] += [0.01 * (position % 7 - 3) for position in range(len(own))]  # it has noise of its own
    return pd.concat([own, results_table(lambda a, t: hinton.get((a, t), 85.0))], ignore_index=True)


def both_diffuse(eta: float = 0.03) -> pd.DataFrame:
    own = DIFFUSES[DIFFUSES.temperature == 1].assign(objective="sequence")
    own = own.assign(cell=own.cell.str.replace("hinton", "sequence"), eta_s1=eta + 0.001 * (own.seed % 3))
    return pd.concat([own, DIFFUSES], ignore_index=True)


def advised(results: pd.DataFrame, **rules: Any) -> dict[str, Any]:
    return advise(results, teacher_rows(), both_diffuse(), Rules(**rules))


@pytest.mark.rule("R10")
def test_a_sequence_winner_does_not_confirm_the_papers_rule():
    advice = advised(with_sequence(UNSMOOTHED_WINS, smoothed=92.0, plain=86.0))
    assert advice["recommendation"]["objective"] == "sequence"
    rule = advice["rule"]
    assert (rule["verdict"], rule["agrees"], rule["temperature"]) == ("worse", False, 1.0)
    assert rule["behind"]["mean"] == pytest.approx(1.94, abs=0.01)
    overall = rule["overall"]
    assert (overall["objective"], overall["label_smoothing"], overall["relation"]) == ("hinton", 0.1, "worse")
    assert overall["difference"] == pytest.approx(4.0, abs=0.01)


@pytest.mark.rule("R10")
def test_the_rule_may_hold_among_the_settings_with_a_temperature():
    rule = advised(with_sequence(SMOOTHED_WINS, smoothed=92.0, plain=86.0))["rule"]
    assert (rule["verdict"], rule["agrees"]) == ("best", True)
    assert rule["overall"]["objective"] == "hinton"


@pytest.mark.rule("R10")
def test_the_rule_is_not_judged_by_a_sequence_row():
    """The smoothed teacher's translations are nearly the best; its distillation at T₀ is not."""
    rule = advised(with_sequence(UNSMOOTHED_WINS, smoothed=89.7, plain=80.0))["rule"]
    assert rule["agrees"] is False
    assert rule["behind"]["mean"] == pytest.approx(1.94, abs=0.01)
    assert "overall" not in rule


@pytest.mark.rule("R10")
def test_a_grid_of_sequences_alone_cannot_be_held_against_the_rule():
    table = with_sequence({}, smoothed=90.0, plain=80.0)
    rule = advised(table[table.objective == "sequence"])["rule"]
    assert rule == {"verdict": "no temperature", "agrees": None}


@pytest.mark.rule("R11")
@pytest.mark.rule("R12")
@pytest.mark.rule("R20")
def test_the_effect_is_judged_on_the_first_objective_with_a_temperature():
    table = with_sequence(SMOOTHED_WINS, smoothed=80.0, plain=80.0)
    assert table.objective.iloc[0] == "sequence"
    advice = advised(table)
    assert advice["effect"]["verdict"] == "shown"
    assert {row["temperature"] for row in advice["effect"]["eta"]} == {2.0, 64.0}
    assert advice["consequence"]["verdict"] == "loss"
    turned = both_diffuse().assign(normalisation="none", eta_s1=-0.1, eta_s2=0.1)
    found = advise(table, teacher_rows(), pd.concat([both_diffuse(), turned]), Rules())["caveats"]
    assert "sign of eta" in [caveat["code"] for caveat in found]


def test_sentences_give_it_no_temperature():
    table = with_sequence(SMOOTHED_WINS, smoothed=92.0, plain=91.0)
    advice = advised(table)
    for text in (said(advice, table), said_on_test(advice, table)):
        assert "smooth the teacher (α = 0.1). Distil by sequence-level distillation: 9" in text
        assert "T =" not in text
    setting = advice["recommendation"] | {"student": "resnet8"}
    assert describe(setting, ("objective", "student")) == (
        "the smoothed teacher (α = 0.1) into resnet8 by sequence-level distillation"
    )


@pytest.mark.rule("R18")
def test_its_place_at_the_end_of_the_grid_is_no_edge():
    """T₀ is the highest T here; the winner has none that a larger one could beat."""
    table = with_sequence({}, smoothed=85.0, plain=95.0)
    table = table[table.temperature == 1]
    below = table[table.objective == "hinton"].assign(temperature=0.5)
    found = advised(pd.concat([table, below.assign(cell=below.cell + "x")]))
    assert found["recommendation"]["objective"] == "sequence"
    assert "largest temperature" not in [caveat["code"] for caveat in found["caveats"]]


@pytest.mark.rule("R4")
def test_without_validation_the_rule_passes_on_a_setting_with_a_temperature():
    table = with_sequence({}, smoothed=85.0, plain=95.0).replace({"objective": {"hinton": "teacher_only"}})
    advice = advised(table.assign(**{"val/top1": float("nan")}))
    assert advice["recommendation"]["objective"] == "teacher_only"


def test_the_reference_has_a_temperature_where_there_is_one():
    assert reference_objective(["sequence", "dkd", "hinton"]) == "hinton"
    assert reference_objective(["sequence", "dkd"]) == leading_objective(["sequence", "dkd"]) == "dkd"
    assert reference_objective(["sequence"]) == "sequence"
    assert leading_objective([]) == "hinton"


def test_sequence_is_compared_with_the_reference_at_its_temperature():
    results = with_sequence({(0.0, 1.0): 88.0, (0.1, 1.0): 86.0}, smoothed=87.5, plain=87.0)
    results = results.rename(columns={"val/top1": "val/bleu"})
    table = compare_objectives(both_diffuse(), results, ["sequence", "hinton"], BLEU)
    assert list(zip(table.objective, table.label_smoothing, table.temperature, strict=True)) == [
        ("sequence", 0.0, 1.0), ("sequence", 0.1, 1.0),
    ]  # fmt: skip
    assert set(table.verdict) == {"no temperature"}
    assert set(table.n) == {6}
    assert set(table.reference) == {"hinton"}
    by_hand = results.pivot_table(
        index="seed", columns=["objective", "label_smoothing", "temperature"], values="val/bleu"
    )
    for row, alpha in zip(table.itertuples(), (0.0, 0.1), strict=True):
        change = by_hand["sequence", alpha, 1.0] - by_hand["hinton", alpha, 1.0]
        assert row.top1_change == pytest.approx(change.mean())
        half = 2.5705818366147395 * change.std(ddof=1) / 6**0.5  # t of five degrees of freedom
        assert row.top1_high - row.top1_low == pytest.approx(2 * half)
        assert (row.reference_eta, row.eta) == pytest.approx((0.0, 0.031))
    (sentence,) = objective_sentences(table, BLEU)
    assert sentence.startswith(
        "sequence, which has no temperature, against hinton at T = 1: validation BLEU is 1.0 points"
    )
    assert "below it (95 % interval −1." in sentence
    assert "beyond chance) for α = 0 and 1.5 points above it" in sentence
    assert "η similar − dissimilar between the two is +0.031" in sentence


def test_too_few_seeds_are_said_and_other_objectives_keep_their_rows():
    results = with_sequence({}, smoothed=90.0, plain=80.0)
    other = results[results.objective == "hinton"].assign(objective="dkd")
    results = pd.concat([results, other.assign(cell=other.cell.str.replace("hinton", "dkd"))])
    etas = DIFFUSES.assign(objective="dkd", cell=DIFFUSES.cell.str.replace("hinton", "dkd"))
    diffusion = pd.concat([both_diffuse(), etas])
    few = [table[table.seed < 2] for table in (diffusion, results)]
    table = compare_objectives(*few, ["sequence", "hinton", "dkd"], TOP1)
    assert table[table.objective == "dkd"].temperature.tolist() == [2.0, 64.0]
    assert table[table.objective == "sequence"].temperature.tolist() == [1.0, 1.0]
    said = objective_sentences(table, TOP1)
    assert "too few seeds to tell from chance" in said[0]
    one = compare_objectives(*(t[t.seed < 1] for t in few), ["sequence", "hinton", "dkd"], TOP1)
    assert "(one seed) for α = 0" in objective_sentences(one, TOP1)[0]


def test_translations_are_not_read_where_seeds_decide(tmp_path):
    """A study of several seeds does without them: a damaged file does not stop it."""
    table = results_table(lambda a, t: 20.0, seeds=2)
    folders = {cell: tmp_path / cell for cell in table.cell}
    for folder in folders.values():
        folder.mkdir()
        (folder / "translations.json").write_text("[", encoding="utf-8")
    assert read_judged(folders, BLEU, table) == {}
    content = '{"val": {"hypotheses": ["x"], "references": ["y"], "sources": ["z"]}}'
    for folder in folders.values():
        (folder / "translations.json").write_text(content, encoding="utf-8")
    one = table.assign(status=["done" if seed == 0 else "failed" for seed in table.seed])
    assert set(read_judged(folders, BLEU, one)) == set(table.cell[table.seed == 0])
    assert read_judged(folders, BLEU, table) == {}
    mixed = pd.concat([table, table[table.seed == 0].assign(student="other", cell=lambda t: t.cell + "o")])
    more = folders | {name: tmp_path / name.removesuffix("o") for name in mixed.cell if name.endswith("o")}
    assert set(read_judged(more, BLEU, mixed)) == set(more) - set(folders)

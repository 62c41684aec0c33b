from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from tests.advice.said import said
from tests.fake_study.tables import diffusion_table, results_table, teacher_rows
from tosmooth.advice.advise import advise, conclude
from tosmooth.advice.caveats import Rules
from tosmooth.tasks.metric import TOP1
from tosmooth.words.answer import headline
from tosmooth.words.conclusions import conclusions
from tosmooth.words.wording import wording_of

SMOOTHED_WINS = {(0.1, 1.0): 90.0, (0.0, 1.0): 88.0, (0.0, 2.0): 88.5}
DIFFUSES = diffusion_table(lambda a, t: (0.1, -0.02) if a > 0 else (0.0, 0.0))
NOTHING = diffusion_table(lambda a, t: (0.0, 0.0))


def grid(best: dict[tuple[float, float], float], otherwise: float = 85.0, **kwargs: float) -> pd.DataFrame:
    return results_table(lambda alpha, temperature: best.get((alpha, temperature), otherwise), **kwargs)


def codes(advice: dict[str, Any]) -> list[str]:
    return [caveat["code"] for caveat in advice["caveats"]]


@pytest.mark.rule("R1")
def test_the_best_setting_by_validation_is_recommended():
    table = grid(SMOOTHED_WINS)
    advice = advise(table, teacher_rows(), DIFFUSES, Rules())
    assert (advice["recommendation"]["label_smoothing"], advice["recommendation"]["temperature"]) == (0.1, 1.0)
    assert advice["rule"]["agrees"] is True
    assert said(advice, table).startswith("With these teachers: smooth the teacher (α = 0.1). Distil at T = 1: 90.")
    relations = {(r["label_smoothing"], r["temperature"]): r["relation"] for r in advice["comparisons"]}
    assert relations[0.1, 1.0] == "best"
    assert all(relation == "worse" for key, relation in relations.items() if key != (0.1, 1.0))


@pytest.mark.rule("R10")
def test_the_opposite_finding_is_said():
    advice = advise(grid({(0.0, 2.0): 90.0, (0.1, 1.0): 88.0}), teacher_rows(), NOTHING, Rules())
    assert (advice["recommendation"]["label_smoothing"], advice["recommendation"]["temperature"]) == (0.0, 2.0)
    assert (advice["rule"]["verdict"], advice["rule"]["agrees"]) == ("worse", False)
    assert advice["effect"]["verdict"] == "not shown"


@pytest.mark.rule("R8")
def test_a_weak_test_is_never_called_a_tie():
    noisy = advise(grid({}, seeds=3, noise=3.0), teacher_rows(), NOTHING, Rules(margin=0.5))
    others = [row["relation"] for row in noisy["comparisons"] if row["relation"] != "best"]
    assert "tied" not in others
    assert "undecided" in others


@pytest.mark.rule("R1")
@pytest.mark.rule("R15")
def test_settings_that_failed_whole_are_left_out():
    table = grid(SMOOTHED_WINS)
    table.loc[(table.label_smoothing == 0) & (table.temperature > 1), "status"] = "failed"
    advice = advise(table, teacher_rows(), DIFFUSES, Rules())
    assert len(advice["comparisons"]) == len(advice["answer"]["settings"]) == 4
    table.loc[table.label_smoothing == 0, "status"] = "failed"
    alone = advise(table, teacher_rows(), DIFFUSES, Rules())
    assert alone["answer"]["smooth"] == {"verdict": "not asked"}


@pytest.mark.rule("R8")
@pytest.mark.rule("R9")
def test_with_several_teacher_seeds_they_are_the_unit():
    """Students agree closely, their teachers do not: what looks certain over students is open over teachers."""
    table = grid({(0.1, 1.0): 86.0}, noise=0.05, teacher_offs=(-1.0, 0.5, 3.5))
    pooled = table.assign(seed=table.teacher_seed * 6 + table.seed).drop(columns="teacher_seed")
    teachers = pd.concat([teacher_rows(), teacher_rows(), teacher_rows()])
    smoothed_best, of_students = (advise(t, teachers, NOTHING, Rules()) for t in (table, pooled))
    assert {row["n"] for row in smoothed_best["comparisons"]} == {3}
    assert {row["n"] for row in of_students["comparisons"]} == {18}
    assert smoothed_best["answer"]["smooth"]["verdict"] == "open"
    assert of_students["answer"]["smooth"]["verdict"] == "yes"
    assert "worse" in {row["relation"] for row in of_students["comparisons"] if row["label_smoothing"] == 0}
    assert "over 3 teacher seeds" in said(smoothed_best, table)
    assert conclude(smoothed_best, table, pd.DataFrame(), preview=False)["answer"]["unit"] == "teacher seed"
    assert "one teacher" not in codes(smoothed_best)
    assert {"code": "few seeds", "units": 3, "unit": "teacher seed"} in smoothed_best["caveats"]


def test_a_student_that_failed_does_not_tilt_the_means_of_its_unit():
    table = results_table(lambda a, t: 90.0, noise=0.0, teacher_offs=(0.0, 0.0, 0.0), seeds=2)
    table.loc[table.seed == 1, "val/top1"] -= 10.0  # a poor start, for all settings alike
    table.loc[table.index[-1], "status"] = "failed"  # and one of these poor students is lost
    rows = advise(table, teacher_rows(), NOTHING, Rules())["comparisons"]
    assert [row["difference"] for row in rows] == pytest.approx([0.0] * len(rows), abs=1e-9)


@pytest.mark.rule("R22")
def test_given_teachers_beside_trained_ones_are_a_caveat():
    for status, expected in ((["given", "done"], True), (["given", "given"], False), (["done", "done"], False)):
        advice = advise(grid(SMOOTHED_WINS), teacher_rows().assign(status=status), DIFFUSES, Rules())
        assert ({"code": "given teachers", "label_smoothing": [0.0]} in advice["caveats"]) is expected


@pytest.mark.rule("R21")
def test_student_models_are_advised_one_by_one():
    """The larger student is better throughout; each has its own best setting, and only its own settings to beat."""
    small, large = grid(SMOOTHED_WINS), grid({(0.0, 2.0): 95.0, (0.1, 1.0): 94.9}, otherwise=93.0)
    tables = [table.assign(student=name) for table, name in ((small, "small"), (large, "large"))]
    diffusion = pd.concat([DIFFUSES.assign(student="small"), NOTHING.assign(student="large")])
    advice = advise(pd.concat(tables), teacher_rows(), diffusion, Rules())
    assert advice["recommendation"]["student"] == "large"
    assert {row["student"] for row in advice["comparisons"]} == {"large"}
    assert {row["student"] for row in advice["answer"]["settings"]} == {"large"}
    assert "into large at T = 2" in said(advice, pd.concat(tables))
    each = advice["by_student"]
    assert list(each) == ["small", "large"]
    assert (each["small"]["recommendation"]["label_smoothing"], each["large"]["recommendation"]["temperature"]) == (
        0.1,
        2,
    )
    assert (each["small"]["effect"]["verdict"], each["large"]["effect"]["verdict"]) == ("shown", "not shown")
    alone = advise(small.assign(student="small"), teacher_rows(), DIFFUSES, Rules())
    assert each["small"]["recommendation"] == alone["recommendation"]
    verdict = conclude(advice, pd.concat(tables), pd.DataFrame(), preview=False)
    assert verdict["by_student"]["small"]["answer"]["chosen"]["temperature"] == 1
    assert verdict["answer"] == verdict["by_student"]["large"]["answer"]


@pytest.mark.rule("R10")
def test_a_temperature_below_one_is_neither_raised_nor_the_rule():
    table = results_table(lambda a, t: {(0.1, 1.0): 90.0, (0.1, 2.0): 88.0}.get((a, t), 85.0))
    table["temperature"] = table["temperature"].replace({64.0: 0.5})
    advice = advise(table, teacher_rows(), NOTHING[NOTHING.temperature != 64], Rules())
    assert advice["rule"] == {"verdict": "best", "agrees": True, "temperature": 1.0}
    below = NOTHING[NOTHING.temperature != 2].replace({"temperature": {64.0: 0.5}})
    assert advise(table, teacher_rows(), below, Rules())["effect"]["verdict"] == "inconclusive"


@pytest.mark.rule("R5")
def test_two_seeds_of_many_settings_tell_what_is_far_off_and_of_two_settings_nothing():
    table = grid(SMOOTHED_WINS, seeds=2)
    advice = advise(table, teacher_rows(), DIFFUSES, Rules())
    assert {row["relation"] for row in advice["comparisons"]} == {"best", "worse"}
    two = advise(
        grid({(0.1, 1.0): 86.0}, seeds=2, noise=1.0).query("temperature == 1"), teacher_rows(), NOTHING, Rules()
    )
    assert {row["relation"] for row in two["comparisons"]} == {"best", "undecided"}


@pytest.mark.rule("R8")
def test_equal_within_the_margin_is_a_tie():
    close = advise(grid({}, noise=0.02), teacher_rows(), NOTHING, Rules(margin=0.5))
    assert {row["relation"] for row in close["comparisons"]} == {"best", "tied"}


@pytest.mark.rule("R2")
def test_the_test_split_has_no_say():
    table = grid(SMOOTHED_WINS)
    other = table.assign(**{"test/top1": 100 - table["val/top1"]})
    one, two = (advise(t, teacher_rows(), DIFFUSES, Rules()) for t in (table, other))
    one.pop("frozen_at"), two.pop("frozen_at")
    assert one == two


@pytest.mark.rule("R2")
def test_the_headline_carries_test_figures():
    table = grid(SMOOTHED_WINS)
    advice = advise(table, teacher_rows(), DIFFUSES, Rules())
    verdict = conclude(advice, table, pd.DataFrame(), preview=True)
    expected = table[(table.label_smoothing == 0.1) & (table.temperature == 1)]["test/top1"].mean()
    text = headline(verdict["answer"], wording_of(advice, table, TOP1, preview=verdict["preview"]))
    assert f"{expected:.1f} " in text
    assert "% test top-1 over 6 seeds" in text
    assert text.startswith("Preview, too short to conclude from.")


@pytest.mark.parametrize("selection", ["last", "best_on_test"])
@pytest.mark.rule("R4")
def test_without_validation_nothing_is_claimed_to_be_selected(selection):
    table = grid(SMOOTHED_WINS)
    if selection == "last":
        table = table.assign(**{"val/top1": float("nan")})
    advice = advise(table, teacher_rows(), DIFFUSES, Rules(selection=selection))
    assert advice["answer"] is None
    assert advice["comparisons"] == []
    assert advice["rule"] == {"verdict": "not checked", "agrees": None}
    assert codes(advice) == ["chosen on test" if selection == "best_on_test" else "no validation", "one teacher"]
    facts = conclude(advice, table, pd.DataFrame(), preview=False)["answer"]
    assert (facts["validated"], facts["smooth"]["verdict"]) == (False, "yes")  # test may still conclude


@pytest.mark.rule("R13")
@pytest.mark.rule("R14")
@pytest.mark.rule("R15")
@pytest.mark.rule("R16")
@pytest.mark.rule("R17")
def test_caveats():
    table = grid(SMOOTHED_WINS, seeds=3)
    table.loc[0, "status"] = "failed"
    caveats = advise(table, teacher_rows(plain=80, smoothed=80), DIFFUSES, Rules(preview=True))["caveats"]
    for expected in (
        {"code": "preview"},
        {"code": "few seeds", "units": 3, "unit": "seed"},
        {"code": "not finished", "students": 1, "of": 18},
        {"code": "one teacher"},
        {"code": "as good as its teacher"},
    ):
        assert caveats.count(expected) == 1


@pytest.mark.rule("R20")
def test_a_finding_that_hangs_on_the_normalisation_is_flagged():
    turned = DIFFUSES.assign(normalisation="none", eta_s1=-DIFFUSES.eta_s1, eta_s2=-DIFFUSES.eta_s2)
    advice = advise(grid(SMOOTHED_WINS), teacher_rows(), pd.concat([DIFFUSES, turned]), Rules())
    turned_by = [{"normalisation": "none", "debiased": False}]
    assert {"code": "sign of eta", "forms": turned_by} in advice["caveats"]


@pytest.mark.rule("R10")
def test_the_papers_rule_is_not_settled_by_noise():
    advice = advise(grid({(0.0, 2.0): 85.3}, seeds=4, noise=1.0), teacher_rows(), NOTHING, Rules())
    assert (advice["rule"]["verdict"], advice["rule"]["agrees"]) == ("undecided", None)
    assert advice["rule"]["behind"]["n"] == 4


@pytest.mark.rule("R22")
def test_what_is_not_known_of_a_teacher_is_not_claimed():
    whole = grid({(0.0, 1.0): 90.0, (0.0, 2.0): 89.9}, noise=0.6)
    table = whole[whole.label_smoothing == 0]
    unknown = advise(table, teacher_rows(), NOTHING, Rules(smoothing="unknown"))
    headline_then, *others = [said(unknown, table), *conclusions(unknown, wording_of(unknown, table, TOP1)).values()]
    assert "from the teacher (its label smoothing is not known) at T = " in headline_then
    assert len(others) == 2
    assert not any("unsmoothed" in sentence for sentence in (headline_then, *others))
    assert all("not known whether the teacher was label-smoothed" in sentence for sentence in others)
    assert unknown["rule"] == {"verdict": "smoothing unknown", "agrees": None}
    assert "smoothing unknown" in codes(unknown)
    estimated = advise(table, teacher_rows(), NOTHING, Rules(smoothing="estimated"))
    assert "the unsmoothed teacher (by its audit)" in said(estimated, table)
    assert "smoothing estimated" in codes(estimated)


@pytest.mark.rule("R18")
def test_the_best_at_the_edge_of_the_grid_is_a_caveat():
    edge = advise(grid({(0.1, 64.0): 90.0}), teacher_rows(), NOTHING, Rules())
    at_edge = [{"code": "largest label_smoothing", "value": 0.1}, {"code": "largest temperature", "value": 64.0}]
    assert [caveat for caveat in edge["caveats"] if caveat["code"].startswith("largest")] == at_edge
    inside = advise(grid({(0.0, 2.0): 90.0}), teacher_rows(), NOTHING, Rules())
    assert not any(code.startswith("largest") for code in codes(inside))


@pytest.mark.rule("R19")
def test_few_samples_a_class_are_a_caveat():
    rare = DIFFUSES.assign(reliable=False)
    assert "few samples" in codes(advise(grid(SMOOTHED_WINS), teacher_rows(), rare, Rules()))


@pytest.mark.rule("R11")
def test_eta_comes_with_its_interval():
    rows = advise(grid(SMOOTHED_WINS), teacher_rows(), DIFFUSES, Rules())["effect"]["eta"]
    assert {(r["label_smoothing"], r["temperature"]) for r in rows} == {(0.1, 2.0), (0.1, 64.0)}
    for row in rows:
        assert row["low"] < row["mean"] < row["high"]
        assert row["n"] == 6


def test_objectives_and_students_are_named_only_where_there_are_several():
    table = grid(SMOOTHED_WINS)
    assert "resnet8" not in said(advise(table, teacher_rows(), DIFFUSES, Rules()), table)
    other = table.assign(student="resnet14", cell=table.cell + "x", **{"val/top1": table["val/top1"] + 1})
    both = pd.concat([table, other])
    text = said(advise(both, teacher_rows(), DIFFUSES, Rules()), both)
    assert "into resnet14" in text
    assert "hinton" not in text

from __future__ import annotations

import pandas as pd
import pytest

from tests.fake_study.tables import diffusion_table, results_table, teacher_rows
from tosmooth.advice.advise import advise, final_verdict
from tosmooth.advice.caveats import Rules

SMOOTHED_WINS = {(0.1, 1.0): 90.0, (0.0, 1.0): 88.0, (0.0, 2.0): 88.5}
DIFFUSES = diffusion_table(lambda a, t: (0.1, -0.02) if a > 0 else (0.0, 0.0))
NOTHING = diffusion_table(lambda a, t: (0.0, 0.0))


def grid(best: dict[tuple[float, float], float], otherwise: float = 85.0, **kwargs: float) -> pd.DataFrame:
    return results_table(lambda alpha, temperature: best.get((alpha, temperature), otherwise), **kwargs)


@pytest.mark.rule("R1")
@pytest.mark.rule("R3")
def test_the_best_setting_by_validation_is_recommended_with_its_lead_over_the_other_teacher():
    advice = advise(grid(SMOOTHED_WINS), teacher_rows(), DIFFUSES, Rules())
    assert (advice["recommendation"]["label_smoothing"], advice["recommendation"]["temperature"]) == (0.1, 1.0)
    assert (advice["rival"]["label_smoothing"], advice["rival"]["temperature"]) == (0.0, 2.0)
    assert advice["rule"]["agrees"] is True
    assert advice["confidence"]["level"] == "high"
    assert "smoothed teacher (α = 0.1) at T = 1" in advice["headline"]
    relations = {(r["label_smoothing"], r["temperature"]): r["relation"] for r in advice["comparisons"]}
    assert relations[0.1, 1.0] == "best"
    assert all(relation == "worse" for key, relation in relations.items() if key != (0.1, 1.0))


@pytest.mark.rule("R10")
def test_the_opposite_finding_is_said():
    advice = advise(grid({(0.0, 2.0): 90.0, (0.1, 1.0): 88.0}), teacher_rows(), NOTHING, Rules())
    assert (advice["recommendation"]["label_smoothing"], advice["recommendation"]["temperature"]) == (0.0, 2.0)
    assert advice["rule"]["agrees"] is False
    assert "does not hold" in advice["rule"]["sentence"]
    assert advice["effect"]["verdict"] == "not shown"
    assert "does not show" in advice["effect"]["sentence"]


@pytest.mark.rule("R8")
def test_a_weak_test_is_never_called_a_tie():
    noisy = advise(grid({}, seeds=3, noise=3.0), teacher_rows(), NOTHING, Rules(margin=0.5))
    others = [row["relation"] for row in noisy["comparisons"] if row["relation"] != "best"]
    assert "tied" not in others
    assert "undecided" in others
    assert noisy["confidence"]["level"] == "low"


@pytest.mark.rule("R1")
@pytest.mark.rule("R15")
def test_settings_that_failed_whole_are_left_out():
    table = grid(SMOOTHED_WINS)
    table.loc[(table.label_smoothing == 0) & (table.temperature > 1), "status"] = "failed"
    advice = advise(table, teacher_rows(), DIFFUSES, Rules())
    assert (advice["rival"]["label_smoothing"], advice["rival"]["temperature"]) == (0.0, 1.0)
    assert len(advice["comparisons"]) == 4
    table.loc[table.label_smoothing == 0, "status"] = "failed"
    alone = advise(table, teacher_rows(), DIFFUSES, Rules())
    assert alone["rival"] is None
    assert "above" not in final_verdict(alone, table, preview=False)["sentence"]


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
    unsmoothed = [row["relation"] for row in smoothed_best["comparisons"] if row["label_smoothing"] == 0]
    assert set(unsmoothed) == {"undecided"}
    assert "worse" in {row["relation"] for row in of_students["comparisons"] if row["label_smoothing"] == 0}
    assert "over 3 teacher seeds" in smoothed_best["headline"]
    assert "over 3 teacher seeds" in final_verdict(smoothed_best, table, preview=False)["sentence"]
    caveats = " ".join(smoothed_best["caveats"])
    assert "One teacher per α" not in caveats
    assert "3 teacher seeds: the exact sign-flip test" in caveats


def test_a_student_that_failed_does_not_tilt_the_means_of_its_unit():
    table = results_table(lambda a, t: 90.0, noise=0.0, teacher_offs=(0.0, 0.0, 0.0), seeds=2)
    table.loc[table.seed == 1, "val/top1"] -= 10.0  # a poor start, for all settings alike
    table.loc[table.index[-1], "status"] = "failed"  # and one of these poor students is lost
    rows = advise(table, teacher_rows(), NOTHING, Rules())["comparisons"]
    assert {row["difference"] for row in rows} == {0.0}


@pytest.mark.rule("R22")
def test_given_teachers_beside_trained_ones_are_a_caveat():
    for status, expected in ((["given", "done"], True), (["given", "given"], False), (["done", "done"], False)):
        advice = advise(grid(SMOOTHED_WINS), teacher_rows().assign(status=status), DIFFUSES, Rules())
        assert any("teachers of α = 0 were given" in caveat for caveat in advice["caveats"]) is expected


@pytest.mark.rule("R21")
def test_student_models_are_advised_one_by_one():
    """The larger student is better throughout; each has its own best setting, and only its own settings to beat."""
    small, large = grid(SMOOTHED_WINS), grid({(0.0, 2.0): 95.0, (0.1, 1.0): 94.9}, otherwise=93.0)
    tables = [table.assign(student=name) for table, name in ((small, "small"), (large, "large"))]
    diffusion = pd.concat([DIFFUSES.assign(student="small"), NOTHING.assign(student="large")])
    advice = advise(pd.concat(tables), teacher_rows(), diffusion, Rules())
    assert advice["recommendation"]["student"] == "large"
    assert {row["student"] for row in advice["comparisons"]} == {"large"}
    assert advice["rival"]["student"] == "large"
    assert "into large at T = 2" in advice["headline"]
    each = advice["by_student"]
    assert list(each) == ["small", "large"]
    assert (each["small"]["recommendation"]["label_smoothing"], each["large"]["recommendation"]["temperature"]) == (
        0.1,
        2,
    )
    assert (each["small"]["effect"]["verdict"], each["large"]["effect"]["verdict"]) == ("shown", "not shown")
    alone = advise(small.assign(student="small"), teacher_rows(), DIFFUSES, Rules())
    assert each["small"]["recommendation"] == alone["recommendation"]
    verdict = final_verdict(advice, pd.concat(tables), preview=False)
    assert "into small at T = 1" in verdict["by_student"]["small"]["sentence"]
    assert verdict["sentence"] == verdict["by_student"]["large"]["sentence"]


@pytest.mark.rule("R10")
def test_a_temperature_below_one_is_neither_raised_nor_the_rule():
    table = results_table(lambda a, t: {(0.1, 1.0): 90.0, (0.1, 2.0): 88.0}.get((a, t), 85.0))
    table["temperature"] = table["temperature"].replace({64.0: 0.5})
    advice = advise(table, teacher_rows(), NOTHING[NOTHING.temperature != 64], Rules())
    assert advice["rule"]["agrees"] is True
    assert "T = 1)" in advice["rule"]["sentence"]
    below = NOTHING[NOTHING.temperature != 2].replace({"temperature": {64.0: 0.5}})
    assert advise(table, teacher_rows(), below, Rules())["effect"]["verdict"] == "inconclusive"


def test_two_seeds_decide_nothing():
    advice = advise(grid(SMOOTHED_WINS, seeds=2), teacher_rows(), DIFFUSES, Rules())
    assert {row["relation"] for row in advice["comparisons"]} == {"best", "undecided"}
    assert advice["confidence"]["level"] == "low"


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
def test_the_final_sentence_carries_test_figures_and_says_below_when_the_lead_is_lost():
    table = grid(SMOOTHED_WINS)
    advice = advise(table, teacher_rows(), DIFFUSES, Rules())
    verdict = final_verdict(advice, table, preview=False)
    expected = table[(table.label_smoothing == 0.1) & (table.temperature == 1)]["test/top1"].mean()
    assert verdict["test"]["recommended"]["mean"] == pytest.approx(expected)
    assert f"{expected:.1f}" in verdict["sentence"]
    assert "above the unsmoothed teacher" in verdict["sentence"]

    lost = table.assign(**{"test/top1": table["test/top1"] - 10 * (table.label_smoothing > 0)})
    assert "below the unsmoothed teacher" in final_verdict(advice, lost, preview=False)["sentence"]
    assert final_verdict(advice, table, preview=True)["sentence"].startswith("Preview.")


@pytest.mark.parametrize("selection", ["last", "best_on_test"])
@pytest.mark.rule("R4")
def test_without_validation_nothing_is_claimed_to_be_selected(selection):
    table = grid(SMOOTHED_WINS)
    if selection == "last":
        table = table.assign(**{"val/top1": float("nan")})
    advice = advise(table, teacher_rows(), DIFFUSES, Rules(selection=selection))
    assert advice["confidence"]["level"] == "low"
    assert advice["comparisons"] == []
    assert "paper's rule alone" in advice["headline"]
    assert "One teacher per α" in " ".join(advice["caveats"])
    assert ("optimistic" if selection == "best_on_test" else "no validation split") in advice["headline"]


@pytest.mark.rule("R13")
@pytest.mark.rule("R14")
@pytest.mark.rule("R15")
@pytest.mark.rule("R16")
@pytest.mark.rule("R17")
def test_caveats():
    table = grid(SMOOTHED_WINS, seeds=3)
    table.loc[0, "status"] = "failed"
    caveats = " ".join(advise(table, teacher_rows(plain=80, smoothed=80), DIFFUSES, Rules(preview=True))["caveats"])
    for expected in (
        "Preview",
        "3 seeds",
        "1 of 18 students",
        "One teacher per α",
        "at least as good as the best teacher",
    ):
        assert expected in caveats


@pytest.mark.rule("R20")
def test_a_finding_that_hangs_on_the_normalisation_is_flagged():
    turned = DIFFUSES.assign(normalisation="none", eta_s1=-DIFFUSES.eta_s1, eta_s2=-DIFFUSES.eta_s2)
    advice = advise(grid(SMOOTHED_WINS), teacher_rows(), pd.concat([DIFFUSES, turned]), Rules())
    assert any("depends on how η is computed" in caveat and "none" in caveat for caveat in advice["caveats"])


@pytest.mark.rule("R10")
def test_the_papers_rule_is_neither_confirmed_nor_refuted_by_noise():
    advice = advise(grid({(0.0, 2.0): 85.3}, seeds=4, noise=1.0), teacher_rows(), NOTHING, Rules())
    assert advice["rule"]["agrees"] is None
    assert "neither confirmed nor refuted" in advice["rule"]["sentence"]


@pytest.mark.rule("R9")
def test_one_side_for_sure_but_not_which_setting_is_moderate():
    scores = {(0.1, 1.0): 90.0, (0.1, 2.0): 89.9, (0.1, 64.0): 89.9}
    advice = advise(grid(scores, noise=0.6), teacher_rows(), DIFFUSES, Rules(margin=0.1))
    assert advice["confidence"]["level"] == "moderate"
    assert "Sure about smoothing the teacher" in advice["confidence"]["sentence"]
    assert {row["label_smoothing"] for row in advice["not_told_apart"]} == {0.1}
    assert {row["relation"] for row in advice["not_told_apart"]} <= {"tied", "undecided"}


@pytest.mark.rule("R9")
def test_nothing_is_said_about_smoothing_where_all_teachers_are_of_one_kind():
    whole = grid({(0.0, 1.0): 90.0, (0.0, 2.0): 89.9}, noise=0.6)
    unsmoothed = advise(whole[whole.label_smoothing == 0], teacher_rows(), NOTHING, Rules(margin=0.1))["confidence"]
    assert unsmoothed["level"] == "low"
    assert unsmoothed["sentence"].startswith("Not sure: these are behind by less than chance")
    assert "was not asked: every teacher of this grid is unsmoothed" in unsmoothed["sentence"]
    single = whole[(whole.label_smoothing == 0) & (whole.temperature == 1)]
    alone = advise(single, teacher_rows(), NOTHING, Rules())["confidence"]
    assert alone == {"level": "low", "sentence": "Nothing was compared: the grid has one setting."}


@pytest.mark.rule("R22")
def test_what_is_not_known_of_a_teacher_is_not_claimed():
    whole = grid({(0.0, 1.0): 90.0, (0.0, 2.0): 89.9}, noise=0.6)
    table = whole[whole.label_smoothing == 0]
    unknown = advise(table, teacher_rows(), NOTHING, Rules(smoothing="unknown"))
    said = [unknown["headline"], *(unknown[part]["sentence"] for part in ("confidence", "effect", "rule"))]
    assert "from the teacher (its label smoothing is not known) at T = " in said[0]
    assert not any("unsmoothed" in sentence for sentence in said)
    assert all("not known whether the teacher was label-smoothed" in sentence for sentence in said[1:])
    assert any("where figures and tables say α, read: not known" in caveat for caveat in unknown["caveats"])
    assert "not known" in final_verdict(unknown, table, preview=False)["sentence"]
    estimated = advise(table, teacher_rows(), NOTHING, Rules(smoothing="estimated"))
    assert "the unsmoothed teacher (by its audit)" in estimated["headline"]
    assert any("estimated by an audit" in caveat for caveat in estimated["caveats"])


@pytest.mark.rule("R18")
def test_the_best_at_the_edge_of_the_grid_is_a_caveat():
    edge = advise(grid({(0.1, 64.0): 90.0}), teacher_rows(), NOTHING, Rules())["caveats"]
    assert sum("largest of the grid" in caveat for caveat in edge) == 2
    inside = advise(grid({(0.0, 2.0): 90.0}), teacher_rows(), NOTHING, Rules())["caveats"]
    assert not any("largest of the grid" in caveat for caveat in inside)


@pytest.mark.rule("R19")
def test_few_samples_a_class_are_a_caveat():
    rare = DIFFUSES.assign(reliable=False)
    assert any(
        "fewer than 20 samples" in c for c in advise(grid(SMOOTHED_WINS), teacher_rows(), rare, Rules())["caveats"]
    )


@pytest.mark.rule("R11")
def test_eta_comes_with_its_interval():
    rows = advise(grid(SMOOTHED_WINS), teacher_rows(), DIFFUSES, Rules())["effect"]["eta"]
    assert {(r["label_smoothing"], r["temperature"]) for r in rows} == {(0.1, 2.0), (0.1, 64.0)}
    for row in rows:
        assert row["low"] < row["mean"] < row["high"]
        assert row["n"] == 6


@pytest.mark.rule("R3")
def test_a_rival_among_several_smoothed_teachers_is_named_by_its_alpha():
    table = grid({(0.0, 2.0): 90.0})
    more = table[table.label_smoothing > 0].assign(label_smoothing=0.3, **{"val/top1": 86.0, "test/top1": 85.0})
    results = pd.concat([table, more.assign(cell=more.cell + "b")])
    advice = advise(results, teacher_rows(), NOTHING, Rules())
    verdict = final_verdict(advice, results, preview=False)["sentence"]
    assert "above the smoothed teacher at its best setting (α = 0.3, T = " in advice["headline"]
    assert "above the smoothed teacher at its best setting (α = 0.3, T = " in verdict
    assert "best T (" in advise(table, teacher_rows(), NOTHING, Rules())["headline"]


def test_objectives_and_students_are_named_only_where_there_are_several():
    table = grid(SMOOTHED_WINS)
    assert "resnet8" not in advise(table, teacher_rows(), DIFFUSES, Rules())["headline"]
    other = table.assign(student="resnet14", cell=table.cell + "x", **{"val/top1": table["val/top1"] + 1})
    headline = advise(pd.concat([table, other]), teacher_rows(), DIFFUSES, Rules())["headline"]
    assert "into resnet14" in headline
    assert "hinton" not in headline

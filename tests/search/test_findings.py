"""What a search says it has found, from records of explicit numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from tosmooth.errors import StudyError
from tosmooth.folder.curves import read_curve
from tosmooth.recipes.reading import load_config
from tosmooth.search.findings import conclude
from tosmooth.search.halving import plan_rungs
from tosmooth.search.record import candidates_of, new_record, score_table
from tosmooth.search.run import SearchResult, _rows
from tosmooth.search.summary import print_search
from tosmooth.study.plan import Cell, make_plan
from tosmooth.tasks.find import find_task, traits_of

OFFSETS = {0: -0.2, 1: 0.0, 2: 0.2}  # by seed: shifts all candidates alike, and so leaves differences


def cells_of(*overrides: str) -> tuple[Cell, ...]:
    """α ∈ {0, 0.1} × T ∈ {1, 2} × 3 seeds."""
    given = ["teacher.seeds=[0]", "student.temperatures=[1,2]", "student.seeds=[0,1,2]", *overrides]
    return make_plan(load_config("fashion-mnist", given)).cells


def finished(cells: tuple[Cell, ...], behind: dict[tuple[float, float], list[float]], **rung: Any) -> dict[str, Any]:
    """A record of 4 → 1 after epoch 1 of 4; `behind` by (α, T) and seed, in points."""
    record = new_record(plan_rungs(4, 4, 4, 0.5), cells, "study", "best")
    scores = {
        setting: {c.name: 80 - behind[setting[1], setting[2]][c.seed] + OFFSETS[c.seed] for c in own}
        for setting, own in candidates_of(cells).items()
    }
    winner = cells[0].setting
    for entry, found in zip(record["rungs"], (scores, {winner: scores[winner]}), strict=True):
        entry |= {"scores": _rows(found, cells, 1, 1), "status": "done", "timed": True, "seconds": 20.0} | rung
    record["teaching"] = {"seconds": 5.0, "timed": True}
    return record


BEHIND = {
    (0.0, 1.0): [0.0, 0.0, 0.0],
    (0.0, 2.0): [5.0, 5.1, 4.9],  # worse beyond chance
    (0.1, 1.0): [2.0, -1.0, 1.0],  # who knows
    (0.1, 2.0): [0.1, 0.0, 0.1],  # within the margin
}


def test_who_was_dropped_undecided_is_named():
    cells = cells_of()
    found = conclude(finished(cells, BEHIND), cells[0].setting, cells, margin=0.5)
    relations = {(row["label_smoothing"], row["temperature"]): row["relation"] for row in found["comparisons"]}
    # All share the error that one of them makes large: what looks within the margin is not sure to be.
    assert relations == {(0.0, 2.0): "worse", (0.1, 1.0): "undecided", (0.1, 2.0): "undecided"}
    differences = {(row["label_smoothing"], row["temperature"]): row["difference"] for row in found["comparisons"]}
    assert differences[0.1, 1.0] == pytest.approx(2 / 3)
    assert found["sentences"]["winner"] == (
        "Best by validation: the unsmoothed teacher (α = 0) at T = 1, 80.0 ± 0.5 % validation top-1 over 3 seeds."
    )
    unknown = found["sentences"]["unknown"][0]
    assert unknown.startswith(
        "Dropped, but not told apart from the winner by then: the smoothed teacher (α = 0.1) at T = 2"
    )
    assert "α = 0)" not in unknown


def test_who_was_dropped_for_good_reason_is_told_as_such():
    cells = cells_of()
    clear = {key: [value + 5 * (key != (0.0, 1.0)) for value in BEHIND[0.0, 1.0]] for key in BEHIND}
    found = conclude(finished(cells, clear), cells[0].setting, cells, margin=0.5)
    assert (
        found["sentences"]["unknown"][0]
        == "Every candidate was worse than the winner beyond chance when it was dropped."
    )


def test_the_cost_against_the_whole_grid():
    """4·1 + 1·3 = 7 of 16 epochs, times three seeds. One epoch of all took 20 s, so four would take 80."""
    cells = cells_of()
    found = conclude(finished(cells, BEHIND), cells[0].setting, cells, margin=0.5)
    assert (found["cost"]["student_epochs"], found["cost"]["full_grid_student_epochs"]) == (21, 48)
    assert (found["cost"]["students_seconds"], found["cost"]["full_grid_students_seconds"]) == (40.0, 80.0)
    assert found["sentences"]["cost"] == (
        "It took 44 % of the grid's student training (21 of 48 student-epochs): 0:40, where the whole grid would take "
        "about 1:20 at the pace of the first rung. Teachers: as many in both."
    )


def test_a_killed_run_s_time_is_not_made_up():
    cells = cells_of()
    found = conclude(finished(cells, BEHIND, timed=False), cells[0].setting, cells, margin=0.5)
    assert found["cost"]["students_seconds"] is None
    assert "its time is not known, as a run of it was killed" in found["sentences"]["cost"]


def test_one_seed_says_nothing_about_chance():
    cells = cells_of("student.seeds=[1]")
    found = conclude(finished(cells, BEHIND), cells[0].setting, cells, margin=0.5)
    assert "(one seed)" in found["sentences"]["winner"]
    assert found["sentences"]["unknown"][0] == "1 seed cannot show how much of any difference is chance."


def test_with_several_teacher_seeds_they_are_the_unit():
    cells = cells_of("teacher.seeds=[0,5]", "student.pairing=crossed")
    assert {len(own) for own in candidates_of(cells).values()} == {6}
    scores = {
        setting: {c.name: 10.0 * c.teacher_seed + c.seed for c in own} for setting, own in candidates_of(cells).items()
    }
    table = score_table(scores, cells)
    assert list(table.columns) == [0, 5]
    assert table.loc[cells[0].setting].tolist() == [1.0, 51.0]  # means over the seeds 0, 1, 2
    assert _rows(scores, cells, 1, 1)[0]["mean"] == 26.0


def test_candidates_of_translation_are_judged_by_tokens_and_that_is_said():
    cells = cells_of()
    metric = find_task("translation").metric
    of_others = [traits_of(name).metric.judged_by for name in ("image_classification", None)]
    assert (metric.judged_by.val, of_others[0].words, of_others[1].val) == ("val/top1", "top-1", "val/top1")
    sentences = conclude(finished(cells, BEHIND), cells[0].setting, cells, 0.5, metric)["sentences"]
    assert sentences["winner"].endswith("80.0 ± 0.5 % validation token accuracy over 3 seeds.")
    assert sentences["unknown"][-1].endswith("by BLEU, which is only measured at the end, another may win.")
    of_images = conclude(finished(cells, BEHIND), cells[0].setting, cells, 0.5)["sentences"]
    assert "BLEU" not in " ".join(of_images["unknown"])


def test_a_curve_is_read_from_the_column_that_is_asked_for(tmp_path: Path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"epoch": 1, "val/top1": 40, "val/bleu": 3.5}\n{"epoch": 2, "val/top1": 41, "val/bleu": 4}\n')
    assert read_curve(path, "…", "val/top1") == [40, 41]
    assert read_curve(path, "…", "val/bleu") == [3.5, 4]
    with pytest.raises(StudyError, match="has no val/chrf for epoch 1"):
        read_curve(path, "…", "val/chrf")


def test_the_summary_tells_the_winners_bleu_beside_the_candidates_token_accuracy():
    cells, metric = cells_of(), find_task("translation").metric
    record = finished(cells, BEHIND)
    record |= conclude(record, cells[0].setting, cells, 0.5, metric)
    record["test"] = {"test/bleu": {"mean": 12.3, "low": 12.1, "high": 12.5, "n": 3}, "by_cell": {}}
    console = Console(record=True, width=160)
    print_search(SearchResult(Path("s"), record), console, metric, preview=False)
    text = console.export_text()
    assert "validation token accuracy, %" in text
    assert "On test, read once and for it alone: 12.3 ± 0.2 BLEU." in text

"""A search on real images: survivors are the grid's students, a killed search goes on, and its refusals."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pytest
from rich.console import Console

from tests.faults.studies import assert_same, changed, content, finish, kill_after, start
from tests.folder.page import each_has_one_row
from tosmooth.advice.comparisons import KEY
from tosmooth.errors import ConfigError, StudyError
from tosmooth.folder.judged import read_correct
from tosmooth.folder.results import StudyResults
from tosmooth.recipes.reading import load_config
from tosmooth.search.plan import planned
from tosmooth.search.run import SearchResult, run_search
from tosmooth.search.summary import print_plan, print_search
from tosmooth.study.progress import StudyProgress
from tosmooth.study.run import run_study
from tosmooth.tasks.metric import TOP1

# Dropout, batch normalisation, stored logits, AdamW. Of 4 candidates, 2 go on after epoch 1 and 1 after epoch 2 of 3.
RAW = changed(student={"epochs": 3})


class Both(NamedTuple):
    """A search, and the whole grid of the same configuration."""

    found: SearchResult
    grid: StudyResults
    seconds: float


def quiet() -> StudyProgress:
    return StudyProgress(Console(quiet=True))


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Both:
    root = tmp_path_factory.mktemp("search")
    started = time.perf_counter()
    found = run_search(load_config(RAW), root / "apart", eta=2, budget=0.6, progress=quiet())
    seconds = time.perf_counter() - started
    return Both(found, run_study(load_config(RAW), root, quiet()), seconds)


WITH_TEST = {"cal/ece", "files", "sha256"}  # in a record


def of_cells(path: Path, cells: list[str]) -> dict[str, Any]:
    """What a study holds of some students, but for what reading the test split and measuring d′ add, sums included."""
    return {
        name: {key: v for key, v in value.items() if not key.startswith("test/") and key not in WITH_TEST}
        if name.endswith("result.json")
        else value
        for name, value in content(path).items()
        if name.startswith(tuple(f"students/{cell}/" for cell in cells))
        and not name.endswith(("reliability.json", "separation.json"))
    }


def trained_to_the_end(path: Path) -> list[str]:
    return [file.parent.name for file in sorted(path.glob("students/*/result.json"))]


def test_each_of_its_files_stands_in_the_table_of_files(both: Both):
    assert set(each_has_one_row(both.found.path)) >= {"search.json", "search.csv"}


def test_survivors_are_the_students_of_the_whole_grid_bit_for_bit(both: Both):
    """4 → 2 after epoch 1, 2 → 1 after epoch 2: the winner was trained in groups of 4, 2 and 1 students."""
    record = both.found.record
    assert [(r["candidates"], r["from_epoch"], r["to_epoch"]) for r in record["rungs"]] == [
        (4, 0, 1),
        (2, 1, 2),
        (1, 2, 3),
    ]
    survivors = trained_to_the_end(both.found.path)
    assert survivors == sorted(record["winner"]["cells"])
    assert len(survivors) == 2
    there = of_cells(both.grid.path, survivors)
    assert any(name.endswith("model.safetensors") for name in there)
    assert_same(there, of_cells(both.found.path, survivors))


def test_scores_are_the_grid_s_own_figures_of_those_epochs(both: Both):
    table = pd.read_csv(both.found.path / "search.csv")
    for rung in both.found.record["rungs"]:
        assert [row["kept"] for row in rung["scores"]] == [
            rank < max(1, rung["candidates"] // 2) for rank in range(rung["candidates"])
        ]
        for row in rung["scores"]:
            best = []
            for cell, score in row["by_cell"].items():
                lines = (both.grid.path / "students" / cell / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
                best.append(max(json.loads(line)["val/top1"] for line in lines[: rung["to_epoch"]]))
                assert score == best[-1]
            assert row["mean"] == pytest.approx(sum(best) / len(best))
            same = (table["rung"] == rung["rung"]) & (table[KEY] == [row[key] for key in KEY]).all(axis=1)
            assert table[same]["val/top1"].tolist() == [pytest.approx(row["mean"])]
    assert len(table) == 4 + 2 + 1


def test_cost_is_what_was_planned_and_what_was_trained(both: Both):
    """4·1 + 2·1 + 1·1 = 7 of 12 epochs, times two seeds; every line of metrics.jsonl is a student-epoch."""
    cost = both.found.record["cost"]
    assert (cost["student_epochs"], cost["full_grid_student_epochs"], cost["share"]) == (14, 24, 7 / 12)
    lines = [file.read_text(encoding="utf-8").count("\n") for file in both.found.path.glob("students/*/metrics.jsonl")]
    assert sum(lines) == 14
    assert 0 < cost["students_seconds"] < both.seconds


def test_the_test_split_is_read_for_the_winner_alone(both: Both):
    read = sorted(path.parent.name for path in both.found.path.rglob("reliability.json"))
    winner = both.found.record["winner"]["cells"]
    assert read == sorted(winner)
    on_test = both.grid.cells.set_index("cell")["test/top1"]
    assert both.found.record["test"]["by_cell"] == {cell: pytest.approx(on_test[cell]) for cell in winner}
    assert not any(
        "test/top1" in file.read_text(encoding="utf-8") for file in both.found.path.glob("teachers/*/result.json")
    )


def test_the_same_command_again_trains_nothing(both: Both):
    before = {path: path.stat().st_mtime_ns for path in both.found.path.glob("students/*/*")}
    record = (both.found.path / "search.json").read_bytes()
    again = run_search(load_config(RAW), both.found.path.parent, eta=2, budget=0.6, progress=quiet())
    assert again.record["winner"]["cells"] == both.found.record["winner"]["cells"]
    assert (both.found.path / "search.json").read_bytes() == record
    assert before == {path: path.stat().st_mtime_ns for path in both.found.path.glob("students/*/*")}


@pytest.mark.slow
def test_teachers_of_the_finished_study_are_taken_over(both: Both, tmp_path: Path):
    """And the search goes as it went without them; the dropped students' checkpoints make it the whole grid later."""
    import shutil

    shutil.copytree(both.grid.path, tmp_path / "small")
    console = Console(width=200, no_color=True)
    with console.capture() as captured:
        found = run_search(load_config(RAW), tmp_path, eta=2, budget=0.6, progress=StudyProgress(console))
    assert "teachers a0-s0, a0.1-s0 are those of" in captured.get()
    assert "teachers, α" not in captured.get()  # the stage in which they are trained
    ours, theirs = (_decisions(one.record) for one in (found, both.found))
    assert ours == theirs
    assert not any(
        "test/top1" in file.read_text(encoding="utf-8") for file in found.path.glob("teachers/*/result.json")
    )
    teachers = sorted(path.parent for path in found.path.glob("teachers/*/result.json"))
    assert [read_correct(folder, "test") for folder in teachers] == [None, None]
    assert all(read_correct(folder, "val") is not None for folder in teachers)

    whole = run_study(load_config(RAW, ["name=small-search"]), tmp_path, quiet())
    cells = list(whole.cells.cell)
    assert len(cells) == 8
    assert_same(of_cells(both.grid.path, cells), of_cells(whole.path, cells))


def test_teachers_of_another_configuration_are_not(both: Both, tmp_path: Path):
    import shutil

    shutil.copytree(both.grid.path, tmp_path / "small")
    console = Console(width=200, no_color=True)
    with console.capture() as captured:
        config = load_config(RAW, ["teacher.epochs=1", "student.epochs=2", "student.seeds=[0]"])
        run_search(config, tmp_path, progress=StudyProgress(console))
    assert "are those of" not in captured.get()


def _decisions(record: Mapping[str, Any]) -> list[Any]:
    """What a search has found, without its times."""
    rungs = [{key: rung[key] for key in ("candidates", "to_epoch", "scores", "status")} for rung in record["rungs"]]
    return json.loads(json.dumps([rungs, record["winner"]["cells"], record["test"]]))


@pytest.mark.parametrize("share", [0.6])
@pytest.mark.slow
def test_a_killed_search_goes_on_to_the_same_bits(both: Both, tmp_path: Path, share: float):
    _kill_and_go_on(both, tmp_path, share)


@pytest.mark.faults
@pytest.mark.parametrize("point", range(10))
def test_any_moment_will_do(both: Both, tmp_path: Path, point: int):
    _kill_and_go_on(both, tmp_path, (point + 0.5) / 10)


def _kill_and_go_on(both: Both, root: Path, share: float) -> None:
    raw = {**RAW, "eta": 2, "budget": 0.6}
    kill_after(start(raw, root, search=True), share * both.seconds)
    finish(raw, root, search=True)
    there = root / "small-search"
    assert _decisions(json.loads((there / "search.json").read_text(encoding="utf-8"))) == _decisions(both.found.record)
    left_out = {"search.json"}
    one, other = (
        {name: value for name, value in content(path).items() if name not in left_out}
        for path in (both.found.path, there)
    )
    assert_same(one, other)


def test_a_candidate_whose_students_fail_is_dropped(tmp_path: Path):
    """T = 1e-38 makes logits infinite; it neither goes on nor stops the others."""
    config = load_config(RAW, ["student.temperatures=[1,1e-38]", "student.seeds=[0]", "teacher.label_smoothing=[0.1]"])
    record = run_search(config, tmp_path, budget=0.9, progress=quiet()).record
    assert [row["temperature"] for row in record["rungs"][0]["scores"]] == [1.0]
    assert record["winner"]["temperature"] == 1.0
    assert record["comparisons"] == []


def test_another_budget_or_grid_is_another_search(both: Both):
    root = both.found.path.parent
    with pytest.raises(StudyError, match=r"holds a search with --budget 0\.6 --eta 2; go on with these"):
        run_search(load_config(RAW), root, eta=2, budget=0.8, progress=quiet())
    with pytest.raises(StudyError, match="another grid; a search cannot grow"):
        run_search(load_config(RAW, ["student.seeds=[0,1,2]"]), root, eta=2, budget=0.6, progress=quiet())


@pytest.mark.parametrize("damage", ["{", "[]", '{"eta": 2, "budget": 0.6}'])
def test_a_damaged_record_is_named(both: Both, tmp_path: Path, damage: str):
    folder = tmp_path / "small-search"
    folder.mkdir()
    text = damage
    if "eta" in damage:
        record = json.loads((both.found.path / "search.json").read_text(encoding="utf-8"))
        del record["rungs"][0]["scores"]
        text = json.dumps(record)
    (folder / "search.json").write_text(text, encoding="utf-8")
    with pytest.raises(StudyError, match=r"search\.json is damaged; delete it"):
        run_search(load_config(RAW), tmp_path, eta=2, budget=0.6, progress=quiet())


def test_without_validation_there_is_no_search(tmp_path: Path):
    with pytest.raises(ConfigError, match="a search chooses on a validation split, and there is none") as caught:
        run_search(load_config(RAW, ["data.validation=0"]), tmp_path, progress=quiet())
    assert len(caught.value.mistakes) == 1
    with pytest.raises(ConfigError, match="best_on_test chooses on the test split"):
        run_search(load_config(RAW, ["selection=best_on_test"]), tmp_path, progress=quiet())
    assert not list(tmp_path.iterdir())


def test_all_mistakes_come_at_once():
    config = load_config(RAW, ["data.validation=0", "student.temperatures=[1]", "teacher.label_smoothing=[0]"])
    with pytest.raises(ConfigError) as caught:
        planned(config, budget=float("nan"), eta=1)
    assert len(caught.value.mistakes) == 4


def test_the_plan_and_the_summary_in_words(both: Both):
    console = Console(width=120, no_color=True)
    with console.capture() as captured:
        print_plan(planned(load_config(RAW), 0.6, 2)[1], console)
        print_search(both.found, console, TOP1, preview=True)
    text = " ".join(captured.get().split())
    assert "4 candidates of 2 students each" in text
    assert "together 14 of the grid's 24 student-epochs: 58.3 % (budget 60.0 %)" in text
    assert "Best by validation: the" in text
    assert "It took 58 % of the grid's student training (14 of 24 student-epochs)" in text
    assert "2 seeds cannot show how much of any difference is chance." in text
    assert "On test, read once and for it alone" in text
    assert "Preview" in text

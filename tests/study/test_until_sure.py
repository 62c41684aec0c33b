"""A real study that adds seeds until it is sure: who gets students, what a resume leaves, and its refusals."""

from __future__ import annotations

import copy
import io
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from tests.conftest import TINY
from tests.faults.studies import assert_same, content
from tests.folder.page import each_has_one_row
from tests.shared import Shared
from tosmooth.advice.until_sure import Look, look
from tosmooth.cli import app
from tosmooth.cli.running import duration
from tosmooth.errors import ConfigError, Interrupted, StudyError
from tosmooth.export.subject import choose
from tosmooth.folder.paths import StudyDirectory
from tosmooth.folder.results import StudyResults, load_study
from tosmooth.recipes.reading import load_config
from tosmooth.study import until_sure
from tosmooth.study.estimate import estimate_study
from tosmooth.study.later_seeds import named, with_later_seeds, write_looks
from tosmooth.study.plan import make_plan
from tosmooth.study.progress import StudyProgress
from tosmooth.study.run import run_study
from tosmooth.study.until_sure import UntilSure, at_most, mistakes_of
from tosmooth.words.answer import basis
from tosmooth.words.wording import wording_of

FOUR = UntilSure(seeds_at_most=4)  # looks after 2, 3 and 4 seeds
GONE = ("hinton", 0.1, 8.0, "resnet8")
RAW: dict[str, Any] = copy.deepcopy(TINY)
RAW["data"] |= {"limit_train": 150, "limit_test": 80}
RAW["teacher"]["epochs"] = 1
RAW["student"] |= {"controls": ["cross_entropy"], "epochs": 1}


def quiet() -> StudyProgress:
    return StudyProgress(Console(quiet=True))


def without_one(*args: Any, **kwargs: Any) -> Look:
    """The real look, but that one setting always leaves, and that nobody is sure before the last one."""
    found = look(*args, **kwargs)
    reason = None if kwargs["last"] is None else found.reason
    return replace(found, left=tuple(setting for setting in found.left if setting != GONE), reason=reason)


def never_sure(*args: Any, **kwargs: Any) -> Look:
    """The same, but for a reason from outside alone."""
    return replace(without_one(*args, **kwargs), reason=kwargs["last"])


@pytest.fixture(scope="module")
def study(shared: Shared) -> StudyResults:
    """A study of two seeds to which two more were added for all settings but one."""

    def run(root: Path) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(until_sure, "look", without_one)
            told = io.StringIO()
            run_study(load_config(RAW), root, StudyProgress(Console(file=told, width=400)), until_sure=FOUR)
            (root / "told.txt").write_text(told.getvalue(), encoding="utf-8")

    return load_study(shared.folder("until-sure", run) / "tiny")


def test_later_seeds_have_students_of_those_that_were_left_and_controls(study: StudyResults):
    cells = study.cells[study.cells.status == "done"]
    by_setting = cells.groupby(["label_smoothing", "temperature"]).seed.apply(sorted).to_dict()
    assert by_setting.pop((0.1, 8.0)) == [0, 1]
    assert list(by_setting.values()) == [[0, 1, 2, 3]] * 3
    assert sorted(study.controls.seed) == [0, 1, 2, 3]
    assert len(study.cells) == len(list((study.path / "students").glob("hinton-*")))  # nothing else is planned


def test_the_folder_s_files_have_their_rows(study: StudyResults):
    assert "until-sure.json" in each_has_one_row(study.path)


def test_the_configuration_stays_as_it_was_given(study: StudyResults):
    assert study.config["student"]["seeds"] == [0, 1]
    assert load_config(str(study.path / "study.yaml")) == load_config(RAW)


def test_one_line_a_look_says_who_is_left_and_what_comes(study: StudyResults):
    lines = (study.path.parent / "told.txt").read_text(encoding="utf-8").splitlines()
    looks = [line for line in lines if line.startswith("look ")]
    assert [line.partition(":")[0] for line in looks] == [
        "look 1 of 3, 2 seeds", "look 2 of 3, 3 seeds", "look 3 of 3, 4 seeds",
    ]  # fmt: skip
    assert "3 of 4 settings may be the best (" in looks[0]
    assert looks[0].endswith("; then 1 more seed")
    assert "; no more seeds, because " in looks[2]
    assert any(line.startswith("4 students, seed 2 (3 of 3)") for line in lines)


def test_the_answer_says_after_how_many_seeds_and_why_it_ended(study: StudyResults):
    record = json.loads((study.path / "until-sure.json").read_text(encoding="utf-8"))
    assert study.advice is not None
    assert study.verdict is not None
    facts = study.advice["until_sure"]
    assert (facts["seeds"], facts["first"], facts["looks"]) == (4, 2, 3)
    assert facts["reason"] == record["stopped"]["reason"]
    assert [tuple(row.values()) for row in facts["out"]] == [GONE]
    answer = study.verdict["answer"]
    assert answer["until_sure"] == facts
    assert "after 4 seeds and 3 looks it stopped, because" in basis(
        answer, wording_of(study.advice, study.cells, _top1())
    )
    report = (study.path / "report.html").read_text(encoding="utf-8")
    assert "Seeds were added until sure" in report


def _top1() -> Any:
    from tosmooth.tasks.metric import TOP1

    return TOP1


def at_call(number: int, of: Callable[..., Any]) -> Callable[..., Any]:
    """A function that is interrupted before its call of that number, from 1."""
    calls = []

    def call(*args: Any, **kwargs: Any) -> Any:
        calls.append(None)
        if len(calls) == number:
            raise Interrupted(15)
        return of(*args, **kwargs)

    return call


def test_stopped_between_looks_it_goes_on_to_the_same_files(study: StudyResults, tmp_path: Path):
    """Before a planned seed is trained; after it was, and before anybody looked; and again after that look."""

    def go_on(**interrupted: Callable[..., Any]) -> None:
        with pytest.MonkeyPatch.context() as patch:
            for name, function in ({"look": without_one} | interrupted).items():
                patch.setattr(until_sure, name, function)
            run_study(load_config(RAW), tmp_path, quiet(), until_sure=FOUR)

    for interrupted in (
        {"train_students": at_call(1, until_sure.train_students)},
        {"look": at_call(1, without_one)},
        {"train_students": at_call(1, until_sure.train_students)},
    ):
        with pytest.raises(Interrupted):
            go_on(**interrupted)
    assert len(json.loads((tmp_path / "tiny" / "until-sure.json").read_text(encoding="utf-8"))["looks"]) == 2
    go_on()
    assert_same(content(study.path), content(tmp_path / "tiny"))


@pytest.mark.usefixtures("unreported")
def test_the_same_command_and_a_plain_study_train_nothing_more(study: StudyResults, tmp_path: Path):
    shutil.copytree(study.path, tmp_path / "tiny")
    for wanted in (FOUR, None):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("tosmooth.study.stages._train", at_call(1, lambda: None))
            again = run_study(load_config(RAW), tmp_path, quiet(), until_sure=wanted)
        assert list(again.cells.cell) == list(study.cells.cell)
    assert_same(content(study.path), content(tmp_path / "tiny"))


@pytest.mark.usefixtures("unreported")
@pytest.mark.slow
def test_where_seeds_are_paired_each_brings_teachers_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def only_plain(*args: Any, **kwargs: Any) -> Look:
        found = never_sure(*args, **kwargs)
        return replace(found, left=tuple(setting for setting in found.left if setting[1] == 0))

    monkeypatch.setattr(until_sure, "look", only_plain)
    config = load_config(RAW, ["teacher.seeds=[0,7]", "student.pairing=paired", "student.temperatures=[1]"])
    found = run_study(config, tmp_path, quiet(), until_sure=UntilSure(3))
    pairs = found.cells.groupby("label_smoothing")[["seed", "teacher_seed"]].apply(lambda own: own.to_numpy().tolist())
    assert pairs.to_dict() == {0.0: [[0, 0], [1, 7], [2, 8]], 0.1: [[0, 0], [1, 7]]}
    assert sorted(found.teachers.teacher) == ["a0-s0", "a0-s7", "a0-s8", "a0.1-s0", "a0.1-s7"]
    assert sorted(found.controls.seed) == [0, 1, 2]
    assert at_most(config, UntilSure(4)).paired_seeds == {0: 0, 1: 7, 2: 8, 3: 9}


def test_each_further_seed_has_its_own_teachers_whoever_plans_and_when(tmp_path: Path):
    """A run that was stopped knows some of the later seeds when it looks again; a fresh one, none."""
    config = load_config(RAW, ["teacher.seeds=[0,7]", "student.pairing=paired"])
    left = named(list(dict.fromkeys(cell.setting for cell in make_plan(config).cells)))
    look = {"look": 1, "seeds": 2, "confidence": 0.99, "left": left}
    record = {"seeds_at_most": 6, "first_seeds": [0, 1], "looks_at": [2, 4, 6], "settings": left, "seconds": 0.0}
    directory = StudyDirectory(tmp_path)
    write_looks(directory, record | {"looks": [look | {"next_seeds": [2, 3]}]})
    begun = with_later_seeds(make_plan(config), config, directory)
    write_looks(directory, record | {"looks": [look | {"next_seeds": [2, 3]}, look | {"next_seeds": [4, 5]}]})
    fresh = with_later_seeds(make_plan(config), config, directory)
    assert with_later_seeds(begun, config, directory) == fresh
    assert {(cell.seed, cell.teacher_seed) for cell in fresh.cells} == {
        (0, 0),
        (1, 7),
        (2, 8),
        (3, 9),
        (4, 10),
        (5, 11),
    }
    assert len(fresh.controls) == len(fresh.groups) == 6


def test_export_knows_the_students_of_later_seeds(study: StudyResults):
    assert choose(study.path, "hinton-a0-T1-resnet8-s3").owner.seed == 3
    plan = with_later_seeds(make_plan(load_config(RAW)), load_config(RAW), StudyDirectory(study.path))
    assert {cell.name for cell in plan.cells} == set(study.cells.cell)
    assert [len(group) for group in plan.together] == [5, 5, 4, 4]


def test_seeds_that_a_grid_has_by_now_are_its_own(study: StudyResults):
    config = load_config(RAW, ["student.seeds=[0,1,2]"])
    plan = with_later_seeds(make_plan(config), config, StudyDirectory(study.path))
    assert [len(group) for group in plan.groups] == [4, 4, 4, 3]


def test_another_number_of_seeds_or_another_grid_is_refused(study: StudyResults):
    root = study.path.parent
    with pytest.raises(StudyError, match="was begun with --seeds-at-most 4"):
        run_study(load_config(RAW), root, quiet(), until_sure=UntilSure(6))
    for change in ("student.seeds=[0,1,5]", "student.temperatures=[1,2]"):
        with pytest.raises(StudyError, match="another grid, or at other first seeds"):
            run_study(load_config(RAW, [change]), root, quiet(), until_sure=FOUR)


@pytest.mark.parametrize("damage", ["{", "[]", '{"looks": []}'])
def test_a_damaged_file_is_named(study: StudyResults, tmp_path: Path, damage: str):
    (tmp_path / "tiny").mkdir()
    shutil.copy(study.path / "study.yaml", tmp_path / "tiny")
    (tmp_path / "tiny" / "until-sure.json").write_text(damage, encoding="utf-8")
    with pytest.raises(StudyError, match=r"until-sure\.json is damaged; delete it"):
        run_study(load_config(RAW), tmp_path, quiet())


@pytest.fixture
def begun(study: StudyResults, tmp_path: Path) -> Path:
    """The finished study, without what was seen in it: nobody looked yet, and most students are there."""
    shutil.copytree(study.path, tmp_path / "tiny")
    (tmp_path / "tiny" / "until-sure.json").unlink()
    return tmp_path


@pytest.mark.usefixtures("unreported")
@pytest.mark.slow
def test_the_time_that_is_used_up_ends_it_and_more_time_goes_on(begun: Path, monkeypatch):
    """The test split was read before, and later advice says so."""
    monkeypatch.setattr(until_sure, "look", never_sure)
    config = load_config(RAW)
    short = run_study(config, begun, quiet(), until_sure=UntilSure(4, budget=1e-9))
    assert short.advice is not None
    facts = short.advice["until_sure"]
    assert (facts["reason"], facts["looks"], facts["seeds"]) == ("budget", 1, 2)
    assert facts["confidence"] > 0.999  # the first look's own share: with more time, looks go on
    assert sorted(set(short.cells.seed)) == [0, 1]
    changes = [caveat for caveat in short.advice["caveats"] if caveat["code"] == "grid changed"]
    assert any(caveat["test_was_read"] for caveat in changes)

    longer = run_study(config, begun, quiet(), until_sure=UntilSure(4, budget=1e6))
    assert sorted(set(longer.cells.seed)) == [0, 1, 2, 3]
    assert longer.advice is not None
    assert longer.advice["until_sure"]["looks"] == 3
    assert longer.advice["until_sure"]["reason"] == "seeds"
    changes = [caveat for caveat in longer.advice["caveats"] if caveat["code"] == "grid changed"]
    assert any("seed = 2" in ", ".join(caveat["added"]) for caveat in changes)


@pytest.mark.usefixtures("unreported")
def test_the_budget_is_looked_at_between_seeds(begun: Path, monkeypatch):
    """Two seeds were planned; the time ends after the first, and the second is not planned any more."""
    shutil.rmtree(begun / "tiny" / "students" / "hinton-a0-T1-resnet8-s3")
    monkeypatch.setattr(until_sure, "looks_at", lambda first, at_most: [first, at_most])
    monkeypatch.setattr(until_sure, "look", without_one)
    asked: list[None] = []
    monkeypatch.setattr(until_sure._Adding, "_over", property(lambda self: asked.append(None) or len(asked) > 1))
    found = run_study(load_config(RAW), begun, quiet(), until_sure=UntilSure(4, budget=60))
    assert sorted(set(found.cells.seed)) == [0, 1, 2]
    record = json.loads((begun / "tiny" / "until-sure.json").read_text(encoding="utf-8"))
    assert [one["next_seeds"] for one in record["looks"]] == [[2], []]


def test_without_validation_it_is_refused_before_anything_is_written(tmp_path: Path):
    config = load_config(TINY, ["data.validation=0", "selection=last"])
    with pytest.raises(ConfigError, match="looks at a validation split, and there is none"):
        run_study(config, tmp_path, quiet(), until_sure=FOUR)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("overrides", "wanted", "words"),
    [
        (["student.seeds=[0]"], UntilSure(), "begins with 2 seeds or more"),
        ([], UntilSure(2), "leaves nothing to add to the 2 seeds"),
        ([], UntilSure(4, budget=0.0), "--budget: must be more than nothing"),
        (["student.seeds=[0,2147483647]"], UntilSure(), "beyond 2³¹"),
        (["teacher.seeds=[0,1]"], UntilSure(), "With student.pairing=paired each seed brings its own"),
        (["student.models=[{name: resnet14}]"], UntilSure(), "each of student.models is one of its own"),
        (["selection=best_on_test"], UntilSure(), "best_on_test chooses on the test split"),
        (["student.temperatures=[1]", "teacher.label_smoothing=[0]"], UntilSure(), "the grid has one"),
    ],
)
def test_what_cannot_be_run_until_sure_is_said(overrides: list[str], wanted: UntilSure, words: str):
    (mistake,) = mistakes_of(load_config(TINY, overrides), wanted)
    assert words in mistake


def test_several_processes_are_refused(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert any("torchrun" in mistake for mistake in mistakes_of(load_config(TINY), UntilSure()))


def test_what_it_costs_at_most_are_all_settings_with_all_seeds(tmp_path: Path):
    config = at_most(load_config(TINY, ["student.learning_rate_seeds=5"]), UntilSure(5))
    assert config.student.seeds == [0, 1, 2, 3, 4]
    assert config.student.learning_rate_seeds == 2
    assert estimate_study(config, tmp_path, quiet(), seconds=1).students == (20, 20)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30m", 1800), ("2h", 7200), ("1h30m", 5400), ("90s", 90), ("1d", 86400), ("", None), ("30", None), ("-1h", None)],
)
def test_times_are_read(text: str, seconds: float | None):
    assert duration(text) == seconds


def called(*arguments: str) -> ConfigError:
    found = CliRunner().invoke(app, ["study", *arguments])
    assert isinstance(found.exception, ConfigError), found.output
    return found.exception


def test_all_mistakes_of_the_call_come_at_once():
    crossed = ("teacher.seeds=[0,1]", "student.pairing=crossed")
    wrong = called("--until-sure", "--budget", "soon", "--seeds-at-most", "1", "--engine", "ray", *crossed)
    assert [mistake.partition(":")[0] for mistake in wrong.mistakes] == [
        "--until-sure", "--budget", "--seeds-at-most", "--until-sure",
    ]  # fmt: skip
    alone = called("--budget", "1h", "--seeds-at-most", "30", "student.epochz=3")
    assert len(alone.mistakes) == 3
    assert [mistake for mistake in alone.mistakes if "belongs to --until-sure" in mistake] == alone.mistakes[:2]


def test_the_dry_run_says_that_it_is_the_most(tmp_path: Path, tiny_raw: dict[str, Any]):
    import yaml

    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(tiny_raw), encoding="utf-8")
    call = ["study", str(path), "--until-sure", "--seeds-at-most", "5", "--budget", "2h", "--dry-run", "--json"]
    found = CliRunner().invoke(app, [*call, "--output", str(tmp_path / "runs")])
    assert found.exit_code == 0, found.output
    estimate = json.loads(found.stdout)
    assert estimate["students"] == [20, 20]
    assert estimate["notes"][0].startswith("at most: all settings with 5 seeds")
    assert "begins no seed after --budget (2:00:00)" in estimate["notes"][0]
    assert not (tmp_path / "runs").exists()

"""A configuration that has changed since a study was begun: what may, what may not, and what it costs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.faults.studies import assert_same, content
from tests.grids import trained
from tosmooth.config.schema import dump_config
from tosmooth.folder.growth import Change, caveats, compare, in_words
from tosmooth.folder.results import StudyResults
from tosmooth.recipes.reading import load_config
from tosmooth.study.plan import make_plan
from tosmooth.study.progress import StudyProgress
from tosmooth.study.run import run_study


def change(raw: dict[str, Any], *overrides: str) -> Change:
    return compare(yaml.safe_load(dump_config(load_config(raw))), load_config(raw, overrides))


def test_an_equal_configuration_is_no_change(tiny_raw: dict[str, Any]):
    assert change(tiny_raw) == Change((), (), ())


@pytest.mark.parametrize(
    "override",
    ["compute.threads=1", "compute.checkpoint_minutes=3", "description=x", "data.on_error=skip", "cache=off"],
)
def test_how_the_work_is_done_may_change(tiny_raw: dict[str, Any], override: str):
    assert change(tiny_raw, override) == Change((), (), ())


@pytest.mark.parametrize(
    ("override", "added", "removed"),
    [
        ("student.temperatures=[1,8,2]", ("T = 2",), ()),
        ("student.temperatures=[8]", (), ("T = 1",)),
        ("student.seeds=[0,1,5]", ("seed = 5",), ()),
        ("teacher.label_smoothing=[0.0,0.2]", ("α = 0.2",), ("α = 0.1",)),
        ("teacher.seeds=[0,4]", ("teacher seed = 4",), ()),
        ("student.objectives=[hinton,dkd]", ("objective = dkd",), ()),
        ("student.models=[resnet14]", ("student model = resnet14",), ()),
        ("student.learning_rates=[1,3]", ("learning rate factor = 3",), ()),
        ("student.learning_rate_seeds=1", (), ()),  # of one rate nothing is chosen
        ("student.seeds=[1,0]", (), ()),
    ],
)
def test_the_grid_may_change(tiny_raw: dict[str, Any], override: str, added: tuple[str], removed: tuple[str]):
    assert change(tiny_raw, override) == Change((), added, removed)


def test_who_learns_from_whom_is_the_grid_where_seeds_are_paired(tiny_raw: dict[str, Any]):
    """Another order of seeds is other pairs; of one teacher seed, pairs are nothing."""
    tiny_raw["teacher"]["seeds"] = [0, 1]
    tiny_raw["student"] |= {"seeds": [0, 1], "pairing": "paired"}
    told = Change((), ("student seeds and teacher seeds: paired",), ())
    assert change(tiny_raw, "student.seeds=[1,0]") == told
    assert change(tiny_raw, "student.pairing=crossed").added == ("student seeds and teacher seeds: crossed",)
    tiny_raw["teacher"]["seeds"] = [0]
    assert change(tiny_raw, "student.pairing=crossed") == Change((), (), ())


@pytest.mark.parametrize(
    ("override", "key"),
    [
        ("student.epochs=9", "student.epochs"),
        ("data.validation=0.3", "data.validation"),
        ("teacher.seeds=[1]", "teacher.seeds"),
        ("teacher.seeds=[1,0]", "teacher.seeds"),
        ("selection=last", "selection"),
        ("student.hard_weight=0.5", "student.hard_weight"),
    ],
)
def test_what_would_change_results_is_refused(tiny_raw: dict[str, Any], override: str, key: str):
    assert change(tiny_raw, override).refused == (key,)


@pytest.mark.parametrize(
    ("override", "seeds"), [("student.learning_rate_seeds=1", "0"), ("student.seeds=[1,0,5]", "1, 0")]
)
def test_other_seeds_that_choose_learning_rates_make_the_advice_anew(
    tiny_raw: dict[str, Any], override: str, seeds: str
):
    tiny_raw["student"]["learning_rates"] = [1, 3]
    found = change(tiny_raw, override)
    assert found.refused == ()
    assert f"seeds that choose learning rates: {seeds}" in found.added


def test_a_further_student_model_may_come_and_go_but_not_change(tiny_raw: dict[str, Any]):
    tiny_raw["student"]["models"] = ["resnet14"]
    assert change(tiny_raw, "student.models=[resnet14,resnet20]").added == ("student model = resnet20",)
    assert change(tiny_raw, "student.models=[]").removed == ("student model = resnet14",)
    assert change(tiny_raw, "student.models=[{name: resnet14, width: 2}]").refused == ("student.models",)


def test_a_study_of_an_older_version_lacks_keys_that_have_defaults(tiny_raw: dict[str, Any]):
    there = yaml.safe_load(dump_config(load_config(tiny_raw)))
    del there["compute"]["checkpoint_minutes"], there["data"]["on_error"], there["cache"]
    assert compare(there, load_config(tiny_raw)) == Change((), (), ())


def test_other_options_of_an_objective_are_other_cells(tiny_raw: dict[str, Any]):
    tiny_raw["student"] |= {"objectives": ["hinton", "dkd"], "objective_options": {"dkd": {"beta": 4}}}
    assert change(tiny_raw, "student.objective_options={dkd: {beta: 2, alpha: 1}}") == Change(
        (), ("dkd with beta = 2, alpha = 1",), ("dkd with beta = 4",)
    )
    assert change(tiny_raw, "student.objective_options={}") == Change((), (), ("dkd with beta = 4",))
    names = [
        {cell.name for cell in make_plan(load_config(tiny_raw, overrides)).cells}
        for overrides in ([], ["student.objective_options={dkd: {beta: 2}}"], ["student.objective_options={}"])
    ]
    hinton = names[0] & names[1] & names[2]
    assert {name.split("-")[0] for name in hinton} == {"hinton"}
    assert len(names[0] | names[1] | names[2]) == 4 * len(hinton)


def test_given_teachers_come_and_go_with_their_smoothing(tiny_raw: dict[str, Any], tmp_path: Path):
    files = {alpha: tmp_path / f"{alpha}.safetensors" for alpha in (0.0, 0.1, 0.2)}
    for file in files.values():
        file.touch()

    def given(*alphas: float) -> dict[str, Any]:
        section = {"label_smoothing": list(alphas), "checkpoints": {a: str(files[a]) for a in alphas}, "train": False}
        return {**tiny_raw, "teacher": {**tiny_raw["teacher"], **section}}

    there = yaml.safe_load(dump_config(load_config(given(0.0, 0.1))))
    assert compare(there, load_config(given(0.0))) == Change((), (), ("α = 0.1",))
    assert compare(there, load_config(given(0.0, 0.1, 0.2))) == Change((), ("α = 0.2",), ())
    other = given(0.0, 0.1)
    other["teacher"]["checkpoints"][0.1] = str(files[0.2])
    assert compare(there, load_config(other)).refused == ("teacher.checkpoints",)


def test_given_teachers_of_several_seeds_grow_by_their_seeds(tiny_raw: dict[str, Any], tmp_path: Path):
    files = [tmp_path / f"{number}.safetensors" for number in range(3)]
    for file in files:
        file.touch()

    def given(*numbers: int, seeds: int) -> dict[str, Any]:
        own = {0.1: [str(files[number]) for number in numbers]} if numbers else {}
        return {**tiny_raw, "teacher": {**tiny_raw["teacher"], "given": own, "seeds": list(range(seeds))}}

    there = yaml.safe_load(dump_config(load_config(given(0, seeds=1))))
    assert compare(there, load_config(given(0, 1, seeds=2))) == Change((), ("teacher seed = 1",), ())
    assert compare(there, load_config(given(1, 0, seeds=2))).refused == ("teacher.given",)
    assert compare(there, load_config(given(seeds=1))).refused == ("teacher.given",)  # from given to trained
    single = {**tiny_raw, "teacher": {**tiny_raw["teacher"], "given": {0.1: str(files[0])}}}
    assert compare(there, load_config(single)) == Change((), (), ())


@pytest.mark.parametrize("there", [None, [], "text"])
def test_what_is_no_configuration_is_another_study(tiny_raw: dict[str, Any], there: object):
    assert compare(there, load_config(tiny_raw)).refused == ("study.yaml",)


def test_the_sentences():
    grown = Change((), ("T = 2", "seed = 5"), ("T = 8",))
    assert in_words(grown, 6, 2, 2) == (
        "the grid has changed (new: T = 2, seed = 5; no longer: T = 8): 6 students to train, 2 kept as they are; "
        "2 students leave the results and stay on disk"
    )
    read = {"added": ["T = 2"], "removed": [], "test_was_read": True}
    assert caveats([read]) == [{"code": "grid changed", "added": ["T = 2"], "removed": [], "test_was_read": True}]


def test_a_grid_that_grows_runs_only_its_new_cells(
    tiny_raw: dict[str, Any], tiny_study: StudyResults, tmp_path: Path, silent: StudyProgress
):
    """And ends as if it had been whole from the start, but for the advice's caveat."""
    small = run_study(load_config(tiny_raw, ["student.temperatures=[1]"]), tmp_path / "grown", silent)
    written = {path: path.stat().st_mtime_ns for path in small.path.rglob("model.safetensors")}
    advice = (small.path / "analysis" / "advice.json").read_bytes()
    run_study(load_config(tiny_raw), tmp_path / "grown", silent)
    assert all(path.stat().st_mtime_ns == then for path, then in written.items())
    archived = small.path / "analysis" / "advice-before-change-1.json"
    assert archived.read_bytes() == advice

    grown, at_once = (content(path) for path in (small.path, tiny_study.path))
    told = json.loads((small.path / "analysis" / "advice.json").read_text(encoding="utf-8"))["caveats"]
    assert [caveat["added"] for caveat in told if caveat["code"] == "grid changed"] == [["T = 8"]]
    with_caveats = {"analysis/advice.json", "analysis/verdict.json", "analysis/changes.json", archived.name}
    with_caveats.add("analysis/sums.json")  # of the changes, too
    grown, at_once = (
        {name: value for name, value in found.items() if Path(name).name not in {Path(n).name for n in with_caveats}}
        for found in (grown, at_once)
    )
    assert_same(at_once, grown)


@pytest.mark.usefixtures("unreported")
@pytest.mark.slow
def test_a_second_teacher_seed_runs_only_its_own_cells(tiny_raw: dict[str, Any], tmp_path: Path, silent: StudyProgress):
    """The whole study at once has the same models, to the bit."""
    tiny_raw["student"] |= {"temperatures": [4], "seeds": [1]}
    more = load_config(tiny_raw, ["teacher.seeds=[0,3]"])
    trained(load_config(tiny_raw), tmp_path / "grown", silent)
    written = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("model.safetensors")}
    grown = trained(more, tmp_path / "grown", silent)
    assert all(path.stat().st_mtime_ns == then for path, then in written.items())
    new = {path.parent.name for path in tmp_path.rglob("model.safetensors")} - {path.parent.name for path in written}
    assert new == {"a0-s3", "a0.1-s3", "hinton-a0-T4-resnet8-s1-t3", "hinton-a0.1-T4-resnet8-s1-t3"}

    whole = trained(more, tmp_path / "whole", silent)
    for path in (tmp_path / "grown").rglob("*.safetensors"):
        assert path.read_bytes() == (tmp_path / "whole" / path.relative_to(tmp_path / "grown")).read_bytes(), path
    assert list(grown) == list(whole)
    for name, weights in grown.items():
        records = [path.with_name("result.json").read_text(encoding="utf-8") for path in (weights, whole[name])]
        assert records[0] == records[1], name


@pytest.mark.usefixtures("unreported")
@pytest.mark.slow
def test_a_grid_that_shrinks_keeps_what_is_on_disk(
    tiny_raw: dict[str, Any], tiny_study: StudyResults, tmp_path: Path, silent: StudyProgress
):
    whole = Path(shutil.copytree(tiny_study.path, tmp_path / "tiny"))
    students = {path.name for path in (whole / "students").iterdir()}
    less = run_study(load_config(tiny_raw, ["student.seeds=[0]"]), tmp_path, silent)
    assert set(less.cells.seed) == {0}
    assert {path.name for path in (whole / "students").iterdir()} == students
    again = run_study(load_config(tiny_raw), tmp_path, silent)
    assert len(again.cells) == len(students)

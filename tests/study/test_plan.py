from __future__ import annotations

import pytest

from tosmooth.files import path_safe
from tosmooth.folder.growth import compare
from tosmooth.recipes.reading import load_config
from tosmooth.study.plan import make_plan, objective_label


def test_the_default_grid(tiny_raw):
    plan = make_plan(load_config(tiny_raw))
    assert [teacher.name for teacher in plan.teachers] == ["a0-s0", "a0.1-s0"]
    assert [len(group) for group in plan.groups] == [4, 4]
    assert [cell.name for cell in plan.groups[1]] == [
        "hinton-a0-T1-resnet8-s1",
        "hinton-a0-T8-resnet8-s1",
        "hinton-a0.1-T1-resnet8-s1",
        "hinton-a0.1-T8-resnet8-s1",
    ]
    assert len({cell.name for cell in plan.cells}) == len(plan.cells) == 8


def test_every_student_seed_meets_every_teacher_of_every_seed_in_one_group(tiny_raw):
    tiny_raw["teacher"]["seeds"] = [0, 7]
    plan = make_plan(load_config(tiny_raw))
    assert [teacher.name for teacher in plan.teachers] == ["a0-s0", "a0.1-s0", "a0-s7", "a0.1-s7"]
    for group, seed in zip(plan.groups, (0, 1), strict=True):
        assert {cell.seed for cell in group} == {seed}
        assert len(group) == 8
        crossed = {(cell.teacher, cell.teacher_seed, cell.label_smoothing, cell.temperature) for cell in group}
        assert crossed == {(t.name, t.seed, t.label_smoothing, T) for t in plan.teachers for T in (1.0, 8.0)}
    assert len({cell.name for cell in plan.cells}) == len(plan.cells) == 16


def test_paired_seeds_have_the_teachers_of_one_seed_each(tiny_raw):
    tiny_raw["teacher"]["seeds"] = [0, 5]
    tiny_raw["student"] |= {"pairing": "paired", "learning_rates": [1, 3]}
    plan = make_plan(load_config(tiny_raw))
    assert [{(c.seed, c.teacher_seed) for c in group} for group in plan.groups] == [{(0, 0)}, {(1, 5)}]
    assert [len(group) for group in (*plan.groups, *plan.trials)] == [4, 4, 8, 8]
    crossed = make_plan(load_config(tiny_raw, ["student.pairing=crossed"]))
    assert {cell.name for cell in plan.cells} < {cell.name for cell in crossed.cells}
    alone = load_config(tiny_raw, ["teacher.seeds=[0]", "student.seeds=[0,1,2]"])  # nothing to pair
    assert [len(group) for group in make_plan(alone).groups] == [4, 4, 4]


@pytest.mark.parametrize("first", [0, 5])
def test_names_stay_when_the_grid_grows(tiny_raw, first):
    tiny_raw["teacher"]["seeds"] = [first]
    small = make_plan(load_config(tiny_raw))
    assert small.cells[0].name == "hinton-a0-T1-resnet8-s0"
    tiny_raw["teacher"] |= {"seeds": [first, 1, 2], "label_smoothing": [0.0, 0.05, 0.1, 0.2, 0.3]}
    tiny_raw["student"] |= {
        "temperatures": [0.5, 1, 1.5, 8],
        "objectives": ["hinton", "teacher_only"],
        "seeds": [3, 1, 0],
    }
    whole = make_plan(load_config(tiny_raw))
    assert len({cell.name.casefold() for cell in whole.cells}) == len(whole.cells) == 2 * 3 * 5 * 4 * 3
    by_name = {cell.name: cell for cell in whole.cells}
    assert all(by_name[cell.name] == cell for cell in small.cells)
    assert "hinton-a0.05-T1.5-resnet8-s3-t1" in by_name
    assert {teacher.name for teacher in small.teachers} < {teacher.name for teacher in whole.teachers}


def test_further_student_models_get_their_cells_in_the_same_groups(tiny_raw):
    small = make_plan(load_config(tiny_raw))
    tiny_raw["student"]["models"] = ["resnet14", {"name": "timm:test_resnet", "pretrained": False}]
    plan = make_plan(load_config(tiny_raw))
    assert [len(group) for group in plan.groups] == [12, 12]
    assert {cell.student for cell in plan.groups[0]} == {"resnet8", "resnet14", "timm:test_resnet"}
    assert {cell.name for cell in small.cells} < {cell.name for cell in plan.cells}
    assert "hinton-a0.1-T8-timm-test_resnet-s1" in {cell.name for cell in plan.cells}


def test_given_teachers_have_their_own_file_for_every_seed(tiny_raw, tmp_path):
    files = [tmp_path / "one.safetensors", tmp_path / "two.safetensors"]
    for file in files:
        file.touch()
    tiny_raw["teacher"] |= {"seeds": [4, 2], "given": {0.1: [str(file) for file in files]}}
    found = {teacher.name: (teacher.given, teacher.checkpoint) for teacher in make_plan(load_config(tiny_raw)).teachers}
    assert found == {
        "a0-s4": (False, None),
        "a0.1-s4": (True, files[0]),
        "a0-s2": (False, None),
        "a0.1-s2": (True, files[1]),
    }


def test_every_objective_gets_its_cells(tiny_raw):
    tiny_raw["student"]["objectives"] = ["hinton", "teacher_only"]
    assert len(make_plan(load_config(tiny_raw)).cells) == 16


def test_names_of_folders_hold_no_separators():
    assert path_safe("timm:resnet18.a1_in1k") == "timm-resnet18.a1_in1k"
    assert path_safe("hf:org/../../model") == "hf-org-..-..-model"
    assert "/" not in path_safe("hf:/etc/passwd")


def test_options_of_an_objective_are_in_the_name_and_without_them_nothing_is():
    assert objective_label("dkd", {}) == "dkd"
    assert objective_label("dkd", {"beta": 4, "alpha": 1.0}) == "dkd-alpha1-beta4"
    assert objective_label("dkd", {"beta": 4.0000001}) != objective_label("dkd", {"beta": 4})
    assert objective_label("mine", {"path": "../x"}).startswith("mine-")
    assert "/" not in objective_label("mine", {"path": "../x"})


def test_weights_of_hard_labels_are_settings_of_their_own(tiny_raw):
    one = make_plan(load_config(tiny_raw, ["student.hard_weight=0.5"]))
    assert {cell.name for cell in one.cells} == {cell.name for cell in make_plan(load_config(tiny_raw)).cells}
    assert {(cell.objective, cell.hard_weight) for cell in one.cells} == {("hinton", 0.5)}
    several = make_plan(load_config(tiny_raw, ["student.hard_weight=[0,0.1]"]))
    assert len(several.cells) == 2 * len(one.cells)
    assert {(c.objective, c.loss, c.hard_weight) for c in several.cells} == {
        ("hinton", "hinton", 0.0), ("hinton + 0.1 hard", "hinton", 0.1)
    }  # fmt: skip
    names = {cell.name for cell in several.cells}
    assert {cell.name for cell in one.cells} < names  # the first of the list keeps its names
    assert "hinton-hard0.1-a0-T1-resnet8-s0" in names


def test_labels_that_a_teacher_writes_have_no_weight_beside_them(tiny_raw):
    config = load_config(tiny_raw, ["student.hard_weight=[0,0.1]"])
    student = config.student.model_copy(update={"objectives": ["hinton", "sequence"]})
    cells = make_plan(config.model_copy(update={"student": student})).cells
    assert {c.objective for c in cells} == {"hinton", "hinton + 0.1 hard", "sequence"}


def test_a_new_weight_of_hard_labels_grows_the_grid_and_another_first_one_is_another_study(tiny_raw):
    there = load_config(tiny_raw).model_dump(mode="json")
    assert compare(there, load_config(tiny_raw, ["student.hard_weight=[0,0.1]"])).added == (
        "weight of hard labels = 0.1",
    )
    assert compare(there, load_config(tiny_raw, ["student.hard_weight=[0.1,0]"])).refused == ("student.hard_weight",)

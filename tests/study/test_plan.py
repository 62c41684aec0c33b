from __future__ import annotations

from tosmooth.config_reading import load_config
from tosmooth.study.plan import make_plan, path_safe


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


def test_every_objective_gets_its_cells(tiny_raw):
    tiny_raw["student"]["objectives"] = ["hinton", "teacher_only"]
    assert len(make_plan(load_config(tiny_raw)).cells) == 16


def test_names_of_folders_hold_no_separators():
    assert path_safe("timm:resnet18.a1_in1k") == "timm-resnet18.a1_in1k"
    assert path_safe("hf:org/../../model") == "hf-org-..-..-model"
    assert "/" not in path_safe("hf:/etc/passwd")

"""Students without a teacher: trained beside the others on the same batches, and shown as what they are."""

from __future__ import annotations

import copy
import io
import json
import re
from pathlib import Path

import pandas as pd
import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file

from tests.conftest import TINY
from tests.shared import Shared
from tosmooth.errors import ConfigError, StudyError
from tosmooth.export.card import model_card
from tosmooth.export.subject import choose
from tosmooth.folder.growth import compare
from tosmooth.folder.paths import StudyDirectory
from tosmooth.folder.results import StudyResults, load_study
from tosmooth.models.weights import save_weights
from tosmooth.recipes.reading import load_config
from tosmooth.report.build import make_tables
from tosmooth.report.figures import make_figures
from tosmooth.report.reading import read_study
from tosmooth.study.plan import make_plan
from tosmooth.study.progress import StudyProgress
from tosmooth.study.run import run_study
from tosmooth.study.summary import print_summary
from tosmooth.tasks.find import find_task
from tosmooth.words.students import without_teacher

BOTH = ["student.controls=[cross_entropy,{label_smoothing: 0.2}]"]


def test_each_seed_and_model_has_one_of_each_kind(tiny_raw):
    plan = make_plan(load_config(tiny_raw, [*BOTH, "student.models=[resnet14]", "teacher.seeds=[0,1]"]))
    assert [len(group) for group in plan.controls] == [4, 4]
    assert [cell.name for cell in plan.controls[1]] == [
        "cross_entropy-resnet8-s1", "label_smoothing0.2-resnet8-s1",
        "cross_entropy-resnet14-s1", "label_smoothing0.2-resnet14-s1",
    ]  # fmt: skip
    assert not {cell.name for group in plan.controls for cell in group} & {cell.name for cell in plan.cells}
    assert set(plan.students) == {*plan.cells, *(cell for group in plan.controls for cell in group)}


def test_they_try_the_learning_rates_as_every_setting_does(tiny_raw):
    plan = make_plan(load_config(tiny_raw, [*BOTH, "student.learning_rates=[1,3]", "student.learning_rate_seeds=1"]))
    tried = [cell.name for cell in plan.trials[0] if cell.is_control]
    assert tried == [
        "cross_entropy-resnet8-s0", "cross_entropy-resnet8-s0-lr3",
        "label_smoothing0.2-resnet8-s0", "label_smoothing0.2-resnet8-s0-lr3",
    ]  # fmt: skip
    chosen = plan.at_rates({plan.controls[0][1].setting: 3.0})
    assert [cell.rate for cell in chosen.controls[1]] == [1, 3]


def test_a_part_of_the_grid_keeps_them(tiny_raw):
    plan = make_plan(load_config(tiny_raw, BOTH))
    assert plan.only(lambda cell: False).students == tuple(cell for group in plan.controls for cell in group)


@pytest.mark.parametrize("given", ["hinton", "{label_smoothing: 1}", "{label_smoothing: 0}", "{alpha: 0.1}", "3"])
def test_what_is_no_control_is_said(tiny_raw, given):
    with pytest.raises(ConfigError, match=r"student\.controls.*cross_entropy, or \{label_smoothing: α\}"):
        load_config(tiny_raw, [f"student.controls=[{given}]"])


def test_a_weight_of_one_for_hard_labels_is_called_what_it_is(tiny_raw):
    with pytest.raises(ConfigError, match=r"student\.hard_weight: 1 leaves nothing to the teacher.*controls"):
        load_config(tiny_raw, ["student.hard_weight=1"])


def test_an_older_study_takes_them_in_as_a_change_of_its_grid(tiny_raw):
    config = load_config(tiny_raw, BOTH)
    before = load_config(tiny_raw, ["student.controls=[]"]).model_dump(mode="json")
    change = compare(before, config)
    assert change.refused == ()
    assert change.removed == ()
    assert change.added == ("control = cross_entropy", "control = label_smoothing 0.2")


@pytest.fixture(scope="module")
def study(shared: Shared) -> StudyResults:
    """α 0 and 0.1, T = 1, two seeds, both controls; the grid's students learn from the labels alone."""

    def run(root: Path) -> None:
        raw = copy.deepcopy(TINY)
        raw["teacher"]["label_smoothing"], raw["student"]["temperatures"] = [0.0], [1]
        raw["student"]["hard_weight"] = 1.0
        raw["data"] |= {"limit_train": 200, "limit_test": 100}
        raw["student"]["epochs"] = raw["teacher"]["epochs"] = 1
        run_study(load_config(raw, BOTH), root, StudyProgress(Console(quiet=True)))

    return load_study(shared.folder("controls", run) / "tiny")


def test_a_control_is_the_student_that_the_teacher_has_no_part_in(study):
    """Same weights, same batches: with no weight on the teacher, the grid's student is the control."""
    directory = StudyDirectory(study.path)
    for seed in (0, 1):
        control, taught = (
            load_file(directory.student(name) / "model.safetensors")
            for name in (f"cross_entropy-resnet8-s{seed}", f"hinton-a0-T1-resnet8-s{seed}")
        )
        assert control.keys() == taught.keys()
        for key, value in control.items():
            torch.testing.assert_close(value, taught[key], rtol=1e-4, atol=1e-5)
    other = load_file(directory.student("label_smoothing0.2-resnet8-s0") / "model.safetensors")
    assert any(not torch.allclose(other[key], value) for key, value in control.items())


def test_its_row_says_that_it_has_no_teacher(study):
    assert len(study.cells) == 2
    assert len(study.controls) == 4
    assert list(study.controls.objective) == ["cross_entropy", "label_smoothing"] * 2
    assert list(study.controls.label_smoothing) == [0, 0.2] * 2
    assert (study.controls.teacher == "").all()
    assert study.controls[["temperature", "teacher_seed"]].isna().all(axis=None)
    taught = study.cells.set_index("seed")["test/top1"]
    own = study.controls[study.controls.objective == "cross_entropy"].set_index("seed")["test/top1"]
    assert own.tolist() == pytest.approx(taught.tolist(), abs=1.0)


def test_the_report_shows_them(study):
    files = read_study(study.path)
    assert [name for name, _ in files.controls_of("resnet8")] == [without_teacher(0), without_teacher(0.2)]
    tables = {table.key: table for table in make_tables(files)}
    grid = tables["grid"]
    objectives = next(column for column in grid.columns if column.title == "objective")
    assert objectives.texts == ["hinton"] * 2 + [without_teacher(0), without_teacher(0.2)] * 2
    assert [c.texts[-1] for c in grid.columns if c.title in {"α", "T"}] == ["–", "–"]
    costs = tables["costs"]
    models = next(column for column in costs.columns if column.title == "model").texts
    assert models[-2:] == [f"students {name}" for name in (without_teacher(0), without_teacher(0.2))]
    macro = next(column for column in costs.columns if column.title == "macro F1, %").texts
    assert all(text != "–" for text in macro)
    of_labels = files.controls[files.controls.label_smoothing == 0.2]["test/top1"].mean()
    (told,) = re.findall(r"on labels smoothed by α = 0\.2: ([0-9.]+)", tables["accuracy"].caption)
    assert float(told) == pytest.approx(of_labels, abs=0.06)
    (figure,) = (figure for figure in make_figures(files) if figure.key == "accuracy")
    drawn = json.dumps(figure.screen_spec(), ensure_ascii=False)
    assert all(f'"label": "{name}"' in drawn for name in (without_teacher(0), without_teacher(0.2)))


def test_the_terminal_shows_them(study):
    text = io.StringIO()
    print_summary(study, Console(file=text, width=200))
    assert "without a teacher: " in text.getvalue()
    assert "without a teacher, on labels smoothed by α = 0.2: " in text.getvalue()


def test_the_best_of_them_is_exported_by_its_role(study):
    choice = choose(study.path, "control")
    best = study.controls.sort_values("val/top1", kind="stable").iloc[-1]
    assert study.controls.set_index("cell").loc[choice.owner.name, "val/top1"] == best["val/top1"]
    card = model_card(choice.load(), ["safetensors"])
    assert "trained without a teacher" in card
    assert "| Teacher | none |" in card
    assert "distilled" not in card.split("## How good it is")[0].split("---")[-1]
    assert choose(study.path, None).owner.name.startswith("hinton")


def test_a_study_without_them_says_how_to_have_some(tiny_study):
    assert tiny_study.controls.empty
    with pytest.raises(StudyError, match=r"no finished student without a teacher; student\.controls"):
        choose(tiny_study.path, "control")


@pytest.mark.slow
def test_a_grid_that_has_lost_them_leaves_no_table_behind(study, tmp_path, tiny_raw, silent):
    raw = copy.deepcopy(TINY)
    raw["teacher"]["label_smoothing"], raw["student"]["temperatures"] = [0.0], [1]
    raw["student"]["hard_weight"], raw["student"]["seeds"] = 1.0, [0]
    raw["student"]["epochs"] = raw["teacher"]["epochs"] = 1
    with_some = run_study(load_config(raw, BOTH), tmp_path, silent)
    assert len(pd.read_csv(with_some.path / "controls.csv")) == 2
    without = run_study(load_config(raw), tmp_path, silent)
    assert without.controls.empty
    assert not (without.path / "controls.csv").exists()


@pytest.mark.slow
def test_a_teacher_of_shuffled_labels_is_worse_than_none(tiny_raw, tmp_path, silent):
    """It knows nothing, and a student cannot learn from it what one learns from the labels."""
    config = load_config(tiny_raw)
    data = find_task(config.task).load_data(config)
    model = find_task(config.task).new_model(config, data, config.teacher.model, 0)
    labels = data.train.labels[torch.randperm(len(data.train), generator=torch.Generator().manual_seed(0))]
    split = data.train
    images = torch.stack([split[i] for i in range(len(split))])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    for _ in range(20):
        loss = torch.nn.functional.cross_entropy(model(model.prepare(images)), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    save_weights(model, tmp_path / "shuffled.safetensors")
    tiny_raw["data"]["limit_train"] = 3000
    tiny_raw["teacher"] |= {"label_smoothing": [0.0], "given": {0.0: str(tmp_path / "shuffled.safetensors")}}
    tiny_raw["student"] |= {"temperatures": [1, 2], "seeds": [0, 1, 2], "epochs": 4, "controls": ["cross_entropy"]}
    answer = run_study(load_config(tiny_raw), tmp_path / "runs", silent).verdict["answer"]
    assert answer["teacher"]["verdict"] == "worse"
    assert answer["smooth"] == {"verdict": "not asked"}

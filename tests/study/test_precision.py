"""`compute.precision: measured`: measured once, recorded, and read by whoever works on the study from then on."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.grids import trained
from tosmooth.errors import ConfigError, StudyError
from tosmooth.folder.writing import write_json
from tosmooth.recipes.reading import load_config
from tosmooth.study import precision_trial
from tosmooth.study.context import Context
from tosmooth.study.estimate import estimate_study
from tosmooth.study.kinds import Choice, Kind
from tosmooth.study.precision import compute_to_ask, compute_to_train, precision_facts
from tosmooth.study.precision_trial import NOT_KNOWN, as_settled, compare, settle_precision
from tosmooth.study.progress import StudyProgress
from tosmooth.study.timing import Timing
from tosmooth.training.processes import Processes
from tosmooth.words.precision import precision_in_words

TEACHER, STUDENT = Kind("train", "teacher", "resnet8"), Kind("train", "student", "resnet8")
ASKED = Kind("ask", "teacher", "resnet8")
MEASURED = "compute.precision=measured"


@pytest.fixture
def short(tiny_raw: dict[str, Any]) -> dict[str, Any]:
    tiny_raw["data"] |= {"limit_train": 160, "limit_test": 40, "train_augmentation": "flip"}
    tiny_raw["teacher"] |= {"label_smoothing": [0.0], "epochs": 1}
    tiny_raw["student"] |= {"temperatures": [4], "seeds": [0], "epochs": 1}
    tiny_raw["cache"] = {"views": 1}
    return tiny_raw


def write_record(root: Path, **precisions: str) -> None:
    """What an earlier study has found: by "teacher", "student" and "asked"."""
    kinds = {"teacher": TEACHER, "student": STUDENT, "asked": ASKED}
    rows = [
        {**kinds[name]._asdict(), "precision": precision, "reason": "measured"}
        for name, precision in precisions.items()
    ]
    (root / "tiny" / "state").mkdir(parents=True)
    write_json(root / "tiny" / "state" / "precision.json", {"models": rows})


def weights(root: Path) -> dict[str, bytes]:
    return {path.parent.name: path.read_bytes() for path in (root / "tiny").rglob("model.safetensors")}


def test_bf16_must_be_clearly_faster() -> None:
    found = compare({"float32": lambda: 1.08, "bf16": lambda: 1.0})
    assert (found.faster, found.rounds) == ("float32", precision_trial.ROUNDS)
    found = compare({"float32": lambda: 1.2, "bf16": lambda: 1.0}, seconds=0)
    assert (found.faster, found.rounds) == ("bf16", precision_trial.FEWEST_ROUNDS)
    assert found[:3] == (1.2, 1.0, 1.2)


def test_each_model_works_in_what_was_recorded(
    short: dict[str, Any], tmp_path: Path, silent: StudyProgress, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision_trial, "_measured", None)  # nobody measures again
    plain = ["compute.precision=float32", "compute.teacher_precision=float32"]
    trained(load_config(short, plain), tmp_path / "float32", silent)
    write_record(tmp_path / "mixed", teacher="float32", student="bf16", asked="float32")
    trained(load_config(short, [MEASURED]), tmp_path / "mixed", silent)
    whole, mixed = weights(tmp_path / "float32"), weights(tmp_path / "mixed")
    assert mixed.keys() == whole.keys()
    assert {name for name in mixed if mixed[name] == whole[name]} == {"a0-s0"}  # the teacher
    (stamp,) = (tmp_path / "mixed" / ".cache").glob("*/stamp.json")
    assert json.loads(stamp.read_text(encoding="utf-8"))["stamp"]["precision"] == "float32"


def test_it_is_measured_once_and_a_copy_of_the_record_gives_the_same_bits(
    short: dict[str, Any], tmp_path: Path, silent: StudyProgress, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("FEWEST_STEPS", 1), ("ROUNDS", 1), ("FEWEST_ROUNDS", 1)):
        monkeypatch.setattr(precision_trial, name, value)
    monkeypatch.setattr(precision_trial, "computes_in_bf16", lambda device: True)
    config = load_config(short, [MEASURED])
    context = Context.join(config, tmp_path / "first", silent)
    random = torch.get_rng_state()
    assert as_settled(context).precisions.keys() == {TEACHER, STUDENT, ASKED}
    assert not context.precisions  # looking settles nothing, and writes nothing
    assert not (tmp_path / "first").exists()
    assert torch.equal(torch.get_rng_state(), random)

    trained(config, tmp_path / "first", silent)
    record = tmp_path / "first" / "tiny" / "state" / "precision.json"
    rows = json.loads(record.read_text(encoding="utf-8"))["models"]
    assert [row["reason"] for row in rows] == ["measured"] * 3
    for row in rows:
        assert row["precision"] == ("bf16" if row["speedup"] >= precision_trial.MARGIN else "float32")
        assert row["speedup"] == pytest.approx(row["float32"] / row["bf16"])

    monkeypatch.setattr(precision_trial, "_measured", None)
    (tmp_path / "second" / "tiny" / "state").mkdir(parents=True)
    shutil.copy(record, tmp_path / "second" / "tiny" / "state")
    trained(config, tmp_path / "second", silent)
    assert weights(tmp_path / "second") == weights(tmp_path / "first")


def test_a_short_training_is_what_auto_makes_it(short: dict[str, Any], tmp_path: Path, silent: StudyProgress) -> None:
    trained(load_config(short), tmp_path / "auto", silent)
    trained(load_config(short, [MEASURED]), tmp_path / "measured", silent)
    assert weights(tmp_path / "measured") == weights(tmp_path / "auto")
    record = tmp_path / "measured" / "tiny" / "state" / "precision.json"
    rows = json.loads(record.read_text(encoding="utf-8"))["models"]
    assert [(row["steps"], "speedup" in row) for row in rows] == [(2, False), (2, False), (1, False)]
    context = Context.join(load_config(short, [MEASURED]), tmp_path / "measured", silent)
    wrong = [{"models": [rows[0] | {key: "x"}]} for key in ("precision", "reason")]
    for text in ("{", "{}", '{"models": [{"what": "train"}]}', *map(json.dumps, wrong)):
        record.write_text(text, encoding="utf-8")
        with pytest.raises(StudyError, match=r"precision\.json is damaged; delete it, and it is measured again"):
            settle_precision(context)


def test_a_machine_without_bf16_measures_nothing(
    short: dict[str, Any], tmp_path: Path, silent: StudyProgress, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision_trial, "computes_in_bf16", lambda device: False)
    monkeypatch.setattr(precision_trial, "FEWEST_STEPS", 1)
    context = as_settled(Context.join(load_config(short, [MEASURED]), tmp_path, silent))
    assert set(context.precisions.values()) == {Choice("float32", "no bf16")}


def test_what_is_asked_for_is_not_measured(short: dict[str, Any], tmp_path: Path, silent: StudyProgress) -> None:
    def found(*settings: str) -> set[Kind]:
        return set(as_settled(Context.join(load_config(short, list(settings)), tmp_path, silent)).precisions)

    assert found() == found("compute.precision=bf16") == set()
    assert found(MEASURED, "compute.teacher_precision=float32") == {TEACHER, STUDENT}
    assert found("compute.teacher_precision=measured") == {ASKED}


def test_without_the_record_nobody_knows_what_finished_models_were_trained_in(
    short: dict[str, Any], tmp_path: Path, silent: StudyProgress
) -> None:
    trained(load_config(short, [MEASURED]), tmp_path, silent)
    record = tmp_path / "tiny" / "state" / "precision.json"
    record.unlink()
    finished = Context.join(load_config(short, [MEASURED]), tmp_path, silent)
    settle_precision(finished)
    assert finished.precisions == dict.fromkeys([TEACHER, STUDENT, ASKED], NOT_KNOWN)
    assert not record.exists()
    facts = precision_facts(finished)
    assert precision_in_words(facts["precision"]) == "not known (teacher resnet8), not known (student resnet8)"
    assert compute_to_train(finished, finished.plan.cells[0]) is finished.compute
    grown = as_settled(Context.join(load_config(short, [MEASURED, "student.temperatures=[4,8]"]), tmp_path, silent))
    assert {kind for kind, choice in grown.precisions.items() if choice == NOT_KNOWN} == {TEACHER}


def test_several_processes_are_refused_before_anything_is_measured(
    short: dict[str, Any], tmp_path: Path, silent: StudyProgress, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = Context.join(load_config(short, [MEASURED]), tmp_path, silent)
    several = replace(context, compute=replace(context.compute, processes=Processes(world=2)))
    monkeypatch.setattr(Context, "join", lambda *_: several)
    monkeypatch.setattr(precision_trial, "_measured", None)
    with pytest.raises(ConfigError, match="start it without torchrun"):
        estimate_study(several.config, tmp_path, silent)


def test_the_teacher_that_is_timed_is_prepared_as_it_answers(
    short: dict[str, Any], tmp_path: Path, silent: StudyProgress
) -> None:
    context = Context.join(load_config(short, ["compute.fold_teachers=true"]), tmp_path, silent)
    _, model = Timing(context, 0.0).loop(ASKED)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in model.modules())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert model(torch.rand(2, 1, 28, 28)).dtype == torch.float32


def test_the_report_says_which(short: dict[str, Any], tmp_path: Path, silent: StudyProgress) -> None:
    context = Context.join(load_config(short, ["compute.precision=bf16"]), tmp_path, silent)
    assert precision_facts(context)["precision"] == precision_in_words("bf16") == "bf16"
    unmeasured = "out of memory", "too few steps"
    context.precisions[TEACHER] = Choice("bf16", "measured")
    context.precisions[STUDENT], context.precisions[ASKED] = (Choice("float32", why) for why in unmeasured)
    owners = context.plan.teachers[0], context.plan.cells[0]
    assert [compute_to_train(context, owner).precision for owner in owners] == ["bf16", "float32"]
    assert compute_to_ask(context).teacher_precision == "float32"
    facts = precision_facts(context)
    student = "float32 (student resnet8, not measured: out of memory)"
    assert precision_in_words(facts["precision"]) == f"bf16 (teacher resnet8, measured), {student}"
    assert precision_in_words(facts["teacher_precision"]) == "float32 (resnet8, not measured: too few steps)"
    assert precision_in_words({"resnet8": "bf16"}) == "bf16 (resnet8)"  # of an older study

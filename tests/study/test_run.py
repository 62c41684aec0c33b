"""The whole pipeline on real images: order of events, files on disk, going on after a stop, and its refusals."""

from __future__ import annotations

import json
import shutil
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

import tosmooth
from tests.data.image_files import write_folder, write_image
from tests.grids import trained
from tosmooth.advice.comparisons import read_judged
from tosmooth.analysis.calibration import ClassificationMetrics
from tosmooth.analysis.selective import risk_coverage_area
from tosmooth.analysis.temperature import fit_temperature
from tosmooth.errors import DataError, StudyError, TosmoothError
from tosmooth.export.subject import choose
from tosmooth.folder.columns import AGREEMENT, AURC, COSTS, ECE_FITTED, TEMPERATURE, WORST_CLASS
from tosmooth.folder.judged import forget_judged, read_answers, read_correct
from tosmooth.folder.results import StudyResults
from tosmooth.folder.writing import load_json, take_back_sums, write_json
from tosmooth.recipes.reading import load_config
from tosmooth.study.context import Context
from tosmooth.study.progress import StudyProgress
from tosmooth.study.run import run_study
from tosmooth.study.summary import headline_of
from tosmooth.training.evaluation import features_of_classes

IDENTITY = ["cell", "objective", "label_smoothing", "temperature", "student", "seed", "teacher"]


def test_the_study_directory_is_complete(tiny_study: StudyResults):
    for name in ("study.yaml", "environment.json", "results.csv", "teachers.csv", "report.html"):
        assert (tiny_study.path / name).stat().st_size > 0, name
    for name in ("diffusion", "diffusion_classes", "diffusion_summary", "projection", "calibration"):
        assert len(pd.read_csv(tiny_study.path / "analysis" / f"{name}.csv")) > 0, name
    for cell in tiny_study.cells.cell:
        folder = tiny_study.path / "students" / cell
        assert len((folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()) == 2
        assert (folder / "model.safetensors").exists()
        assert (folder / "last.safetensors").exists()
    assert list(tiny_study.cells.columns[: len(IDENTITY)]) == IDENTITY
    assert len(tiny_study.cells) == 8
    assert not list(tiny_study.path.rglob("*.tmp"))


def test_every_cell_has_its_metrics_in_range(tiny_study: StudyResults):
    cells = tiny_study.cells
    for column in ("val/top1", "val/top5", "test/top1", "test/top5"):
        assert cells[column].between(0, 100).all()
    assert (cells["test/top5"] >= cells["test/top1"]).all()
    assert cells["cal/ece"].between(0, 1).all()
    assert (cells["test/nll"] > 0).all()


def test_the_kept_epoch_is_the_best_by_validation(tiny_study: StudyResults):
    for row in tiny_study.cells.to_dict(orient="records"):
        lines = (tiny_study.path / "students" / row["cell"] / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
        history = [json.loads(line)["val/top1"] for line in lines]
        assert row["selected_epoch"] == int(np.argmax(history)) + 1
        assert row["val/top1"] == pytest.approx(max(history))


def test_what_was_right_on_validation_is_kept_by_image(tiny_study: StudyResults):
    judged = read_judged({cell: tiny_study.path / "students" / cell for cell in tiny_study.cells.cell})
    for row in tiny_study.cells.to_dict(orient="records"):
        correct = judged[row["cell"]]
        assert set(np.unique(correct)) == {0, 1}
        assert 100 * correct.mean() == pytest.approx(row["val/top1"], abs=1e-3)


def test_what_every_model_took_test_images_for_is_kept(tiny_study: StudyResults):
    models = [("students", name, row) for name, row in tiny_study.cells.set_index("cell").iterrows()]
    models += [("teachers", name, row) for name, row in tiny_study.teachers.set_index("teacher").iterrows()]
    for kind, name, row in models:
        correct, answers = (read(tiny_study.path / kind / name, "test") for read in (read_correct, read_answers))
        assert correct is not None
        assert answers is not None
        assert (correct.shape, answers.shape) == ((300,), (2, 300))
        assert correct.tolist() == (answers[0] == answers[1]).astype(int).tolist()
        assert 100 * correct.mean() == pytest.approx(row["test/top1"], abs=1e-3)


def test_what_smoothing_costs_is_that_of_the_models_logits(tiny_study: StudyResults, silent: StudyProgress):
    context = Context.join(load_config(tiny_study.config), tiny_study.path.parent, silent)
    cell = context.plan.cells[-1]
    row = tiny_study.cells.set_index("cell").loc[cell.name]
    model = context.trained_model(cell)

    def logits_on(split) -> tuple[torch.Tensor, torch.Tensor]:
        batches = [context.compute.put(batch) for batch in context.evaluation_batches(split).epoch(0)]
        with torch.no_grad():
            return torch.cat([model(b.inputs) for b in batches]), torch.cat([b.labels for b in batches])

    temperature = fit_temperature(*logits_on(context.data.validation))
    assert row[TEMPERATURE] == pytest.approx(temperature, rel=1e-4)
    logits, labels = logits_on(context.data.test)
    at_it = ClassificationMetrics(10)
    at_it.update(logits / temperature, labels)
    assert row[ECE_FITTED] == pytest.approx(at_it.compute()["ece"], abs=1e-4)
    confidence, predicted = logits.softmax(1).max(1)
    assert row[AURC] == pytest.approx(risk_coverage_area(confidence, predicted == labels), abs=1e-4)
    right = [(predicted == labels)[labels == k].double().mean() for k in range(10) if (labels == k).sum() >= 20]
    assert row[WORST_CLASS] == pytest.approx(100 * float(min(right)), abs=1e-3)
    theirs = read_answers(tiny_study.path / "teachers" / cell.teacher, "test")
    assert theirs is not None
    assert row[AGREEMENT] == pytest.approx(100 * float((theirs[0] == predicted).double().mean()))


def test_how_long_the_student_to_keep_takes_is_known_and_told(tiny_study: StudyResults):
    environment = json.loads((tiny_study.path / "environment.json").read_text(encoding="utf-8"))
    taken = environment["milliseconds_per_image"]
    assert taken["cell"] == choose(tiny_study.path, None).owner.name
    assert 0 < taken["together"] < taken["one"] < 1000
    page = (tiny_study.path / "report.html").read_text(encoding="utf-8")
    assert f"{taken['one']:.3g} ms an image, {taken['together']:.3g} ms in batches of 64 (CPU, " in page


def test_what_smoothing_costs_is_known_of_every_model(tiny_study: StudyResults):
    for table, columns in ((tiny_study.cells, [*COSTS]), (tiny_study.teachers, [c for c in COSTS if c != AGREEMENT])):
        assert list(table.columns[-len(columns) :]) == list(columns)
        assert table[columns].notna().all(axis=None)
        assert table[[ECE_FITTED, AURC]].stack().between(0, 1).all()
        assert table[[c for c in columns if c.startswith("test/")]].stack().between(0, 100).all()
        assert (table[TEMPERATURE] > 0).all()
        assert (table[WORST_CLASS] <= table["test/top1"] + 1e-6).all()


def test_test_figures_of_an_earlier_version_stay_without_what_was_answered(
    tiny_study: StudyResults, tmp_path: Path, silent: StudyProgress
):
    shutil.copytree(tiny_study.path, tmp_path / "tiny")
    folders = [path.parent for path in (tmp_path / "tiny").rglob("judged.safetensors")]
    for folder in folders:
        take_back_sums(folder, ["judged.safetensors"])
        forget_judged(folder, "test")
    again = run_study(load_config(str(tiny_study.path / "study.yaml")), tmp_path, silent)
    assert again.cells[AGREEMENT].isna().all()
    pd.testing.assert_frame_equal(again.cells.drop(columns=AGREEMENT), tiny_study.cells.drop(columns=AGREEMENT))
    for folder in folders:
        assert read_correct(folder, "val") is not None
        assert read_correct(folder, "test") is None


def test_students_of_a_seed_start_alike_and_the_reference_has_no_diffusion(tiny_study: StudyResults):
    reference = tiny_study.diffusion[tiny_study.diffusion.temperature == 1]
    assert (reference[["eta_s1", "eta_s2"]].abs() < 1e-9).all(axis=None)
    raised = tiny_study.diffusion[tiny_study.diffusion.temperature == 8]
    assert (raised.eta_s1.abs() > 1e-6).all()


def test_advice_is_frozen_before_the_test_split_is_read(tiny_study: StudyResults):
    assert tiny_study.advice is not None
    frozen = datetime.fromisoformat(tiny_study.advice["frozen_at"]).timestamp()
    read = min(path.stat().st_mtime for path in tiny_study.path.rglob("reliability.json"))
    assert int(frozen) <= read
    assert "test" not in json.dumps(tiny_study.advice["comparisons"])


def test_the_same_configuration_gives_the_same_study(tiny_study: StudyResults, tmp_path: Path, silent: StudyProgress):
    config = load_config(str(tiny_study.path / "study.yaml"), ["student.seeds=[1]"])
    again = trained(config, tmp_path, silent)
    assert len(again) == 4
    for cell, weights in again.items():
        one = load_file(tiny_study.path / "students" / cell / "model.safetensors")
        other = load_file(weights)
        assert one.keys() == other.keys()
        assert all(torch.equal(one[key], other[key]) for key in one), cell


def test_a_stopped_study_goes_on_to_the_same_results(tiny_study: StudyResults, tmp_path: Path, silent: StudyProgress):
    shutil.copytree(tiny_study.path, tmp_path / "tiny")
    # As if killed in the second seed: its students half there, nothing after them.
    for folder in (tmp_path / "tiny" / "students").glob("*-s1"):
        (folder / "result.json").unlink()
        (folder / "model.safetensors").write_bytes(b"half")
    for path in ("analysis", "figures", "tables"):
        shutil.rmtree(tmp_path / "tiny" / path)
    for path in ("results.csv", "teachers.csv", "report.html"):
        (tmp_path / "tiny" / path).unlink()
    again = run_study(load_config(str(tiny_study.path / "study.yaml")), tmp_path, silent)
    pd.testing.assert_frame_equal(again.cells, tiny_study.cells)
    pd.testing.assert_frame_equal(again.diffusion, tiny_study.diffusion)


def test_without_validation_the_last_epoch_is_kept_and_shown(tiny_raw, tmp_path: Path, silent: StudyProgress):
    tiny_raw["data"] |= {"validation": 0, "limit_train": 200}
    tiny_raw["student"]["seeds"] = [0]
    results = run_study(load_config(tiny_raw), tmp_path, silent)
    assert set(results.cells.selection) == {"last"}
    assert (results.cells.selected_epoch == 2).all()
    assert results.cells["val/top1"].isna().all()
    assert results.advice is not None
    assert results.advice["answer"] is None
    assert "no validation split" in (results.path / "report.html").read_text(encoding="utf-8")


@pytest.mark.usefixtures("unreported")
def test_given_teachers_are_used_as_they_are(tiny_study: StudyResults, tiny_raw, tmp_path: Path, silent: StudyProgress):
    weights = {alpha: tiny_study.path / "teachers" / f"a{alpha:g}-s0" / "model.safetensors" for alpha in (0.0, 0.1)}
    tiny_raw["teacher"] |= {"train": False, "checkpoints": {a: str(path) for a, path in weights.items()}}
    students = trained(load_config(tiny_raw), tmp_path, silent)
    records = sorted((tmp_path / "tiny" / "teachers").glob("*/result.json"))
    assert [json.loads(path.read_text(encoding="utf-8"))["status"] for path in records] == ["given", "given"]
    # The same teachers, so the same students as in the study that trained them.
    assert set(students) == set(tiny_study.cells.cell)
    for name, weights in students.items():
        assert weights.read_bytes() == (tiny_study.path / "students" / name / "model.safetensors").read_bytes()


@pytest.mark.usefixtures("unreported")
def test_a_given_teacher_beside_one_that_is_trained(
    tiny_study: StudyResults, tiny_raw, tmp_path: Path, silent: StudyProgress
):
    """The same two teachers as in the study that trained both, so the same students to the bit."""
    weights = tiny_study.path / "teachers" / "a0.1-s0" / "model.safetensors"
    tiny_raw["teacher"]["given"] = {0.1: str(weights)}
    tiny_raw["student"] |= {"seeds": [1], "temperatures": [8]}
    students = trained(load_config(tiny_raw), tmp_path, silent)
    assert set(students) == {"hinton-a0-T8-resnet8-s1", "hinton-a0.1-T8-resnet8-s1"}
    records = {
        name: json.loads((tmp_path / "tiny" / "teachers" / name / "result.json").read_text(encoding="utf-8"))
        for name in ("a0-s0", "a0.1-s0")
    }
    assert (records["a0-s0"]["status"], records["a0.1-s0"]["status"]) == ("done", "given")
    for name, weights in students.items():
        there = tiny_study.path / "students" / name / "model.safetensors"
        assert weights.read_bytes() == there.read_bytes()


def test_mistakes_leave_nothing_behind(tiny_raw, tmp_path: Path, silent: StudyProgress):
    image_folder = tmp_path / "empty"
    (image_folder / "train").mkdir(parents=True)
    (image_folder / "val").mkdir()
    tiny_raw["data"] = {
        "source": "folder", "path": str(image_folder), "eval_transform": "resize_center_crop", "image_size": 32
    }  # fmt: skip
    with pytest.raises(DataError, match="train"):
        run_study(load_config(tiny_raw), tmp_path / "runs", silent)
    assert not (tmp_path / "runs").exists()


def test_a_teacher_with_another_class_count_is_refused(
    tiny_study: StudyResults, tiny_raw, tmp_path: Path, silent: StudyProgress
):
    from tosmooth.models.build import build_image_model
    from tosmooth.models.weights import save_weights

    other = build_image_model("resnet8", 12, channels=1, kwargs={"stem_stride": 2})
    save_weights(other, tmp_path / "twelve.safetensors")
    tiny_raw["teacher"] |= {
        "label_smoothing": [0.1],
        "train": False,
        "checkpoints": {0.1: str(tmp_path / "twelve.safetensors")},
    }
    with pytest.raises(TosmoothError, match=r"12.*10|10.*12"):
        run_study(load_config(tiny_raw), tmp_path / "runs", silent)


def test_all_students_failing_is_an_error_that_names_them(tiny_raw, tmp_path: Path, silent: StudyProgress):
    tiny_raw["data"]["limit_train"] = 200
    tiny_raw["student"]["optimizer"] = {"learning_rate": 1e30}
    with pytest.raises(TosmoothError, match="hinton-a0-T1"):
        run_study(load_config(tiny_raw), tmp_path, silent)


def test_load_study_refuses_what_is_none(tmp_path: Path):
    with pytest.raises(StudyError, match=r"no study\.yaml"):
        tosmooth.load_study(tmp_path)


@pytest.mark.parametrize(
    ("analysis", "groups", "reason"),
    [
        ({"similar": 5}, None, "too many for 10 classes; at most 4"),
        ({"superclasses": True}, None, "has no super-classes"),
        ({"projection_classes": [0, 1, 10]}, None, "three different names, or indices"),
        ({}, "shoes: [Sneaker, Sandals]\ntops: [Shirt, Coat]", "did you mean 'Sandal'"),
        ({}, "all: [Sneaker, Sandal]", "two groups"),
        ({}, "[Sneaker, Sandal]", "must map"),
    ],
)
def test_mistakes_of_the_analysis_come_before_any_work(tiny_raw, tmp_path, silent, analysis, groups, reason):
    if groups is not None:
        (tmp_path / "groups.yaml").write_text(groups, encoding="utf-8")
        analysis = {"groups": str(tmp_path / "groups.yaml")}
    tiny_raw["analysis"] = analysis
    with pytest.raises(TosmoothError, match=reason):
        run_study(load_config(tiny_raw), tmp_path / "runs", silent)
    assert not (tmp_path / "runs").exists()


@pytest.mark.usefixtures("unreported")
@pytest.mark.slow
def test_given_groups_decide_what_is_similar(tiny_raw, tmp_path: Path, silent: StudyProgress):
    (tmp_path / "groups.yaml").write_text("shoes: [Sneaker, Sandal, Ankle boot]\ntops: [Shirt, Coat]", encoding="utf-8")
    tiny_raw["analysis"] = {"groups": str(tmp_path / "groups.yaml")}
    tiny_raw["teacher"]["epochs"] = 1
    tiny_raw["student"] |= {"seeds": [0], "epochs": 1}
    results = run_study(load_config(tiny_raw), tmp_path / "runs", silent)
    similarity = json.loads((results.path / "analysis" / "similarity.json").read_text(encoding="utf-8"))
    assert similarity["similar"]["7"] == [5, 9]
    assert similarity["dissimilar"]["7"] == [4, 6]
    assert results.diffusion.eta_s1.notna().all()


def test_images_of_different_size_are_noticed_before_any_work(tiny_raw, tmp_path: Path, silent: StudyProgress):
    write_folder(tmp_path / "images", classes=("cat", "dog", "owl"))
    write_image(tmp_path / "images" / "train" / "cat" / "0.png", size=(50, 32))
    tiny_raw["data"] = {"source": "folder", "path": str(tmp_path / "images")}
    with pytest.raises(DataError, match=r"data\.eval_transform: 'none' leaves images of different size.*resize_center"):
        run_study(load_config(tiny_raw), tmp_path / "runs", silent)
    tiny_raw["data"] |= {"image_size": 32, "eval_transform": "resize_center_crop"}
    with pytest.raises(DataError, match=r"data\.train_augmentation: 'none'.*imagenet"):
        run_study(load_config(tiny_raw), tmp_path / "runs", silent)
    assert not (tmp_path / "runs").exists()


def test_a_folder_of_coloured_images_with_models_of_other_libraries(tiny_raw, tmp_path: Path, silent: StudyProgress):
    """Teacher and student that want other sizes and normalisations share the crop; each gets its own on the device."""
    write_folder(tmp_path / "images", classes=("cat", "dog", "owl"), splits={"train": 8, "val": 3})
    tiny_raw["data"] = {
        "source": "folder", "path": str(tmp_path / "images"), "validation": 0.25,
        "image_size": 32, "train_augmentation": "imagenet", "eval_transform": "resize_center_crop",
    }  # fmt: skip
    tiny_raw["teacher"] |= {"model": "timm:test_resnet", "epochs": 1, "batch_size": 8}
    tiny_raw["student"] |= {"model": {"name": "torchvision:squeezenet1_1", "kwargs": {"input_size": 48}}, "epochs": 1}
    tiny_raw["student"] |= {"seeds": [0], "batch_size": 8, "optimizer": {"learning_rate": 0.001}}
    results = run_study(load_config(tiny_raw), tmp_path / "runs", silent)
    assert set(results.cells.status) == {"done"}
    assert results.cells.student.unique().tolist() == ["torchvision:squeezenet1_1"]
    assert (results.path / "report.html").stat().st_size > 100_000


def test_one_seed_one_temperature_and_only_a_smoothed_teacher(tiny_raw, tmp_path: Path, silent: StudyProgress):
    tiny_raw["teacher"]["label_smoothing"] = 0.1
    tiny_raw["teacher"]["epochs"] = 1
    tiny_raw["student"] |= {"temperatures": 4, "seeds": 0, "objectives": "teacher_only", "hard_weight": 0.5}
    results = run_study(load_config(tiny_raw), tmp_path, silent)
    assert results.advice is not None
    assert results.advice["effect"]["verdict"] == "inconclusive"
    assert results.verdict is not None
    assert results.verdict["answer"]["smooth"] == {"verdict": "not asked"}
    assert "α = 0.1" in (headline_of(results) or "")


@pytest.mark.slow
def test_epochs_chosen_on_the_test_split_are_marked_as_such(tiny_raw, tmp_path: Path, silent: StudyProgress):
    tiny_raw |= {"selection": "best_on_test"}
    tiny_raw["data"]["limit_train"] = 200
    tiny_raw["student"]["seeds"] = [0]
    results = run_study(load_config(tiny_raw), tmp_path, silent)
    assert set(results.cells.selection) == {"best_on_test"}
    # What chose the epoch is called what it is.
    epochs = (results.path / "students" / results.cells.cell[0] / "metrics.jsonl").read_text(encoding="utf-8")
    assert "test/top1" in epochs
    assert "val/top1" not in epochs
    assert results.advice is not None
    assert results.advice["caveats"][0] == {"code": "chosen on test"}
    assert "optimistic" in (results.path / "report.html").read_text(encoding="utf-8")


def test_two_classes_are_too_few_for_a_study_and_said_so_before_any_work(
    tiny_raw, tmp_path: Path, silent: StudyProgress
):
    write_folder(tmp_path / "images", classes=("cat", "dog"))
    tiny_raw["data"] = {"source": "folder", "path": str(tmp_path / "images")}
    with pytest.raises(TosmoothError, match="2 classes; diffusion towards similar classes needs at least 3"):
        run_study(load_config(tiny_raw), tmp_path / "runs", silent)
    assert not (tmp_path / "runs").exists()


def test_errors_on_similar_classes_are_those_of_the_answers_that_were_kept(tiny_study: StudyResults):
    analysis = tiny_study.path / "analysis"
    similar = json.loads((analysis / "similarity.json").read_text(encoding="utf-8"))["similar"]
    for _, row in tiny_study.cells.iterrows():
        answers = load_file(tiny_study.path / "students" / row.cell / "judged.safetensors")["val.answers"].tolist()
        pairs = list(zip(*answers, strict=True))
        wrong = [(predicted, label) for predicted, label in pairs if predicted != label]
        to_similar = [predicted for predicted, label in wrong if predicted in similar[str(label)]]
        assert row["diffusion/errors_s1"] == pytest.approx(100 * len(to_similar) / len(pairs))
        assert row["val/top1"] == pytest.approx(100 - 100 * len(wrong) / len(pairs), abs=1e-3)
    shown = pd.read_csv(tiny_study.path / "tables" / "errors.csv")
    expected = 100 - tiny_study.cells.groupby(["label_smoothing", "temperature"])["val/top1"].mean()
    assert shown[shown.quantity == "all"]["mean"].tolist() == pytest.approx(expected.tolist(), abs=1e-3)


def test_d_prime_of_a_student_is_that_of_its_validation_features(tiny_study: StudyResults, silent: StudyProgress):
    config = load_config(tiny_study.config)
    context = Context.join(config, tiny_study.path.parent, silent)
    similar = json.loads((tiny_study.path / "analysis" / "similarity.json").read_text(encoding="utf-8"))["similar"]
    cell = context.plan.cells[0]
    batches = context.evaluation_batches(context.data.validation)
    features, labels = features_of_classes(context.trained_model(cell), batches, context.compute, range(10))
    own = {k: features[labels == k].double() for k in range(10)}

    def d_prime(a: int, b: int) -> float:
        line = own[b].mean(0) - own[a].mean(0)
        along = [float((own[k] @ (line / line.norm())).var()) for k in (a, b)]
        return float(line.norm()) / (sum(along) / 2) ** 0.5

    expected = np.mean([np.mean([d_prime(int(a), b) for b in others]) for a, others in similar.items()])
    row = tiny_study.cells.set_index("cell").loc[cell.name]
    assert row["diffusion/d_prime_s1"] == pytest.approx(expected, rel=1e-4)


@pytest.mark.usefixtures("unreported")
def test_a_student_that_is_trained_again_is_measured_again(
    tiny_study: StudyResults, tmp_path: Path, silent: StudyProgress
):
    copy = tmp_path / "tiny"
    shutil.copytree(tiny_study.path, copy)
    student = copy / "students" / str(tiny_study.cells.cell[0])
    file = student / "separation.json"
    measured = load_json(file, dict, "", model=student.name)
    write_json(file, measured | {"d_prime_s1": 99.0}, model=student.name)  # as if of other weights
    (student / "result.json").unlink()
    run_study(load_config(str(copy / "study.yaml")), tmp_path, silent)
    assert load_json(file, dict, "", model=student.name) == measured
    write_json(file, measured | {"d_prime_s1": "far"}, model=student.name)
    with pytest.raises(StudyError, match="d′ is no number; delete it"):
        run_study(load_config(str(copy / "study.yaml")), tmp_path, silent)

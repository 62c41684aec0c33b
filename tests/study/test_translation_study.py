"""A whole study of sentences, run once: its tables, its report, the order of events, and the mean of weights."""

from __future__ import annotations

import json
import re
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file
from typer.testing import CliRunner

from tests.folder.page import each_has_one_row
from tests.grids import trained
from tests.tasks.sentences import raw_study, write_pairs
from tosmooth.advice.comparisons import read_judged
from tosmooth.analysis.translation_metrics import score_translations
from tosmooth.cli import app
from tosmooth.data.translation.vocabulary import load_vocabulary
from tosmooth.folder.results import StudyResults, load_study
from tosmooth.recipes.reading import load_config
from tosmooth.study.bench import load_data
from tosmooth.study.progress import StudyProgress
from tosmooth.study.run import run_study

BLEU_COLUMNS = [
    f"{split}/{name}"
    for split in ("val", "test")
    for name in ("bleu", "chrf", "bleu_novel", "chrf_novel", "top1_novel")
]


class Watching(StudyProgress):
    """Notes at every stage which splits have been translated so far, and whether there is advice."""

    def __init__(self, root: Path) -> None:
        super().__init__(Console(quiet=True))
        self._root = root
        self.seen: dict[str, tuple[set[str], bool]] = {}

    def stage(self, title: str, *, epochs: int = 0, cost: float = 1.0, models: int = 1) -> None:
        splits = {split for path in self._root.rglob("translations.json") for split in json.loads(path.read_text())}
        self.seen[title] = splits, any(self._root.rglob("advice.json"))
        super().stage(title, epochs=epochs, cost=cost, models=models)


class Finished(NamedTuple):
    """A study, the raw configuration it was made from, what was seen on the way, and its data."""

    results: StudyResults
    raw: dict[str, Any]
    seen: dict[str, tuple[set[str], bool]]

    @property
    def models(self) -> list[Path]:
        return sorted(path.parent for path in self.results.path.glob("*/*/result.json"))

    @property
    def report(self) -> str:
        """What a reader sees of the report, as one line."""
        page = (self.results.path / "report.html").read_text(encoding="utf-8")
        body = re.sub(r"<(script|style|svg)\b.*?</\1>", " ", page[page.index("<body") :], flags=re.DOTALL)
        return " ".join(re.sub(r"<[^>]+>", " ", body).split())


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    root = tmp_path_factory.mktemp("translation")
    raw = raw_study(
        data={"source": "tsv", "path": str(write_pairs(root / "pairs.tsv")), "limit_train": None, "limit_test": None},
        teacher={"epochs": 12},
        student={"average_last": 2},
        translation={"beam": 1},
    )
    progress = Watching(root)
    return Finished(run_study(load_config(raw), root / "runs", progress), raw, progress.seen)


def test_each_of_its_files_stands_in_the_table_of_files(finished: Finished):
    assert {Path(name).name for name in each_has_one_row(finished.results.path)} >= {
        "translations.json",
        "vocabulary.json",
    }


def test_every_student_and_teacher_has_its_figures(finished: Finished):
    cells, teachers = finished.results.cells, finished.results.teachers
    assert len(cells) == 4
    assert len(teachers) == 2
    for table in (cells, teachers):
        assert set(table.status) == {"done"}
        for column in (*BLEU_COLUMNS, "val/top1", "test/top1"):
            assert table[column].between(0, 100.001).all(), column
        assert (table["val/top1"] > 0).all()
        assert (table["test/nll"] > 0).all()
    assert (teachers["test/chrf"] > 0).all()
    written = pd.read_csv(finished.results.path / "results.csv")
    assert {"val/bleu", "test/bleu", "test/chrf", "test/bleu_novel", "val/top1"} <= set(written.columns)
    assert set(cells.selection) == {"last"}  # the mean of the last epochs is no epoch that could be the best
    assert (cells.selected_epoch == 3).all()


def test_the_figures_are_those_of_the_written_translations(finished: Finished):
    data = load_data(load_config(finished.raw))
    novel = {"val": data.validation.novel, "test": data.test.novel}
    assert all(0 < mask.sum() < len(mask) for mask in novel.values())
    for folder in finished.models:
        record = json.loads((folder / "result.json").read_text(encoding="utf-8"))
        found = json.loads((folder / "translations.json").read_text(encoding="utf-8"))
        assert set(found) == {"val", "test"}
        for split, own in found.items():
            scores = score_translations(own["hypotheses"], own["references"], novel[split])
            assert record[f"{split}/bleu"] == scores.bleu
            assert record[f"{split}/chrf"] == scores.chrf
            assert record[f"{split}/bleu_novel"] == scores.bleu_novel
            assert record[f"{split}/chrf_novel"] == scores.chrf_novel
        assert load_vocabulary(folder / "vocabulary").digest() == data.vocabulary.digest()


def test_training_has_taught_something(finished: Finished):
    """240 pairs make no translator; but the loss falls, and tokens are guessed better than by chance."""
    for folder in finished.models:
        lines = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
        losses = [json.loads(line)["train/loss"] for line in lines]
        assert len(losses) == (12 if folder.parent.name == "teachers" else 3)
        if "T64" not in folder.name:
            assert losses[-1] < losses[0]
    assert (finished.results.teachers["val/top1"] > 3).all()  # of 500 tokens


def test_right_and_wrong_are_kept_by_token(finished: Finished):
    folders = {row.cell: finished.results.path / "students" / row.cell for row in finished.results.cells.itertuples()}
    judged = read_judged(folders)
    for row in finished.results.cells.to_dict(orient="records"):
        assert 100 * judged[row["cell"]].mean() == pytest.approx(row["val/top1"], abs=1e-3)
    split = load_data(load_config(finished.raw)).validation
    sentences = zip(split.offsets[:-1], split.offsets[1:], split.novel, strict=True)
    positions = [token for start, end, new in sentences if new for token in range(start, end)]
    for row in finished.results.cells.to_dict(orient="records"):
        assert 100 * judged[row["cell"]][positions].mean() == pytest.approx(row["val/top1_novel"])


def test_costs_are_by_token_and_none_by_word(finished: Finished):
    cells = finished.results.cells
    assert cells[["cal/temperature", "cal/ece_fitted", "cal/aurc", "test/agreement"]].notna().all(axis=None)
    assert cells[["test/macro_f1", "test/worst_class"]].isna().all(axis=None)
    shown = pd.read_csv(finished.results.path / "tables" / "costs.csv")
    assert set(shown.quantity) == {"cal/ece", "cal/ece_fitted", "cal/aurc", "test/agreement"}


def test_diffusion_is_measured_for_the_words_that_are_followed(finished: Finished):
    path = finished.results.path / "analysis"
    classes = pd.read_csv(path / "diffusion_classes.csv", keep_default_na=False)
    data = load_data(load_config(finished.raw))
    assert set(classes.class_name) == set(data.classes)
    assert 3 <= len(data.classes) <= 20
    diffusion = finished.results.diffusion
    assert set(diffusion.split) == {"train", "val"}
    of_training = diffusion[diffusion.split == "train"]  # a small validation split lacks some of the words
    reference, raised = (of_training[of_training.temperature == temperature] for temperature in (1, 64))
    assert (reference[["eta_s1", "eta_s2"]].abs() < 1e-9).all(axis=None)
    assert (raised.eta_s1.abs() > 1e-6).all()
    for name in ("diffusion_summary", "similar_classes", "projection", "calibration"):
        assert len(pd.read_csv(path / f"{name}.csv", keep_default_na=False)) > 0, name
    similarity = json.loads((path / "similarity.json").read_text(encoding="utf-8"))
    assert len(similarity["similar"]) == len(data.classes)


def test_the_projection_shows_words(finished: Finished):
    path = finished.results.path / "analysis"
    chosen = json.loads((path / "projection.json").read_text(encoding="utf-8"))
    points = pd.read_csv(path / "projection.csv", keep_default_na=False)
    names = set(points.class_name)
    data = load_data(load_config(finished.raw))
    assert len(names) == 3
    assert names == set(chosen["names"]) == {data.classes[index] for index in chosen["classes"]}
    assert (finished.results.path / "figures" / "projection.png").stat().st_size > 1000


def test_the_views_leave_out_mutual_information(finished: Finished):
    path = finished.results.path / "analysis"
    views = pd.read_csv(path / "views.csv")
    assert views[["mi_similar", "mi_dissimilar"]].isna().all(axis=None)
    assert views.compactness.notna().all()
    of_teachers = views[views.role == "teacher"]
    assert of_teachers[["compactness", "stability", "smoothness"]].notna().all(axis=None)
    of_views = json.loads((path / "views.json").read_text(encoding="utf-8"))["teachers"]
    assert of_views["information"] is None
    assert of_views["stability"]["verdict"] in {"less", "same", "more"}


def test_the_report_speaks_of_bleu_and_shows_translations(finished: Finished):
    text, advice = finished.report, finished.results.advice
    assert advice is not None
    assert advice["metric"] == "val/bleu"
    assert advice["answer"]["metric"] == "val/bleu"
    assert "test BLEU" in text[:600]
    assert not re.search(r"top-1|\bimages?\b", text, flags=re.IGNORECASE)
    found = json.loads((finished.models[0] / "translations.json").read_text(encoding="utf-8"))["test"]
    shown = [source for source in found["sources"] if source in text]
    assert shown
    assert any(found["references"][found["sources"].index(source)] in text for source in shown)
    for name in ("bleu.csv", "translations.csv"):
        assert (finished.results.path / "tables" / name).stat().st_size > 0
    assert (finished.results.path / "figures" / "bleu.png").stat().st_size > 1000


def test_the_results_load_and_the_report_can_be_made_again(finished: Finished):
    again = load_study(finished.results.path)
    pd.testing.assert_frame_equal(again.cells, finished.results.cells)
    assert again.verdict is not None
    assert again.verdict["answer"]["metric"] == "test/bleu"
    before = finished.report
    (finished.results.path / "report.html").unlink()
    assert CliRunner().invoke(app, ["report", str(finished.results.path)]).exit_code == 0
    assert finished.report == before


def test_the_test_split_is_read_once_and_after_the_advice(finished: Finished):
    titles = list(finished.seen)
    reading = next(title for title in titles if "test split" in title)
    for title in titles[: titles.index(reading) + 1]:
        assert finished.seen[title][0] <= {"val"}, title
    assert finished.seen[reading] == ({"val"}, True)
    assert finished.seen[titles[-1]] == ({"val", "test"}, True)
    assert finished.results.advice is not None
    frozen = datetime.fromisoformat(finished.results.advice["frozen_at"]).timestamp()
    assert int(frozen) <= min((folder / "translations.json").stat().st_mtime for folder in finished.models)
    assert "test" not in json.dumps(finished.results.advice["comparisons"])


def test_the_same_command_again_trains_and_translates_nothing(finished: Finished):
    kept = [path for folder in finished.models for path in sorted(folder.iterdir()) if path.is_file()]
    assert len(kept) > 6 * 5
    before = {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in kept}
    progress = Watching(finished.results.path)
    again = run_study(load_config(finished.raw), finished.results.path.parent, progress)
    assert not [title for title in progress.seen if re.search("students|teachers|storing", title)]
    assert {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in kept} == before
    pd.testing.assert_frame_equal(again.cells, finished.results.cells)
    assert again.advice == finished.results.advice


@pytest.mark.slow
def test_kept_weights_are_the_mean_over_the_last_epochs(finished: Finished, tmp_path: Path):
    """By hand: the same student, stopped after its second and after its third epoch. (The rate of a step does not
    depend on how many follow.)"""
    given = finished.results.path / "teachers" / "a0.1-s0" / "model.safetensors"
    ends = {}
    for epochs in (2, 3):
        raw = json.loads(json.dumps(finished.raw))
        raw["teacher"] |= {"label_smoothing": 0.1, "given": {0.1: str(given)}}
        raw["student"] |= {"temperatures": 64, "epochs": epochs, "average_last": 1}
        raw |= {"name": f"to-{epochs}", "selection": "last", "cache": {"directory": str(tmp_path / "cache")}}
        raw["teacher"]["given"] = {0.1: str(given)}
        (weights,) = trained(load_config(raw), tmp_path, StudyProgress(Console(quiet=True))).values()
        ends[epochs] = load_file(weights)
    folder = finished.results.path / "students" / "hinton-a0.1-T64-transformer_small-s0"
    kept = load_file(folder / "model.safetensors")
    assert kept.keys() == ends[2].keys() == ends[3].keys()
    for name, value in kept.items():
        mean = (ends[2][name].double() + ends[3][name].double()) / 2
        assert torch.equal(value, mean.to(value.dtype)), name
    assert any(not torch.equal(ends[2][name], ends[3][name]) for name in kept)


def test_the_weights_of_single_epochs_are_gone(finished: Finished):
    assert not list(finished.results.path.rglob("epoch-*"))
    # Teachers keep the weights of their last epoch.
    assert {path.name for path in finished.results.path.rglob("*.safetensors")} >= {"model.safetensors"}
    assert not list(finished.results.path.rglob("*.tmp"))

"""The report where sequence-level distillation, which has no temperature, is recommended."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
import yaml

from tests.fake_study.folder import Variant
from tests.fake_study.translations import write_translation_study, write_translations
from tests.report.pages import page_of
from tosmooth.report.build import make_tables
from tosmooth.report.figures import make_figures
from tosmooth.report.reading import StudyFiles, read_study
from tosmooth.report.results_tables import accuracy_table, cells_table
from tosmooth.report.tables import Table
from tosmooth.report.translations import translations_table
from tosmooth.report.wording import how_it_was_run, recommendation

SEQUENCE = ("sequence", "resnet8")


def write_sequence_study(folder: Path) -> Path:
    """The study of translation, with a student by `sequence` for each teacher and seed, 2 BLEU above those at T = 1."""
    write_translation_study(folder, Variant(alphas=(0.0, 0.05, 0.1)))
    cells = pd.read_csv(folder / "results.csv")
    own = cells[cells["temperature"] == 1].assign(objective="sequence")
    own["cell"] = own["cell"].str.replace("hinton", "sequence")
    for column in ("val/bleu", "test/bleu"):
        own[column] += 2
    pd.concat([own, cells]).to_csv(folder / "results.csv", index=False)  # first, as in objectives: [sequence, hinton]
    for row in own.itertuples():
        hypotheses = [f"Folge {i} {row.label_smoothing:g}" for i in range(50)]
        write_translations(folder / "students" / str(row.cell), {"val": hypotheses, "test": hypotheses})
    path = folder / "analysis" / "advice.json"
    advice = json.loads(path.read_text(encoding="utf-8"))
    advice["recommendation"] |= {"objective": "sequence", "label_smoothing": 0.1, "temperature": 1}
    first = advice["comparisons"][0]
    advice["comparisons"].append(first | {"objective": "sequence", "label_smoothing": 0.1, "temperature": 1})
    path.write_text(json.dumps(advice), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> StudyFiles:
    return read_study(write_sequence_study(tmp_path_factory.mktemp("sequence") / "demo"))


def texts(table: Table | None) -> dict[str, list[str]]:
    assert table is not None
    return {column.title: list(column.texts) for column in table.columns}


def test_figures_over_temperature_are_of_the_objective_that_has_one(files: StudyFiles) -> None:
    assert files.settings == [("hinton", "resnet8"), SEQUENCE]
    figures = {figure.key: figure for figure in make_figures(files)}
    assert not [key for key in figures if "sequence" in key]
    main = figures["bleu"]
    assert main.finding.startswith("BLEU falls by ")
    assert "no student was finished" not in " ".join(figure.finding for figure in figures.values())
    assert "Not drawn, as it has no temperature: sequence, 29.1 ± 0.1 for α = 0, " in main.caption
    assert main.caption.endswith("and 30.0 ± 0.1 for α = 0.1.")
    assert {"diffusion", "heatmap-bleu", "heatmap-diffusion", "calibration-error"} <= figures.keys()


def test_its_table_has_one_row_of_students(files: StudyFiles) -> None:
    table = accuracy_table(files, SEQUENCE, main=False)
    assert texts(table)[""] == ["teacher", "students"]
    assert texts(table)["α = 0.1"][1] == "30.0 ± 0.1"
    assert table is not None
    assert table.caption.endswith("It has no temperature.")
    made = {made.key: made for made in make_tables(files)}
    for own in (cells_table(files), made["comparisons"]):
        found = texts(own)
        for objective, temperature in zip(found["objective"], found["T"], strict=True):
            assert (temperature == "–") == (objective == "sequence")
        assert "sequence" in found["objective"]


def test_no_temperature_is_recommended(files: StudyFiles) -> None:
    items = dict(recommendation(files))
    assert "Temperature" not in items
    assert "no temperature" in items["Labels"]
    assert items["Objective"] == "sequence"
    assert dict(how_it_was_run(files))["objectives"] == "sequence (no temperature), hinton"


def test_the_setting_with_the_lowest_bleu_stands_beside_it(files: StudyFiles) -> None:
    found = texts(translations_table(files))
    assert list(found) == ["source", "reference", "α = 0.1, sequence", "α = 0.1, T = 64"]
    assert found["α = 0.1, sequence"][0] == "Folge 0 0.1"


@pytest.mark.slow
def test_alone_it_has_no_figure_over_temperature(tmp_path: Path) -> None:
    folder = write_sequence_study(tmp_path / "s")
    cells = pd.read_csv(folder / "results.csv")
    cells[cells["objective"] == "sequence"].to_csv(folder / "results.csv", index=False)
    keys = {figure.key for figure in make_figures(read_study(folder))}
    assert not {"bleu", "calibration-error"} & keys
    table = translations_table(read_study(folder))
    assert list(texts(table))[2:] == ["α = 0.1, sequence", "α = 0.05, sequence"]
    assert "Distil by sequence-level distillation" in page_of(folder)


def test_other_objectives_say_what_it_stands_against(tmp_path: Path) -> None:
    folder = write_sequence_study(tmp_path / "s")
    row = {"student": "resnet8", "objective": "sequence", "label_smoothing": 0.1, "temperature": 1.0, "n": 6,
           "reference": "hinton", "reference_eta": 0.0, "eta": 0.01, "eta_low": 0.0, "eta_high": 0.02, "change": 0.01,
           "change_low": 0.0, "change_high": 0.02, "p": 0.1, "p_holm": 0.1, "top1_change": 2.0, "top1_low": 1.9,
           "top1_high": 2.1, "top1_p": 0.01, "top1_p_holm": 0.01, "verdict": "no temperature"}  # fmt: skip
    pd.DataFrame([row]).to_csv(folder / "analysis" / "objectives.csv", index=False)
    table = next(table for table in make_tables(read_study(folder)) if table.key == "objectives")
    assert (texts(table)["T"], texts(table)["BLEU (points)"]) == (["–"], ["+2.0"])
    assert table.caption.endswith("sequence has no temperature: it stands against hinton at T = 1, of every teacher.")
    page = page_of(folder)
    assert "sequence, which has no temperature, against hinton" in page
    assert "What do students of the teacher’s translations learn instead?" in page
    assert "remove the drift" not in page


@pytest.mark.parametrize(
    ("teacher", "student", "said"),
    [
        (10, 10, "none: weights are the mean over those after the last 10 epochs"),
        (1, 3, "students: the mean of the weights after the last 3 epochs; teachers: last"),
        (5, 3, "teachers: the mean of the weights after the last 5 epochs; students: the mean of the weights after the "
               "last 3 epochs"),
        (1, 1, "last"),
        (["x"], True, "last"),
    ],
)  # fmt: skip
def test_weights_that_are_a_mean_of_epochs_are_told(
    tmp_path: Path, teacher: object, student: object, said: str
) -> None:
    folder = write_translation_study(tmp_path / "s", Variant(seeds=1))
    config = yaml.safe_load((folder / "study.yaml").read_text(encoding="utf-8"))
    for role, number in (("teacher", teacher), ("student", student)):
        config[role]["average_last"] = number
    (folder / "study.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    path = folder / "analysis" / "advice.json"
    advice = json.loads(path.read_text(encoding="utf-8")) | {"selection": "last"}
    path.write_text(json.dumps(advice), encoding="utf-8")
    assert dict(how_it_was_run(read_study(folder)))["selected epoch"] == said

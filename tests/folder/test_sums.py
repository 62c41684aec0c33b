"""SHA-256 of what a study keeps: what counts as the same, what does not, and what a kill in between may leave."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pandas as pd
import pytest

from tosmooth.errors import StudyError
from tosmooth.folder import sums
from tosmooth.folder.judged import read_correct
from tosmooth.folder.paths import CURVE_FILE, RECORD_FILE, SUMS_FILE, WEIGHTS_FILE
from tosmooth.folder.reading import read_config, read_mapping, read_table
from tosmooth.folder.sums import (
    check_kept,
    check_model_file,
    check_weights,
    opened,
    remove_kept,
    sealed,
    sealed_text,
    sums_in,
    write_kept,
)
from tosmooth.folder.writing import load_json, read_record, take_back_sums, write_csv, write_json, write_record


def test_the_sum_of_an_object_is_of_its_content_not_of_its_text():
    value = sealed({"α": [0.1, None, {"b": 1}], "a": "x"}, "advice.json")
    assert list(value)[-1] == "sha256"
    turned = json.loads(json.dumps({key: value[key] for key in sorted(value)}))
    assert opened(turned, "advice.json") == {"α": [0.1, None, {"b": 1}], "a": "x"}
    assert opened(value | {"a": "y"}, "advice.json") is None
    assert opened({key: own for key, own in value.items() if key != "a"}, "advice.json") is None
    assert opened(value, "verdict.json") is None  # two files that changed places
    assert opened({"a": "x"}, "advice.json") == {"a": "x"}  # of an earlier version


def test_a_changed_json_file_is_refused_with_its_remedy(tmp_path: Path):
    path = tmp_path / "advice.json"
    write_json(path, {"figure": 87.25})
    assert load_json(path, dict, "") == read_mapping(path) == {"figure": 87.25}
    path.write_text(path.read_text(encoding="utf-8").replace("87.25", "87.75"), encoding="utf-8")
    with pytest.raises(StudyError, match=r"advice\.json is damaged; do this"):
        load_json(path, dict, "do this")
    with pytest.raises(StudyError, match=r"advice\.json is damaged: its content is not what was written; delete it"):
        read_mapping(path)


def test_a_table_has_its_sum_beside_it(tmp_path: Path):
    path = tmp_path / "results.csv"
    write_csv(path, pd.DataFrame({"a": [1, 2]}))
    assert len(read_table(path)) == 2
    change(path, b"a\n1\n")  # a row is lost
    with pytest.raises(StudyError, match=r"results\.csv is damaged: its content is not what was written; delete it"):
        read_table(path)
    change(path, b"")
    with pytest.raises(StudyError, match="damaged"):
        read_table(path)
    path.unlink()
    assert read_table(path).empty  # whoever reads it says what is missing
    write_csv(path, pd.DataFrame({"a": [3]}))
    remove_kept(path.parent, path.name)
    assert not path.exists()
    assert sums_in(tmp_path / SUMS_FILE) == {}


def test_a_kill_between_a_sum_and_its_file_leaves_either_right(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "a.csv"
    write_kept(tmp_path, {"a.csv": b"old"})

    def killed(path: Path, content: bytes) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(sums, "write_bytes", killed)
    with pytest.raises(KeyboardInterrupt):
        write_kept(tmp_path, {"a.csv": b"new"})
    monkeypatch.undo()
    for content in (b"old", b"new"):
        change(path, content)
        check_kept(path)
    change(path, b"other")
    with pytest.raises(StudyError, match="damaged"):
        check_kept(path)
    write_kept(tmp_path, {"a.csv": b"new"})
    check_kept(path)
    change(path, b"old")
    with pytest.raises(StudyError, match="damaged"):  # of a run that went through, the old one is no more
        check_kept(path)


def test_a_damaged_file_of_sums_is_named_and_written_anew(tmp_path: Path):
    write_csv(tmp_path / "a.csv", pd.DataFrame({"a": [1]}))
    (tmp_path / SUMS_FILE).write_text("{", encoding="utf-8")
    with pytest.raises(StudyError, match=r"sums\.json is damaged; delete it"):
        read_table(tmp_path / "a.csv")
    write_csv(tmp_path / "a.csv", pd.DataFrame({"a": [2]}))
    assert list(read_table(tmp_path / "a.csv")["a"]) == [2]


def test_the_configuration_has_its_sum_in_the_first_line(tmp_path: Path):
    path = tmp_path / "study.yaml"
    text = sealed_text("name: x\nepochs: 2\n")
    path.write_text(text, encoding="utf-8")
    assert read_config(path) == {"name": "x", "epochs": 2}
    for changed in (text.replace("2\n", "3\n"), text[: len(text) - 10], text + "seed: 1\n"):
        path.write_text(changed, encoding="utf-8")
        with pytest.raises(StudyError, match="edit a copy"):
            read_config(path)
    path.write_text("name: x\nepochs: 3\n", encoding="utf-8")  # meant
    assert read_config(path)["epochs"] == 3


def change(path: Path, content: bytes) -> None:
    """As somebody does later: the clock of files is coarse, and a test is quicker."""
    path.write_bytes(content)
    os.utime(path, (0, path.stat().st_mtime + 1))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """The folder of a finished student."""
    folder = tmp_path / "study" / "students" / "a"
    (folder / "vocabulary").mkdir(parents=True)
    (tmp_path / "study" / "study.yaml").touch()
    (folder / WEIGHTS_FILE).write_bytes(b"weights")
    (folder / "vocabulary" / "vocabulary.json").write_text("{}", encoding="utf-8")
    (folder / CURVE_FILE).write_text('{"epoch": 1, "loss": 2.0, "samples_per_second": 9.1}\n', encoding="utf-8")
    write_record(folder, {"status": "done", "val/top1": 50.0})
    return folder


def test_a_record_holds_the_sums_of_all_files_of_its_model(model: Path):
    assert read_record(model) == {"status": "done", "val/top1": 50.0}
    assert set(sums_in(model / RECORD_FILE, "a")) == {WEIGHTS_FILE, CURVE_FILE, "vocabulary/vocabulary.json"}
    check_model_file(model / WEIGHTS_FILE)
    check_weights(model / WEIGHTS_FILE)
    change(model / WEIGHTS_FILE, b"weighty")
    for check in (check_model_file, check_weights):
        with pytest.raises(StudyError) as caught:
            check(model / WEIGHTS_FILE)
        assert str(model / WEIGHTS_FILE) in str(caught.value)
        assert f"delete {model}, and the next run of the study makes it again" in str(caught.value)


def test_what_is_written_again_keeps_the_other_sums(model: Path):
    before = sums_in(model / RECORD_FILE, "a")
    (model / CURVE_FILE).write_text('{"epoch": 1, "loss": 3.0}\n', encoding="utf-8")
    (model / "reliability.json").write_text("[]", encoding="utf-8")
    write_record(model, {"status": "done"}, ["reliability.json"])
    after = sums_in(model / RECORD_FILE, "a")
    assert {name: after[name] for name in before} == before  # the changed curve is still found
    assert set(after) - set(before) == {"reliability.json"}
    take_back_sums(model, ["reliability.json", "judged.safetensors"])
    assert sums_in(model / RECORD_FILE, "a") == before
    assert read_record(model) == {"status": "done"}


def test_the_speed_of_a_run_is_not_in_its_sum_and_all_else_is(model: Path):
    path = model / CURVE_FILE
    change(path, path.read_bytes().replace(b"9.1", b"8.7"))
    check_model_file(path)
    change(path, path.read_bytes().replace(b"2.0", b"2.5"))
    with pytest.raises(StudyError, match=r"metrics\.jsonl is damaged"):
        check_model_file(path)


def test_records_that_have_changed_places_are_found(model: Path):
    other = model.with_name("b")
    other.mkdir()
    write_record(other, {"status": "done", "val/top1": 60.0})
    records = model / RECORD_FILE, other / RECORD_FILE
    texts = [path.read_bytes() for path in records]
    for path, text in zip(records, reversed(texts), strict=True):
        path.write_bytes(text)
        with pytest.raises(StudyError, match=rf"result\.json is damaged; delete {path.parent}"):
            read_record(path.parent)


def test_of_files_in_no_study_nothing_is_asked(tmp_path: Path):
    (tmp_path / RECORD_FILE).write_text("no record", encoding="utf-8")
    (tmp_path / WEIGHTS_FILE).write_bytes(b"weights")
    check_weights(tmp_path / WEIGHTS_FILE)
    assert read_correct(tmp_path / "nothing", "val") is None


def test_a_file_is_read_once_until_it_changes(model: Path, monkeypatch: pytest.MonkeyPatch):
    path = model / WEIGHTS_FILE
    check_model_file(path)
    monkeypatch.setattr(sums.hashlib, "file_digest", None)
    check_model_file(path)
    monkeypatch.undo()
    change(path, b"weighty")
    with pytest.raises(StudyError):
        check_model_file(path)

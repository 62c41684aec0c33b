from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from tosmooth.data.translation.registry import PairRequest, RawPairs, read_pairs
from tosmooth.errors import DataError

datasets = pytest.importorskip("datasets")


@pytest.fixture(autouse=True)
def _cache_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def save(path: Path, column: str = "translation", **splits: list[Any]) -> Path:
    """A data set saved to disk by the library itself."""
    features = datasets.Features({column: datasets.Translation(languages=("en", "ru"))})
    made = {name: datasets.Dataset.from_dict({column: rows}, features=features) for name, rows in splits.items()}
    datasets.DatasetDict(made).save_to_disk(str(path))
    return path


ROWS = [{"en": "house", "ru": "дом"}, {"en": "light", "ru": "свет"}]


def read(path: Path | None, target: str = "ru", **options: Any) -> RawPairs:
    return read_pairs("huggingface_translation", PairRequest(path=path, options=options, target_language=target))


def test_a_saved_data_set_of_translations(tmp_path: Path) -> None:
    found = read(save(tmp_path / "saved", train=ROWS, validation=ROWS[:1], test=[{"en": "water", "ru": None}]))
    assert found.train.sources == ("house", "light")
    assert found.train.targets == ("дом", "свет")
    assert found.validation is not None
    assert found.validation.targets == ("дом",)
    assert found.test.targets == ("",)  # found by who checks for empty sides
    assert found.test.describe(0) == "the test split of the data set, line 1"


def test_json_files_through_the_library(tmp_path: Path) -> None:
    folder = tmp_path / "plain"
    folder.mkdir()
    for name in ("train", "test"):
        (folder / f"{name}.json").write_text('{"translation": {"en": "house", "ru": "дом"}}\n', encoding="utf-8")
    assert read(folder, dataset="json").train.targets == ("дом",)


def test_options_name_the_column_and_the_splits(tmp_path: Path) -> None:
    path = save(tmp_path / "saved", "texts", learn=ROWS, check=ROWS[:1])
    found = read(path, feature="texts", train_split="learn", test_split="check")
    assert (len(found.train), len(found.test), found.validation) == (2, 1, None)


@pytest.mark.parametrize(
    ("target", "options", "reason"),
    [
        ("de", {}, r"data\.text\.target_language: the train split of the data set has no language 'de'; .*en, ru"),
        ("ru", {"feature": "translations"}, "no column 'translations'; did you mean 'translation'"),
        ("ru", {"features": "x"}, "unknown option 'features'; did you mean 'feature'"),
        ("ru", {"test_split": "tset"}, "did you mean 'test'"),
    ],
)
def test_what_the_data_set_does_not_have(tmp_path: Path, target: str, options: dict[str, str], reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        read(save(tmp_path / "saved", train=ROWS, test=ROWS), target, **options)


def test_a_column_of_something_else(tmp_path: Path) -> None:
    rows = datasets.Dataset.from_dict({"translation": ["house"]})
    datasets.DatasetDict(train=rows, test=rows).save_to_disk(str(tmp_path / "saved"))
    with pytest.raises(DataError, match="holds str in row 1; expected a text for each language"):
        read(tmp_path / "saved")
    rows = datasets.Dataset.from_dict({"translation": [{"en": 1, "ru": 2}]})
    datasets.DatasetDict(train=rows, test=rows).save_to_disk(str(tmp_path / "numbers"))
    with pytest.raises(DataError, match="row 1 has int for 'en'; expected a text"):
        read(tmp_path / "numbers")


def test_without_a_data_set_or_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match=r"'huggingface_translation' needs data\.options\.dataset"):
        read(None)
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(DataError, match=r'pip install "tosmooth\[translation\]"'):
        read(None, dataset="x")

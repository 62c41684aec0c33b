from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from tosmooth.data.translation.registry import PairRequest, RawPairs, read_pairs
from tosmooth.errors import DataError


def read(path: Path, target: str = "ru") -> RawPairs:
    return read_pairs("tsv", PairRequest(path=path, target_language=target))


def write(path: Path, *lines: str) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def test_a_file_for_each_split(tmp_path: Path) -> None:
    write(tmp_path / "train.tsv", "house\tдом", 'a "quote\tцитата')
    write(tmp_path / "validation.tsv", "light\tсвет")
    write(tmp_path / "test.tsv", "water\tвода")
    found = read(tmp_path)
    assert found.train.sources == ("house", 'a "quote')
    assert found.train.targets == ("дом", "цитата")
    assert found.validation is not None
    assert found.validation.sources == ("light",)
    assert found.test.describe(0) == f"{tmp_path / 'test.tsv'}, line 1"


def test_a_header_says_which_column_is_which(tmp_path: Path) -> None:
    write(tmp_path / "train.tsv", "RU\ten", "дом\thouse")
    write(tmp_path / "test.tsv", "en\tru", "water\tвода")
    found = read(tmp_path)
    assert (found.train.sources, found.train.targets) == (("house",), ("дом",))
    assert (found.test.sources, found.test.targets) == (("water",), ("вода",))
    assert found.train.describe(0).endswith("line 2")


@pytest.mark.parametrize("note", ["", "package\t"])
def test_one_file_with_a_column_for_the_split(tmp_path: Path, note: str) -> None:
    lines = [f"{s}\t{note}{s} source\t{s} цель" for s in ("train", "test", "train", "dev")]
    found = read(write(tmp_path / "all.tsv", *lines))
    assert found.train.targets == ("train цель", "train цель")
    assert found.train.lines.tolist() == [1, 3]
    assert found.validation is not None
    assert found.validation.sources == ("dev source",)
    turned = [f"split\t{note}ru\ten"] + [f"{s}\t{note}цель\tsource" for s in ("train", "test")]
    again = read(write(tmp_path / "turned.tsv", *turned))
    assert (again.train.sources, again.train.targets) == (("source",), ("цель",))
    assert again.validation is None


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (["train\ta\tb", "test\ta"], "line 2 has 2 columns; line 1 has 3"),
        (["a\tb"], "line 1 has 2 columns; expected split, source and target"),
        (["a"], "line 1 has 1 column; expected"),
        (["train\ta\tb", "tset\ta\tb"], "line 2 names the split 'tset'; expected train, valid or test"),
        (["train\ta\tb"], "no line of the split 'test'"),
        ([], "no line of the split 'train'"),
    ],
)
def test_malformed_tables(tmp_path: Path, lines: list[str], reason: str) -> None:
    with pytest.raises(DataError, match=rf"all\.tsv: {reason}"):
        read(write(tmp_path / "all.tsv", *lines))


def test_malformed_files_of_splits(tmp_path: Path) -> None:
    write(tmp_path / "train.tsv", "a\tb", "a\tb\tc")
    with pytest.raises(DataError, match=r"train\.tsv: line 2 has 3 columns; expected 2, source and target"):
        read(tmp_path)
    write(tmp_path / "train.tsv", "a\tb")
    with pytest.raises(DataError, match=r"test\.tsv: no such file"):
        read(tmp_path)
    for name in ("test", "valid", "dev"):
        write(tmp_path / f"{name}.tsv", "a\tb")
    with pytest.raises(DataError, match=r"valid\.tsv and dev\.tsv both name validation"):
        read(tmp_path)
    with pytest.raises(DataError, match="no such file or folder"):
        read(tmp_path / "nowhere")


@pytest.mark.parametrize("header", ["source\ttarget", "src\ttgt", "English\tRussian", "en_text\tru_text"])
def test_a_header_goes_by_the_usual_words_and_files_may_be_packed(tmp_path: Path, header: str) -> None:
    content = f"{header}\nhouse\tдом\n".encode()
    (tmp_path / "train.tsv.gz").write_bytes(gzip.compress(content))
    write(tmp_path / "test.tsv", "source code\tисходный код", "water\tвода")
    found = read(tmp_path)
    assert (found.train.sources, found.train.targets) == (("house",), ("дом",))
    assert len(found.test) == 2
    whole = write(tmp_path / "all.tsv", f"split\t{header}", "train\ta\tb", "test\tc\td")
    assert read(whole).train.sources == ("a",)

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from tests.data.translation.toy import write_parallel
from tosmooth.data.translation.registry import PairRequest, RawPairs, read_pairs
from tosmooth.errors import DataError


def read(root: Path, source: str = "en", target: str = "ru") -> RawPairs:
    return read_pairs("parallel_text", PairRequest(path=root, source_language=source, target_language=target))


@pytest.mark.parametrize("validation", ["valid", "dev", "val", "validation"])
def test_line_n_belongs_to_line_n(tmp_path: Path, validation: str) -> None:
    root = write_parallel(tmp_path, {"train": 5, validation: 3, "test": 2})
    found = read(root)
    assert found.validation is not None
    assert (len(found.train), len(found.validation), len(found.test)) == (5, 3, 2)
    assert list(found.train.targets) == (root / "train.ru").read_text(encoding="utf-8").splitlines()
    assert found.train.describe(4) == f"{root}/train.{{en,ru}}, line 5"
    assert read(root, "ru", "en").train.sources == found.train.targets


def test_without_validation(tmp_path: Path) -> None:
    assert read(write_parallel(tmp_path, {"train": 5, "test": 2})).validation is None


def test_different_numbers_of_lines(tmp_path: Path) -> None:
    root = write_parallel(tmp_path, {"train": 1200, "test": 2})
    lines = (root / "train.ru").read_text(encoding="utf-8").splitlines(keepends=True)
    (root / "train.ru").write_text("".join(lines[:-1]), encoding="utf-8")
    with pytest.raises(DataError, match=r"train\.en has 1,200 lines, train\.ru has 1,199; line n of one must be"):
        read(root)


def test_invalid_utf_8(tmp_path: Path) -> None:
    root = write_parallel(tmp_path, {"train": 3, "test": 2})
    with (root / "train.ru").open("ab") as file:
        file.write(b"ab\xffcd\n")
    with pytest.raises(DataError, match=r"train\.ru: line 4 is not UTF-8 \(byte 0xff, the line's byte 3\)"):
        read(root)


def test_missing_files(tmp_path: Path) -> None:
    root = write_parallel(tmp_path, {"train": 3, "valid": 2})
    with pytest.raises(DataError, match=r"test\.en: no such file; there is no test\.\* at all"):
        read(root)
    with pytest.raises(
        DataError, match=r"train\.de: .*there are train\.en, train\.ru; set data\.text\.target_language"
    ):
        read(root, "en", "de")
    (root / "valid.ru").unlink()
    with pytest.raises(DataError, match=r"valid\.ru: no such file; there are valid\.en"):
        read(write_parallel(root, {"test": 2}))
    with pytest.raises(DataError, match="no such folder"):
        read(tmp_path / "nowhere")


def test_two_kinds_of_validation(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"valid\.\* and dev\.\* both name validation"):
        read(write_parallel(tmp_path, {"train": 3, "dev": 1, "valid": 1, "test": 2}))


def packed(root: Path, name: str) -> None:
    (root / f"{name}.gz").write_bytes(gzip.compress((root / name).read_bytes()))
    (root / name).unlink()


def test_files_packed_by_gzip(tmp_path: Path) -> None:
    root = write_parallel(tmp_path, {"train": 5, "val": 3, "test": 2})
    plain = read(root)
    for name in ("train.en", "train.ru", "val.ru"):
        packed(root, name)
    found = read(root)
    assert found.train.targets == plain.train.targets
    assert found.validation is not None
    assert found.validation.targets == read(root).validation.targets
    (root / "train.en").write_text("x", encoding="utf-8")
    with pytest.raises(DataError, match=r"train\.en and train\.en\.gz both hold this text"):
        read(root)
    (root / "train.en").unlink()
    for content in (b"no gzip", (root / "train.en.gz").read_bytes()[:-12]):
        (root / "train.en.gz").write_bytes(content)
        with pytest.raises(DataError, match=r"train\.en\.gz: cannot be unpacked"):
            read(root)


def test_two_validation_splits(tmp_path: Path) -> None:
    root = write_parallel(tmp_path, {"train": 5, "val": 3, "validation": 3, "test": 2})
    with pytest.raises(DataError, match=r"val\.\* and validation\.\* both name validation; keep one"):
        read(root)

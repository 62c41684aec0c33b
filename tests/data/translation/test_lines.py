from __future__ import annotations

from pathlib import Path

import pytest

from tosmooth.data.translation.lines import decoded_lines, read_lines
from tosmooth.errors import DataError


def test_only_line_feeds_end_a_line() -> None:
    content = "\ufeffдом\r\nb\u2028c\x0cd\x85\n\nlast".encode()
    assert decoded_lines(content, "x") == ["дом", "b\u2028c\x0cd\x85", "", "last"]
    assert decoded_lines(b"a\n", "x") == ["a"]
    assert decoded_lines(b"a\n\n", "x") == ["a", ""]
    assert decoded_lines(b"", "x") == []


@pytest.mark.parametrize(
    ("content", "where"),
    [
        (b"\xff", r"line 1 is not UTF-8 \(byte 0xff, the line's byte 1\)"),
        ("дом\nab".encode() + b"\xe9x\n", r"line 2 is not UTF-8 \(byte 0xe9, the line's byte 3\)"),
        ("a\nдом".encode()[:-1], r"line 2 is not UTF-8 \(byte 0xd0, the line's byte 5\)"),
    ],
)
def test_what_is_no_utf_8_is_found_by_line_and_byte(tmp_path: Path, content: bytes, where: str) -> None:
    (tmp_path / "train.en").write_bytes(content)
    with pytest.raises(DataError, match=rf"train\.en: {where}; convert the file to UTF-8"):
        read_lines(tmp_path / "train.en")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read: No such file"):
        read_lines(tmp_path / "x")

from __future__ import annotations

import io

import pytest
from rich.console import Console

from tosmooth.cli import common
from tosmooth.study.progress import StudyProgress
from tosmooth.terminal import markup, shown


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("T-shirt/top", "T-shirt/top"),
        ("a\x1b]0;title\x07b", r"a\x1b]0;title\x07b"),
        ("done\rfailed", r"done\rfailed"),
        ("one\ntwo\tthree", r"one\ntwo\tthree"),
        ("\x9b31m", r"\x9b31m"),  # the one-byte form of ESC [
        ("user\u202etxt.exe", r"user\u202etxt.exe"),
        ("\u2066a\u2069\u200f\u061c", r"\u2066a\u2069\u200f\u061c"),
        ("two\u2028lines", r"two\u2028lines"),
        ("broken \udcff name", r"broken \udcff name"),  # as Python reads a file name that is no UTF-8
        ("none\uffff\ufffe", r"none\uffff\ufffe"),
        ("قميص חולצה", "قميص חולצה"),  # letters are left alone, whatever their direction
        ("می\u200cخواهم 👩\u200d🔬", "می\u200cخواهم 👩\u200d🔬"),  # joiners belong to the spelling
        ("Ärger 子供 α = 0.1", "Ärger 子供 α = 0.1"),
    ],
)
def test_what_a_terminal_would_obey_is_written_out(text, expected):
    assert shown(text) == expected
    assert shown(expected) == expected


def test_lines_may_be_kept():
    assert shown("one\n\ttwo\r\x1b", lines=True) == "one\n\ttwo\\r\\x1b"


def test_brackets_are_no_markup():
    printed = io.StringIO()
    text = markup("[/bold] [red]a\x1b[0m[link=x] \\")
    Console(file=printed, width=200, highlight=False).print(f"[bold]{text}[/bold]")
    assert printed.getvalue() == "[/bold] [red]a\\x1b[0m[link=x] \\\n"


def test_the_console_gets_no_hidden_sign():
    every = "".join(map(chr, range(0x3000))) + "\ufeff"
    printed = io.StringIO()
    Console(file=printed, width=100_000, highlight=False).print(markup(every))
    assert not any(ord(c) < 32 or 127 <= ord(c) < 160 for c in printed.getvalue().removesuffix("\n"))
    assert not set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c") & set(printed.getvalue())


def test_colons_are_no_pictures(capsys: pytest.CaptureFixture[str]):
    path = "e:x:/:cat:"
    common.out.print(markup(path))
    common.err.print(markup(path))
    with StudyProgress() as progress:
        progress.stage(path)
        progress.note(path)
    printed = capsys.readouterr()
    assert printed.out.split() == [path]
    assert printed.err.split() == [path] * 3

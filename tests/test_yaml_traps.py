from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.commands import tosmooth
from tosmooth.config.schema import dump_config
from tosmooth.errors import ConfigError
from tosmooth.recipes.reading import load_config, parse_override
from tosmooth.untrusted import UnreadableError, read_yaml


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a: 1\nb: 2\na: 3", r"has the key a twice \(lines 1 and 3\); keep one"),
        ("a: {b: 1, c: 2, b: 1}", r"has the key a\.b twice \(line 1\)"),
        ("a: 1\n'a': 1\n\"a\": 1", r"has the key a 3 times \(lines 1, 2 and 3\)"),
        ("given: {0.1: x, 0.10: y}", r"has the key given\.0\.1 twice"),
        ("1: x\n1.0: y", "has the key 1 twice"),
        ("a: [{b: 1, b: 2}]", r"has the key a\.b twice"),
        ("a: &x {b: 1}\nc: {<<: *x, <<: *x}", r"has the key c\.<< twice"),
        ("epochs: 010", r"has 010 at epochs \(line 1\).*octal number; write 10, 8 if it is one, or '010' for a text"),
        ("seeds: [1, 08]", r"has 08 at seeds.*write 8, or '08'"),
        ("seeds: [-01]", r"has -01 at seeds.*write -1, or"),
        ("epochs: 0o17", r"has 0o17.*write 17, 15 if"),
        ("epochs: 0_7", "has 0_7.*write 7, or"),
        ("{012: x}", "is 012, which looks like an octal"),
        ("minutes: 1:30", r"has 1:30 at minutes \(line 1\), to YAML a number of base 60"),
    ],
)
def test_what_yaml_would_read_otherwise_is_a_mistake(text, reason):
    with pytest.raises(UnreadableError, match=reason):
        read_yaml(text)


def test_what_only_looks_alike_is_read():
    text = "a: 0\nb: 0.5\nc: '010'\nd: 10\ne: 0x10\nf: 00a\ng: -0.01\ni: 1:x\n1: x\n'1': z\nj: &k {a: 1}\nl: *k"
    found = read_yaml(text)
    assert (found["a"], found["c"], found["e"], found["f"], found["l"]) == (0, "010", 16, "00a", {"a": 1})
    assert (found[1], found["1"]) == ("x", "z")


def test_names_stay_texts_and_may_not_stand_twice():
    assert read_yaml("cat: 007\n010: n01", texts=True) == {"cat": "007", "010": "n01"}
    with pytest.raises(UnreadableError, match="the key cat twice"):
        read_yaml("cat: 1\ndog: 2\ncat: 3", texts=True)


def test_all_of_them_are_told_at_once_in_files_and_overrides(tmp_path: Path):
    path = tmp_path / "my.yaml"
    path.write_text("name: x\nstudent:\n  epochs: 010\n  seeds: [0]\n  seeds: [01]\nname: y\n", encoding="utf-8")
    with pytest.raises(ConfigError) as found:
        load_config(str(path))
    assert [mistake.partition("my.yaml ")[2].split(";")[0] for mistake in found.value.mistakes] == [
        "has the key name twice (lines 1 and 6)",
        "has 010 at student.epochs (line 3), which looks like an octal number",
        "has the key student.seeds twice (lines 4 and 5)",
        "has 01 at student.seeds (line 5), which looks like an octal number",
    ]
    with pytest.raises(
        ConfigError, match=r"override 'student\.epochs=010': the value is 010, which looks like an octal"
    ):
        parse_override("student.epochs=010")
    assert parse_override("name='010'") == ("name", "010")


@pytest.mark.parametrize("command", ["study", "validate", "search", "train-teacher", "distill"])
def test_every_command_that_reads_a_configuration_says_so(tmp_path: Path, command):
    (tmp_path / "my.yaml").write_text("name: x\nname: y\n", encoding="utf-8")
    done = tosmooth(command, "my.yaml", "student.epochs=010", cwd=tmp_path)
    assert done.returncode == 2
    assert "my.yaml has the key name twice (lines 1 and 2); keep one" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("text", ["08", "019", "0_9", "0o17", "010", "1:30", "-08", "007"])
def test_what_a_study_writes_of_such_texts_is_read_again(text: str):
    config = load_config("fashion-mnist", [f"description={text!r}"])
    assert read_yaml(dump_config(config))["description"] == text

"""Mistaken and hostile configurations: whatever comes in, a ConfigError comes out, or a configuration that is valid."""

from __future__ import annotations

import math
import os
import pickle
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tosmooth import cli
from tosmooth.config.schema import StudyConfig, dump_config, sections_of
from tosmooth.errors import ConfigError
from tosmooth.files import path_safe
from tosmooth.recipes import recipe_text
from tosmooth.recipes.reading import load_config
from tosmooth.study.similarity import _read_groups
from tosmooth.terminal import shown

QUICKLY = settings(
    max_examples=50, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck)
)

TEXTS = st.one_of(
    st.text(max_size=20),
    st.sampled_from(
        ["", "\0", "a\0b", "a\nb", "../..", "/", "~nobody/x", "x" * 5000, "\u202eabc", "[red]", "nan", "-inf", "1e999",
         "resnet8", "hf:a/b", "hf:~nobody", "timm:", ":", "torchvision:\0", "\x1b[2J", "null", "off", "=", "."]
    ),
)  # fmt: skip
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.sampled_from([2**31, 2**63, -(2**64), 10**100, 10**400]),
    st.floats(),
    TEXTS,
    st.dates(),
)
KEYS = st.one_of(
    st.sampled_from(
        sorted({*StudyConfig.model_fields, *(f for s in sections_of(StudyConfig).values() for f in s.model_fields)})
    ),
    TEXTS,
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.dates(), st.tuples(st.integers(), st.none())),
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=12
)


def valid_or_refused(source: Any, overrides: tuple[str, ...] = (), *, quick: bool = False) -> str:
    """The message of the ConfigError, or nothing where the configuration is valid: then it must also dump and read."""
    try:
        config = load_config(source, overrides, quick=quick)
    except ConfigError as error:
        refused = error
    else:
        refused = None
    if refused is not None:
        assert refused.mistakes
        assert all(mistake == shown(mistake) for mistake in refused.mistakes)
        assert all(len(mistake) < 3000 for mistake in refused.mistakes)
        return str(refused)
    written = dump_config(config)
    assert written == shown(written, lines=True)
    assert StudyConfig.model_validate(yaml.safe_load(written)).name == config.name
    assert (Path("runs") / config.name).parent == Path("runs")
    return ""


def places(node: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Every key of a nested mapping."""
    if not isinstance(node, dict):
        return []
    return [place for key, value in node.items() for place in ((*path, key), *places(value, (*path, key)))]


RECIPE = yaml.safe_load(recipe_text("fashion-mnist"))


@given(VALUES)
@QUICKLY
def test_any_mapping(raw: Any) -> None:
    valid_or_refused(raw if isinstance(raw, dict) else {"teacher": raw, "student": raw, "data": raw, "cache": raw})


@given(
    st.lists(st.tuples(st.sampled_from(places(RECIPE)), st.sampled_from(["set", "drop", "add"]), KEYS, VALUES),
             min_size=1, max_size=4),
    st.booleans(),
)  # fmt: skip
@QUICKLY
def test_a_recipe_with_anything_in_it(changes: list[tuple[tuple[str, ...], str, Any, Any]], quick: bool) -> None:
    raw = yaml.safe_load(recipe_text("fashion-mnist"))
    for place, kind, key, value in changes:
        node = raw
        for parent in place[:-1]:
            node = node.get(parent) if isinstance(node, dict) else None
        if not isinstance(node, dict):
            continue
        if kind == "drop":
            node.pop(place[-1], None)
        else:
            node[place[-1] if kind == "set" else key] = value
    valid_or_refused(raw, quick=quick)


@given(st.one_of(st.text(max_size=300), VALUES.map(lambda v: yaml.dump(v, allow_unicode=True)), st.binary(max_size=80)))
@QUICKLY
def test_any_file(content: str | bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "any.yaml"
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        valid_or_refused(str(file))


@given(
    st.lists(
        st.one_of(
            st.text(max_size=40),
            st.tuples(
                st.lists(st.sampled_from([".".join(place) for place in places(RECIPE)]) | st.text(max_size=8),
                         min_size=1, max_size=3).map(".".join),
                st.text(max_size=20) | VALUES.map(lambda v: yaml.dump(v, default_flow_style=True).strip()),
            ).map("=".join),
        ),
        min_size=1,
        max_size=3,
    )
)  # fmt: skip
@QUICKLY
def test_any_override(overrides: list[str]) -> None:
    valid_or_refused("fashion-mnist", tuple(overrides))


@given(st.text(max_size=30))
@QUICKLY
def test_any_name_of_a_source(name: str) -> None:
    valid_or_refused(name)


LAUGHS = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 30)
)
MERGES = "a0: &a0 {k: v}\n" + "".join(f"a{i}: &a{i} {{<<: [{','.join([f'*a{i - 1}'] * 9)}]}}\n" for i in range(1, 20))
FILES = {
    "an alias bomb": (LAUGHS, "holds more than 100,000 values"),
    "an alias bomb in the options": (LAUGHS + "data: {options: {x: *a29}}\n", "holds more than 100,000 values"),
    "a bomb of merges": (MERGES, "holds more than 100,000 values"),
    "a list that holds itself": ("data: {options: {a: &a [*a]}}\n", "refers to itself"),
    "a mapping that holds itself": ("&a {data: {options: *a}}\n", "refers to itself"),
    "many brackets": ("a: " + "[" * 20_000, "nested more than 50 levels"),
    "many braces": ("{a: " * 300 + "1" + "}" * 300, "nested more than 50 levels"),
    "many levels of lines": ("\n".join(" " * i + "a:" for i in range(400)), "nested more than 50 levels"),
    "too much": ("# " + "x" * 1_000_001, "larger than 1,000,000 characters"),
    "code": ("name: !!python/object/apply:os.system ['true']\n", "not readable as YAML"),
    "a Python name": ("name: !!python/name:os.system\n", "not readable as YAML"),
    "a module": ("name: !!python/module:antigravity\n", "not readable as YAML"),
    "a date of no calendar": ("name: 2001-99-99\n", "month must be in 1..12"),
    "tags that do not fit": ("name: !!int abc\n", "does not fit its type"),
    "a timestamp that is none": ("name: !!timestamp abc\n", "does not fit its type"),
    "a truth that is none": ("name: !!bool abc\n", "does not fit its type"),
    "binary data": ("data: {options: {a: !!binary /w==}}\n", "holds bytes"),
    "a set": ("data: {options: {a: !!set {b}}}\n", "holds set"),
    "half a character": ('data: {options: {a: "\\ud800"}}\n', "not valid Unicode"),
    "many digits": ("name: " + "9" * 20_000 + "\n", "not readable as YAML"),
    "many hexadecimal digits": ("name: 0x" + "f" * 20_000 + "\n", "more than 150 digits"),
    "a list": ("- 1\n", "expected a mapping"),
    "nothing": ("", "expected a mapping"),
    "two documents": ("a: 1\n---\nb: 2\n", "not readable as YAML"),
    "no UTF-8": (b"name: \xff\n", "no UTF-8 text"),
    "a picture": (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "no UTF-8 text"),
    "zeros": (b"\0" * 100, "not readable as YAML"),
}


@pytest.mark.parametrize("name", FILES)
def test_files_that_are_meant_to_harm(name: str, tmp_path: Path) -> None:
    content, expected = FILES[name]
    file = tmp_path / "study.yaml"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    started = time.process_time()
    assert expected in valid_or_refused(str(file))
    assert time.process_time() - started < 20  # the bombs would never end


@pytest.mark.parametrize("name", ["an alias bomb", "many brackets", "code", "no UTF-8", "a date of no calendar"])
def test_groups_of_classes_that_are_meant_to_harm(name: str, tmp_path: Path) -> None:
    content = FILES[name][0]
    file = tmp_path / "groups.yaml"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ConfigError, match=r"analysis\.groups: .*groups\.yaml (is|holds) "):
        _read_groups(file, ("a", "b"))


def test_what_is_no_regular_file(tmp_path: Path) -> None:
    (tmp_path / "folder.yaml").mkdir()
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "loop.yaml").symlink_to(tmp_path / "loop.yaml")
    for name in ("folder.yaml", "pipe.yaml", "loop.yaml", "x" * 5000 + ".yaml", "a\0b.yaml"):
        assert "ConfigError" not in valid_or_refused(str(tmp_path / name))
        assert valid_or_refused(str(tmp_path / name))


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["data.path=" + "x" * 5000], "File name too long"),
        (["data.path=~nobody-of-that-name/x"], "home directory"),
        (['data.path="a\\0b"'], r"a\x00b does not exist"),
        (["student.model=hf:" + "x" * 5000], "cannot be the name of a folder"),
        (["student.model=hf:~nobody-of-that-name/x"], "cannot be the name of a folder"),
        ([".".join("a" * 5000) + "=1"], "nested more than 50 levels"),
        (["data.image_size=0x" + "f" * 600, "data.eval_transform=resize_center_crop"], "more than 150 digits"),
        (["name=!!timestamp x"], "does not fit its type"),
        (["data.options={a: &a [*a]}"], "refers to itself"),
        (["a\x1b[2J\n  - name=1"], r"a\x1b[2J\n  - name: unknown key"),
        (["data.options={1: 2}"], "data.options.1"),
        (["teacher=off", "student=[1]"], "2 mistakes"),
    ],
)
def test_values_that_are_meant_to_harm(overrides: list[str], expected: str) -> None:
    assert expected in valid_or_refused("fashion-mnist", tuple(overrides))


def test_all_mistakes_of_a_wild_file_come_at_once(tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    file.write_text("name: [1]\n1: 2\nteacher: {epochs: .nan, model: {name: '\\0', kwargs: 3}}\nstudent: 5\n")
    text = valid_or_refused(str(file), ("=", "student.seeds=!!int x"))
    for expected in ("override '='", "the value is not readable", "name:", "1: Keys should be strings",
                     "teacher.epochs", "teacher.model.name", "teacher.model.kwargs", "student: should be"):  # fmt: skip
        assert expected in text


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "...", "../x", "a/b", "a\\b", "/tmp/x", "~", "a\n", "\na", "a\0", "a b", "C:x", "é", "a" * 101,
     ".git", "-rf", "$HOME", "a\u202eb", "a\r"],
)  # fmt: skip
def test_the_name_of_a_study_is_one_plain_folder(name: str) -> None:
    assert "name:" in valid_or_refused(dict(RECIPE, name=name))


def test_a_plain_name_of_a_study_is_taken() -> None:
    assert load_config(dict(RECIPE, name="a..b-1_C")).name == "a..b-1_C"


@given(st.text(max_size=40) | st.sampled_from(["hf:../../x", "hf:/etc/passwd", "..", "\0", "a\\..\\b"]))
@QUICKLY
def test_no_model_leads_out_of_the_folder_of_its_student(name: str) -> None:
    folder = f"hinton-a0-T1-{path_safe(name)}-s0"
    assert Path("students", folder).parent == Path("students")
    assert Path(folder).name == folder
    assert folder.isascii()


def command(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["tosmooth", *map(str, arguments)])
    return cli._run(cli.app)


@pytest.mark.parametrize("name", ["an alias bomb", "many brackets", "code", "no UTF-8", "a list that holds itself"])
def test_the_command_exits_with_2_and_one_message(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    content = FILES[name][0]
    file = tmp_path / "study.yaml"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    for verb in ("validate", "study", "train-teacher", "distill"):
        assert command(monkeypatch, verb, file) == 2
        out, err = capfd.readouterr()
        assert out == ""
        assert err.startswith("error: 1 mistake in the configuration:")
        assert "Traceback" not in err


@pytest.mark.parametrize(
    "arguments",
    [
        ("validate", "x\x1b[2J\udcff.yaml"),
        ("validate", "name=\x1b]0;owned\x07"),
        ("validate", "data.path=[/red][link=x]"),
        ("recipes", "show", "../../../../etc/passwd"),
        ("recipes", "show", "/etc/passwd"),
        ("recipes", "show", "fashion-mnist\0"),
        ("recipes", "show", "fashion-mnist.yaml"),
        ("recipes", "copy", "../__init__", "x.yaml"),
        ("recipes", "copy", "/etc/passwd"),
        ("recipes", "copy", "fashion-mnist", "a\0b.yaml"),
        ("recipes", "copy", "fashion-mnist", "no-such-folder/x.yaml"),
    ],
)
def test_calls_that_are_meant_to_harm(
    arguments: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert command(monkeypatch, *arguments) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert err == shown(err, lines=True)
    assert "Traceback" not in err
    assert not list(tmp_path.iterdir())


def test_a_recipe_is_not_copied_through_a_link(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    outside = tmp_path / "outside"
    link = tmp_path / "mine.yaml"
    link.symlink_to(outside)
    assert command(monkeypatch, "recipes", "copy", "fashion-mnist", link) == 2
    assert "exists" in capfd.readouterr().err
    assert not outside.exists()


def test_texts_of_a_configuration_do_nothing_to_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "study.yaml"
    description = "ab\x1b[2J\x9b31m\u202egnp.exe\r [red] قميص"
    file.write_text(yaml.safe_dump(RECIPE | {"description": description}), encoding="utf-8")
    for options in ((), ("--json",)):
        assert command(monkeypatch, "validate", file, *options) == 0
        out, err = capfd.readouterr()
        assert out == shown(out, lines=True)
        assert err == shown(err, lines=True)
        assert yaml.safe_load(out).get("config", yaml.safe_load(out))["description"] == description


class Evil:
    """Would make a file if it were unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return (Path.touch, (self.mark,))


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_pickled_code_is_not_run_by_any_command(
    suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    mark, weights = tmp_path / "executed", tmp_path / f"weights{suffix}"
    torch.save({"state_dict": {"a": Evil(mark)}}, weights)
    raw = tmp_path / f"raw{suffix}"
    raw.write_bytes(pickle.dumps(Evil(mark), protocol=2))
    small = ("data.limit_train=40", "data.limit_test=20", "teacher.epochs=2", "student.epochs=2",
             "teacher.schedule.warmup_epochs=0", "student.schedule.warmup_epochs=0", "teacher.seeds=[0]")  # fmt: skip
    for file, runs in ((weights, tmp_path / "runs"), (raw, tmp_path / "other")):
        calls: list[tuple[object, ...]] = [
            ("evaluate", file, "fashion-mnist", *small),
            ("train-teacher", "fashion-mnist", *small, "teacher.label_smoothing=[0]",
             f"teacher.checkpoints={{0: '{file}'}}", "teacher.train=false", "-o", runs / "a"),
            ("train-teacher", "fashion-mnist", *small, f"teacher.model.checkpoint={file}", "-o", runs / "b"),
            ("distill", "fashion-mnist", "--teacher", file, "--alpha", "0", *small, "-o", runs / "c"),
        ]  # fmt: skip
        for call in calls:
            assert command(monkeypatch, *call) == 1
            err = capfd.readouterr().err
            assert "cannot be read as a checkpoint" in err or "could run code" in err, err
            assert "Traceback" not in err
    assert not mark.exists()
    pickle.loads(raw.read_bytes())  # the file is what it is said to be: opened carelessly, it runs
    assert mark.exists()


def test_numbers_that_are_none_are_refused_where_they_decide() -> None:
    for key in ("student.optimizer.learning_rate", "student.temperatures", "student.hard_weight", "data.validation"):
        for value in (".nan", ".inf", "-.inf"):
            assert key in valid_or_refused("fashion-mnist", (f"{key}={value}",)), (key, value)
    assert math.isfinite(load_config().student.optimizer.learning_rate)

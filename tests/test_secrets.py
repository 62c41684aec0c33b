"""No address with a password reaches a log, a record or an error."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tosmooth import cli
from tosmooth.errors import ConfigError, DataError, without_secrets
from tosmooth.folder.lock import StudyLock
from tosmooth.recipes.reading import load_config
from tosmooth.study.environment import describe_environment
from tosmooth.terminal import command_line, shown

ADDRESS = "https://me:s3cret@host/x.pt"


def test_users_and_passwords_are_left_out() -> None:
    text = "no answer from http://me:s3cret@host:5000/api, git+ssh:/me@h and file:///tmp/a@b, C:/a@b, a@b"
    safe = "no answer from http://…@host:5000/api, git+ssh:/…@h and file:///tmp/a@b, C:/a@b, a@b"
    assert without_secrets(text) == shown(text) == safe
    assert without_secrets(safe) == safe


def test_no_error_has_one() -> None:
    assert str(DataError(f"{Path(ADDRESS)}: no such file")) == "https:/…@host/x.pt: no such file"
    error = ConfigError([f"{ADDRESS}: unknown"])
    assert "s3cret" not in f"{error} {error.mistakes}"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("validate", f"data.path={ADDRESS}", f"data.options={{a: [{ADDRESS}]}}"), 2),
        (("validate", ADDRESS), 2),
        (("audit", ADDRESS), 2),
        ((ADDRESS,), 2),
        (("doctor", ADDRESS), 2),
        (("report", ADDRESS), 1),
        (("study", "--engine", "ray", "--address", ADDRESS, "--budget", "x"), 2),
    ],
)
def test_commands_repeat_none(
    arguments: tuple[str, ...], code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["tosmooth", *arguments])
    assert cli._run(cli.app) == code
    told = "".join(capfd.readouterr())
    assert "s3cret" not in told
    if "data.options" in arguments[-1]:  # `study.yaml` would keep it
        assert "data.path: holds an address with a user or password" in told
        assert "data.options.a.0: holds an address" in told


@pytest.mark.parametrize(
    "text",
    ["abfs://images@account.dfs.core.windows.net/x", "code: ssh://git@github.com/me/x", "http://host?x=a@b.c", "a@b.c"],
)
def test_an_address_that_holds_no_secret_is_no_mistake(text: str) -> None:
    assert load_config("fashion-mnist", [f"description={json.dumps(text)}"]).description == text


def test_records_have_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/bin/tosmooth", "study", ADDRESS])
    assert command_line() == "tosmooth study https://…@host/x.pt"
    with StudyLock(tmp_path, "s"):
        assert "s3cret" not in (tmp_path / "owner.json").read_text(encoding="utf-8")
    from tests.training.test_teacher_cache import CPU

    assert describe_environment(CPU)["command"] == command_line()

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tosmooth.folder.writing import load_json, write_json


def test_json_holds_no_nan(tmp_path: Path):
    path = tmp_path / "deep" / "file.json"
    write_json(path, {"α": float("nan"), "list": [1.5]})
    found = json.loads(path.read_text(encoding="utf-8"))
    assert len(found.pop("sha256")) == 64
    assert found == {"α": None, "list": [1.5]} == load_json(path, dict, "")
    with pytest.raises(TypeError):
        write_json(path, {"bad": object()})
    assert json.loads(path.read_text(encoding="utf-8"))["list"] == [1.5]

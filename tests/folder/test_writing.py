from __future__ import annotations

import json
from pathlib import Path

import pytest

from tosmooth.folder.writing import write_json


def test_json_holds_no_nan(tmp_path: Path):
    path = tmp_path / "deep" / "file.json"
    write_json(path, {"α": float("nan"), "list": [1.5]})
    assert json.loads(path.read_text(encoding="utf-8")) == {"α": None, "list": [1.5]}
    with pytest.raises(TypeError):
        write_json(path, {"bad": object()})
    assert json.loads(path.read_text(encoding="utf-8"))["list"] == [1.5]

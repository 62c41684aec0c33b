from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

from tosmooth.errors import MissingLibraryError, TosmoothError
from tosmooth.integrations.libraries import require


@pytest.mark.parametrize(
    ("module", "hidden", "advice"),
    [
        ("transformers", ["transformers"], r'transformers is missing, .*pip install "tosmooth\[hf\]"'),
        ("lightning", ["lightning", "lightning.pytorch", "pytorch_lightning"], r'pip install "tosmooth\[lightning\]"'),
        ("timm", ["timm.task"], 'timm.task is missing, .*pip install "timm>='),
        ("torchmetrics", ["torchmetrics"], r'torchmetrics is missing, .*pip install "tosmooth\[torchmetrics\]"'),
    ],
)
def test_a_missing_library_is_one_clear_error(
    monkeypatch: pytest.MonkeyPatch, module: str, hidden: list[str], advice: str
) -> None:
    for name in hidden:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, f"tosmooth.integrations.{module}", raising=False)
    with pytest.raises(ImportError, match=advice) as caught:
        importlib.import_module(f"tosmooth.integrations.{module}")
    assert isinstance(caught.value, TosmoothError)
    assert caught.value.__suppress_context__


def test_what_is_wrong_within_a_library_and_what_it_lacks() -> None:
    assert require("json", "json", "loads").loads("1") == 1
    with pytest.raises(MissingLibraryError, match="this version of json lacks nothing_such"):
        require("json", "json>=9", "loads", "nothing_such")
    with pytest.raises(MissingLibraryError, match=r"json.nothing_such is missing"):
        require("json.nothing_such", "json>=9")


def test_libraries_are_imported_with_their_integration_only() -> None:
    code = (
        "import sys, tosmooth, tosmooth.integrations\n"
        "from tosmooth.integrations import libraries, teacher, batches, recording\n"
        "libraries = ('transformers', 'lightning', 'pytorch_lightning', 'timm', 'torchmetrics')\n"
        "print([name for name in libraries if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"

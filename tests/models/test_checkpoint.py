from __future__ import annotations

import argparse
import collections
import pickle
import random
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from lightning.fabric.utilities.data import AttributeDict

from tosmooth.errors import ModelError
from tosmooth.models.checkpoint import read_checkpoint

ONE = torch.ones(1)


def test_both_formats(tmp_path):
    safetensors.torch.save_file({"a": ONE}, tmp_path / "w.safetensors", metadata={"by": "hand"})
    torch.save({"state_dict": {"a": ONE}, "epoch": 3}, tmp_path / "w.pt")
    assert read_checkpoint(tmp_path / "w.safetensors").metadata == {"by": "hand"}
    assert read_checkpoint(tmp_path / "w.safetensors").places == {"": {"a": ONE}}
    assert read_checkpoint(tmp_path / "w.pt").places == {"state_dict": {"a": ONE}}


@pytest.mark.parametrize("name", ["w.pth", "W.SAFETENSORS", "w"])
def test_what_a_file_is_its_bytes_say(tmp_path, name):
    safetensors.torch.save_file({"a": ONE}, tmp_path / name)
    assert read_checkpoint(tmp_path / name).largest == {"a": ONE}
    for old in (False, True):
        torch.save({"a": ONE}, tmp_path / "w.safetensors", _use_new_zipfile_serialization=not old)
        assert read_checkpoint(tmp_path / "w.safetensors").largest == {"a": ONE}


HARMLESS = {
    "args": argparse.Namespace(lr=0.1, data=Path("/data")),
    "best": np.float64(91.2),
    "count": np.int64(3),
    "numpy state": np.random.get_state(),  # noqa: NPY002
    "python state": random.getstate(),
    "curve": np.zeros((2, 3), dtype="float32"),
    "path": Path("/data"),
    "history": collections.defaultdict(list, loss=[1.0]),
    "counts": collections.Counter("ab"),
    "hyper_parameters": AttributeDict(lr=0.1, root=Path("/data")),
}


@pytest.mark.parametrize("old", [False, True], ids=["zip", "old format"])
def test_what_training_scripts_leave_beside_the_weights(tmp_path, old):
    torch.save({"model": {"a": ONE}, **HARMLESS}, tmp_path / "w.pt", _use_new_zipfile_serialization=not old)
    assert read_checkpoint(tmp_path / "w.pt").places == {"model": {"a": ONE}}


def test_weights_in_other_mappings(tmp_path):
    torch.save({"net": collections.defaultdict(list, a=ONE), "model": AttributeDict(b=ONE)}, tmp_path / "w.pt")
    assert read_checkpoint(tmp_path / "w.pt").places == {"net": {"a": ONE}, "model": {"b": ONE}}


def test_nothing_of_a_harmless_type_is_made(tmp_path):
    """A path of another system, and a NumPy type that no NumPy would make, are read past."""

    def write(file: Path, module: str, name: str, argument: bytes) -> None:
        pickled = b"\x80\x02}(X\x01\x00\x00\x00xc" + f"{module}\n{name}\n".encode() + b"X\x02\x00\x00\x00" + argument
        torch.save({"a": ONE}, file)
        with zipfile.ZipFile(file) as old:
            parts = {part: old.read(part) for part in old.namelist()}
        start = next(part for part in parts if part.endswith("data.pkl"))
        parts[start] = pickled + b"\x85Ru."
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as new:
            for part, content in parts.items():
                new.writestr(part, content)

    for module, name in (("pathlib", "WindowsPath"), ("numpy", "dtype"), ("argparse", "Namespace")):
        write(tmp_path / "w.pt", module, name, b"??")
        with pytest.raises(ModelError, match="no tensors by name"):  # it was read to the end
            read_checkpoint(tmp_path / "w.pt")


class Evil:
    def __init__(self, mark: Path):
        self.mark = mark

    def __reduce__(self):
        return (Path.touch, (self.mark,))


def test_a_pickle_is_not_executed(tmp_path):
    mark = tmp_path / "executed"
    torch.save({"state_dict": Evil(mark)}, tmp_path / "evil.pt")
    (tmp_path / "raw.pt").write_bytes(pickle.dumps(Evil(mark), protocol=2))
    for name in ("evil.pt", "raw.pt"):
        with pytest.raises(ModelError, match="could run code"):
            read_checkpoint(tmp_path / name)
    assert not mark.exists()


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("kind", ["zip", "legacy", "safetensors"])
def test_a_damaged_file_is_refused_or_read_never_more(tmp_path, kind):
    path = tmp_path / ("w.safetensors" if kind == "safetensors" else "w.pt")
    state = {"a": torch.ones(20), "b": torch.arange(3)}
    if kind == "safetensors":
        safetensors.torch.save_file(state, path)
    else:
        torch.save(state, path, _use_new_zipfile_serialization=kind == "zip")
    whole, chance, refused = path.read_bytes(), random.Random(0), 0
    for _ in range(400):
        damaged = bytearray(whole)
        for _ in range(4):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        path.write_bytes(damaged[: chance.choice([None, chance.randrange(len(damaged))])])
        try:
            read_checkpoint(path)
        except ModelError as error:
            refused += str(path) in str(error)
    assert refused > 100


def test_a_type_that_is_not_on_the_list_is_named(tmp_path):
    torch.save({"model": {"a": ONE}, "module": torch.nn.Linear(1, 1)}, tmp_path / "whole.pt")
    with pytest.raises(ModelError, match=r"holds a torch\.nn\.modules\.linear\.Linear .* run code; .* state_dict"):
        read_checkpoint(tmp_path / "whole.pt")


def test_other_files_are_called_what_they_are(tmp_path):
    torch.jit.script(torch.nn.Linear(1, 1)).save(tmp_path / "script.pt")
    (tmp_path / "empty.pt").touch()
    (tmp_path / "pointer.pt").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    (tmp_path / "page.pt").write_text("<!DOCTYPE html><html></html>")
    (tmp_path / "index.safetensors").write_text('{"metadata": {}}')
    (tmp_path / "keras.pt").write_bytes(b"\x89HDF\r\n\x1a\n")
    (tmp_path / "text.pt").write_text("no weights at all")
    for name, words in (
        ("script.pt", "is a TorchScript program"), ("empty.pt", "is empty"), ("pointer.pt", "Git LFS"),
        ("page.pt", "a web page"), ("index.safetensors", "a JSON text"), ("keras.pt", "HDF5"),
        ("text.pt", "is no PyTorch file"),
    ):  # fmt: skip
        with pytest.raises(ModelError, match=words):
            read_checkpoint(tmp_path / name)


def test_no_file_and_no_tensors(tmp_path):
    with pytest.raises(ModelError, match="no such file"):
        read_checkpoint(tmp_path / "none.pt")
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(ModelError, match="no tensors by name"):
        read_checkpoint(tmp_path / "list.pt")


def test_a_mapping_within_itself_is_looked_at_once(tmp_path: Path):
    """2 KB that lead back to themselves on forty ways would otherwise be 2,560,000 places."""
    whole: dict[str, Any] = {"weight": torch.zeros(1)}
    whole |= {f"again{number}": whole for number in range(40)}
    torch.save(whole, tmp_path / "loop.pth")
    assert list(read_checkpoint(tmp_path / "loop.pth").places) == [""]

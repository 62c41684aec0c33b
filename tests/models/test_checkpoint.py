from __future__ import annotations

import pickle
import random
from pathlib import Path

import pytest
import safetensors.torch
import torch

from tosmooth.errors import ModelError
from tosmooth.models.checkpoint import read_checkpoint, without_prefixes

ONE = torch.ones(1)


def test_both_formats(tmp_path):
    safetensors.torch.save_file({"a": ONE}, tmp_path / "w.safetensors", metadata={"by": "hand"})
    torch.save({"state_dict": {"a": ONE}, "epoch": 3}, tmp_path / "w.pt")
    assert read_checkpoint(tmp_path / "w.safetensors") == ({"a": ONE}, {"by": "hand"})
    assert read_checkpoint(tmp_path / "w.pt") == ({"a": ONE}, {})


@pytest.mark.parametrize(
    ("names", "own", "expected"),
    [
        (["module.a", "module.b"], ["a", "b"], ["a", "b"]),
        (["_orig_mod.module.a"], ["a"], ["a"]),
        (["module.a", "b"], ["a", "b"], ["module.a", "b"]),  # not all share it
        (["model.a"], ["model.a"], ["model.a"]),  # the model's own name
    ],
)
def test_prefixes_of_wrappers(names, own, expected):
    assert list(without_prefixes(dict.fromkeys(names, ONE), dict.fromkeys(own, ONE))) == expected


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


def test_no_file_and_no_tensors(tmp_path):
    with pytest.raises(ModelError, match="no such file"):
        read_checkpoint(tmp_path / "none.pt")
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(ModelError, match="no tensors by name"):
        read_checkpoint(tmp_path / "list.pt")

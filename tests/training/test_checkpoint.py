"""Checkpoints: whole or not there, checked when read, two kept, each model on its own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from tosmooth.errors import CheckpointError
from tosmooth.training.checkpoint import BEGINNING, CheckpointStore, Position, State


class Store:
    """A store, and what it has warned of."""

    def __init__(self, folder: Path) -> None:
        self.warnings: list[str] = []
        self.store = CheckpointStore(folder, self.warnings.append)

    def write(self, position: Position, *names: str, group: str = "group") -> None:
        states = [(name, State({"w": torch.full((3,), float(position.epoch))}, {"name": name})) for name in names]
        self.store.write(group, position, states)

    def folders(self, group: str = "group") -> list[str]:
        return sorted(path.name for path in (self.store.folder / group).iterdir())


@pytest.fixture
def kept(tmp_path: Path) -> Store:
    return Store(tmp_path / "checkpoints")


def test_what_was_written_is_read_and_only_two_are_kept(kept: Store):
    for epoch in range(1, 5):
        kept.write(Position(epoch, epoch * 10), "a", "b")
    assert kept.folders() == ["epoch-00003-batch-00000030", "epoch-00004-batch-00000040"]
    assert kept.store.newest(["a", "b", "never"]) == {"a": Position(4, 40), "b": Position(4, 40)}
    state = kept.store.read("b", Position(4, 40))
    assert torch.equal(state.tensors["w"], torch.full((3,), 4.0))
    assert state.facts == {"name": "b"}
    assert not kept.warnings


def test_facts_come_back_exactly(kept: Store):
    facts = {"infinite": float("-inf"), "third": 1 / 3, "none": None, "records": [{"val/top1": 0.1 + 0.2}]}
    kept.store.write("group", BEGINNING, [("a", State({"w": torch.zeros(1)}, facts))])
    assert kept.store.read("a", BEGINNING).facts == facts


def test_models_of_one_checkpoint_may_go_on_in_other_groups(kept: Store):
    kept.write(Position(1), "a", "b", "c", group="all")
    kept.write(Position(2), "a", group="first")
    assert kept.store.newest(["a", "b"]) == {"a": Position(2), "b": Position(1)}
    assert kept.store.read("b", Position(1)).facts == {"name": "b"}


@pytest.mark.parametrize("file", ["0001.safetensors", "manifest.json"])
def test_a_damaged_one_is_set_aside_and_the_one_before_counts(kept: Store, file: str):
    kept.write(Position(1), "a", "b")
    kept.write(Position(2), "a", "b")
    damaged = kept.store.folder / "group" / "epoch-00002-batch-00000000" / file
    damaged.write_bytes(damaged.read_bytes()[:-3])
    assert kept.store.newest(["a", "b"]) == {"a": Position(1), "b": Position(1)}
    assert len(kept.warnings) == 1
    assert "going on from the one before" in kept.warnings[0]
    assert kept.folders() == ["epoch-00001-batch-00000000", "epoch-00002-batch-00000000.damaged"]
    kept.write(Position(2), "a", "b")  # written anew by the run that goes on
    assert kept.store.newest(["a"]) == {"a": Position(2)}


def test_a_fact_that_has_changed_is_damage_too(kept: Store):
    kept.write(Position(1), "a")
    manifest = kept.store.folder / "group" / "epoch-00001-batch-00000000" / "manifest.json"
    content = json.loads(manifest.read_text(encoding="utf-8"))
    content["members"]["a"]["facts"]["name"] = "b"
    manifest.write_text(json.dumps(content), encoding="utf-8")
    assert kept.store.newest(["a"]) == {}
    assert "damaged" in kept.warnings[0]


def test_without_a_manifest_there_is_no_checkpoint(kept: Store):
    """As a kill in the middle of writing or of deleting leaves it."""
    kept.write(Position(1), "a")
    kept.write(Position(2), "a")
    (kept.store.folder / "group" / "epoch-00002-batch-00000000" / "manifest.json").unlink()
    assert kept.store.newest(["a"]) == {"a": Position(1)}
    assert not kept.warnings


def test_groups_are_forgotten_when_all_their_models_are_finished(kept: Store):
    kept.write(Position(1), "a", "b", group="both")
    kept.write(Position(1), "c", group="other")
    kept.store.forget({"a", "c"}.__contains__)
    assert [path.name for path in kept.store.folder.iterdir()] == ["both"]
    assert kept.store.newest(["a", "b", "c"]) == {"a": Position(1), "b": Position(1)}


def test_what_has_disappeared_is_said(kept: Store):
    with pytest.raises(CheckpointError, match="the checkpoint of a has disappeared; run again"):
        kept.store.read("a", Position(1))


def test_a_checkpoint_that_cannot_be_written_leaves_the_ones_before(kept: Store, monkeypatch: pytest.MonkeyPatch):
    kept.write(Position(1), "a")
    target = kept.store.folder / "group"
    monkeypatch.setattr("tosmooth.files.os.fsync", _full)
    with pytest.raises(OSError, match="No space"):
        kept.write(Position(2), "a")
    assert [path.name for path in target.iterdir()] == ["epoch-00001-batch-00000000"]
    assert kept.store.newest(["a"]) == {"a": Position(1)}


def _full(descriptor: int) -> None:
    raise OSError(28, "No space left on device")

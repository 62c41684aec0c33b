from __future__ import annotations

import pickle
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from tosmooth.audit import logits_files
from tosmooth.audit.logits_files import holds_logits, read_logits
from tosmooth.errors import DataError

LOGITS = np.arange(12, dtype=np.float32).reshape(4, 3)
LABELS = np.array([0, 1, 2, 2])


def csv(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def whole(path: Path) -> tuple[torch.Tensor, torch.Tensor]:
    logits, labels = zip(*read_logits(path).parts, strict=True)
    return torch.cat(logits), torch.cat(labels)


@pytest.mark.parametrize("at_once", [logits_files.AT_ONCE, 6])
@pytest.mark.parametrize("order", ["C", "F"])
def test_all_three_kinds_hold_the_same(at_once: int, order: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(logits_files, "AT_ONCE", at_once)
    np.savez(tmp_path / "a.npz", logits=np.asarray(LOGITS, order=order), labels=LABELS, more=LABELS)
    save_file(
        {"logits": torch.from_numpy(LOGITS).half(), "labels": torch.from_numpy(LABELS)}, tmp_path / "a.safetensors"
    )
    rows = "\n".join(",".join(map(str, [label, *row])) for label, row in zip(LABELS, LOGITS, strict=True))
    csv(tmp_path / "a.csv", f"label,cat,dog,bird\n{rows}\n")
    for suffix in ("npz", "safetensors", "csv"):
        path = tmp_path / f"a.{suffix}"
        assert holds_logits(path)
        logits, labels = whole(path)
        assert logits.tolist() == LOGITS.tolist()
        assert labels.tolist() == LABELS.tolist()
        assert labels.dtype == torch.int64
        assert read_logits(path).classes == (("cat", "dog", "bird") if suffix == "csv" else ("0", "1", "2"))


def test_weights_are_not_logits(tmp_path: Path):
    save_file({"fc.weight": torch.zeros(3, 4)}, tmp_path / "model.safetensors")
    assert not holds_logits(tmp_path / "model.safetensors")
    (tmp_path / "x.safetensors").write_bytes(b"no")
    assert not holds_logits(tmp_path / "x.safetensors")
    assert not holds_logits(tmp_path / "model.pt")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"logits": LOGITS}, "labels missing; it must hold"),
        ({"x": LOGITS}, "logits and labels missing"),
        ({"logits": LOGITS, "labels": LABELS[:2]}, r"\(4, 3\) and labels \(2,\)"),
        ({"logits": LOGITS[:, :1], "labels": LABELS}, "K at least 2"),
        ({"logits": LOGITS[0], "labels": LABELS}, "K at least 2"),
        ({"logits": LOGITS[:0], "labels": LABELS[:0]}, "no samples"),
        ({"logits": LOGITS, "labels": LABELS + 1}, "label 3 of sample 2 is outside the 3 classes"),
        ({"logits": LOGITS, "labels": LABELS - 1}, "label -1 of sample 0"),
        ({"logits": LOGITS, "labels": LABELS + 0.5}, "whole numbers"),
        ({"logits": np.where(LOGITS == 5, np.nan, LOGITS), "labels": LABELS}, "sample 1 are not"),
        ({"logits": LOGITS + 1j, "labels": LABELS}, "complex"),
        ({"logits": LOGITS.astype(str), "labels": LABELS}, "must be numbers"),
    ],
)
def test_one_clear_error_for_each_mistake(arrays: dict[str, np.ndarray], message: str, tmp_path: Path):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(DataError, match=message) as caught:
        read_logits(tmp_path / "a.npz")
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(str(tmp_path / "a.npz"))


def test_what_is_wrong_further_on_is_said_by_its_place_in_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(logits_files, "AT_ONCE", 6)
    np.savez(tmp_path / "a.npz", logits=np.where(LOGITS == 10, np.inf, LOGITS), labels=LABELS)
    np.savez(tmp_path / "b.npz", logits=LOGITS, labels=np.where(np.arange(4) == 3, 7, LABELS))
    for name, message in (("a", "sample 3 are not"), ("b", "label 7 of sample 3")):
        with pytest.raises(DataError, match=message):
            whole(tmp_path / f"{name}.npz")


def test_pickles_are_never_opened(tmp_path: Path):
    class Trap:
        def __reduce__(self):
            return (Path(tmp_path / "opened").touch, ())

    np.savez(tmp_path / "a.npz", logits=np.array([Trap()], dtype=object), labels=LABELS)
    (tmp_path / "b.npz").write_bytes(pickle.dumps(Trap()))
    for name in ("a.npz", "b.npz"):
        with pytest.raises(DataError, match="cannot be read"):
            read_logits(tmp_path / name)
    assert not (tmp_path / "opened").exists()


def test_a_header_that_promises_more_than_memory_holds(tmp_path: Path):
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000, 1000000), }"
    header += b" " * (118 - len(header) - 1) + b"\n"
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as file:
        file.writestr("logits.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + b"\0" * 16)
        file.writestr("labels.npy", b"")
    with pytest.raises(DataError, match=r"memory|cannot be read"):
        read_logits(tmp_path / "a.npz")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("label\n0\n1\n", "K at least 2"),
        ("a,b\n1,2\n", "name one column `label`"),
        ("label,target,a\n1,2,3\n", "found 2 of that name"),
        ("label,a,b\n0,1,x\n", "column 'b' holds something other than numbers"),
        ("label,a,b\n0,1,\n", "must be finite"),
        ("", "cannot be read"),
        ("label,a,b\n0,1,2\n0,1,2,3,4\n", "cannot be read"),
        ("label,a,b\n\x00\x00", "cannot be read|numbers|samples"),
    ],
)
def test_tables_that_are_none(text: str, message: str, tmp_path: Path):
    with pytest.raises(DataError, match=message):
        read_logits(csv(tmp_path / "a.csv", text))


def test_files_that_are_not_there_or_damaged(tmp_path: Path):
    with pytest.raises(DataError, match="no such file"):
        read_logits(tmp_path / "a.npz")
    for name in ("a.npz", "a.safetensors"):
        (tmp_path / name).write_bytes(b"\x00" * 100)
        with pytest.raises(DataError, match="may be damaged"):
            read_logits(tmp_path / name)
    (tmp_path / "a.txt").touch()
    with pytest.raises(DataError, match=re.escape(".npz, .safetensors, .csv")):
        read_logits(tmp_path / "a.txt")

"""The real binary layouts of the three sets, tiny, read by torchvision itself."""

from __future__ import annotations

import gzip
import hashlib
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision import datasets

from tosmooth.data.registry import load_image_data
from tosmooth.data.torchvision_sets import CIFAR100_SUPERCLASSES
from tosmooth.errors import DataError

random = np.random.default_rng(0)


def write_fashion_mnist(root: Path) -> dict[str, np.ndarray]:
    folder = root / "FashionMNIST" / "raw"
    folder.mkdir(parents=True)
    written = {}
    for prefix, count in (("train", 40), ("t10k", 20)):
        images = random.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        labels = (np.arange(count) % 10).astype(np.uint8)
        (folder / f"{prefix}-images-idx3-ubyte").write_bytes(
            struct.pack(">IIII", 2051, count, 28, 28) + images.tobytes()
        )
        (folder / f"{prefix}-labels-idx1-ubyte").write_bytes(struct.pack(">II", 2049, count) + labels.tobytes())
        written[prefix] = images
    return written


def test_fashion_mnist(tmp_path: Path):
    written = write_fashion_mnist(tmp_path)
    data = load_image_data("fashion_mnist", path=tmp_path, validation=0.25)
    assert data.classes[0] == "T-shirt/top"
    assert (len(data.train), len(data.validation), len(data.test), data.channels) == (30, 10, 20, 1)
    assert torch.equal(data.test[3], torch.from_numpy(written["t10k"][3])[None])


def write_cifar(
    root: Path, kind: type[datasets.CIFAR10], monkeypatch: pytest.MonkeyPatch, per_class: int
) -> np.ndarray:
    """The pickled batches torchvision reads; its checksums are set to those of the tiny files."""
    fine = kind is datasets.CIFAR100
    classes, key = (100, "fine_labels") if fine else (10, "labels")
    folder = root / kind.base_folder
    folder.mkdir(parents=True)

    def write(name: str, content: object) -> tuple[str, str]:
        (folder / name).write_bytes(pickle.dumps(content))
        return name, hashlib.md5((folder / name).read_bytes()).hexdigest()

    pixels = random.integers(0, 256, (classes * per_class, 3 * 32 * 32), dtype=np.uint8)
    labels = list(range(classes)) * per_class
    names = (
        sorted(name for members in CIFAR100_SUPERCLASSES.values() for name in members) if fine else list("abcdefghij")
    )
    lists = {"train_list": [n for n, _ in kind.train_list], "test_list": [n for n, _ in kind.test_list]}
    for attribute, files in lists.items():
        monkeypatch.setattr(kind, attribute, [write(name, {"data": pixels, key: labels}) for name in files])
    meta = write(kind.meta["filename"], {kind.meta["key"]: names})
    monkeypatch.setattr(kind, "meta", kind.meta | {"md5": meta[1]})
    return pixels


def test_cifar10(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pixels = write_cifar(tmp_path, datasets.CIFAR10, monkeypatch, per_class=2)
    data = load_image_data("cifar10", path=tmp_path, validation=0)
    assert (len(data.train), len(data.test), data.channels, data.num_classes) == (100, 20, 3, 10)
    assert torch.equal(data.test[5], torch.from_numpy(pixels[5].reshape(3, 32, 32)))


def test_cifar100_has_its_super_classes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write_cifar(tmp_path, datasets.CIFAR100, monkeypatch, per_class=1)
    data = load_image_data("cifar100", path=tmp_path, validation=0)
    assert data.superclasses is not None
    of = dict(zip(data.classes, data.superclasses, strict=True))
    assert of["maple_tree"] == of["willow_tree"] == "trees"
    assert len(set(data.superclasses)) == 20
    assert all(data.superclasses.count(name) == 5 for name in set(data.superclasses))


@pytest.mark.parametrize("source", ["fashion_mnist", "cifar10", "cifar100"])
def test_a_missing_or_damaged_set_says_how_to_get_it(tmp_path: Path, source):
    with pytest.raises(DataError, match=r"data\.download=true fetches it"):
        load_image_data(source, path=tmp_path)
    with pytest.raises(DataError, match=r"data\.path"):
        load_image_data(source)


@pytest.mark.parametrize("below", ["", "FashionMNIST/raw"])
def test_the_published_gz_files_are_read_where_nobody_unpacked_them(tmp_path: Path, below):
    written = write_fashion_mnist(tmp_path / "plain")
    folder = tmp_path / "gz" / below
    folder.mkdir(parents=True)
    for file in (tmp_path / "plain" / "FashionMNIST" / "raw").iterdir():
        (folder / f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes()))
    plain, packed = (load_image_data("fashion_mnist", path=tmp_path / name) for name in ("plain", "gz"))
    assert packed.fingerprint == plain.fingerprint
    assert packed.classes == plain.classes
    assert torch.equal(packed.test[3], torch.from_numpy(written["t10k"][3])[None])


def test_damaged_or_mixed_up_gz_files_are_named(tmp_path: Path):
    write_fashion_mnist(tmp_path / "plain")
    for file in (tmp_path / "plain" / "FashionMNIST" / "raw").iterdir():
        (tmp_path / f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes()))
    other = tmp_path / "t10k-labels-idx1-ubyte.gz"
    labels = other.read_bytes()
    other.write_bytes((tmp_path / "train-labels-idx1-ubyte.gz").read_bytes())
    with pytest.raises(DataError, match=r"t10k images \(20, 28, 28\) and labels \(40,\) do not belong together"):
        load_image_data("fashion_mnist", path=tmp_path)
    other.write_bytes(labels[: len(labels) // 2])
    with pytest.raises(DataError, match=r"t10k-labels-idx1-ubyte\.gz: not readable"):
        load_image_data("fashion_mnist", path=tmp_path)


def test_a_batch_with_another_checksum_is_never_unpickled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write_cifar(tmp_path, datasets.CIFAR10, monkeypatch, per_class=1)
    (tmp_path / "cifar-10-batches-py" / "data_batch_2").write_bytes(pickle.dumps(Malicious(tmp_path / "harmed")))
    with pytest.raises(DataError, match="not a readable cifar10"):
        load_image_data("cifar10", path=tmp_path)
    assert not (tmp_path / "harmed").exists()


class Malicious:
    """Creates a folder when unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self):
        return (Path.mkdir, (self.folder,))

from __future__ import annotations

import hashlib
import lzma
import subprocess
import sys
from importlib import resources
from pathlib import Path

import pytest
import torch

from tosmooth.data.idx import read_idx
from tosmooth.data.registry import load_image_data
from tosmooth.errors import DataError

EMBEDDED = Path(str(resources.files("tosmooth.data") / "embedded"))
WHOLE = Path("/usr/share/datasets/fashion-mnist")  # Debian's dataset-fashion-mnist
needs_whole = pytest.mark.skipif(not WHOLE.is_dir(), reason="the whole set is not installed (dataset-fashion-mnist)")


def test_the_files_are_those_the_notice_describes():
    notice = (EMBEDDED / "README.md").read_text(encoding="utf-8")
    assert "MIT License" in (EMBEDDED / "LICENSE").read_text(encoding="utf-8")
    for name in ("train", "test"):
        packed = (EMBEDDED / f"fashion_mnist_{name}.xz").read_bytes()
        assert hashlib.sha256(lzma.decompress(packed)).hexdigest() in notice
    assert sum(file.stat().st_size for file in EMBEDDED.iterdir()) < 8_000_000


def test_it_is_stratified_and_no_test_image_is_trained_on():
    data = load_image_data("fashion_mnist_sample", validation=0)
    assert data.classes[9] == "Ankle boot"
    assert data.train.labels.bincount().tolist() == [1200] * 10
    assert data.test.labels.bincount().tolist() == [500] * 10
    trained = {data.train[i].numpy().tobytes() for i in range(len(data.train))}
    # The whole set has some duplicates of its own between training and test; the sample must not add any.
    assert sum(data.test[i].numpy().tobytes() in trained for i in range(len(data.test))) < 10


@needs_whole
def test_every_image_is_in_the_whole_set_with_its_label():
    data = load_image_data("fashion_mnist_sample", validation=0)
    images, labels = (read_idx(WHOLE / f"t10k-{kind}-ubyte.gz") for kind in ("images-idx3", "labels-idx1"))
    known = {(image.tobytes(), int(label)) for image, label in zip(images, labels, strict=True)}
    assert all((data.test[i].numpy().tobytes(), int(data.test.labels[i])) in known for i in range(len(data.test)))


@needs_whole
@pytest.mark.slow
def test_the_script_writes_the_same_bytes(tmp_path: Path):
    script = Path(__file__).parents[2] / "scripts" / "build_fashion_mnist_sample.py"
    subprocess.run([sys.executable, script, WHOLE, "--target", tmp_path], check=True, capture_output=True)
    for name in ("train", "test"):
        file = f"fashion_mnist_{name}.xz"
        assert (tmp_path / file).read_bytes() == (EMBEDDED / file).read_bytes()


def test_a_path_is_refused_since_nothing_would_be_read_from_it(tmp_path: Path):
    with pytest.raises(DataError, match=r"would not be read.*set data\.source"):
        load_image_data("fashion_mnist_sample", path=tmp_path)


@needs_whole
def test_the_whole_set_is_read_from_the_published_files():
    data = load_image_data("fashion_mnist", path=WHOLE)
    assert (len(data.train), len(data.validation), len(data.test)) == (54_000, 6_000, 10_000)
    assert torch.equal(data.test.labels[:5], torch.tensor([9, 2, 1, 1, 6]))

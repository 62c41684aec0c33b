"""How many photographs were turned upright is counted and said."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import ExifTags, Image

from tosmooth.data import upright
from tosmooth.data.base import Subset, TensorSplit
from tosmooth.data.files import FileSplit


def written(folder: Path, orientations: list[int | None]) -> FileSplit:
    paths = []
    for number, orientation in enumerate(orientations):
        exif = Image.Exif()
        if orientation is not None:
            exif[ExifTags.Base.Orientation] = orientation
        paths.append(folder / f"{number}.jpg")
        Image.new("RGB", (8, 6)).save(paths[-1], exif=exif)
    return FileSplit(paths, [0] * len(paths), folder)


def test_those_that_do_not_lie_upright_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    split = written(tmp_path, [None, 1, 6, 8, 3, 99])
    (tmp_path / "1.jpg").write_bytes(b"torn")
    assert upright.turned_in_words(split) == "3 of 6 training images lay otherwise and are shown upright, as EXIF says"
    one = Subset(split, torch.tensor([0, 2]))
    assert upright.turned_in_words(one) == "1 of 2 training images lay otherwise and is shown upright, as EXIF says"
    assert upright.turned_in_words(Subset(split, torch.tensor([0, 1, 5]))) is None
    monkeypatch.setattr(upright, "MOST", 3)
    said = "2 of 3 training images that were looked at lay otherwise and are shown upright, as EXIF says"
    assert upright.turned_in_words(split) == said
    pixels = TensorSplit(torch.zeros(2, 3, 4, 4, dtype=torch.uint8), torch.zeros(2, dtype=torch.int64), "train")
    assert upright.turned_in_words(pixels) is None

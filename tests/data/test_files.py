from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image

from tests.data.image_files import write_image
from tosmooth.data.files import EXTENSIONS, FileSplit
from tosmooth.errors import DataError


def split_of(*paths: Path) -> FileSplit:
    return FileSplit(paths, [0] * len(paths), paths[0].parent)


@pytest.mark.parametrize(
    ("ending", "mode"), [("png", "RGBA"), ("png", "L"), ("gif", "L"), ("jpg", "RGB"), ("webp", "RGB")]
)
def test_every_kind_comes_out_as_rgb(tmp_path: Path, ending, mode):
    image = split_of(write_image(tmp_path / f"a.{ending}", size=(9, 7), mode=mode))[0]
    assert image.shape == (3, 7, 9)
    assert image.dtype == torch.uint8


def test_pixels_are_those_of_the_file(tmp_path: Path):
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert torch.equal(split_of(tmp_path / "a.png")[0], torch.from_numpy(pixels).permute(2, 0, 1))


def test_more_than_8_bits_are_refused_rather_than_clipped(tmp_path: Path):
    Image.fromarray(np.full((4, 4), 60_000, dtype=np.uint16)).save(tmp_path / "deep.png")
    with pytest.raises(DataError, match=r"deep\.png.*more than 8 bits.*convert it to 8 bits"):
        split_of(tmp_path / "deep.png")[0]


def test_an_image_of_absurd_size_is_named_not_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = write_image(tmp_path / "bomb.png", size=(40, 40))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(DataError, match=r"bomb\.png: more than 200 pixels.*make it smaller"):
        split_of(path)[0]


@pytest.mark.parametrize("ending", ["png", "jpg", "gif", "bmp", "tif", "webp"])
def test_truncation_is_found_in_every_format(tmp_path: Path, ending):
    path = write_image(tmp_path / f"a.{ending}", mode="L" if ending == "gif" else "RGB")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DataError, match=rf"a\.{ending}: not readable as an image \(damaged or truncated\?\)"):
        split_of(path)[0]


def test_the_digest_follows_the_set_and_not_its_place(tmp_path: Path):
    here, there = (split_of(write_image(tmp_path / place / "a.png")) for place in ("here", "there"))
    assert here.digest() == there.digest()
    before = there.digest()
    write_image(tmp_path / "there" / "a.png", size=(50, 50))
    assert there.digest() != before
    (tmp_path / "here" / "a.png").rename(tmp_path / "here" / "b.png")
    assert split_of(tmp_path / "here" / "b.png").digest() != before
    with pytest.raises(DataError, match=r"a\.png: no such image"):
        here.digest()
    with pytest.raises(DataError, match=r"a\.png: no such image"):
        here[0]


def test_a_cache_sees_a_file_that_was_written_again_and_the_fingerprint_a_copy_as_the_same(tmp_path: Path):
    path = write_image(tmp_path / "a.png")
    split = split_of(path)
    plain, timed = split.digest(), split.digest(with_times=True)
    os.utime(path, ns=(1, 1))
    assert split.digest() == plain
    assert split.digest(with_times=True) != timed


def logo() -> Image.Image:
    """A red square on transparent black."""
    image = Image.new("RGBA", (16, 16), (0, 0, 0, 0))
    image.paste((220, 40, 40, 255), (4, 4, 12, 12))
    return image


@pytest.mark.parametrize(
    ("name", "convert"),
    [
        ("a.png", lambda image: image),
        ("p.png", lambda image: image.quantize()),
        ("la.png", lambda image: image.convert("LA")),
        ("a.webp", lambda image: image),
        ("a.gif", lambda image: image),
        ("a.tif", lambda image: image),
    ],
)
def test_what_is_transparent_stands_on_white_without_a_warning(tmp_path: Path, name, convert, recwarn):
    convert(logo()).save(tmp_path / name)
    pixels = split_of(tmp_path / name)[0]
    assert pixels[:, 0, 0].tolist() == [255, 255, 255]
    assert pixels[:, 8, 8].float().mean() < 200
    assert not recwarn.list


def test_a_colour_that_stands_for_transparent_is_white(tmp_path: Path):
    image = Image.new("RGB", (4, 4), (1, 2, 3))
    image.putpixel((0, 0), (200, 100, 50))
    image.save(tmp_path / "a.png", transparency=(1, 2, 3))
    pixels = split_of(tmp_path / "a.png")[0]
    assert pixels[:, 1, 1].tolist() == [255, 255, 255]
    assert pixels[:, 0, 0].tolist() == [200, 100, 50]


def test_a_large_image_is_read_without_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recwarn):
    path = write_image(tmp_path / "large.png", size=(40, 40))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    assert split_of(path)[0].shape == (3, 40, 40)
    assert not recwarn.list


def test_whatever_a_decoder_raises_is_an_unreadable_image(tmp_path: Path):
    content = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)).save(content, "AVIF")
    path, generator, reasons = tmp_path / "scraped.jpg", np.random.default_rng(3), set()
    for _ in range(200):
        broken = bytearray(content.getvalue())
        for _ in range(3):
            broken[int(generator.integers(40, 400))] = int(generator.integers(0, 256))
        path.write_bytes(bytes(broken))
        try:
            split_of(path)[0]
        except DataError as error:
            reasons.add(str(error).partition("truncated?): ")[2])
    assert len(reasons) > 1


def test_no_other_program_is_run_for_an_image(tmp_path: Path):
    path = tmp_path / "drawing.jpg"
    path.write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n", encoding="ascii")
    assert not {".eps", ".ps", ".pdf", ".mpg", ".h5", ".wmf"} & EXTENSIONS
    with pytest.raises(DataError, match="no kind of image that Pillow knows"):
        split_of(path)[0]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("ending", ["jpg", "png", "webp"])
def test_an_image_stands_as_the_camera_was_held(tmp_path: Path, orientation: int, ending: str):
    """Every viewer turns it; so do the pixels, and the size that is stated before they are read."""
    back = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # what Pillow calls the turn from upright to as it is stored
    upright = Image.fromarray(np.kron(np.arange(6, dtype=np.uint8).reshape(2, 3) * 40, np.ones((8, 8), np.uint8)))
    stored = upright if orientation == 1 else upright.transpose(Image.Transpose(back[orientation]))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    stored.convert("RGB").save(tmp_path / f"a.{ending}", exif=exif, quality=95)
    split = split_of(tmp_path / f"a.{ending}")
    assert split.size_of(0) == upright.size == (24, 16)
    assert (split[0].float() - torch.from_numpy(np.array(upright)).float()).abs().max() < 8


def test_damaged_words_of_the_camera_leave_the_image_as_it_is(tmp_path: Path):
    Image.new("RGB", (9, 7), "red").save(tmp_path / "a.jpg", exif=b"Exif\0\0MM\0*" + b"\xff" * 20)
    assert split_of(tmp_path / "a.jpg")[0].shape == (3, 7, 9)

"""A split of image files, read when asked for."""

from __future__ import annotations

import hashlib
import io
import logging
import warnings
from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import ExifTags, Image, ImageFile, ImageOps, UnidentifiedImageError
from torch import Tensor

from tosmooth.data.base import ImageSplit
from tosmooth.data.pixel_store import PixelStore
from tosmooth.errors import DataError, TosmoothError
from tosmooth.files import readable

# What Pillow knows by name and does not open here: films, and drawings that another program (Ghostscript) would run.
_NOT_HERE = {"MPEG", "EPS"}
UPRIGHT, FIRST_ON_ITS_SIDE, ORIENTATIONS = 1, 5, range(1, 9)  # of EXIF

# A logger without any handler prints to the terminal, into the progress; whoever sets one up hears it all the same.
logging.getLogger("PIL").addHandler(logging.NullHandler())


def _decoded_formats() -> tuple[str, ...]:
    """Names of all formats that Pillow decodes on this machine, those of plugins that were registered before too."""
    Image.init()
    # Of a stub Pillow reads the size alone: the pixels are another library's.
    stubs = {name for name, (factory, _) in Image.OPEN.items() if _is_stub(factory)}
    return tuple(name for name in Image.ID if name not in _NOT_HERE | stubs)


def _is_stub(factory: object) -> bool:
    return isinstance(factory, type) and issubclass(factory, ImageFile.StubImageFile)


FORMATS = _decoded_formats()
# Endings of the files that are images, in lower case: all that Pillow registers for them.
EXTENSIONS = frozenset(ending for ending, name in Image.registered_extensions().items() if name in FORMATS)


def to_rgb(image: Image.Image) -> Tensor:
    """A decoded image of 8 bits a channel as uint8 (3, H, W), upright; what is transparent in it stands on white."""
    from torchvision.transforms.v2 import functional  # more than a second to import: only image files need it

    if _orientation(image) != UPRIGHT:
        image = ImageOps.exif_transpose(image)
    if image.has_transparency_data:
        # What lies behind transparent pixels is anything, mostly black, and no one has ever seen it.
        shown = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", shown.size, "white"), shown)
    pixels: Tensor = functional.pil_to_tensor(image.convert("RGB"))
    return pixels


def _orientation(image: Image.Image) -> int:
    """How the camera was held, as EXIF has it: 1 is upright, 5 to 8 lie on their side. 1 where it says nothing."""
    try:
        found = image.getexif().get(ExifTags.Base.Orientation, UPRIGHT)
    except TosmoothError:  # a signal's
        raise
    except Exception:  # what stands beside the pixels may be damaged while they are not
        return UPRIGHT
    return found if isinstance(found, int) and found in ORIENTATIONS else UPRIGHT


def decoded(source: Path | io.BytesIO, name: str) -> Tensor:
    """An image file, or its bytes, as uint8 (3, H, W).

    Args:
        source: the file.
        name: where the image comes from, for messages.

    Raises:
        DataError: there is no such file, no decoder can read it, or it has more than 8 bits a channel, which a
            conversion would clip to white without a word.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the decoders: they would stand in the progress, once a process
            with _opened(source) as image:
                if not image.mode.startswith(("I", "F")):
                    return to_rgb(image)
                mode = image.mode
    except FileNotFoundError:
        raise DataError(f"{name}: no such image") from None
    except TosmoothError:  # a signal's
        raise
    except UnidentifiedImageError:
        reason = "no kind of image that Pillow knows"
    except Image.DecompressionBombError:
        most = 2 * (Image.MAX_IMAGE_PIXELS or 0)
        raise DataError(f"{name}: more than {most:,} pixels, which Pillow does not open; make it smaller") from None
    except Exception as error:  # each decoder fails in its own way: RuntimeError, struct.error, KeyError, …
        if isinstance(error, OSError) and error.strerror:
            raise DataError(f"{name}: cannot be read: {error.strerror}") from None
        reason = str(error) or type(error).__name__
    else:
        raise DataError(f"{name}: pixels of mode {mode} (more than 8 bits); convert it to 8 bits a channel")
    raise DataError(f"{name}: not readable as an image (damaged or truncated?): {reason}")


def _opened(source: Path | io.BytesIO) -> Image.Image:
    return Image.open(readable(source) if isinstance(source, Path) else source, formats=FORMATS)


def stated_size(source: Path | io.BytesIO) -> tuple[int, int] | None:
    """Width and height as the beginning of an image file states them, upright; None where it cannot be read."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with _opened(source) as image:
                width, height = image.size
                return (width, height) if _orientation(image) < FIRST_ON_ITS_SIDE else (height, width)
    except TosmoothError:  # a signal's
        raise
    except Exception:  # what is wrong with it is said where it is decoded
        return None


def is_turned(source: Path | io.BytesIO) -> bool:
    """Whether EXIF says that an image file does not lie upright; False where it cannot be read."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with _opened(source) as image:
                return _orientation(image) != UPRIGHT
    except TosmoothError:  # a signal's
        raise
    except Exception:  # what is wrong with it is said where it is decoded
        return False


class FileSplit(ImageSplit):
    """Image files with their labels; every image comes out as RGB, uint8 (3, H, W).

    Args:
        paths: of the images.
        labels: class index of each.
        root: folder of the data set; the fingerprint takes names relative to it, so that a moved set is the same set.

    Attributes:
        pixels: where the images were decoded once and for all; None: files are decoded whenever they are asked for.
    """

    def __init__(self, paths: Sequence[Path], labels: Sequence[int], root: Path) -> None:
        self.paths = list(paths)
        self.root = root
        self.labels = torch.tensor(labels, dtype=torch.int64)
        self.pixels: PixelStore | None = None

    def __getitem__(self, index: int) -> Tensor:
        if self.pixels is not None and (image := self.pixels.image(index)) is not None:
            return image
        path = self.paths[index]
        return decoded(path, str(path))

    def size_of(self, index: int) -> tuple[int, int] | None:
        """What the beginning of the file says; None where it cannot be read."""
        return stated_size(self.paths[index])

    def is_turned(self, index: int) -> bool:
        """What EXIF says."""
        return is_turned(self.paths[index])

    def describe(self, index: int) -> str:
        """The file's path."""
        return str(self.paths[index])

    def digest(self, *, with_times: bool = False) -> str:
        """A hash of labels, names and sizes: reading every image would take longer than training on it.

        Raises:
            DataError: a file is missing.
        """
        found = hashlib.sha256(self.labels.numpy().tobytes())
        if with_times:  # what a stored answer was given to: the pixels as this version makes them of the files
            found.update(b"upright, on white\0")
        for path in self.paths:
            try:
                state = path.stat()
            except OSError:
                raise DataError(f"{path}: no such image") from None
            named = f"{path.relative_to(self.root).as_posix()}\0{state.st_size}\0"
            found.update(named.encode(errors="surrogateescape"))  # a name may be anything that the disk holds
            if with_times:
                found.update(f"{state.st_mtime_ns}\0".encode())
        return found.hexdigest()

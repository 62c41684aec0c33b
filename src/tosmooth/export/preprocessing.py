"""What a program must do to an image before the weights see it, and what their outputs are called."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tosmooth.data.augmentation import side_before_crop
from tosmooth.export.program import network
from tosmooth.files import write_text
from tosmooth.terminal import shown

if TYPE_CHECKING:
    from tosmooth.config.schema import DataConfig
    from tosmooth.export.subject import Subject

LABELS, PREPROCESSING = "labels.json", "preprocessing.json"


def labels(subject: Subject) -> dict[str, str]:
    """Class names by output: {"0": "T-shirt/top", …}."""
    return {str(index): name for index, name in enumerate(subject.classes)}


def preprocessing(subject: Subject) -> dict[str, Any]:
    """What images must be, and what is done to them: `input` before, `preparation` within the exported programs.

    `classes` are the names of the outputs, in their order; `network` is how the library builds it, for weights alone.
    """
    spec, config = subject.classifier.input, subject.config.data
    channels, height, width = subject.images.shape[1:]
    return {
        "input": {
            "evaluation_transform": config.eval_transform,
            "image_size": config.image_size,
            **_crop(config),
            "channels": channels,
            "height": height,
            "width": width,
            "dtype": "uint8",
        },
        "preparation": {
            "scale": 1 / 255,
            "channels": spec.channels,
            "size": spec.size,
            "interpolation": "bilinear, antialiased" if spec.size else None,
            "mean": list(spec.mean),
            "std": list(spec.std),
        },
        "network": network(subject),
        "classes": list(subject.classes),
    }


def _crop(config: DataConfig) -> dict[str, Any]:
    """What a program does to an image of any size, in pixels; nothing where images are taken as they are."""
    side = config.image_size
    shorter = None if side is None else side_before_crop(config.eval_transform, side)
    if shorter is None:
        return {"resize_shorter_side": None, "resize_interpolation": None, "center_crop": None}
    return {
        "resize_shorter_side": shorter,
        "resize_interpolation": "bilinear, antialiased",
        "center_crop": side,
    }


def steps(subject: Subject) -> list[str]:
    """The same in sentences, in order; the first is up to the caller of a program, the others are part of it."""
    found = preprocessing(subject)
    before, spec = found["input"], found["preparation"]
    first = f"A batch of images, uint8, (N, {before['channels']}, {before['height']}, {before['width']})"
    if before["center_crop"]:
        shorter, how = before["resize_shorter_side"], before["resize_interpolation"]
        first += f": shorter side resized to {shorter} ({how}), centre crop of {before['center_crop']}"
    lines = [f"{first}.", "Divided by 255."]
    if spec["channels"] != before["channels"]:
        lines.append(f"The grey channel is repeated {spec['channels']} times.")
    if spec["size"] and (before["height"], before["width"]) != (spec["size"], spec["size"]):
        lines.append(f"Resized to {spec['size']} × {spec['size']}, {spec['interpolation']}.")
    mean, std = (", ".join(f"{value:g}" for value in spec[key]) for key in ("mean", "std"))
    return [*lines, f"Normalised by mean {mean} and standard deviation {std}."]


def write_readable(path: Path, value: Any) -> None:
    """JSON; letters as they are, unless there is something among them that a terminal would obey."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    write_text(path, (text if shown(text, lines=True) == text else json.dumps(value, indent=2)) + "\n")

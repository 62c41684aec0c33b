"""A folder that transformers opens by `from_pretrained`, or timm by `create_model("local-dir:…")`; for the hub too."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from tosmooth.data.augmentation import side_before_crop
from tosmooth.errors import ModelError
from tosmooth.export.preprocessing import labels
from tosmooth.models.image_model import logits_of
from tosmooth.models.translation_marian import ARCHITECTURES
from tosmooth.models.weights import backbone_of

if TYPE_CHECKING:
    from tosmooth.export.subject import Subject

FOLDER = "huggingface"
OPENED_BY = {"hf": "transformers", "timm": "timm"}


def library_of(name: str) -> str | None:
    """Which library opens the folder of a model of that name: "transformers" or "timm"; None: there is none."""
    return "transformers" if name in ARCHITECTURES else OPENED_BY.get(name.partition(":")[0])


def write(subject: Subject, folder: Path) -> None:
    """Write the folder `huggingface`: config.json with class names, weights, and what is done to images beforehand.

    Raises:
        ModelError: the library refuses.
    """
    name, target = subject.model.name, folder / FOLDER
    try:
        if library_of(name) == "timm":
            _write_timm(subject, target)
        else:
            with without_progress():
                _write_transformers(subject, target)
    except Exception as error:  # a library's writers may raise anything
        raise ModelError(f"{name}: could not be saved: {type(error).__name__}: {error}") from error


def answers(subject: Subject, folder: Path, images: Tensor) -> Tensor:
    """Logits (N, K) of the model that the library makes of the written folder."""
    model = load(subject.model.name, folder / FOLDER)
    with torch.no_grad():
        return logits_of(model(subject.classifier.prepare(images)))


def load(name: str, folder: Path) -> nn.Module:
    """The model of a written folder, by the library that `name` belongs to, in eval mode."""
    if library_of(name) == "timm":
        import timm

        return timm.create_model(f"local-dir:{folder}", pretrained=True).eval()  # type: ignore[no-any-return]
    from transformers import AutoModelForImageClassification

    with without_progress():
        return AutoModelForImageClassification.from_pretrained(folder).eval()  # type: ignore[no-any-return]


@contextmanager
def without_progress() -> Iterator[None]:
    """Without the progress bars of transformers."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _write_timm(subject: Subject, target: Path) -> None:
    import timm

    spec = subject.classifier.input
    side = spec.size or int(subject.images.shape[-1])
    shorter = side_before_crop(subject.config.data.eval_transform, side)
    config = {
        "mean": list(spec.mean),
        "std": list(spec.std),
        "input_size": (spec.channels, side, side),
        "interpolation": "bilinear",
        # Without a crop, images of another shape are stretched, as the model's own preparation does it.
        "crop_pct": 1.0 if shorter is None else side / shorter,
        "crop_mode": "squash" if shorter is None else "center",
        "tag": "tosmooth",
    }
    if not subject.section.pretrained:
        config["license"] = "unknown"  # not that of weights that have nothing to do with these
    arguments = {k: v for k, v in subject.section.kwargs.items() if k not in {"mean", "std", "input_size"}}
    timm.models.save_for_hf(
        backbone_of(subject.model),
        target,
        model_config={"label_names": list(subject.classes), "pretrained_cfg": config},
        model_args=arguments,
        safe_serialization=True,
    )


def _write_transformers(subject: Subject, target: Path) -> None:
    from transformers import BitImageProcessor

    model: Any = backbone_of(subject.model)
    before = model.config.id2label, model.config.label2id
    model.config.id2label = {int(index): name for index, name in labels(subject).items()}
    model.config.label2id = {name: index for index, name in model.config.id2label.items()}
    try:
        model.save_pretrained(target)
    finally:
        model.config.id2label, model.config.label2id = before
    spec, data = subject.classifier.input, subject.config.data
    side = spec.size or data.image_size or 0
    shorter = side_before_crop(data.eval_transform, side)
    # The one processor of the library that can stretch, or resize the shorter side and crop, or leave the size alone.
    # Where a crop's margin is odd, it takes the odd pixel from the other side than torchvision.
    processor = BitImageProcessor(
        do_resize=shorter is not None or spec.size is not None,
        size={"height": side, "width": side} if shorter is None else {"shortest_edge": shorter},
        resample=2,  # bilinear
        do_center_crop=shorter is not None,
        crop_size={"height": side, "width": side},
        do_rescale=True,
        rescale_factor=1 / 255,
        do_normalize=True,
        image_mean=list(spec.mean),
        image_std=list(spec.std),
        do_convert_rgb=spec.channels == 3,
    )
    processor.save_pretrained(target)

"""Image classifiers of Hugging Face, by hub id or local folder: ``hf:microsoft/resnet-18``, ``hf:./my-vit``.

The transformers library is an extra: ``pip install tosmooth[hf]``.
"""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

from torch import nn

from tosmooth.errors import ModelError
from tosmooth.models.image_model import InputSpec
from tosmooth.models.last_layer import final_layers
from tosmooth.models.request import BuildRequest

_OURS = {
    "num_labels": "the data sets it",
    "num_classes": "the data sets it",
    "id2label": "the data sets it",
    "label2id": "the data sets it",
    "trust_remote_code": "code from a model's repository is never run",
}
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")


def validate(name: str) -> None:
    """Raise a ModelError when transformers is missing, or `name` is neither a model's folder nor a possible hub id."""
    if importlib.util.find_spec("transformers") is None:
        raise ModelError(f"'hf:{name}' needs the transformers library: pip install tosmooth[hf]")
    try:
        folder = Path(name).expanduser()
        is_folder = folder.is_dir()
    except (OSError, RuntimeError):
        reason = "it is too long, or in the home of a user who does not exist"
        raise ModelError(f"'hf:{name[:100]}': cannot be the name of a folder: {reason}") from None
    if is_folder:
        if not (folder / "config.json").is_file():
            raise ModelError(f"'hf:{name}': the folder holds no config.json, so it is no Hugging Face model")
    elif not _HUB_ID.fullmatch(name):
        raise ModelError(f"'hf:{name}': there is no such folder, and it is no hub id of the form owner/model")


def build(name: str, request: BuildRequest) -> tuple[nn.Module, InputSpec]:
    """The classifier, and what its image processor says it wants to see (mean and std 0.5 where it has none)."""
    validate(name)
    from transformers import AutoConfig, AutoModelForImageClassification

    request.refuse(f"hf:{name}", _OURS, width="choose another model, or set its configuration in kwargs")
    source = str(Path(name).expanduser()) if Path(name).expanduser().is_dir() else name
    config, unknown = AutoConfig.from_pretrained(
        source, num_labels=request.num_classes, return_unused_kwargs=True, trust_remote_code=False, **request.kwargs
    )
    if unused := sorted(set(unknown) & set(request.kwargs)):
        raise ModelError(
            f"hf:{name}: unknown kwargs {', '.join(map(repr, unused))}; expected fields of its config.json"
        )
    if request.pretrained:
        backbone = _pretrained(name, source, config)
    else:
        backbone = AutoModelForImageClassification.from_config(config, trust_remote_code=False)
    return backbone, _input_spec(source, config, request.pretrained)


def _input_spec(source: str, config: Any, pretrained: bool) -> InputSpec:
    processor = _processor(source)
    fixed = _side(getattr(config, "image_size", None))
    seen = _side(getattr(processor, "crop_size", None)) or _side(getattr(processor, "size", None))
    return InputSpec(
        channels=getattr(config, "num_channels", 3),
        size=fixed or (seen if pretrained else None),
        mean=tuple(getattr(processor, "image_mean", None) or (0.5,)),
        std=tuple(getattr(processor, "image_std", None) or (0.5,)),
    )


def _pretrained(name: str, source: str, config: Any) -> nn.Module:
    from transformers import AutoModelForImageClassification
    from transformers.utils import logging

    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()  # the new head is no news, and what else may be new is checked below
    try:
        backbone, report = AutoModelForImageClassification.from_pretrained(
            source, config=config, ignore_mismatched_sizes=True, output_loading_info=True, trust_remote_code=False
        )
    finally:
        logging.set_verbosity(verbosity)
    head = {f"{layer}.{kind}" for layer in final_layers(backbone, config.num_labels) for kind in ("weight", "bias")}
    fresh = {*report["missing_keys"], *(key for key, *_ in report["mismatched_keys"])} - head
    if fresh:
        raise ModelError(
            f"hf:{name}: these weights are not of this model: {len(fresh)} tensors besides the head would start from "
            f"random values, such as {', '.join(sorted(fresh)[:5])}"
        )
    return backbone  # type: ignore[no-any-return]


def _processor(source: str) -> Any:
    from transformers import AutoImageProcessor

    try:
        return AutoImageProcessor.from_pretrained(source, trust_remote_code=False)
    except (OSError, ValueError):  # a model without preprocessor_config.json
        return None


def _side(size: Any) -> int | None:
    """One side in pixels of the several forms in which sizes are written; None where there is none, or not square."""
    if size is None or isinstance(size, int):
        return size
    if isinstance(size, list | tuple):
        return int(size[0]) if len(set(size)) == 1 else None
    edge, height, across = (_field(size, key) for key in ("shortest_edge", "height", "width"))
    if edge:
        return int(edge)
    return int(height) if height and height == across else None


def _field(size: Any, key: str) -> Any:
    return size.get(key) if isinstance(size, dict) else getattr(size, key, None)

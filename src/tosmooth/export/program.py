"""What a program without tosmooth needs beside the weights: `predict.py`, and how their network is built."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tosmooth.files import write_text
from tosmooth.models import cifar_resnet, timm_models, torchvision_models
from tosmooth.models.build import INPUT_KWARGS
from tosmooth.models.request import BuildRequest

if TYPE_CHECKING:
    from tosmooth.export.subject import Subject

PREDICT, NETWORK = "predict.py", "network.py"
WEIGHTS_ALONE = {"safetensors", "state_dict"}
_LIBRARIES = {"timm": timm_models, "torchvision": torchvision_models}


def network(subject: Subject) -> dict[str, Any] | None:
    """How the network of an image classifier is built: its `library`, `name` and `arguments`.

    `library` is "timm", "torchvision", or `network.py` for a CIFAR-style ResNet, whose code the export brings along.

    Returns:
        None where a name and arguments are not enough, as with Hugging Face, whose folder has a configuration.
    """
    section = subject.section
    prefix, colon, name = section.name.partition(":")
    kwargs = {key: value for key, value in section.kwargs.items() if key not in INPUT_KWARGS}
    channels = int(subject.images.shape[1])
    request = BuildRequest(subject.model.num_classes, channels, width=section.width, kwargs=kwargs)
    if not colon:
        return {"library": NETWORK, "name": "CifarResNet", "arguments": cifar_resnet.arguments(section.name, request)}
    if prefix not in _LIBRARIES:
        return None
    # The tag of published weights says where training began; timm takes names with it, torchvision without.
    architecture = name if prefix == "timm" else name.partition(".")[0]
    arguments = _LIBRARIES[prefix].arguments(name, request)
    return {"library": prefix, "name": architecture, "arguments": arguments}


def answered_by(subject: Subject, formats: Sequence[str]) -> list[str]:
    """The formats that `predict.py` can read: all but weights alone of a network that nothing here builds."""
    return [name for name in formats if name not in WEIGHTS_ALONE or network(subject) is not None]


def write_program(subject: Subject, formats: Sequence[str], folder: Path) -> None:
    """Write `predict.py`, and `network.py` where weights alone need it; nothing where no format could be read."""
    if not answered_by(subject, formats):
        return
    write_text(folder / PREDICT, _source("tosmooth.export", "predict.py"))
    spec = network(subject)
    if spec is not None and spec["library"] == NETWORK and WEIGHTS_ALONE & set(formats):
        write_text(folder / NETWORK, _source("tosmooth.models", "cifar_network.py"))


def _source(package: str, file: str) -> str:
    return resources.files(package).joinpath(file).read_text(encoding="utf-8")

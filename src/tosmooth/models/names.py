"""Sources of image classifiers, and the names of models, known without PyTorch: ``resnet8`` …, ``timm:…``, ``hf:…``."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from tosmooth import plugins
from tosmooth.errors import ModelError, TosmoothError
from tosmooth.models import cifar_resnet
from tosmooth.models.request import BuildRequest
from tosmooth.registry import Registry

if TYPE_CHECKING:
    from torch import nn

    from tosmooth.models.image_model import InputSpec


class ModelSource(Protocol):
    """A library of models behind a prefix. Both functions get the name without the prefix."""

    def validate(self, name: str, /) -> None:
        """Raise a ModelError for an unknown name, quickly and without building anything."""

    def build(self, name: str, request: BuildRequest, /) -> tuple[nn.Module, InputSpec]:
        """The network, mapping prepared images (N, C, H, W) to logits (N, K), and what it wants to see."""


def _accepted(prefix: str, source: Any) -> ModelSource:
    if not all(callable(getattr(source, method, None)) for method in ("validate", "build")):
        raise plugins.wrong("models", prefix, "a module or object with `validate` and `build`")
    return source  # type: ignore[no-any-return]


MODEL_SOURCES: Registry[ModelSource] = Registry(
    "models",
    "model source",
    ModelError,
    built_in={prefix: f"tosmooth.models.{prefix}_models" for prefix in ("timm", "torchvision", "hf")},
    accept=_accepted,
)


def register_model_source(prefix: str, source: ModelSource) -> None:
    """Make the models of `source` available as ``prefix:name``.

    Raises:
        ModelError: the prefix is taken, empty, or holds a colon.
    """
    if not prefix or ":" in prefix:
        raise ModelError(f"model source {prefix!r}: the prefix is empty, or holds a colon")
    MODEL_SOURCES.add(prefix, source)


def find_model_source(name: str) -> tuple[ModelSource, str]:
    """The library of a model's name, and the name without its prefix.

    Raises:
        ModelError: no library has that prefix, or nothing follows it.
        PluginError: a package adds it, and cannot be used.
    """
    prefix, colon, rest = name.partition(":")
    if not colon:
        return cifar_resnet, name
    source = MODEL_SOURCES.find(prefix)
    if not rest:
        raise ModelError(f"model {name!r}: the name after the colon is missing")
    return source, rest


def validate_model_name(name: str) -> None:
    """Check a model's name without building it or asking the network.

    Raises:
        ModelError: unknown, with the nearest known name; or ``hf:`` without the transformers library.
    """
    source, rest = find_model_source(name)
    source.validate(rest)


def wrong_model_name(name: str) -> str | None:
    """Why there is no model of that name, as `validate_model_name` finds it; None where there is."""
    try:
        validate_model_name(name)
    except TosmoothError as error:
        return str(error)
    return None


def published_size(name: str) -> int | None:
    """Side of the images that a model's published weights want to see, in pixels; None where the library's tables do
    not say. Nothing is fetched."""
    source, rest = find_model_source(name)
    ask: Callable[[str], int | None] | None = getattr(source, "published_size", None)
    return None if ask is None else ask(rest)

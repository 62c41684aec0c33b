"""The last linear layer of a classifier: whatever enters it are the penultimate features."""

from __future__ import annotations

from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from tosmooth.errors import ModelError, did_you_mean

LinearLayer: TypeAlias = nn.Linear | nn.Conv2d


def is_linear(module: nn.Module) -> bool:
    """Whether a module is a linear map over channels: a linear layer, or a plain 1×1 convolution (SqueezeNet)."""
    if isinstance(module, nn.Conv2d):
        return module.kernel_size == (1, 1) and module.stride == (1, 1) and module.groups == 1
    return isinstance(module, nn.Linear)


def width(layer: nn.Module) -> int:
    """Outputs of a linear layer or 1×1 convolution."""
    return layer.out_channels if isinstance(layer, nn.Conv2d) else int(layer.out_features)  # type: ignore[arg-type]


def find_last_layer(
    model: nn.Module, num_classes: int | None = None, layer: str | None = None
) -> tuple[str, LinearLayer]:
    """The last linear layer (or 1×1 convolution) whose output width is the class count.

    "Last" is the order of registration. Layers of that width and of equal input width, with at most normalisation
    between them (two heads side by side, as in distilled DeiT), are ambiguous, unless they follow each other in one
    `nn.Sequential`.

    Args:
        model: an `ImageModel`, or any timm, torchvision or Hugging Face classifier.
        num_classes: K. None asks the model (``num_classes``, ``config.num_labels``), or else takes the width of its
            last linear layer.
        layer: the layer's name as in ``model.named_modules()``, where the search would go wrong. The leading
            "backbone." of an `ImageModel` may be left out.

    Returns:
        Its name and the module, with weight (K, D) or (K, D, 1, 1).

    Raises:
        ModelError: none found, ambiguous (naming the candidates), or `layer` is not such a layer of the model.
    """
    count = num_classes if num_classes is not None else _class_count(model)
    if layer is not None:
        return _named(model, layer, count)
    candidates = final_layers(model, count)
    if not candidates:
        others = [f"{name} ({width(module)})" for name, module in model.named_modules() if is_linear(module)]
        seen = f"widths of its last such layers: {', '.join(others[-3:])}" if others else "it has no such layer at all"
        wanted = "" if count is None else f" of width {count} (the class count)"
        raise ModelError(f"the model has no linear layer or 1×1 convolution{wanted}; {seen}")
    if len(candidates) > 1:
        names = ", ".join(repr(name) for name in candidates)
        raise ModelError(f"the last linear layer is ambiguous: {names}; name one of them with last_layer (layer=…)")
    return candidates.popitem()


def final_layers(model: nn.Module, num_classes: int | None = None) -> dict[str, LinearLayer]:
    """Every layer that could be the last one, by name: one, several heads side by side, or none.

    Args:
        num_classes: K; None takes the width of the last linear layer.
    """
    # Modules with weights of their own, in order: activations, containers and normalisation do not part two heads.
    holders = [
        (name, module)
        for name, module in model.named_modules()
        if any(parameter.ndim > 1 for parameter in module.parameters(recurse=False))
    ]
    linear = [position for position, (_, module) in enumerate(holders) if is_linear(module)]
    count = num_classes if num_classes is not None or not linear else width(holders[linear[-1]][1])
    fitting = [position for position in linear if width(holders[position][1]) == count]
    if not fitting:
        return {}
    found = [holders[fitting[-1]]]
    for position in reversed(fitting[:-1]):
        (name, module), (next_name, following) = holders[position], holders[position + 1]
        is_head_beside = following is found[0][1] and _inputs(module) == _inputs(following)
        if not is_head_beside or _run_in_sequence(model, name, next_name):
            break
        found.insert(0, holders[position])
    return dict(found)  # type: ignore[arg-type]


def keep_float32(layer: LinearLayer) -> None:
    """Have a last layer compute in float32 under autocast as well: what it says is not rounded to bf16's 8 bits."""
    layer.register_forward_hook(_in_float32, with_kwargs=True)


def _in_float32(
    layer: nn.Module, inputs: tuple[Any, ...], named_inputs: dict[str, Any], output: Tensor
) -> Tensor | None:
    if output.dtype == torch.float32:
        return None
    entering: Tensor = inputs[0] if inputs else named_inputs["input"]
    with torch.autocast(output.device.type, enabled=False):
        return layer.forward(entering.float())  # type: ignore[no-any-return, operator]


def _inputs(layer: nn.Module) -> int:
    return int(layer.weight.shape[1])  # type: ignore[union-attr, index, arg-type]


def _run_in_sequence(model: nn.Module, first: str, second: str) -> bool:
    """Whether the smallest module that holds both runs its children one after another."""
    shared = []
    for one, other in zip(first.split(".")[:-1], second.split(".")[:-1], strict=False):
        if one != other:
            break
        shared.append(one)
    return isinstance(model.get_submodule(".".join(shared)), nn.Sequential)


def _named(model: nn.Module, layer: str, count: int | None) -> tuple[str, LinearLayer]:
    modules = dict(model.named_modules())
    name = layer if layer in modules else f"backbone.{layer}"
    linear = [known.removeprefix("backbone.") for known, module in modules.items() if is_linear(module)]
    if name not in modules:
        raise ModelError(f"the model has no layer {layer!r}; {did_you_mean(layer, linear)}")
    module = modules[name]
    if not isinstance(module, nn.Linear | nn.Conv2d) or not is_linear(module):
        raise ModelError(
            f"layer {layer!r} is a {type(module).__name__}, not a linear layer or 1×1 convolution; "
            f"{did_you_mean(layer, linear)}"
        )
    if count is not None and width(module) != count:
        raise ModelError(f"layer {layer!r} has {width(module)} outputs, there are {count} classes")
    return name, module


def _class_count(model: nn.Module) -> int | None:
    for owner, attribute in ((model, "num_classes"), (getattr(model, "config", None), "num_labels")):
        count = getattr(owner, attribute, None)
        if isinstance(count, int):
            return count
    return None

"""The forms in which training loops hand over a batch: pairs of inputs and labels, and dictionaries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from torch import Tensor, nn

IGNORED = -100  # the label of what does not count


class Parts(NamedTuple):
    """A batch, ready for ``model(*inputs, **named_inputs)``; labels are None where it has none."""

    inputs: tuple[Any, ...]
    named_inputs: dict[str, Any]
    labels: Tensor | None


def parts_of(batch: Any, model: nn.Module) -> Parts:
    """Take a batch apart.

    Args:
        batch: ``(inputs, labels)``, a dictionary of the model's arguments with `labels`, or bare inputs.
        model: what it is for. An encoder-decoder makes its decoder inputs of the labels; they are made here, so that
            teacher and student see the same ones and neither computes a loss of its own.

    Raises:
        TypeError: a batch of another form.
    """
    if isinstance(batch, Mapping):
        named = {str(key): value for key, value in batch.items()}
        labels = named.pop("labels", None)
        if labels is not None and named.get("decoder_input_ids") is None:
            made = decoder_inputs(model, labels)
            named |= {} if made is None else {"decoder_input_ids": made}
        return Parts((), named, labels)
    if isinstance(batch, Tensor):
        return Parts((batch,), {}, None)
    if isinstance(batch, tuple | list) and len(batch) == 2 and isinstance(batch[1], Tensor):
        return Parts((batch[0],), {}, batch[1])
    length = f" of length {len(batch)}" if isinstance(batch, tuple | list) else ""
    raise TypeError(
        f"a batch must be (inputs, labels), a dictionary with 'labels', or bare inputs; got "
        f"{type(batch).__name__}{length}"
    )


def labels_of(batch: Any) -> Tensor | None:
    """The labels of a batch of the same forms; None where it has none.

    Raises:
        TypeError: a batch of another form.
    """
    return parts_of(batch, nn.Identity()).labels


def decoder_inputs(model: nn.Module, labels: Tensor) -> Tensor | None:
    """Decoder inputs (B, L) of an encoder-decoder of transformers for its labels (B, L); None for other models."""
    while isinstance(getattr(model, "module", None), nn.Module):  # DDP and its like
        model = model.module  # type: ignore[assignment]
    make = getattr(model, "prepare_decoder_input_ids_from_labels", None)
    return make(labels=labels) if make is not None else None  # type: ignore[no-any-return]

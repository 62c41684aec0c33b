"""The tensors of another library's EfficientNet-Lite under timm's names: by order and shape, or a refusal."""

from __future__ import annotations

import pytest
import timm
import torch

from scripts.fetch_efficientnet_lite import MODEL, renamed


def test_a_model_of_the_same_order_is_that_very_model():
    torch.manual_seed(0)
    theirs = timm.create_model(MODEL.format(0)).eval()
    ours = timm.create_model(MODEL.format(0)).eval()
    foreign = {f"layer.{number}": tensor for number, tensor in enumerate(theirs.state_dict().values())}
    ours.load_state_dict(renamed(foreign, ours.state_dict()))
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(ours(image), theirs(image))


def test_another_architecture_is_refused():
    wanted = {"a": torch.zeros(2, 3), "b": torch.zeros(4)}
    with pytest.raises(ValueError, match="1 tensors, expected 2"):
        renamed({"x": torch.zeros(2, 3)}, wanted)
    with pytest.raises(ValueError, match=r"y is \(5,\), and b \(4,\)"):
        renamed({"x": torch.zeros(2, 3), "y": torch.zeros(5)}, wanted)

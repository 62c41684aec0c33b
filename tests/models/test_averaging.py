from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tosmooth.errors import ModelError
from tosmooth.models.averaging import average_weights


def write(folder: Path, name: str, **tensors: torch.Tensor) -> Path:
    save_file(tensors, folder / name)
    return folder / name


def test_the_mean_of_three_by_hand(tmp_path):
    paths = [
        write(
            tmp_path,
            f"{step}.safetensors",
            weight=torch.tensor([[1.0, 10.0 * step], [0.0, -3.0]]),
            half=torch.tensor([step], dtype=torch.bfloat16),
            steps=torch.tensor(100 * step),
        )
        for step in (1, 2, 6)
    ]
    mean = average_weights(paths)
    assert torch.equal(mean["weight"], torch.tensor([[1.0, 30.0], [0.0, -3.0]]))
    assert torch.equal(mean["half"], torch.tensor([3], dtype=torch.bfloat16))
    assert torch.equal(mean["steps"], torch.tensor(600))


def test_the_sum_does_not_round_in_the_files_type(tmp_path):
    # In float32, 2²⁴ + 1 is 2²⁴; in float16, 60000 + 60000 is infinite.
    values = (2.0**24, 1.0, 1.0, 2.0)
    paths = [
        write(tmp_path, f"{i}.safetensors", w=torch.tensor([v]), h=torch.tensor([60000.0]).half())
        for i, v in enumerate(values)
    ]
    mean = average_weights(paths)
    assert mean["w"].item() == 2**22 + 1
    assert mean["h"].item() == torch.tensor(60000.0).half().item()


def test_one_file_is_its_own_mean(tmp_path):
    weight = torch.randn(3, 2)
    assert torch.equal(average_weights([write(tmp_path, "a.safetensors", w=weight)])["w"], weight)


@pytest.mark.parametrize(
    ("other", "text"),
    [
        (
            {"v": torch.zeros(2)},
            r"b.safetensors: cannot be averaged with .*a.safetensors: 2 tensors .* 'v' in .*b\.safe",
        ),
        ({"w": torch.zeros(3)}, r"'w' is \(3,\) of float32 here and \(2,\) of float32 there"),
        ({"w": torch.zeros(2).half()}, r"'w' is \(2,\) of float16 here and \(2,\) of float32 there"),
    ],
)
def test_files_of_different_models_are_refused(tmp_path, other, text):
    paths = [write(tmp_path, "a.safetensors", w=torch.zeros(2)), write(tmp_path, "b.safetensors", **other)]
    with pytest.raises(ModelError, match=text):
        average_weights(paths)


def test_no_file_and_a_missing_file(tmp_path):
    with pytest.raises(ModelError, match="no file"):
        average_weights([])
    with pytest.raises(ModelError, match=r"none\.safetensors: no such file"):
        average_weights([tmp_path / "none.safetensors"])

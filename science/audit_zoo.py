"""A zoo of small teachers of known α: what `tosmooth audit` says of them, against the truth.

    python -m science.audit_zoo train --folder ~/zoo --seeds 0 1 2     # seconds per teacher; goes on where it stopped
    python -m science.audit_zoo table --folder ~/zoo --output docs/science

Scikit-learn's digits (1,797 images of 8 × 8 pixels, K = 10; `pip install scikit-learn`), 1,400 of them for training.
Every teacher leaves its logits on training and validation images, given labels and true labels, as one `.npz`.
"""

from __future__ import annotations

import argparse
import itertools
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

CLASSES, TRAINING, EPOCHS, BATCH = 10, 1400, 60, 64
ALPHAS = (0.0, 0.05, 0.1, 0.3)
MODELS = ("cnn", "mlp")
TRAPS = ("plain", "mixup1", "mixup0.2", "cutmix", "bce", "noise", "imbalance", "epochs3", "epochs8", "decay")
NOISE = 0.15  # share of training labels drawn anew, uniformly over all classes
DECAY = {"decay": 5e-3}
SHORT = {"epochs3": 3, "epochs8": 8}


def digits() -> tuple[Tensor, Tensor]:
    """Images (1797, 1, 8, 8) in [−1, 1] and labels, in an order drawn once."""
    from sklearn.datasets import load_digits

    found = load_digits()
    order = np.random.default_rng(0).permutation(len(found.target))
    images = torch.from_numpy(found.images[order]).float()[:, None] / 8 - 1
    return images, torch.from_numpy(found.target[order]).long()


def build(model: str) -> nn.Module:
    if model == "mlp":
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 10))
    norm = (lambda c: nn.BatchNorm2d(c)) if model == "cnn-bn" else (lambda c: nn.Identity())
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), norm(16), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1), norm(32), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10),
    )  # fmt: skip


def smoothed(labels: Tensor, alpha: float) -> Tensor:
    return F.one_hot(labels, CLASSES).float() * (1 - alpha) + alpha / CLASSES


def mixed(images: Tensor, targets: Tensor, trap: str, generator: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Mixup (Beta(a, a) with a of the trap's name) or cutmix (Beta(1, 1)) within a batch."""
    if trap not in ("mixup1", "mixup0.2", "cutmix"):
        return images, targets
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


def train(model: str, trap: str, alpha: float, seed: int) -> dict[str, np.ndarray]:
    """One teacher; its logits on training and validation images."""
    images, truth = digits()
    generator = np.random.default_rng([seed, TRAPS.index(trap)])
    torch.manual_seed(seed)
    rows = torch.arange(TRAINING)
    if trap == "imbalance":  # class c keeps the share 0.1^(c/9) of its images
        rows = rows[torch.from_numpy(generator.random(TRAINING)) < 0.1 ** (truth[:TRAINING] / 9)]
    train_images, train_truth = images[rows], truth[rows]
    labels = train_truth.clone()
    if trap == "noise":
        redrawn = torch.from_numpy(generator.random(len(labels)) < NOISE)
        labels[redrawn] = torch.from_numpy(generator.integers(0, CLASSES, int(redrawn.sum())))
    network = build(model)
    epochs = SHORT.get(trap, EPOCHS)
    optimizer = torch.optim.SGD(
        network.parameters(), lr=0.05, momentum=0.9, nesterov=True, weight_decay=DECAY.get(trap, 1e-4)
    )
    steps = epochs * -(-len(rows) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.05, steps, pct_start=0.1, cycle_momentum=False)
    for _ in range(epochs):
        for part in torch.from_numpy(generator.permutation(len(rows))).split(BATCH):
            batch, targets = mixed(train_images[part], smoothed(labels[part], alpha), trap, generator)
            logits = network(batch)
            if trap == "bce":
                loss = CLASSES * F.binary_cross_entropy_with_logits(logits, targets)
            else:
                loss = F.cross_entropy(logits, targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    network.eval()
    with torch.no_grad():
        found = {"logits": network(train_images), "val_logits": network(images[TRAINING:])}
    found |= {"labels": labels, "true_labels": train_truth, "val_labels": truth[TRAINING:]}
    return {name: value.numpy() for name, value in found.items()}


def name_of(model: str, trap: str, alpha: float, seed: int) -> str:
    return f"{model}_{trap}_a{alpha:g}_s{seed}"


def train_all(folder: Path, models: list[str], traps: list[str], alphas: list[float], seeds: list[int], minutes: float) -> None:
    """Train what is not there yet, at most for so many minutes."""
    folder.mkdir(parents=True, exist_ok=True)
    begun = time.monotonic()
    for seed, model, trap, alpha in itertools.product(seeds, models, traps, alphas):
        path = folder / f"{name_of(model, trap, alpha, seed)}.npz"
        if path.exists():
            continue
        if time.monotonic() - begun > 60 * minutes:
            print("not at the end yet; the same command goes on")
            return
        np.savez(path, **train(model, trap, alpha, seed), alpha=alpha)
    print("all there")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--models", nargs="+", default=list(MODELS))
    parser.add_argument("--traps", nargs="+", default=list(TRAPS))
    parser.add_argument("--alphas", nargs="+", type=float, default=list(ALPHAS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--minutes", type=float, default=60)
    args = parser.parse_args()
    train_all(args.folder, args.models, args.traps, args.alphas, args.seeds, args.minutes)


if __name__ == "__main__":
    main()

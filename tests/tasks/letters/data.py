"""The next letter of a text, given those before it."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from tosmooth.data.batches import Batch, Batches

TEXT = Path(__file__).parents[3] / "docs" / "advice.md"  # of this repository: a text that everybody has
ALPHABET = "abcdefghijklmnopqrstuvwxyz "
CLASSES = 10  # the most frequent letters, which are told apart


class LetterSplit:
    """Contexts of c letters (N, c) int64, and the letters that follow (N,)."""

    def __init__(self, contexts: Tensor, labels: Tensor, name: str) -> None:
        self.contexts, self.labels, self.name = contexts, labels, name

    def __len__(self) -> int:
        return len(self.labels)

    def describe(self, index: int) -> str:
        return f"place {index} of the {self.name} split"

    def digest(self, *, with_times: bool = False) -> str:
        return hashlib.sha256(self.contexts.numpy().tobytes() + self.labels.numpy().tobytes()).hexdigest()


@dataclass(frozen=True)
class LetterData:
    classes: tuple[str, ...]
    train: LetterSplit
    validation: LetterSplit
    test: LetterSplit
    source: str = "own_text"
    superclasses: None = None
    class_outputs: None = None
    notes: tuple[str, ...] = ("every fifth place is of test, the one after it of validation",)

    @property
    def num_classes(self) -> int:
        return len(self.classes)

    @property
    def num_outputs(self) -> int:
        return len(self.classes)

    @property
    def fingerprint(self) -> str:
        return self.train.digest() + self.validation.digest() + self.test.digest()


def load_letters(context: int, limit: int | None) -> LetterData:
    text = [letter for letter in TEXT.read_text(encoding="utf-8").lower() if letter in ALPHABET]
    common = tuple(letter for letter, _ in Counter(text).most_common(CLASSES))
    codes = np.array([ALPHABET.index(letter) for letter in text])
    places = np.array([i for i in range(context, len(text)) if text[i] in common])
    contexts = torch.from_numpy(np.stack([codes[places - back] for back in range(1, context + 1)], axis=1))
    labels = torch.tensor([common.index(text[i]) for i in places])
    kind = np.arange(len(places)) % 5
    train = np.flatnonzero(kind > 1)[:limit]
    return LetterData(
        common,
        *(
            LetterSplit(contexts[chosen], labels[chosen], name)
            for name, chosen in (
                ("train", train),
                ("validation", np.flatnonzero(kind == 1)[:400]),
                ("test", np.flatnonzero(kind == 0)[:400]),
            )
        ),
    )


class LetterBatches(Batches):
    def __init__(self, split: LetterSplit, device: torch.device, **settings: object) -> None:
        super().__init__(len(split), **settings)  # type: ignore[arg-type]
        self._contexts, self._labels = split.contexts.to(device), split.labels.to(device)

    def _load(self, parts, shown) -> Iterator[Batch]:
        for part in parts:
            indices = torch.from_numpy(part).to(self._labels.device)
            slots = None if shown.slots is None else torch.from_numpy(shown.slots[part]).to(indices.device)
            yield Batch(self._contexts[indices], self._labels[indices], indices, slots)


class LetterPipeline:
    def __init__(self, device: torch.device, process: tuple[int, int]) -> None:
        self._device, self._process, self.unreadable = device, process, dict[str, None]()

    def training(self, split, *, batch_size, seed, views=None):
        settings = {"batch_size": batch_size, "seed": seed, "shuffle": True, "views": views}
        return LetterBatches(split, self._device, process=self._process, **settings)

    def in_order(self, split, *, batch_size, views):
        return LetterBatches(split, self._device, batch_size=batch_size, views=views)

    def evaluation(self, split, *, batch_size):
        return LetterBatches(split, self._device, batch_size=batch_size, process=self._process)

    def training_outcomes(self, split) -> int:
        return 1

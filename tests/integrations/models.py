"""Tiny real models and real data for the tests of the integrations."""

from __future__ import annotations

import copy
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from tosmooth.data.fashion_mnist_sample import fashion_mnist_sample
from tosmooth.data.registry import SourceRequest
from tosmooth.data.translation.byte_pairs import train_vocabulary
from tosmooth.data.translation.registry import PairRequest
from tosmooth.data.translation.sample import translation_sample

IGNORED = -100


@cache
def _images() -> tuple[Tensor, Tensor]:
    train = fashion_mnist_sample(SourceRequest()).train
    return (train.images[:256].float() / 255 - 0.3) / 0.35, train.labels[:256]


def images(start: int, stop: int) -> tuple[Tensor, Tensor]:
    """Images (N, 1, 28, 28) and labels (N,) of the embedded sample."""
    return tuple(values[start:stop].clone() for values in _images())  # type: ignore[return-value]


class TinyNet(nn.Module):
    """Convolution, dropout, linear: train and eval mode differ."""

    def __init__(self, seed: int, classes: int = 10, width: int = 6) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.body = nn.Conv2d(1, width, 7, stride=7)
            self.norm = nn.BatchNorm2d(width)
            self.dropout = nn.Dropout(0.5)
            self.head = nn.Linear(width * 16, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.dropout(self.norm(self.body(x)).relu().flatten(1)))


def resnet(seed: int, classes: int = 10) -> Any:
    """A Hugging Face ResNet, with batch normalisation."""
    from transformers import ResNetConfig, ResNetForImageClassification

    config = ResNetConfig(
        num_channels=1, embedding_size=8, hidden_sizes=[8, 8], depths=[1, 1], layer_type="basic", num_labels=classes
    )
    return _seeded(ResNetForImageClassification, config, seed)


def vit(seed: int, classes: int = 10) -> Any:
    """A Hugging Face ViT without dropout."""
    from transformers import ViTConfig, ViTForImageClassification

    config = ViTConfig(
        image_size=28, patch_size=7, num_channels=1, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=32, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, num_labels=classes,
        initializer_range=0.2,
    )  # fmt: skip
    return _seeded(ViTForImageClassification, config, seed)


@cache
def _vocabulary() -> Any:
    pairs = translation_sample(PairRequest()).train
    return train_vocabulary([*pairs.sources[:200], *pairs.targets[:200]], 400)


def marian(seed: int, width: int = 16) -> Any:
    """A Marian model without dropout, for the vocabulary of `sentences`."""
    from transformers import MarianConfig, MarianMTModel

    vocabulary = _vocabulary()
    config = MarianConfig(
        vocab_size=vocabulary.size, decoder_vocab_size=vocabulary.size, pad_token_id=vocabulary.pad,
        bos_token_id=vocabulary.start, eos_token_id=vocabulary.eos, decoder_start_token_id=vocabulary.start,
        forced_eos_token_id=None, max_position_embeddings=64, d_model=width, encoder_layers=1, decoder_layers=1,
        encoder_ffn_dim=32, decoder_ffn_dim=32, encoder_attention_heads=2, decoder_attention_heads=2, dropout=0.0,
        init_std=0.2,
    )  # fmt: skip
    return _seeded(MarianMTModel, config, seed)


def sentences(count: int, length: int = 24) -> list[dict[str, Tensor]]:
    """Sentence pairs padded to one length; the labels' padding is −100, so their numbers of tokens differ."""
    vocabulary, pairs = _vocabulary(), translation_sample(PairRequest()).train
    rows = []
    encoded = zip(
        vocabulary.encode(pairs.sources[:count]), vocabulary.encode_targets(pairs.targets[:count]), strict=True
    )
    for source, target in encoded:
        source, target = source[:length], target[:length]
        mask = [1] * len(source) + [0] * (length - len(source))
        rows.append(
            {
                "input_ids": torch.tensor(source + [vocabulary.pad] * (length - len(source))),
                "attention_mask": torch.tensor(mask),
                "labels": torch.tensor(target + [IGNORED] * (length - len(target))),
            }
        )
    assert len({int((row["labels"] != IGNORED).sum()) for row in rows}) > 1
    return rows


def stacked(rows: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    return {name: torch.stack([row[name] for row in rows]) for name in rows[0]}


def weights(model: nn.Module) -> dict[str, Tensor]:
    return copy.deepcopy(model.state_dict())


def moved(before: dict[str, Tensor], model: nn.Module) -> bool:
    return any(not torch.equal(before[name], value) for name, value in model.state_dict().items())


def _seeded(kind: Any, config: Any, seed: int) -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return kind(config)

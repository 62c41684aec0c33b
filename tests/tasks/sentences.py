"""A few real sentence pairs and models small enough to learn from them in seconds, for the tests of translation."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tosmooth.data.translation.registry import PairRequest, read_pairs

SMALL_MODEL: Mapping[str, Any] = {
    "name": "transformer_small",
    "kwargs": {
        "d_model": 32, "encoder_layers": 1, "decoder_layers": 1, "encoder_ffn_dim": 48, "decoder_ffn_dim": 48,
        "encoder_attention_heads": 2, "decoder_attention_heads": 2, "dropout": 0.1,
    },
}  # fmt: skip
ADAM: Mapping[str, Any] = {"name": "adam", "learning_rate": 0.005, "betas": [0.9, 0.98], "weight_decay": 0}
INVERSE_SQRT: Mapping[str, Any] = {"name": "inverse_sqrt", "warmup_steps": 10}


def raw_study(**sections: Mapping[str, Any]) -> dict[str, Any]:
    """A raw configuration on the embedded sample; `sections` replace single values of its sections."""
    training = {
        "model": SMALL_MODEL, "epochs": 3, "batch_size": 400, "optimizer": ADAM, "schedule": INVERSE_SQRT,
        "gradient_clip": 1.0,
    }  # fmt: skip
    raw: dict[str, Any] = {
        "name": "words",
        "task": "translation",
        "data": {"source": "translation_sample", "limit_train": 64, "limit_test": 20, "text": {"vocabulary": 500}},
        "teacher": {**training, "label_smoothing": [0.0, 0.1]},
        "student": {**training, "temperatures": [1, 64], "seeds": [0]},
        "analysis": {"tokens": 20},
        "translation": {"beam": 2},
        "compute": {"device": "cpu", "threads": 1},
    }
    for name, values in sections.items():
        raw[name] = {**raw.get(name, {}), **values}
    return copy.deepcopy(raw)


def write_pairs(path: Path, *, train: int = 240, held_out: int = 16, known: int = 4, longest: int = 6) -> Path:
    """A part of the embedded sample as a file with a column for the split.

    The sample's own validation split has 838 pairs, which would be most of the work of a tiny study.

    Args:
        path: of the file.
        train: pairs of training.
        held_out: pairs of validation, and of test.
        known: how many of those are training pairs, so that not all of them are new.
        longest: words that a side may have.
    """
    sample = read_pairs("translation_sample", PairRequest(path=None, download=False, options={}))
    lines = []
    for name, pairs, count in (
        ("train", sample.train, train),
        ("valid", sample.validation, held_out - known),
        ("test", sample.test, held_out - known),
    ):
        assert pairs is not None
        short = [
            (source, target)
            for source, target in zip(pairs.sources, pairs.targets, strict=True)
            if max(len(source.split()), len(target.split())) <= longest
        ]
        chosen = np.random.default_rng(0).permutation(len(short))[:count]
        own = [f"{source}\t{target}" for source, target in (short[i] for i in chosen)]
        if name == "train":
            training = own
        else:
            own += training[:known]
        lines += [f"{name}\t{line}" for line in own]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path

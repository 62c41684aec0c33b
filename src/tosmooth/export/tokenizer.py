"""A tokenizer that a study took from a folder of this machine: it lies in the export, and is named from there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tosmooth.data.translation.pretrained import FOLDER as TOKENIZER
from tosmooth.data.translation.pretrained import load_pretrained
from tosmooth.errors import ModelError
from tosmooth.export.huggingface import FOLDER as HUGGINGFACE
from tosmooth.folder.paths import VOCABULARY_FOLDER
from tosmooth.models.weights import backbone_of

if TYPE_CHECKING:
    from tosmooth.export.subject import Subject

BESIDE_WEIGHTS = f"{VOCABULARY_FOLDER}/{TOKENIZER}"
SENTENCES = 8  # that the exported tokenizer is compared on


def exported_name(subject: Subject, formats: Sequence[str]) -> str | None:
    """What `data.text.tokenizer` is in the exported configuration: a hub id stays, a folder is that in the export."""
    name = subject.text.tokenizer
    if not _is_folder(name):
        return name
    return BESIDE_WEIGHTS if "safetensors" in formats else HUGGINGFACE


def _is_folder(name: str | None) -> bool:
    return name is not None and Path(name).expanduser().is_dir()


def write_and_check(subject: Subject, formats: Sequence[str], folder: Path) -> None:
    """Make the exported tokenizer loadable as `data.text.tokenizer`, where the configuration names it.

    The start token and the number of outputs belong to the model, so its config.json comes to lie beside the tokenizer.

    Raises:
        ModelError: what is loaded from there is another vocabulary.
    """
    name = exported_name(subject, formats)
    if name is None or not _is_folder(subject.text.tokenizer):
        return
    if name == BESIDE_WEIGHTS:
        backbone: Any = backbone_of(subject.model)
        backbone.config.save_pretrained(folder / name)
    ours, pairs = subject.pairs.vocabulary, subject.pairs.train
    found = load_pretrained(str(folder / name), lowercase=ours.lowercase)
    same = all(getattr(found, key) == getattr(ours, key) for key in ("pad", "start", "eos", "unk", "size"))
    sources, targets = list(pairs.sources[:SENTENCES]), list(pairs.targets[:SENTENCES])
    same = same and found.encode(sources) == ours.encode(sources)
    if not same or found.encode_targets(targets) != ours.encode_targets(targets):
        raise ModelError(f"{subject.model.name}: its tokenizer, written and opened again, is another vocabulary")

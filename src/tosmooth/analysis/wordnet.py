"""Groups of similar classes from WordNet: classes whose synsets have the same parent (hypernym).

ImageNet names its classes by synset ids such as n01440764: the letter of the word class, and the offset of the synset
in WordNet 3.0 (Miller, "WordNet: a lexical database for English", 1995). The package `wn` reads WordNet from a file in
the WN-LMF format; of the public ones, `omw-en` 1.4 is WordNet 3.0 with its offsets. Nothing is fetched here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from tosmooth.errors import did_you_mean

_SYNSET = re.compile(r"[nvars]\d{8}")
_LMF_ID = re.compile(r"(?:^|-)(\d{8})-([nvars])$")  # "omw-en-01440764-n"


def is_synset(name: str) -> bool:
    """Whether a text has the form of a synset id, as in n01440764."""
    return _SYNSET.fullmatch(name) is not None


@cache
def _imagenet_names() -> dict[str, frozenset[str]]:
    """Synset ids by the names that timm has for them: all words of the synset, and the first one."""
    from timm.data import ImageNetInfo

    found: dict[str, set[str]] = {}
    info = ImageNetInfo("imagenet-1k")
    for index, synset in enumerate(info.label_names()):
        words = str(info.index_to_description(index))
        for name in {words, words.partition(",")[0]}:
            found.setdefault(name.casefold(), set()).add(str(synset))
    return {name: frozenset(synsets) for name, synsets in found.items()}


def synsets_of(names: Sequence[str]) -> list[str | None]:
    """The synset id of each class: the name itself, or by timm's names of the ImageNet-1K classes.

    Args:
        names: of the K classes: synset ids ("n01440764"), words ("tench, Tinca tinca") or first words ("tench").

    Returns:
        One id for each class; None where the name stands for two ImageNet classes ("crane").

    Raises:
        ValueError: names that are neither; says how many, and the nearest match of the first.
    """
    known: Mapping[str, frozenset[str]] = {} if all(is_synset(name) for name in names) else _imagenet_names()
    unknown = [name for name in names if not is_synset(name) and name.casefold() not in known]
    if unknown:
        raise ValueError(
            f"{len(unknown)} of {len(names)} class names are no synset ids (n01440764) and no names of ImageNet-1K; "
            f"the first is {unknown[0][:100]!r}: {did_you_mean(unknown[0][:100].casefold(), known)}"
        )
    found: list[str | None] = []
    for name in names:
        synsets = {name} if is_synset(name) else known[name.casefold()]
        found.append(next(iter(synsets)) if len(synsets) == 1 else None)
    return found


def read_parents(path: Path) -> dict[str, tuple[str, ...]]:
    """The parents of every synset of a WordNet in the WN-LMF format.

    Args:
        path: the XML file.

    Returns:
        Synset id → ids of its hypernyms, in the file's order; () for a root.

    Raises:
        ImportError: the package `wn` is not installed.
        ValueError: not readable, not WN-LMF, or its synsets are not named by offsets.
    """
    from wn import lmf

    if not path.is_file():  # reading a pipe would wait for ever
        raise ValueError(f"{path} is not readable as WN-LMF (no regular file)")
    try:
        resource = lmf.load(path, progress_handler=None)
    except Exception as error:  # wn passes on whatever its XML parser and its own checks raise
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"{path} is not readable as WN-LMF ({type(error).__name__}: {reason})") from None
    parents: dict[str, tuple[str, ...]] = {}
    for lexicon in resource["lexicons"]:
        for synset in lexicon.get("synsets", []):
            name = _offset(synset["id"])
            if name is not None:
                targets = (_offset(r["target"]) for r in synset.get("relations", []) if r["relType"] == "hypernym")
                parents[name] = tuple(target for target in targets if target is not None)
    if not parents:
        raise ValueError(f"{path}: no synset is named by its offset, as in omw-en-01440764-n; take omw-en 1.4")
    return parents


def _offset(identifier: str) -> str | None:
    found = _LMF_ID.search(identifier)
    return f"{found[2]}{found[1]}" if found else None


def parent_labels(synsets: Sequence[str | None], parents: Mapping[str, Sequence[str]]) -> list[str | None]:
    """The first parent of each class's synset, for `class_groups.groups_by_label`.

    Args:
        synsets: one for each of the K classes; None has no parent.
        parents: as `read_parents` gives them.

    Returns:
        A synset id for each class; None for a class without synset, or whose synset is a root.

    Raises:
        ValueError: synsets that this WordNet does not have, as in another version than 3.0.
    """
    missing = [synset for synset in synsets if synset is not None and synset not in parents]
    if missing:
        raise ValueError(
            f"{len(missing)} of {len(synsets)} synsets are not in this WordNet, the first is {missing[0]}; ImageNet's "
            "ids are offsets of WordNet 3.0 (omw-en 1.4)"
        )
    return [next(iter(parents[synset]), None) if synset is not None else None for synset in synsets]

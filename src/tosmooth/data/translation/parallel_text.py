"""Parallel text files: line n of one is the translation of line n of the other."""

from __future__ import annotations

from pathlib import Path

from tosmooth.data.translation.lines import read_lines, text_file
from tosmooth.data.translation.pairs import SentencePairs
from tosmooth.data.translation.registry import PairRequest, RawPairs, register_translation_source
from tosmooth.errors import DataError

VALIDATION = ("valid", "val", "validation", "dev")


@register_translation_source("parallel_text")
def parallel_text(request: PairRequest) -> RawPairs:
    """`train.en` and `train.de`, `test.en` and `test.de`, and possibly `valid.*`.

    Instead of `valid.*` there may be `val.*`, `validation.*` or `dev.*`. Each may be packed by gzip: `train.en.gz`. The
    endings are the codes of the languages, `data.text.source_language` and `target_language`.

    Raises:
        DataError: a file is missing or no UTF-8, or the two of a split differ in their number of lines.
    """
    request.no_options("parallel_text")
    source, target = request.source_language, request.target_language
    root = request.need_path("parallel_text", f"a folder with train.{source}, train.{target}, test.{source}, …")
    if not root.is_dir():
        raise DataError(f"{root}: no such folder; expected one with train.{source}, train.{target}, test.{source}, …")
    held_out = [name for name in VALIDATION if any(text_file(root / f"{name}.{code}") for code in (source, target))]
    if len(held_out) > 1:
        named = " and ".join(f"{name}.*" for name in held_out)
        raise DataError(f"{root}: {named} both name validation; keep one of them")
    return RawPairs(
        _pairs(root, "train", source, target),
        _pairs(root, "test", source, target),
        _pairs(root, held_out[0], source, target) if held_out else None,
    )


def _pairs(root: Path, split: str, source: str, target: str) -> SentencePairs:
    sides = []
    for key, language in (("source_language", source), ("target_language", target)):
        path = root / f"{split}.{language}"
        if (there_is := text_file(path)) is None:
            there = sorted(other.name for other in root.glob(f"{split}.*"))
            found = (
                f"there are {', '.join(there[:8])}; set data.text.{key}" if there else f"there is no {split}.* at all"
            )
            raise DataError(f"{path}: no such file; {found}")
        sides.append(read_lines(there_is))
    if len(sides[0]) != len(sides[1]):
        raise DataError(
            f"{root}: {split}.{source} has {len(sides[0]):,} lines, {split}.{target} has {len(sides[1]):,}; line n of "
            "one must be the translation of line n of the other"
        )
    return SentencePairs.of(sides[0], sides[1], str(root / f"{split}.{{{source},{target}}}"))

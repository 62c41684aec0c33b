"""The embedded sample: English sentences of user interfaces and documentation, in German and in Russian."""

from __future__ import annotations

import lzma
from importlib import resources

from tosmooth.data.translation.lines import decoded_lines
from tosmooth.data.translation.registry import PairRequest, RawPairs, register_translation_source
from tosmooth.data.translation.tsv import split_table
from tosmooth.errors import DataError

LANGUAGES = (("en", "de"), ("en", "ru"))
NOTES = (
    "the embedded sample holds texts of user interfaces and documentation, not the talks of IWSLT: scores on it are "
    "not comparable with those of the paper",
    "sentences come from free software (Apache-2.0, MIT, BSD); its notices lie beside the sample, in "
    "translation_NOTICES.md",
)


@register_translation_source("translation_sample")
def translation_sample(request: PairRequest) -> RawPairs:
    """The embedded sample of the languages asked for; takes no path.

    Raises:
        DataError: other languages; or a path was given: nothing would be read from it, and another source was surely
            meant.
    """
    request.no_options("translation_sample")
    if request.path is not None:
        raise DataError(
            f"data.path: {request.path} would not be read: the source 'translation_sample' comes with the package; set "
            "data.source to the one that reads the path, for example parallel_text or tsv"
        )
    languages = (request.source_language.lower(), request.target_language.lower())
    if languages not in LANGUAGES:
        there = " and ".join(f"{source} → {target}" for source, target in LANGUAGES)
        raise DataError(
            f"data.text: the embedded sample has {there}, not {request.source_language} → {request.target_language}; "
            "set source_language and target_language, or another data.source"
        )
    file = resources.files("tosmooth.data") / "embedded" / f"translation_{'_'.join(languages)}.tsv.xz"
    try:
        content = lzma.decompress(file.read_bytes())
    except (OSError, EOFError, lzma.LZMAError) as error:
        raise DataError(f"{file}: the embedded sample is not readable; install tosmooth again: {error}") from None
    found = split_table(decoded_lines(content, str(file)), file.name, languages)
    return RawPairs(found.train, found.test, found.validation, NOTES)

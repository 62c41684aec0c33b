"""What is known of languages by their codes: how BLEU cuts their texts, and which put no spaces between words."""

from __future__ import annotations

import re
from importlib.util import find_spec

from tosmooth.errors import ConfigError

# Codes of three letters, and languages written as another one is.
_SAME = {
    "zho": "zh",
    "chi": "zh",
    "cmn": "zh",
    "yue": "zh",
    "wuu": "zh",
    "jpn": "ja",
    "kor": "ko",
    "tha": "th",
    "lao": "lo",
}
_SAME |= {"khm": "km", "mya": "my", "bur": "my", "bod": "bo", "tib": "bo", "dzo": "dz"}
# sacrebleu's tokenisers: its own choice for Chinese, Japanese and Korean; letters where words cannot be told.
_BLEU = {"zh": "zh", "ja": "ja-mecab", "ko": "ko-mecab", **dict.fromkeys(("th", "lo", "km", "my", "bo", "dz"), "char")}
_NEEDED = {"ja-mecab": ("MeCab", "ja"), "ko-mecab": ("mecab_ko", "ko")}  # module, extra of sacrebleu

# A header of a table may say these; the languages' own codes come on top.
_SIDES = ({"source", "src"}, {"target", "tgt", "trg", "translation"})
_BESIDE = {"text", "sentence", "sentences", "language", "lang", "side", "column"}
_ENGLISH = {
    "ar": "arabic", "bg": "bulgarian", "cs": "czech", "da": "danish", "de": "german", "el": "greek", "en": "english",
    "es": "spanish", "et": "estonian", "fa": "persian", "fi": "finnish", "fr": "french", "he": "hebrew", "hi": "hindi",
    "hr": "croatian", "hu": "hungarian", "id": "indonesian", "it": "italian", "ja": "japanese", "ko": "korean",
    "lt": "lithuanian", "lv": "latvian", "nl": "dutch", "no": "norwegian", "pl": "polish", "pt": "portuguese",
    "ro": "romanian", "ru": "russian", "sk": "slovak", "sl": "slovenian", "sr": "serbian", "sv": "swedish",
    "th": "thai", "tr": "turkish", "uk": "ukrainian", "ur": "urdu", "vi": "vietnamese", "zh": "chinese",
}  # fmt: skip


def base_of(code: str) -> str:
    """`zh` of zh-CN, zh_Hans and zho."""
    base = re.split(r"[-_]", code.lower())[0]
    return _SAME.get(base, base)


def is_unspaced(code: str) -> bool:
    """Whether a language is written without spaces between words."""
    return base_of(code) != "ko" and base_of(code) in _BLEU


def bleu_tokeniser(code: str) -> str:
    """sacrebleu's tokeniser for a target language: 13a wherever spaces part words."""
    return _BLEU.get(base_of(code), "13a")


def check_scored(code: str) -> None:
    """Refuse a target language whose BLEU cannot be measured here, before any work.

    Raises:
        ConfigError: a library is missing.
    """
    module, extra = _NEEDED.get(bleu_tokeniser(code), (None, None))
    if module is not None and find_spec(module) is None:
        raise ConfigError(
            [
                f"data.text.target_language: BLEU of {code!r} counts words that MeCab finds, which is not installed: "
                f'pip install "sacrebleu[{extra}]"'
            ]
        )


def names_side(cell: str, side: int, code: str) -> bool:
    """Whether a cell of a table's first line names a side, 0 for source and 1 for target, rather than being a text."""
    words = set(re.findall(r"[^\W_]+", cell.lower()))
    mine = {*_SIDES[side], code.lower(), base_of(code), _ENGLISH.get(base_of(code), code.lower())}
    mine |= set(re.findall(r"[^\W_]+", code.lower()))
    return bool(words & mine) and words <= mine | _BESIDE

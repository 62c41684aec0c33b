"""What a configuration says of sentence pairs."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from tosmooth.config.schema import DataConfig
from tosmooth.config.section import Section
from tosmooth.config.types import Language, Positive, PositiveNumber


class TextConfig(Section):
    """Sentence pairs: languages, cleaning and the vocabulary."""

    source_language: Language = Field("en", description="code of the language that is translated from")
    target_language: Language = Field("de", description="code of the language that is translated into")
    vocabulary: Annotated[int, Field(ge=260, le=200_000)] = Field(
        4000, description="tokens of the joint byte-pair vocabulary, trained on both sides of the training split"
    )
    tokenizer: str | None = Field(
        None, description="hub id or folder of a Hugging Face tokenizer to use instead (for models that bring theirs)"
    )
    lowercase: bool = Field(False, description="lower-case both sides (the paper's recipe)")
    max_length: Positive = Field(128, description="training pairs with more tokens on a side are left out")
    max_ratio: PositiveNumber = Field(
        4.0, description="training pairs whose sides differ in length by more than this factor are left out"
    )


class TranslationDataConfig(DataConfig):
    """Where the sentences come from, how they are split, cleaned and cut into tokens."""

    text: TextConfig = Field(default_factory=TextConfig, description="languages, cleaning and the vocabulary")

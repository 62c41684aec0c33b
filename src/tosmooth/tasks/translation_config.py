"""What a configuration of a study of sentences may hold beside what all studies have."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from tosmooth.config.schema import AnalysisConfig, StudyConfig
from tosmooth.config.section import Section
from tosmooth.config.types import finite
from tosmooth.data.translation.config import TranslationDataConfig


class TranslationConfig(Section):
    """How finished models translate, for BLEU."""

    beam: Annotated[int, Field(ge=1, le=64)] = Field(5, description="beams; 1 = greedy")
    length_penalty: Annotated[float, Field(ge=0), AfterValidator(finite)] = Field(
        1.0, description="scores are divided by length to this power"
    )


class TranslationAnalysisConfig(AnalysisConfig):
    """How diffusion is measured, of which words, and how close a tie is."""

    tokens: Annotated[int, Field(ge=3, le=4096)] = Field(
        100, description="how many frequent whole-word target tokens are the classes that are followed"
    )


class TranslationStudyConfig(StudyConfig):
    """A whole study of sentences."""

    data: TranslationDataConfig = Field(default_factory=TranslationDataConfig)
    analysis: TranslationAnalysisConfig = Field(default_factory=TranslationAnalysisConfig)
    translation: TranslationConfig = Field(default_factory=TranslationConfig)

"""Next letters, compared by perplexity."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import Field

from tests.tasks.letters.data import ALPHABET, LetterPipeline, load_letters
from tests.tasks.letters.models import build
from tosmooth.config.schema import StudyConfig
from tosmooth.config.section import Section
from tosmooth.errors import ModelError
from tosmooth.tasks.base import Task
from tosmooth.tasks.metric import Figure, Metric
from tosmooth.training.evaluation import evaluate

LIKELIHOOD = Metric(
    "nll", "NLL", " nats", "NLL, nats", "NLL", "negative log-likelihood", "letters", lower_is_better=True
)
PERPLEXITY = Metric(
    "perplexity", "perplexity", "", "Perplexity", "perplexity", "perplexity", "letters", lower_is_better=True,
    after_epoch=LIKELIHOOD,
)  # fmt: skip


class LettersSection(Section):
    """How much of the text a model sees."""

    context: int = Field(3, ge=1, le=8, description="letters before the one that is asked for")


class LettersConfig(StudyConfig):
    """A whole study of letters."""

    letters: LettersSection = Field(default_factory=LettersSection)


class Letters(Task):
    """Which letter comes next."""

    name = "letters"
    metric = PERPLEXITY
    samples = "letters"
    schema = LettersConfig
    figures = (
        Figure("perplexity", "perplexity", on=("val", "test")),
        Figure("nll", "NLL", "nats", 3),
    )
    calibrated = False

    def data_sources(self):
        return ("own_text",)

    def check_model_name(self, name):
        if not name.startswith("letters-") or not name.removeprefix("letters-").isdigit():
            raise ModelError(f"unknown model {name!r}; a width, such as letters-16")

    def mistakes(self, sections: Mapping[str, Any]) -> Iterable[str]:
        letters, student = sections.get("letters"), sections.get("student")
        if letters is not None and student is not None and letters.context * student.batch_size > 4096:
            yield f"letters.context: {letters.context} letters of {student.batch_size} samples are too many at once"

    def load_data(self, config):
        return load_letters(config.letters.context, config.data.limit_train)

    def check(self, config, data):
        pass

    def pipeline(self, config, data, device, process=(0, 1)):
        return LetterPipeline(device, process)

    def new_model(self, config, data, section, seed, checkpoint=None):
        return build(
            section.name,
            len(ALPHABET),
            config.letters.context,
            data.num_outputs,
            seed,
            checkpoint or section.checkpoint,
        )

    def measure(self, config, data, model, split, compute, folder):
        own = {"val": data.validation, "test": data.test}[split]
        batches = self.pipeline(config.data, data, compute.device).evaluation(own, batch_size=200)
        return {f"{split}/perplexity": math.exp(evaluate(model, batches, compute).metrics.compute()["nll"])}

"""Translation: a sample is a target token, under teacher forcing; settings are compared by BLEU of a beam search."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor

from tosmooth.analysis.translation_metrics import TOKENISER, score_translations
from tosmooth.config.schema import DataConfig, ModelConfig, StudyConfig
from tosmooth.data.translation.data import TranslationData, load_translation_data
from tosmooth.data.translation.languages import bleu_tokeniser, check_scored
from tosmooth.data.translation.pipeline import TranslationPipeline
from tosmooth.data.translation.registry import TRANSLATION_SOURCES, translation_sources
from tosmooth.data.translation.split import TokenSplit
from tosmooth.data.translation.vocabulary import FILE as VOCABULARY_FILE
from tosmooth.data.translation.vocabulary import load_vocabulary
from tosmooth.errors import ConfigError, ModelError
from tosmooth.files import write_text
from tosmooth.folder.paths import TRANSLATIONS_FILE, VOCABULARY_FOLDER
from tosmooth.models.study_model import StudyModel
from tosmooth.models.translation import TranslationModel, build_translation_model, validate_translation_model_name
from tosmooth.models.translation_hf import check_published
from tosmooth.models.translation_search import translate
from tosmooth.tasks.base import QUICK, StudyData, Task
from tosmooth.tasks.metric import Figure, Metric
from tosmooth.tasks.published import PublishedTranslations
from tosmooth.tasks.sample_tests import WholeTranslations
from tosmooth.tasks.translation_config import TranslationStudyConfig

if TYPE_CHECKING:  # reports are written without what trains
    from tosmooth.training.compute import Compute

SIGNATURE = "bleu_signature"
LIBRARIES = ("transformers", "tokenizers", "sacrebleu")
# The share of target tokens that a model would choose, given the reference so far: translating costs more than an epoch
# of a small student, so it is done once, at the end, and this is what models are judged by after each epoch.
TOKENS = Metric(
    "top1",
    "token accuracy",
    " %",
    "Token accuracy, %",
    "token accuracy",
    "token accuracy",
    "sentences",
    bounds=(0.0, 100.0),
)
BLEU = Metric(
    "bleu",
    "BLEU",
    "",
    "BLEU",
    "BLEU",
    "BLEU",
    "sentences",
    bounds=(0.0, 100.0),
    after_epoch=TOKENS,
    sample_test=WholeTranslations(),
)


class Translation(Task):
    """Sentence pairs, compared by BLEU."""

    name = "translation"
    metric = BLEU
    samples = "tokens"
    measuring = "translating"
    schema = TranslationStudyConfig
    quick: Mapping[str, Any] = {  # and nothing that only long trainings have
        **QUICK,
        "data.limit_train": 2000,
        "data.limit_validation": 200,
        "data.limit_test": 200,
        "teacher.average_last": 1,
        "student.average_last": 1,
        "teacher.schedule.warmup_steps": 20,
        "student.schedule.warmup_steps": 10,
    }
    figures = (
        Figure("bleu", "BLEU", on=("val", "test")),
        Figure("bleu_novel", "BLEU, novel"),
        Figure("chrf", "chrF", decimals=1),
        Figure("chrf_novel", "chrF, novel", decimals=1),
        Figure("top1", "token accuracy", "%", on=("val", "test")),
        Figure("top1_novel", "token accuracy, novel", "%"),
        Figure("nll", "NLL", "nats", 3),
        Figure("ece", "ECE", "%", 1, 100.0, whole_title="calibration error (ECE)"),
    )
    measured = ("bleu", "chrf", "bleu_novel", "chrf_novel", "top1_novel")
    texts = (SIGNATURE,)
    units = (
        "BLEU and chrF from 0 to 100; novel: on the sentences that are unlike those in training. Token accuracy and "
        "ECE in percent, NLL in nats a token: all three of the next token, given the reference so "
        "far."
    )
    glossary = (
        ("Class", "A target token. Those that are followed are the frequent ones that are whole words."),
        (
            "BLEU, chrF",
            "How much the translations share with the reference: word sequences of up to four (BLEU, by sacrebleu with "
            "its tokens for the language), or letters (chrF); 0 to 100, of the whole split. Novel: on the sentences "
            "that are unlike those in training.",
        ),
        (
            "Token accuracy",
            "The share of target tokens that the model puts first, given the reference up to there. Calibration and η "
            "are measured on tokens in the same way.",
        ),
    )
    published = PublishedTranslations()
    hidden_states = True
    relabels = True
    export_formats = ("safetensors", "huggingface")
    hub_tag = "translation"

    def data_sources(self) -> tuple[str, ...]:
        """Sources of sentence pairs."""
        return translation_sources()

    def check_model_name(self, name: str) -> None:
        """An encoder-decoder."""
        validate_translation_model_name(name)

    def check_source(self, name: str) -> None:
        """A source of sentence pairs; what a package adds is loaded."""
        TRANSLATION_SOURCES.check(name)

    def brings_validation(self, source: str) -> bool:
        """Sentences come in three splits; whether there is a validation split, their data say."""
        return True

    def mistakes(self, sections: Mapping[str, Any]) -> Iterable[str]:
        """Sources that read files need their folder."""
        data = sections.get("data")
        if data is not None and data.source in {"parallel_text", "tsv"} and data.path is None:
            yield f"data.path: the source {data.source!r} needs the folder of the data"

    def model_mistakes(self, model: ModelConfig) -> Iterable[tuple[str, str]]:
        """Options of other models."""
        for option in ("width", "replace_head"):
            if getattr(model, option):
                yield option, "is of image models; translation models take kwargs (d_model, dropout, …)"

    def load_data(self, config: StudyConfig) -> TranslationData:
        """Sentence pairs from the source that the configuration names, with their joint vocabulary."""
        absent = [name for name in LIBRARIES if find_spec(name) is None]
        if absent:
            raise ConfigError(
                [f'task: translation needs {", ".join(absent)}, not installed: pip install "tosmooth[translation]"']
            )
        own = of_sentences(config)
        check_scored(own.data.text.target_language)
        return load_translation_data(own.data, own.analysis.tokens)

    def check(self, config: StudyConfig, data: StudyData) -> None:
        """All models must share the data's vocabulary: those that bring weights are looked at before any work.

        Raises:
            ModelError: published weights or a checkpoint of another vocabulary.
        """
        vocabulary, teacher = cast(TranslationData, data).vocabulary, config.teacher
        for section in (teacher.model, *config.student.all_models):
            if section.pretrained and section.name.startswith("hf:"):
                check_published(section.name.removeprefix("hf:"), vocabulary, of_sentences(config).data.text.max_length)
            if section.checkpoint is not None:
                self.check_weights(data, section.checkpoint)
        for path in (*teacher.checkpoints.values(), *(path for files in teacher.given.values() for path in files)):
            self.check_weights(data, path)

    def check_weights(self, data: StudyData, weights: Path) -> None:
        """Refuse weights beside which another vocabulary lies: of equal size, it would go unnoticed.

        Raises:
            ModelError: there is one.
        """
        folder = weights.parent / VOCABULARY_FOLDER
        if not (folder / VOCABULARY_FILE).is_file():
            return
        if load_vocabulary(folder).digest() != cast(TranslationData, data).vocabulary.digest():
            raise ModelError(
                f"{weights}: was trained with another vocabulary ({folder}) than the data's. Teacher and student must "
                "share one: use the data, languages and data.text settings that it was trained with"
            )

    def pipeline(
        self, config: DataConfig, data: StudyData, device: torch.device, process: tuple[int, int] = (0, 1)
    ) -> TranslationPipeline:
        """Batches of sentence pairs by token count."""
        return TranslationPipeline(config, device, process)

    def longest_sample(self, config: StudyConfig) -> int:
        """Tokens of the longest sentence."""
        return of_sentences(config).data.text.max_length

    def new_model(
        self, config: StudyConfig, data: StudyData, section: ModelConfig, seed: int, checkpoint: Path | None = None
    ) -> TranslationModel:
        """An encoder-decoder over the data's joint vocabulary."""
        return build_translation_model(
            section.name,
            cast(TranslationData, data).vocabulary,
            max_length=of_sentences(config).data.text.max_length,
            pretrained=section.pretrained,
            checkpoint=checkpoint or section.checkpoint,
            ema=section.ema,
            kwargs=section.kwargs,
            seed=seed,
        )

    def score(
        self, config: StudyConfig, data: StudyData, model: StudyModel, split: TokenSplit, compute: Compute
    ) -> dict[str, Any]:
        """`bleu` and `chrf`, 0 to 100; `bleu_novel` and `chrf_novel` of the sentences unlike training, None where there
        are none; and `bleu_signature`."""
        tokeniser = bleu_tokeniser(of_sentences(config).data.text.target_language)
        return _figures(self._translated(config, data, model, split, compute), split, tokeniser)

    def measure(
        self, config: StudyConfig, data: StudyData, model: StudyModel, split: str, compute: Compute, folder: Path
    ) -> dict[str, Any]:
        """BLEU and chrF of a split; translations and vocabulary are written beside the weights.

        Returns:
            `<split>/bleu`, `<split>/chrf`, both again with `_novel` (of sentences unlike training; None where there
            are none), and `bleu_signature`.
        """
        pairs = cast(TranslationData, data)
        own = {"val": pairs.validation, "test": pairs.test}[split]
        hypotheses = self._translated(config, data, model, own, compute)
        tokeniser = bleu_tokeniser(of_sentences(config).data.text.target_language)
        figures = _figures(hypotheses, own, tokeniser)
        path = folder / TRANSLATIONS_FILE
        known = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        known[split] = {"sources": list(own.sources), "hypotheses": hypotheses, "references": list(own.targets)}
        known[split] |= {} if tokeniser == TOKENISER else {"tokenize": tokeniser}
        write_text(path, json.dumps(known, ensure_ascii=False) + "\n")
        if not (folder / VOCABULARY_FOLDER / VOCABULARY_FILE).is_file():  # written last
            pairs.vocabulary.save(folder / VOCABULARY_FOLDER)
        return {name if name == SIGNATURE else f"{split}/{name}": value for name, value in figures.items()}

    def of_correct(self, split: TokenSplit, correct: Tensor) -> dict[str, Any]:
        """`top1_novel`: token accuracy in percent on the sentences unlike training; None where there are none."""
        if split.novel is None:
            return {"top1_novel": None}
        of_token = torch.from_numpy(np.repeat(split.novel, np.diff(split.offsets)))
        own = correct[of_token & (correct >= 0)]
        return {"top1_novel": 100 * float((own == 1).double().mean()) if len(own) else None}

    def _translated(
        self, config: StudyConfig, data: StudyData, model: StudyModel, split: TokenSplit, compute: Compute
    ) -> list[str]:
        """What a model makes of the sources of a split, as text."""
        vocabulary, section = cast(TranslationData, data).vocabulary, of_sentences(config).translation
        found = translate(
            cast(TranslationModel, model),
            vocabulary,
            [ids.tolist() for ids in split.source_ids],
            beam=section.beam,
            length_penalty=section.length_penalty,
            batch_tokens=max(1, config.compute.eval_batch_size // section.beam),
        )
        return [vocabulary.decode(ids) for ids in found]


def of_sentences(config: StudyConfig) -> TranslationStudyConfig:
    """A configuration, known to be of this task."""
    assert isinstance(config, TranslationStudyConfig)
    return config


def _figures(hypotheses: Sequence[str], split: TokenSplit, tokeniser: str) -> dict[str, Any]:
    scores = score_translations(hypotheses, split.targets, split.novel, tokenize=tokeniser)
    figures = {"bleu": scores.bleu, "chrf": scores.chrf, "bleu_novel": scores.bleu_novel}
    figures |= {"chrf_novel": scores.chrf_novel}
    return figures | {SIGNATURE: scores.signature}

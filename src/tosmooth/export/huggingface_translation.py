"""A translation model as a folder of transformers: weights, tokenizer, and the search its BLEU was measured with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from tosmooth.data.translation.byte_pairs import SPECIAL, BytePairVocabulary
from tosmooth.data.translation.pretrained import PretrainedVocabulary
from tosmooth.data.translation.text import normalised
from tosmooth.data.translation.vocabulary import Vocabulary
from tosmooth.errors import ModelError
from tosmooth.export.huggingface import FOLDER, without_progress
from tosmooth.models.weights import backbone_of
from tosmooth.tasks.translation import of_sentences

if TYPE_CHECKING:
    from tosmooth.export.subject import Subject

EXAMPLES = 8  # sentence pairs that the written folder is compared on


def write(subject: Subject, folder: Path) -> None:
    """Write the folder `huggingface`.

    Raises:
        ModelError: the library refuses.
    """
    target, model = folder / FOLDER, backbone_of(subject.model)
    backbone: Any = model
    vocabulary, section = subject.pairs.vocabulary, of_sentences(subject.config).translation
    longest = subject.text.max_length
    came_with = backbone.generation_config
    try:
        from transformers import GenerationConfig

        backbone.generation_config = GenerationConfig(
            num_beams=section.beam,
            max_length=longest,
            pad_token_id=vocabulary.pad,
            eos_token_id=vocabulary.eos,
            decoder_start_token_id=vocabulary.start,
            suppress_tokens=sorted({vocabulary.pad, vocabulary.start} - {vocabulary.eos}),
            forced_bos_token_id=getattr(backbone.config, "forced_bos_token_id", None),
            **({"early_stopping": False, "length_penalty": section.length_penalty} if section.beam > 1 else {}),
        )
        with without_progress():
            backbone.save_pretrained(target)
        tokenizer_of(vocabulary, longest).save_pretrained(target)
    except Exception as error:  # a library's writers may raise anything
        raise ModelError(f"{subject.model.name}: could not be saved: {type(error).__name__}: {error}") from error
    finally:
        backbone.generation_config = came_with


def difference(subject: Subject, folder: Path) -> float:
    """Largest difference of logits on real pairs, between the written folder's model and ours.

    Raises:
        ModelError: its tokenizer makes other tokens of a real sentence.
    """
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    pairs, target = subject.pairs, folder / FOLDER
    split = pairs.validation if len(pairs.validation) else pairs.train
    tokenizer = AutoTokenizer.from_pretrained(target)
    with without_progress():
        model = AutoModelForSeq2SeqLM.from_pretrained(target).eval()
    ours: Any = backbone_of(subject.model)
    largest, vocabulary = 0.0, pairs.vocabulary
    theirs = isinstance(vocabulary, PretrainedVocabulary)
    texts = list(split.sources[:EXAMPLES])
    for text, ids in zip(texts, vocabulary.encode(texts), strict=True):
        # A tokenizer of somebody else's takes what our vocabulary makes of a text; ours does that itself.
        given_text = normalised(text, lowercase=vocabulary.lowercase) if theirs else text
        if tokenizer(given_text, verbose=False)["input_ids"] != ids:
            raise ModelError(
                f"{subject.model.name}: its exported tokenizer reads {text!r} as other tokens than tosmooth"
            )
    # The split's own tokens: of a sentence that is longer than the model has positions, they are the beginning.
    for source, words in zip(split.source_ids[:EXAMPLES], split.target_ids[:EXAMPLES], strict=True):
        given = {
            "input_ids": torch.tensor(source[None]),
            "decoder_input_ids": torch.tensor([[vocabulary.start, *(int(word) for word in words[:-1])]]),
        }
        with torch.no_grad():
            largest = max(largest, float((model(**given).logits - ours(**given).logits).abs().max()))
    return largest


def tokenizer_of(vocabulary: Vocabulary, longest: int) -> Any:
    """A tokenizer of transformers that makes the same tokens.

    Args:
        vocabulary: of the study.
        longest: tokens of a sentence, as the model has positions.

    Raises:
        ModelError: a vocabulary of another kind.
    """
    if isinstance(vocabulary, PretrainedVocabulary):
        return vocabulary._tokenizer
    if not isinstance(vocabulary, BytePairVocabulary):
        raise ModelError(f"a vocabulary of kind {vocabulary.kind!r} has no tokenizer of transformers")
    from tokenizers import Regex, Tokenizer, decoders, normalizers, processors
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer.from_str(vocabulary._tokenizer.to_str())
    # As `text.normalised`, and with the space before the first word that every word has.
    steps: list[Any] = [normalizers.Lowercase()] if vocabulary.lowercase else []
    steps += [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Strip(), normalizers.Prepend(" ")]
    tokenizer.normalizer = normalizers.Sequence(steps)
    pad, start, eos, unk = SPECIAL
    tokenizer.post_processor = processors.TemplateProcessing(single=f"$A {eos}", special_tokens=[(eos, vocabulary.eos)])
    tokenizer.decoder = decoders.Sequence([decoders.ByteLevel(), decoders.Strip(" ", 1, 0)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=pad,
        bos_token=start,
        eos_token=eos,
        unk_token=unk,
        model_max_length=longest,
        model_input_names=["input_ids", "attention_mask"],
        clean_up_tokenization_spaces=False,
    )

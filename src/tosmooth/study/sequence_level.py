"""Sequence-level distillation (Kim and Rush, EMNLP 2016): students learn what their teacher would have written.

The teacher translates the training sources by beam search, once, and its translations take the references' place:
cross-entropy on them, without a temperature. They are stored in parts under the name of all that they depend on, so a
study that is stopped half-way, and other students of the same teacher, find what is there.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import cast

from tosmooth.data.translation.data import TranslationData
from tosmooth.data.translation.split import TokenSplit
from tosmooth.errors import CacheError
from tosmooth.files import path_safe, write_text
from tosmooth.filling import alone_in
from tosmooth.models.translation import TranslationModel
from tosmooth.models.translation_search import translate
from tosmooth.study.context import Context
from tosmooth.study.plan import Teacher
from tosmooth.study.precision import compute_to_train
from tosmooth.study.precision_trial import settle_precision
from tosmooth.study.teacher_answers import structure_of
from tosmooth.tasks.translation import of_sentences
from tosmooth.training.teacher_cache import weights_digest
from tosmooth.untrusted import UnreadableError, read_json

PART = 1000  # sentences of a file


def translated_training(context: Context, teacher: Teacher) -> TokenSplit:
    """The training split with a teacher's translations for its targets; missing parts are translated now.

    In the precision that the teacher is trained in.

    Raises:
        CacheError: a stored part is damaged, or cannot be written.
    """
    settle_precision(context)
    compute = compute_to_train(context, teacher)
    data = cast(TranslationData, context.data)
    model = cast(TranslationModel, context.trained_model(teacher))
    section = of_sentences(context.config).translation
    sources = [ids.tolist() for ids in data.train.source_ids]
    facts = (*structure_of(model, context.config.teacher.model), compute.precision)
    facts += (section.beam, section.length_penalty, data.train.digest(), PART)
    folder = context.cache_directory / f"{path_safe(model.name)}-sequences-{weights_digest(model, *facts)[:16]}"
    starts = range(0, len(sources), PART)
    on_main, alone = context.compute.processes.on_main, context.compute.processes.world == 1

    def translate_part(start: int) -> int:
        with compute.autocast():
            found = translate(
                model,
                data.vocabulary,
                sources[start : start + PART],
                beam=section.beam,
                length_penalty=section.length_penalty,
                batch_tokens=max(1, context.config.compute.eval_batch_size // section.beam),
            )
        _write(_part(folder, start), found)
        return sum(map(len, found))

    def find_missing() -> list[int]:
        return [start for start in starts if not _part(folder, start).is_file()]

    with ExitStack() as stack:
        if on_main(find_missing):
            on_main(lambda: stack.enter_context(alone_in(folder, context.progress.note, waits=alone)))
        if missing := on_main(find_missing):
            title = f"teacher {teacher.name} translates the training sentences"
            context.progress.stage(title, epochs=len(missing), cost=0)
        for number, start in enumerate(missing):  # part by part: the others wait for one at a time, and not too long
            context.progress.batch(number, on_main(partial(translate_part, start)))
        context.progress.end_stage()
    targets = [ids for start in starts for ids in _read(_part(folder, start), len(sources[start : start + PART]))]
    end = data.vocabulary.eos
    longest = min(of_sentences(context.config).data.text.max_length, context.config.student.batch_size)
    return TokenSplit(
        data.train.texts,
        data.vocabulary,
        data.train.name,
        source_ids=sources,
        target_ids=[[*ids[: longest - 1], end] for ids in targets],
    )


def _part(folder: Path, start: int) -> Path:
    return folder / f"part-{start:09d}.json"


def _write(path: Path, targets: Sequence[Sequence[int]]) -> None:
    text = json.dumps([list(ids) for ids in targets])
    whole = {"sha256": hashlib.sha256(text.encode()).hexdigest(), "targets": text}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, json.dumps(whole) + "\n")
    except OSError as error:
        raise CacheError(
            f"{path} cannot be written: {error.strerror or error}; make room, or choose another cache.directory"
        ) from None


def _read(path: Path, count: int) -> list[list[int]]:
    try:
        found = read_json(path.read_text(encoding="utf-8"))
        text = found["targets"]
        if hashlib.sha256(text.encode()).hexdigest() != found["sha256"]:
            raise ValueError("its content is not what was written")
        targets: list[list[int]] = json.loads(text)
        if len(targets) != count:
            raise ValueError(f"it holds {len(targets)} sentences, not {count}")
    except (OSError, ValueError, LookupError, TypeError, AttributeError, UnreadableError) as error:
        raise CacheError(f"{path} is damaged ({error}); delete it, and it is translated again") from None
    return targets

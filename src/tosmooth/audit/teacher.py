"""The audit of a model: one pass over labelled images with the evaluation transform."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from torch import Tensor

from tosmooth.analysis.mixed_answers import ImageMixing, MixedAnswers
from tosmooth.analysis.mixing_rules import MAYBE_TRAINED_ON, USUAL, AskedAboutMixed, against_asking
from tosmooth.audit.collecting import Collected
from tosmooth.audit.mixed import ask_about_mixed
from tosmooth.audit.result import Audit, Seen, conclude
from tosmooth.audit.seeing import doubt, is_poor, other_views, shown_best
from tosmooth.config.schema import ModelConfig, StudyConfig
from tosmooth.data.base import ImageSplit
from tosmooth.data.upright import turned_in_words
from tosmooth.errors import ConfigError, DataError, ModelError, OtherModelError, UnfetchedError
from tosmooth.models import torchvision_models
from tosmooth.models.build import INPUT_KWARGS
from tosmooth.models.features import PenultimateFeatures
from tosmooth.models.image_model import ImageModel
from tosmooth.models.study_model import StudyModel
from tosmooth.study.bench import Bench
from tosmooth.tasks.base import Task
from tosmooth.tasks.find import find_task
from tosmooth.tasks.image_classification import ImageClassification


@dataclass(frozen=True)
class Outputs:
    """The outputs of a model whose classes are not the data's alone, or not in their order.

    Attributes:
        index: (K,) the output that stands for each class of the data.
        names: of all outputs.
    """

    index: Tensor
    names: Sequence[str]


def audit_weights(
    config: StudyConfig,
    weights: Path,
    split: str,
    temperatures: Sequence[float],
    *,
    training_data: bool | None = None,
    own_size: bool = False,
    ema: bool = False,
    mixing: tuple[ImageMixing, ...] | None = None,
) -> Audit:
    """Audit saved weights of a configuration's teacher on a split of its data.

    Args:
        config: whose data, and whose `teacher.model`.
        weights: safetensors or PyTorch weights.
        split: "train", "validation" or "test".
        temperatures: of the table of soft targets.
        training_data: whether the teacher was trained on that split; None: on "train" it was.
        own_size: the teacher is shown images as large as its weights want them, or as it is right on most of them,
            whatever the configuration says.
        ema: take the averaged weights of a file that has plain ones, too.
        mixing: ways in which its training may have mixed images (`ways_left`); None: nothing is known of it.

    Raises:
        TosmoothError: wrong arguments, data that cannot be read, weights that do not fit.
    """
    bench = _bench(config, split)
    known = split == "train" if training_data is None else training_data
    section = config.teacher.model.of_averages(ema)
    try:
        model = bench.loaded_model(section, weights)
    except OtherModelError as error:
        raise OtherModelError(f"{error}. --teacher-model says which architecture they are of") from None
    seen = Seen(str(weights), "", split, known, mixing=mixing)
    return _audit_as_shown_best(bench, model, seen, temperatures, section.last_layer, own_size=own_size)


def audit_published(
    config: StudyConfig,
    name: str,
    split: str,
    temperatures: Sequence[float],
    *,
    training_data: bool | None = None,
    own_size: bool = False,
    mixing: tuple[ImageMixing, ...] | None = None,
) -> Audit:
    """Audit a published model (``timm:…``, ``torchvision:…``, ``hf:…``) with its own weights.

    Args:
        config: whose data.
        name: of the model; its weights are the library's.
        split: "train", "validation" or "test".
        temperatures: of the table of soft targets.
        training_data: whether the teacher was trained on that split; None: not known, but "validation" and "test" count
            as unseen.
        own_size: as for `audit_weights`.
        mixing: the same.

    Raises:
        TosmoothError: as for `audit_weights`; or the model knows another number of classes than the data have.
    """
    bench = _bench(config, split)
    theirs, ours = published_classes(name), bench.data.num_classes
    if theirs is not None and theirs != ours:
        raise ModelError(
            f"{name}: its weights know {theirs} classes, the data have {ours}; an audit needs the same classes"
        )
    own = config.teacher.model
    # A recipe's arguments are those of its own model; how images are shown, the user has said.
    shown = {key: value for key, value in own.kwargs.items() if key in INPUT_KWARGS}
    section = own if own.name == name else ModelConfig(name=name, kwargs=shown)
    section = section.model_copy(update={"pretrained": True, "checkpoint": None})
    model = bench.compute.place(bench.new_model(section, 0)).eval()
    known = (None if split == "train" else False) if training_data is None else training_data
    seen = Seen(name, "", split, known, mixing=mixing)
    return _audit_as_shown_best(bench, model, seen, temperatures, section.last_layer, own_size=own_size)


def _audit_as_shown_best(
    bench: Bench,
    model: StudyModel,
    seen: Seen,
    temperatures: Sequence[float],
    layer: str | None,
    *,
    own_size: bool,
) -> Audit:
    """The audit of a model on images as it is right on most of them, unless somebody has said how they are shown."""
    trial, classifier = None, cast(ImageModel, model)
    if own_size:
        bench, trial = shown_best(bench, classifier, size_open=True)
    audit = audit_model(bench, model, seen, temperatures, layer)
    notes = [*model.notes, *audit.notes]
    if trial is not None and trial.words is not None:
        notes.append(f"{trial.words}; it was shown {trial.best.side}, --image-size says another")
    if (turned := turned_in_words(bench.data.train)) is not None:
        notes.append(turned)
    accuracy, classes = audit.metrics["top1"] / 100, bench.data.num_classes
    if is_poor(accuracy, classes):
        images = "training" if seen.split in {None, "train"} else str(seen.split)
        notes.append(f"{seen.teacher} {doubt(accuracy, classes, other_views(bench, classifier, trial), images)}")
    return dataclasses.replace(audit, notes=tuple(notes))


def published_classes(name: str) -> int | None:
    """K of a library's published weights, without fetching them where the library knows; None where it does not."""
    source, _, rest = name.partition(":")
    if source == "timm":
        import timm

        found = timm.get_pretrained_cfg(rest)
        if found is None or not (found.url or found.hf_hub_id):
            raise ModelError(f"{name}: timm has no weights for this model")
        return int(found.num_classes)
    if source == "torchvision":
        return len(torchvision_models.published_weights(rest).meta["categories"])
    if source == "hf":
        from transformers import AutoConfig

        try:
            return int(AutoConfig.from_pretrained(str(Path(rest).expanduser()), trust_remote_code=False).num_labels)
        except (OSError, ValueError) as error:
            said = " ".join(str(error).split()).partition(". ")[0].rstrip(".")
            reason = f"{name}: its config.json cannot be read: {said[:300]}"
            raise UnfetchedError(name, reason, "give the folder (hf:FOLDER)") from None
    raise ModelError(f"{name}: has no published weights; give the file of its weights")


def can_be_audited(task: Task) -> bool:
    """Whether models of a task are audited, or only their saved logits."""
    return isinstance(task, ImageClassification)


def _bench(config: StudyConfig, split: str) -> Bench:
    if not can_be_audited(find_task(config.task)):
        raise ConfigError(
            [f"task: {config.task} models are audited by saved logits and labels only (tosmooth audit logits.npz)"]
        )
    bench = Bench.of(config)
    bench.split(split)
    return bench


def audit_model(
    bench: Bench,
    model: StudyModel,
    seen: Seen,
    temperatures: Sequence[float],
    layer: str | None,
    *,
    outputs: Outputs | None = None,
    watch: Callable[[Tensor, Tensor], None] = lambda logits, labels: None,
) -> Audit:
    """Audit a model on the split of the data that `seen` names.

    Args:
        bench: the data and the device.
        model: on the device, in eval mode.
        seen: what is looked at; the words about the data are filled in here.
        temperatures: of the table of soft targets.
        layer: name of its last linear layer, where it is ambiguous.
        outputs: of a model with other outputs than the data's classes; None: they are the data's.
        watch: is given the logits (N, outputs) and the data's labels (N,) of each batch.

    Raises:
        DataError: no image can be read, or the model's logits are not finite.
    """
    images = bench.split(str(seen.split))
    collected = Collected(model.num_classes, temperatures)
    with torch.no_grad(), ExitStack() as stack:
        try:
            features_of = stack.enter_context(PenultimateFeatures(model, model.num_classes, layer))
        except ModelError:  # no last linear layer to be found: the class means of the logits serve
            features_of = None
        for batch in bench.whole_batches(images).epoch(0):
            if not batch.counted:
                continue
            pixels, labels = bench.compute.put(batch)[:2]
            logits, features = (model(pixels), None) if features_of is None else features_of(pixels)
            own = labels if outputs is None else outputs.index.to(labels.device)[labels]
            try:
                collected.update(logits, own, features)
            except ValueError as error:
                raise DataError(f"{seen.teacher}: {error}") from None
            watch(logits, labels)
    if not collected.smoothing.count:
        raise DataError("no image of the split could be read")
    asked, notes = _asked_about_mixed(bench, model, seen, collected, outputs)
    words = f"{bench.data.source}, {collected.smoothing.count} images of the {seen.split} split"
    names = bench.data.classes if outputs is None else outputs.names
    audit = conclude(collected, dataclasses.replace(seen, data=words), names, asked)
    return dataclasses.replace(audit, notes=notes)


def _asked_about_mixed(
    bench: Bench, model: StudyModel, seen: Seen, collected: Collected, outputs: Outputs | None
) -> tuple[AskedAboutMixed | None, tuple[str, ...]]:
    """What the teacher says of mixed images, where whole ones leave it open or somebody has said how they were mixed,
    and nothing is against it; and why what was said counts for nothing."""
    found = collected.judge(seen.training_data, seen.rescaled)
    against = against_asking(found.evidence, seen.training_data)
    if against or (seen.mixing is None and found.verdict != "undecided"):
        return None, _not_asked(seen, against, is_open=found.verdict == "undecided")
    answers = MixedAnswers(model.num_classes)
    if any(way.mixes for way in seen.mixing or USUAL):
        split = cast(ImageSplit, bench.split(str(seen.split)))
        try:
            answers = ask_about_mixed(bench, model, split, None if outputs is None else outputs.index)
        except ValueError as error:
            raise DataError(f"{seen.teacher}, shown mixed images: {error}") from None
    asked = AskedAboutMixed.of(answers, collected.smoothing, seen.mixing)
    if asked is None:
        return None, _not_asked(seen, ["too few pairs of images of two classes"], is_open=True)
    return asked, ()


def _not_asked(seen: Seen, against: Sequence[str], *, is_open: bool) -> tuple[str, ...]:
    """What to know of a teacher that was not asked about mixed images."""
    if seen.mixing is not None:
        said = " or ".join(way.words for way in seen.mixing)
        return (f"how its training mixed images ({said}, as was said) counts for nothing here: {'; '.join(against)}",)
    if is_open and list(against) == [MAYBE_TRAINED_ON]:
        return ("if these are its training images, say so (--training-data): it is asked about mixed ones, too, then",)
    return ()

"""What the two older views see in a teacher: one pass over training images, and a few augmented views of some of them.

Kept beside the teacher's weights, so that a study that is started again does not compute it twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from tosmooth.analysis.centroids import ClassCentroids
from tosmooth.analysis.information import mutual_information
from tosmooth.analysis.smoothness import smoothness
from tosmooth.analysis.stability import stability_from
from tosmooth.data.augmentation import FIXED_VIEWS
from tosmooth.data.base import ImageSplit, Subset
from tosmooth.data.batches import Batch
from tosmooth.data.views import EachView
from tosmooth.folder.paths import TEACHER_VIEWS_FILE, WEIGHTS_FILE
from tosmooth.folder.sums import file_sum
from tosmooth.folder.writing import load_json, write_json
from tosmooth.models.study_model import StudyModel
from tosmooth.study.context import Context
from tosmooth.study.plan import Teacher
from tosmooth.study.projection import choose_classes
from tosmooth.training.evaluation import FollowedClasses

VIEWS = 8  # L of the mutual information
PER_CLASS = 100  # images of a class that it is estimated from, at most
SHIFT = 2  # pixels, where the training augmentation has fewer than L outcomes
FEWEST_IMAGES, IMAGES_PER_CLASS = 20_000, 50  # of the pass for stability and γ: the larger of both, at most
MOST_CLASSES = 4096  # beyond, the class means of probabilities (K × K) would take too much memory


def teacher_views(context: Context, teacher: Teacher, temperatures: Sequence[float]) -> dict[str, Any]:
    """Stability, γ by temperature, and mutual information of a teacher, on training images.

    Returns:
        `stability` (None beyond 4,096 classes), `smoothness` by temperature (as `%g`), `images`; `mi_similar` and
        `mi_dissimilar` in nats (None where a pair has too few images), `mi_images`, `mi_views`, and `mi_augmentation`.
    """
    path = context.folder(teacher) / TEACHER_VIEWS_FILE
    classes = choose_classes(context)
    weights = file_sum(context.folder(teacher) / WEIGHTS_FILE)
    wanted = {"weights": weights, "classes": list(classes), "views": VIEWS, "per_class": PER_CLASS}
    if path.is_file():
        known = load_json(path, dict, "delete it, and the same command makes it again", model=teacher.name)
        if known.get("of") == wanted and {f"{t:g}" for t in temperatures} <= set(known["smoothness"]):
            return known
    model = context.trained_model(teacher)
    found = {"of": wanted, **_answers(context, model, temperatures), **_information(context, model, classes)}
    write_json(path, found, model=teacher.name)
    return found


def _answers(context: Context, model: StudyModel, temperatures: Sequence[float]) -> dict[str, Any]:
    """Stability at T = 1, and γ at each temperature, with the evaluation transform."""
    followed = FollowedClasses(model.num_classes, context.data.class_outputs, context.compute.device)
    seen = ClassCentroids(followed.count, model.num_classes) if followed.count <= MOST_CLASSES else None
    sums, images = dict.fromkeys(temperatures, 0.0), 0
    with torch.no_grad():
        for batch in _some_batches(context):
            if not batch.counted:
                continue
            logits, labels = _logits(context, model, batch)
            images += len(labels)
            if seen is not None:
                seen.update(logits.softmax(1), followed.of(labels))
            from_highest = logits - logits.amax(1, keepdim=True)  # divided by any T, however low, still without a NaN
            for temperature in temperatures:
                sums[temperature] += smoothness((from_highest / temperature).softmax(1), labels) * len(labels)
    return {
        "stability": None if seen is None else stability_from(seen),
        "smoothness": {f"{t:g}": total / images for t, total in sums.items()},
        "images": images,
    }


def _some_batches(context: Context) -> Iterator[Batch]:
    """Training samples as evaluation sees them: a random choice of images, or of batches where samples are tokens."""
    split, count = context.data.train, max(FEWEST_IMAGES, IMAGES_PER_CLASS * context.data.num_classes)
    random = np.random.default_rng(0)
    if isinstance(split, ImageSplit):
        if len(split) > count:
            split = Subset(split, np.sort(random.choice(len(split), count, replace=False)).tolist())
        yield from context.whole_batches(split).epoch(0)
        return
    batches = context.whole_batches(split)
    wanted = min(len(batches), -(-count // batches.batch_size))
    for number in np.sort(random.choice(len(batches), wanted, replace=False)).tolist():
        yield next(batches.epoch(0, number))


def _information(context: Context, model: StudyModel, classes: tuple[int, int, int]) -> dict[str, Any]:
    """Mutual information between the image and the logit difference, of two similar classes and of two that are not.

    None of it where samples have no augmented views: Müller et al.'s estimate needs several of one sample.
    """
    if not context.task.augmented:
        return dict.fromkeys(("mi_similar", "mi_dissimilar", "mi_images", "mi_views", "mi_augmentation"))
    chosen = _some_images(context.data.train, classes)
    split = Subset(context.data.train, chosen)
    logits, augmentation = _views_of(context, model, split)  # (n, L, 3): the three classes' logits
    found: dict[str, Any] = {"mi_images": None, "mi_views": VIEWS, "mi_augmentation": augmentation}
    complete = ~logits.isnan().any(2).any(1)  # an image that cannot be read has no views
    for name, other in (("mi_similar", 1), ("mi_dissimilar", 2)):
        of_pair = torch.isin(split.labels, torch.tensor([classes[0], classes[other]])) & complete
        difference = logits[of_pair, :, 0] - logits[of_pair, :, other]
        found[name] = mutual_information(difference) if len(difference) > 1 else None
        found["mi_images"] = min(found["mi_images"] or len(difference), len(difference))
    return found


def _some_images(split: ImageSplit, classes: tuple[int, int, int]) -> list[int]:
    """Up to `PER_CLASS` images of each class, chosen by a fixed seed, in the order of the split."""
    generator = np.random.default_rng(0)
    labels = split.labels.numpy()
    parts = [generator.permutation(np.flatnonzero(labels == index))[:PER_CLASS] for index in classes]
    return sorted(int(index) for part in parts for index in part)


def _views_of(context: Context, model: StudyModel, split: ImageSplit) -> tuple[Tensor, str]:
    """Logits of the projection's three classes for L views of each image, (n, L, 3), NaN where unread; and of what.

    Views are those of the training augmentation. Where that has fewer than L outcomes (a flip has two, none has one),
    they are shifts by up to two pixels of the evaluation view, the same ones for every teacher.
    """
    classes = torch.tensor(choose_classes(context))
    size = context.config.compute.eval_batch_size
    outcomes = context.pipeline.training_outcomes(split)
    fixed = context.config.data.full_augmentation in FIXED_VIEWS
    augmented = not fixed and (outcomes is None or outcomes >= VIEWS)
    if augmented:
        batches = context.pipeline.in_order(split, batch_size=size, views=EachView(VIEWS, 0))
    else:
        batches = context.whole_batches(split)
    shifts = torch.from_numpy(np.random.default_rng(0).integers(2 * SHIFT + 1, size=(len(split), VIEWS, 2)))
    found = torch.full((len(split), VIEWS, 3), float("nan"))
    with torch.no_grad():
        for view in range(VIEWS):
            for batch in batches.epoch(view if augmented else 0):
                if not batch.counted:
                    continue
                if not augmented:
                    assert isinstance(batch.inputs, torch.Tensor)
                    of_batch = shifts[batch.indices.cpu(), view].to(batch.inputs.device)
                    batch = batch._replace(inputs=shifted(batch.inputs, of_batch))
                logits, _ = _logits(context, model, batch)
                found[batch.indices.cpu(), view] = logits.cpu()[:, classes]
    name = context.config.data.full_augmentation
    return found, f"training augmentation ({name})" if augmented else f"shifts by up to {SHIFT} pixels"


def shifted(images: Tensor, shifts: Tensor) -> Tensor:
    """Images (n, C, H, W), each moved by its own (row, column) in 0 … 2 · SHIFT, with `SHIFT` for none; zeros enter."""
    height, width = images.shape[2:]
    windows = F.pad(images, (SHIFT,) * 4).unfold(2, height, 1).unfold(3, width, 1)  # (n, C, 5, 5, H, W), no copy
    return windows[torch.arange(len(images), device=images.device), :, shifts[:, 0], shifts[:, 1]]


def _logits(context: Context, model: StudyModel, batch: Any) -> tuple[Tensor, Tensor]:
    images, labels = context.compute.put(batch)[:2]
    logits = model(images)
    return logits.float(), labels

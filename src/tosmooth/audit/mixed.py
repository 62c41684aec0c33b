"""A teacher asked about mixed images: pairs of its training images, blended as by MixUp or pasted as by CutMix."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from tosmooth.analysis.mixed_answers import BLENDED, PASTED, SHARES, MixedAnswers
from tosmooth.analysis.mixing_rules import LEAST_PAIRS
from tosmooth.audit.images import readable
from tosmooth.data.base import ImageSplit
from tosmooth.models.study_model import StudyModel
from tosmooth.study.bench import Bench

PAIRS = 300
ROUNDS = 50  # in which pairs are drawn; a data set that is nearly all one class has few in each


def ask_about_mixed(bench: Bench, model: StudyModel, split: ImageSplit, outputs: Tensor | None) -> MixedAnswers:
    """What a teacher says of pairs of images, each pair mixed in every kind and share.

    Args:
        bench: the data and the device; images are shown with the evaluation transform.
        model: on the device, in eval mode, with at least 3 outputs.
        split: whose images are mixed. Those that cannot be read are left out with their partners, as are pairs of two
            sizes; others take their place.
        outputs: (K,) the output that stands for each class of the data; None: they are the data's.

    Returns:
        None of them, where there are too few pairs.

    Raises:
        DataError: an image cannot be read, and `data.on_error` does not skip it.
        ValueError: an answer is not finite.
    """
    answers, labels = MixedAnswers(model.num_classes), split.labels if outputs is None else outputs.cpu()[split.labels]
    pairs, images = _readable_pairs(bench, split)
    if len(pairs) < LEAST_PAIRS:
        return answers
    by_shape: dict[torch.Size, list[tuple[int, int]]] = {}
    for one, other in pairs:
        by_shape.setdefault(images[one].shape, []).append((one, other))
    size = bench.config.compute.eval_batch_size
    with torch.no_grad():
        for some in (part for own in by_shape.values() for part in torch.split(torch.tensor(own), size)):
            first, second = (
                torch.stack([images[place] for place in column.tolist()]).to(bench.compute.device).float() / 255
                for column in some.T
            )
            add_answers(answers, model, first, second, labels[some])
    return answers


def add_answers(
    answers: MixedAnswers, model: Callable[[Tensor], Tensor], first: Tensor, second: Tensor, labels: Tensor
) -> None:
    """Ask about pairs of images in every kind and share.

    Args:
        answers: to add to.
        model: images (n, C, H, W) → logits (n, K).
        first: (n, C, H, W), float, the first images of the pairs.
        second: the same of the second ones.
        labels: (n, 2) classes of both.
    """
    for kind, mix in KINDS.items():
        for wanted in SHARES:
            mixed, share = mix(first, second, wanted)
            answers.update(kind, wanted, share, model(mixed), labels[:, 0], labels[:, 1])


def _readable_pairs(bench: Bench, split: ImageSplit) -> tuple[list[tuple[int, int]], dict[int, Tensor]]:
    """At most `PAIRS` pairs of positions whose images can be read and have one size, and these images."""
    pairs, images, tried = list[tuple[int, int]](), dict[int, Tensor](), set[int]()
    for some in torch.split(drawn_pairs(split.labels, 3 * PAIRS), PAIRS):
        new = [place for place in torch.unique(some).tolist() if place not in tried]
        images |= {place: image for place, (image,) in readable(bench, split, new)}
        tried.update(new)
        found = ((one, other) for one, other in some.tolist() if one in images and other in images)
        pairs += [(one, other) for one, other in found if images[one].shape == images[other].shape]
        if len(pairs) >= PAIRS:
            break
    return pairs[:PAIRS], images


def drawn_pairs(labels: Tensor, count: int = PAIRS) -> Tensor:
    """Pairs (n, 2) of positions of images with different labels, n ≤ count; the same for the same labels.

    Args:
        labels: (N,); below 0: of an image that nobody has labelled, which is in no pair.
        count: at most so many.
    """
    generator, found = torch.Generator().manual_seed(0), torch.empty(0, 2, dtype=torch.int64)
    for _ in range(ROUNDS):
        first, second = (torch.randperm(len(labels), generator=generator) for _ in range(2))
        fit = (labels[first] != labels[second]) & (labels[first] >= 0) & (labels[second] >= 0)
        found = torch.cat([found, torch.stack([first[fit], second[fit]], dim=1)])[:count]
        if len(found) == count:
            break
    return found


def blended(first: Tensor, second: Tensor, share: float) -> tuple[Tensor, float]:
    """Images (N, C, H, W) blended pixel by pixel as by MixUp (Zhang et al., 2018), and the share of the first."""
    return share * first + (1 - share) * second, share


def pasted(first: Tensor, second: Tensor, share: float) -> tuple[Tensor, float]:
    """Images with a box of the second pasted in, as by CutMix (Yun et al., 2019), and the share left of the first.

    The boxes lie at places drawn for each pair, always wholly within the image.
    """
    height, width = first.shape[-2:]
    rows, columns = (max(1, round(side * math.sqrt(1 - share))) for side in (height, width))
    generator = torch.Generator().manual_seed(1)
    top, left = (
        torch.randint(side - box + 1, (len(first), 1), generator=generator)
        for side, box in ((height, rows), (width, columns))
    )
    down, across = torch.arange(height), torch.arange(width)
    in_rows, in_columns = (down >= top) & (down < top + rows), (across >= left) & (across < left + columns)
    inside = (in_rows[:, :, None] & in_columns[:, None, :])[:, None].to(first.device)
    return torch.where(inside, second, first), 1 - rows * columns / (height * width)


KINDS: Mapping[str, Callable[[Tensor, Tensor, float], tuple[Tensor, float]]] = {BLENDED: blended, PASTED: pasted}

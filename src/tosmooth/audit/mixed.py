"""A teacher asked about mixed images: pairs of its training images, blended as by MixUp or pasted as by CutMix."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from tosmooth.analysis.mixed_answers import BLENDED, PASTED, SHARES, MixedAnswers
from tosmooth.data.base import ImageSplit, Subset
from tosmooth.models.study_model import StudyModel
from tosmooth.study.bench import Bench

PAIRS = 300
FEWEST_CLASSES = 3


def ask_about_mixed(bench: Bench, model: StudyModel, split: ImageSplit, outputs: Tensor | None) -> MixedAnswers | None:
    """What a teacher says of pairs of images, each pair mixed in every kind and share.

    Args:
        bench: the data and the device; images are shown with the evaluation transform.
        model: on the device, in eval mode.
        split: whose images are mixed; those that cannot be read are left out with their partners.
        outputs: (K,) the output that stands for each class of the data; None: they are the data's.

    Returns:
        None where it has too few outputs, or no two images of different classes can be read.
    """
    pairs = drawn_pairs(split.labels)
    if model.num_classes < FEWEST_CLASSES or not len(pairs):
        return None
    places = torch.unique(pairs)
    images: dict[int, Tensor] = {}
    for batch in bench.whole_batches(Subset(split, places)).epoch(0):
        if batch.counted:
            assert isinstance(batch.inputs, Tensor)
            images.update(zip(places[batch.indices.cpu()].tolist(), batch.inputs, strict=True))
    pairs = torch.tensor([pair for pair in pairs.tolist() if set(pair) <= images.keys()]).view(-1, 2)
    answers, labels = MixedAnswers(model.num_classes), split.labels if outputs is None else outputs[split.labels]
    with torch.no_grad():
        for some in torch.split(pairs, bench.config.compute.eval_batch_size):
            first, second = (
                torch.stack([images[place] for place in column.tolist()]).to(bench.compute.device).float() / 255
                for column in some.T
            )
            for (kind, mix), wanted in ((item, share) for item in KINDS.items() for share in SHARES):
                mixed, share = mix(first, second, wanted)
                answers.update(kind, wanted, share, model(mixed), labels[some[:, 0]], labels[some[:, 1]])
    return answers if answers.pairs else None


def drawn_pairs(labels: Tensor, count: int = PAIRS) -> Tensor:
    """Pairs (n, 2) of positions of images with different labels, n ≤ count; the same for the same labels.

    Args:
        labels: (N,); below 0: of an image that nobody has labelled, which is in no pair.
        count: at most so many.
    """
    generator = torch.Generator().manual_seed(0)
    first, second = (torch.randperm(len(labels), generator=generator) for _ in range(2))
    fit = (labels[first] != labels[second]) & (labels[first] >= 0) & (labels[second] >= 0)
    return torch.stack([first[fit], second[fit]], dim=1)[:count]


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

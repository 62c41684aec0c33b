"""How a teacher is to be shown images: sizes and normalisations, tried on some hundred of them.

Weights rarely say how large the images were that they were trained on, and a teacher of 64 pixels is lost at 224. What
the weights do say is tried first, and where the teacher is right there, nothing else is.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import binomtest
from torch import Tensor

from tosmooth.audit.images import USUAL_SIZE, readable, sized_for
from tosmooth.errors import DataError
from tosmooth.memory import is_out_of_memory
from tosmooth.models.image_model import IMAGENET_MEAN, IMAGENET_STD, ImageModel, InputSpec
from tosmooth.study.bench import Bench
from tosmooth.terminal import quoted

SAMPLE = 256  # training images, evenly over the classes
SIZES = (32, 48, 64, 96, 128, 160, 224)  # pixels; all but the last cost together about as much as the last
NORMALISATIONS = {
    "as for ImageNet": (IMAGENET_MEAN, IMAGENET_STD), "from -1 to 1": ((0.5,), (0.5,)), "from 0 to 1": ((0.0,), (1.0,)),
}  # fmt: skip
POOR = 1 / 3  # of the way from chance to no error: who is right less often is asked about
BETTER_LEVEL = 0.001  # of the test, on the same images, that another view is better
LEAST_BETTER = 0.02  # of the images, that it must be right on besides
AS_GOOD = 0.01  # of the images: among views this near the best one, the likelihood of the labels decides


def is_poor(accuracy: float, classes: int) -> bool:
    """Whether a teacher is right so rarely on training images that it should be asked about.

    Args:
        accuracy: share of right answers, in [0, 1].
        classes: K.
    """
    chance = 1 / classes
    return accuracy - chance < POOR * (1 - chance)


@dataclass(frozen=True)
class View:
    """One way to show a teacher images, and how it answered.

    Attributes:
        spec: what it was shown.
        side: of the images that it saw, in pixels.
        right: (N,) which images it was right on.
        loss: mean cross-entropy, nats.
    """

    spec: InputSpec
    side: int
    right: NDArray[np.bool_]
    loss: float

    @property
    def accuracy(self) -> float:
        """Share of the images, in [0, 1]."""
        return float(self.right.mean())

    def beats(self, other: View) -> bool:
        """Whether it is right on more of the same images than another, by more than chance."""
        gained, lost = int((self.right & ~other.right).sum()), int((other.right & ~self.right).sum())
        if gained - lost < max(1, LEAST_BETTER * len(self.right)):
            return False
        return bool(binomtest(gained, gained + lost, 0.5, alternative="greater").pvalue < BETTER_LEVEL)


@dataclass(frozen=True)
class Trial:
    """What was tried on a teacher.

    Attributes:
        views: in their order; the first is how it would be shown without a trial.
        best: the one to take: the first, unless another is better by more than chance.
    """

    views: tuple[View, ...]
    best: View

    @property
    def changed(self) -> bool:
        """Whether another view than the first is better."""
        return self.best is not self.views[0]

    @property
    def proposal(self) -> str:
        """What stands behind a sentence about a poor teacher: a better view, and how to ask for it; empty for none."""
        return f"; {self.words}: {_options(self)} shows it so" if self.changed else ""

    @property
    def words(self) -> str | None:
        """What was tried and found, in one sentence; None where one view was enough."""
        if len(self.views) == 1:
            return None
        first, best, count = self.views[0], self.best, len(self.views[0].right)
        if not self.changed:
            sizes = ", ".join(str(side) for side in sorted({view.side for view in self.views}))
            return (
                f"at {first.side} pixels it is right on {in_percent(first.accuracy)} of {count} training images, and "
                f"no other size is better (tried: {sizes})"
            )
        same = (best.spec.mean, best.spec.std) == (first.spec.mean, first.spec.std)
        ours, usual = (f"{view.side} pixels{'' if same else f' {_named(view.spec)}'}" for view in (best, first))
        return (
            f"at {ours} it is right on {in_percent(best.accuracy)} of {count} training images, at {usual} on "
            f"{in_percent(first.accuracy)}"
        )


def as_right(accuracy: float, classes: int, *, trained: bool | None) -> str:
    """How a teacher's accuracy on the training images is told.

    Args:
        accuracy: share of right answers, in [0, 1].
        classes: K.
        trained: whether it was trained on them; None: it may have been.
    """
    seen = {
        True: ", which it was trained on",
        False: ", which it has not seen",
        None: ", which it may have seen before",
    }
    return (
        f"right on {100 * accuracy:.1f} % of the training images{seen[trained]} ({100 / classes:.1f} % would be chance)"
    )


def doubt(accuracy: float, classes: int, trial: Trial | None, images: str = "training") -> str:
    """What is said of a teacher that is poor, with the way to a better view where one was found.

    Args:
        accuracy: share of the images that it is right on, in [0, 1].
        classes: K.
        trial: other views than the one it was shown; None: what is best was taken already.
        images: which ones it was asked about.
    """
    said = (
        f"is right on {100 * accuracy:.1f} % of the {images} images ({100 / classes:.1f} % would be chance), which is "
        "little for a teacher of them"
    )
    return said if trial is None else said + trial.proposal


def _options(trial: Trial) -> str:
    """What to add to a command for the best view."""
    spec = trial.best.spec
    found = [f"--image-size {trial.best.side}"]
    if (spec.mean, spec.std) != (trial.views[0].spec.mean, trial.views[0].spec.std):
        for key, values in (("mean", spec.mean), ("std", spec.std)):
            value = f"{values[0]:g}" if len(set(values)) == 1 else f"[{','.join(f'{value:g}' for value in values)}]"
            found.append(quoted(f"teacher.model.kwargs.{key}={value}"))
    return " ".join(found)


def in_percent(share: float) -> str:
    """`0.987` → `99 %`."""
    return f"{100 * share:.0f} %"


def shown_best(
    bench: Bench, model: ImageModel, *, size_open: bool, index: Sequence[int] | None = None
) -> tuple[Bench, Trial | None]:
    """The bench with images as a teacher is right on most of them, and the model told to want them so.

    Args:
        bench: whose training images are looked at.
        model: the teacher, with all of its outputs, on the device and in eval mode.
        size_open: nobody has said how large images are shown.
        index: which of its outputs are the data's classes; None: they are all, in this order.

    Returns:
        The bench, and what was tried; None where the size was said, by the user that is.

    Raises:
        DataError: no image can be read.
    """
    if not size_open or "size" in model.given:
        return (sized_for(bench, model) if size_open else bench), None
    trial = tried(bench, model, index=index, thorough=model.input.size is None)
    if len(trial.views) > 1:
        model.use_input(trial.best.spec)
    return sized_for(bench, model), trial


def tried(
    bench: Bench, model: ImageModel, *, index: Sequence[int] | None = None, thorough: bool, said: int | None = None
) -> Trial:
    """Try a teacher on some training images in several sizes, then in several normalisations at the best of them.

    Args:
        bench: as for `shown_best`.
        model: the same.
        index: the same.
        thorough: also where the first view is not poor.
        said: side of the images of the first view; None: as the model wants it, or the usual one.

    Raises:
        DataError: no image can be read.
    """
    first = said or model.input.size or USUAL_SIZE
    sides = dict.fromkeys((first, *SIZES))
    crops, labels = _cropped(bench, sides)

    def view(spec: InputSpec, side: int) -> View | None:
        return _view(bench, model, spec, crops[side], labels, side, index)

    of_first = view(model.input if said else dataclasses.replace(model.input, size=first), first)
    if of_first is None:
        raise DataError(f"{model.name}: does not work on images of {first} pixels")
    if not thorough and not is_poor(of_first.accuracy, bench.data.num_classes):
        return Trial((of_first,), of_first)
    found = [of_first]

    def look(spec: InputSpec, at: Iterable[int]) -> None:
        new = (view(dataclasses.replace(spec, size=side), side) for side in at)
        found.extend(one for one in new if one is not None)

    look(model.input, [side for side in sides if side != first])
    if not model.told and not {"mean", "std"} & model.given.keys():
        best = _best(found)
        # With the wrong normalisation a teacher may be lost at every size.
        at = list(sides) if is_poor(best.accuracy, bench.data.num_classes) else [best.side]
        for mean, std in NORMALISATIONS.values():
            spec = dataclasses.replace(model.input, mean=mean, std=std)
            if (spec.mean, spec.std) != (model.input.mean, model.input.std):
                look(spec, at)
    return Trial(tuple(found), _best(found))


def other_views(
    bench: Bench, model: ImageModel, trial: Trial | None, index: Sequence[int] | None = None
) -> Trial | None:
    """Views beside the one that somebody has said, of a teacher that is poor at it; None where they were tried already,
    and where images are shown as they come.

    Args:
        bench: with the size that was said.
        model: as for `shown_best`.
        trial: of `shown_best`.
        index: the same.
    """
    section = bench.config.data
    if (trial is not None and len(trial.views) > 1) or section.eval_transform == "none" or section.image_size is None:
        return None
    return tried(bench, model, index=index, thorough=True, said=section.image_size)


def _best(views: Sequence[View]) -> View:
    """The first, unless others beat it; of these the likeliest among the best, and another normalisation only if it
    beats the library's own."""
    better = [view for view in views[1:] if view.beats(views[0])]
    if not better:
        return views[0]
    usual = [view for view in better if (view.spec.mean, view.spec.std) == (views[0].spec.mean, views[0].spec.std)]
    if usual:
        own = _likeliest(usual)
        return _likeliest([view for view in better if view.beats(own)] or usual)
    return _likeliest(better)


def _likeliest(better: Sequence[View]) -> View:
    """Of the views that are about as often right as the best, the one with the lowest loss."""
    most = max(view.accuracy for view in better)
    return min((view for view in better if view.accuracy >= most - AS_GOOD), key=lambda view: view.loss)


def _cropped(bench: Bench, sides: dict[int, None]) -> tuple[dict[int, Tensor], Tensor]:
    """Of each side the same images, (N, C, side, side) uint8, and their labels (N,)."""
    split = bench.data.train
    by_class = torch.argsort(split.labels, stable=True)
    picked = by_class[torch.linspace(0, len(by_class) - 1, min(SAMPLE, len(by_class))).long()].tolist()
    crops: dict[int, list[Tensor]] = {side: [] for side in sides}
    labels = []
    for number, images in readable(bench, split, picked, tuple(sides)):
        for side, image in zip(sides, images, strict=True):
            crops[side].append(image)
        labels.append(int(split.labels[number]))
    if not labels:
        raise DataError("none of the training images can be read, so the teacher cannot be tried on any")
    return {side: torch.stack(images) for side, images in crops.items()}, torch.tensor(labels)


def _view(
    bench: Bench,
    model: ImageModel,
    spec: InputSpec,
    images: Tensor,
    labels: Tensor,
    side: int,
    index: Sequence[int] | None,
) -> View | None:
    """How the teacher answers when it is shown images so; None where it cannot be."""
    compute, right, loss = bench.compute, list[NDArray[np.bool_]](), 0.0
    columns = slice(None) if index is None else torch.tensor(index, device=compute.device)
    try:
        with torch.no_grad(), model.shown_as(spec):
            size = bench.config.compute.eval_batch_size
            for own, theirs in zip(torch.split(images, size), torch.split(labels, size), strict=True):
                logits = model(own.to(compute.device))
                chosen, targets = logits[:, columns].float(), theirs.to(compute.device)
                right.append((chosen.argmax(dim=1) == targets).cpu().numpy())
                loss += float(torch.nn.functional.cross_entropy(chosen, targets, reduction="sum"))
    except (RuntimeError, ValueError, AssertionError, IndexError) as error:
        if is_out_of_memory(error):
            raise
        return None  # too small for it, or not the size it was built for
    return View(spec, spec.size or side, np.concatenate(right), loss / len(labels))


def _named(spec: InputSpec) -> str:
    for name, (mean, std) in NORMALISATIONS.items():
        if set(spec.mean) == set(mean) and set(spec.std) == set(std):
            return f"normalised {name}"
    return "normalised as its library has it"

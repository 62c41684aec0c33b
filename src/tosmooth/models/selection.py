"""Which tensors of a checkpoint are a model's: under which key, behind which prefix, plain or averaged."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor

from tosmooth.errors import ModelError
from tosmooth.models.checkpoint import Checkpoint

WHOLE = "the file itself"
Kind = Literal["plain", "averaged", "teacher"]
_KINDS: tuple[Kind, ...] = ("plain", "averaged", "teacher")  # which goes first where nobody has asked
_AVERAGED = re.compile(r"(?:^|_)(?:ema|swa|averaged?|avg|shadow)(?:\d*$|_)", re.IGNORECASE)
_TEACHER = re.compile(r"(?:^|_)teachers?(?:$|_)", re.IGNORECASE)
# torch.compile, FSDP and activation checkpointing put these before the names of what they wrap, anywhere in a name.
_WRAPPERS = re.compile(r"(?:(?<=\.)|^)(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")
# Under the model's own prefix, what belongs to the training: counters of thop and of averaging, criteria, metrics.
_COUNTERS = {"total_ops", "total_params", "n_averaged"}
_TRAINING = re.compile(r"(?:^|_)(?:criterion|criteria|loss|losses|loss_fn|metrics?|acc|accuracy|f1|auroc)(?:\d*$|_)")
_STATE_OF_TRAINING = re.compile(r"optim|sched|scaler|rng|callback|loop|hyper|buffer_pool", re.IGNORECASE)
_MOST = 8  # of what is left out, by name


@dataclass(frozen=True)
class Selection:
    """A model's weights out of a file.

    Attributes:
        state: tensors by the model's names, as far as the file has them, and whatever else stands among them.
        notes: what was chosen and what was left out, where there was a choice: sentences that begin with the file.
    """

    state: dict[str, Tensor]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Found:
    """Tensors under one key and behind one prefix, held against a model."""

    place: str
    prefix: str
    tensors: dict[str, Tensor]
    own: Mapping[str, Tensor]
    optional: Collection[str]
    averaged: bool = False  # as something beside them says

    @property
    def where(self) -> str:
        return ".".join(filter(None, (self.place, self.prefix.rstrip(".")))) or WHOLE

    @cached_property
    def kind(self) -> Kind:
        parts = self.where.split(".")
        if any(_TEACHER.search(part) for part in parts):
            return "teacher"
        return "averaged" if self.averaged or any(_AVERAGED.search(part) for part in parts) else "plain"

    @cached_property
    def names(self) -> int:
        return sum(name in self.own for name in self.tensors)

    @cached_property
    def fit(self) -> int:
        """0: the model's tensors and no others; 1: others among them; 2: some are missing, or have other shapes."""
        present = {_place_in_memory(self.own[name]) for name in self.tensors if name in self.own}
        missing = any(
            name not in self.tensors
            and name not in self.optional
            and not name.endswith("num_batches_tracked")
            and _place_in_memory(tensor) not in present
            for name, tensor in self.own.items()
        )
        # Rows of the last layer may be others.
        if missing or any(self.tensors[k].shape[1:] != v.shape[1:] for k, v in self.own.items() if k in self.tensors):
            return 2
        return int(any(name not in self.own for name in self.tensors))


def select(
    checkpoint: Checkpoint, own: Mapping[str, Tensor], *, ema: bool = False, optional: Collection[str] = ()
) -> Selection:
    """The tensors of a file that are a model's.

    They may stand under any key (`state_dict`, `net`, `checkpoint` → `model`) and behind any prefix (`module.`,
    `student.`): what counts is that the model's names are there. Plain weights go before averaged ones.

    Args:
        checkpoint: the file.
        own: the model's own tensors by name.
        ema: take averaged weights (EMA, SWA).
        optional: names that the file need not have.

    Raises:
        ModelError: there are no averaged weights, or several sets of weights that only the user can choose from.
    """
    found = _candidates(checkpoint, own, optional)
    if ema and not (averaged := [one for one in found if one.kind == "averaged"]):
        raise ModelError(
            f"{checkpoint.path}: holds no averaged weights (EMA) of this model, only {_listed(o.where for o in found)}"
            "; leave out --ema (ema: true)"
        )
    ranked = sorted(averaged if ema else found, key=_rank)
    chosen = ranked[0]
    rivals = [one for one in ranked if chosen.fit < 2 and _rank(one) == _rank(chosen)]
    if any(one is not chosen and not _equal(one.tensors, chosen.tensors) for one in rivals):
        raise ModelError(
            f"{checkpoint.path}: holds several sets of weights of this model: {_listed(o.where for o in rivals)}; save "
            "the one that you mean into a file of its own"
        )
    trained = {name for name in chosen.tensors if name not in own and _is_of_training(name)}
    state = {name: tensor for name, tensor in chosen.tensors.items() if name not in trained}
    notes = (*_of_averages(checkpoint, chosen, found, ema), *_of_rest(checkpoint, chosen, found, trained))
    return Selection(state, notes)


def left_out(checkpoint: Checkpoint, parts: Iterable[str], taken: str = WHOLE) -> str:
    """The sentence about parts of a file that were not taken, and the one that was."""
    start = "left out" if taken == WHOLE else f"{taken} was taken; left out"
    return f"{checkpoint.path}: {start}: {_listed(parts)}"


def grouped(names: Iterable[str], place: str = "") -> list[str]:
    """Names of tensors by their first part: `criterion.weight`, and of several `teacher.* (62 tensors)`."""
    groups: dict[str, list[str]] = {}
    for name in names:
        head, _, tail = name.partition(".")
        last = name.rpartition(".")[2]
        groups.setdefault(last if last in _COUNTERS else f"{head}.*" if tail else head, []).append(name)
    start = f"{place}." if place else ""
    return [
        f"{start}{own[0]}" if len(own) == 1 else f"{start}{group} ({len(own)} tensors)" for group, own in groups.items()
    ]


def _candidates(checkpoint: Checkpoint, own: Mapping[str, Tensor], optional: Collection[str]) -> list[_Found]:
    """Every place and prefix with at least half as many of the model's names as the best; if none has any, the file."""
    found = []
    for place, tensors in checkpoint.places.items():
        named = {_WRAPPERS.sub("", name): tensor for name, tensor in tensors.items()}
        for prefix in _prefixes(named, own):
            under = {name.removeprefix(prefix): t for name, t in named.items() if name.startswith(prefix)}
            averaged = _is_averaged(checkpoint, place, prefix, named)
            found.append(_Found(place, prefix, under, own, optional, averaged))
    if not found:
        return [_Found("", "", checkpoint.largest, own, optional)]
    most = max(one.names for one in found)
    return [one for one in found if 2 * one.names >= most]


def _is_averaged(checkpoint: Checkpoint, place: str, prefix: str, names: Collection[str]) -> bool:
    """As PyTorch's `AveragedModel` and Lightning's `WeightAveraging` write it, which call nothing an average."""
    in_lightning = place == "state_dict" and "current_model_state" in checkpoint.places
    return in_lightning or f"{prefix.removesuffix('module.')}n_averaged" in names


def _prefixes(names: Iterable[str], own: Mapping[str, Tensor]) -> Counter[str]:
    """What stands before the model's names, each with how many stand behind it."""
    found: Counter[str] = Counter()
    for name in names:
        start = 0
        while start >= 0:
            if name[start:] in own:
                found[name[:start]] += 1
            start = name.find(".", start) + 1 or -1
    return found


def _rank(found: _Found) -> tuple[int, int, int]:
    return found.fit, -found.names if found.fit == 2 else 0, _KINDS.index(found.kind)


def _is_of_training(name: str) -> bool:
    first, _, _ = name.partition(".")
    return name.rpartition(".")[2] in _COUNTERS or _TRAINING.search(first) is not None


def _place_in_memory(tensor: Tensor) -> tuple[int, torch.Size]:
    return tensor.data_ptr(), tensor.shape


def _equal(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(tensor, other[name]) for name, tensor in one.items())


def _of_averages(checkpoint: Checkpoint, chosen: _Found, found: Iterable[_Found], ema: bool) -> Iterable[str]:
    """What was taken, where the file has plain and averaged weights, or averaged ones alone and nobody has asked."""
    plain, averaged = ([one.where for one in found if one.kind == kind] for kind in ("plain", "averaged"))
    if chosen.kind == "averaged" and not plain and not ema:
        yield f"{checkpoint.path}: holds averaged weights (EMA) alone, {chosen.where}; they were taken"
    elif plain and averaged:
        other = "leave out --ema (ema: true) for the plain ones" if ema else "--ema (ema: true) takes the averaged ones"
        yield (
            f"{checkpoint.path}: holds plain weights ({_listed(plain)}) and averaged ones (EMA: {_listed(averaged)}); "
            f"{chosen.where} was taken, {other}"
        )


def _of_rest(checkpoint: Checkpoint, chosen: _Found, found: Iterable[_Found], trained: set[str]) -> Iterable[str]:
    """What was left out, but for what the sentence about averages has, and for the state of the training."""
    in_other = {"plain", "averaged"} if chosen.kind == "averaged" else {"averaged"}
    told = [(one.place, one.prefix) for one in found if one is chosen or one.kind in in_other]
    parts = grouped((chosen.prefix + name for name in sorted(trained)), chosen.place)
    for place, tensors in checkpoint.places.items():
        if _STATE_OF_TRAINING.search(place):
            continue
        rest = [
            name
            for name in tensors
            if not any(place == known and _WRAPPERS.sub("", name).startswith(prefix) for known, prefix in told)
        ]
        if place == chosen.place:
            parts += grouped(rest, place)
        # Elsewhere single numbers and states of random generators are no weights.
        elif weights := [name for name in rest if tensors[name].ndim > 0 and tensors[name].is_floating_point()]:
            parts += [f"{place}.* ({len(rest)} tensors)"] if place and len(rest) > 1 else grouped(weights, place)
    if parts:
        yield left_out(checkpoint, parts, chosen.where)


def _listed(parts: Iterable[str]) -> str:
    known = list(dict.fromkeys(parts))
    return ", ".join(known[:_MOST]) + (f" and {len(known) - _MOST} more" if len(known) > _MOST else "")

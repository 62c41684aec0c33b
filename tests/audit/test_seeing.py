"""Sizes and normalisations are tried on a teacher, and another view is taken only where it is surely better."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from tosmooth.audit.images import sized_for
from tosmooth.audit.seeing import SIZES, View, doubt, is_poor, other_views, shown_best, tried
from tosmooth.models.image_model import ImageModel, InputSpec
from tosmooth.recipes.reading import load_config
from tosmooth.study.bench import Bench

HALF = InputSpec(mean=(0.5,), std=(0.5,))
UNIT = InputSpec(mean=(0.0,), std=(1.0,))


class KnowsOneSize(nn.Module):
    """Tells bright images from dark ones, if they have its size and pixels around 0; else it says that all are dark."""

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side

    def forward(self, images: Tensor) -> Tensor:
        if images.shape[-1] < 48:
            raise RuntimeError("too small for it")
        light = 4 * images.mean(dim=(1, 2, 3)) if images.shape[-1] == self.side else torch.full((len(images),), -1.0)
        return torch.stack([light, -light], dim=1)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    root = tmp_path_factory.mktemp("light")
    generator = np.random.default_rng(0)
    for name, level in (("bright", 190), ("dark", 60)):
        (root / name).mkdir()
        for number in range(30):
            pixels = generator.integers(level - 40, level + 40, (70, 90, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / name / f"{number}.png")
    settings = [f"data.path={root}", "data.validation=0", "data.workers=0", "compute.device=cpu"]
    return Bench.of(load_config("own-images", settings))


def teacher(spec: InputSpec, **arguments: Any) -> ImageModel:
    return ImageModel(KnowsOneSize(64), spec, "mine", 2, **arguments).eval()


def test_the_size_at_which_a_teacher_is_right_is_found_and_said(bench: Bench):
    model = teacher(HALF)
    found, trial = shown_best(bench, model, size_open=True)
    assert trial is not None
    assert trial.changed
    assert trial.words == "at 64 pixels it is right on 100 % of 48 training images, at 224 pixels on 50 %"
    assert (model.input.size, found.config.data.image_size) == (64, 64)
    assert {view.side for view in trial.views} == set(SIZES) - {32}  # where it does not work at all


def test_with_a_wrong_normalisation_it_is_lost_at_every_size_and_both_are_found(bench: Bench):
    trial = tried(bench, teacher(UNIT), thorough=True)
    assert trial.best.side == 64
    assert (trial.best.spec.mean, trial.best.spec.std) != (UNIT.mean, UNIT.std)
    assert trial.best.accuracy == 1
    assert trial.words is not None
    assert trial.words.endswith("at 224 pixels normalised from 0 to 1 on 50 %")
    assert "--image-size 64 'teacher.model.kwargs.mean=" in doubt(0.5, 2, trial)
    told = teacher(UNIT)
    told.told = True  # by its weights
    assert not tried(bench, told, thorough=True).changed
    assert not tried(bench, teacher(UNIT, given={"mean": (0.0,)}), thorough=True).changed


def test_what_is_right_is_left_as_it_is(bench: Bench):
    model = teacher(replace(HALF, size=64))
    found, trial = shown_best(bench, model, size_open=True)
    assert trial is not None
    assert (len(trial.views), trial.words, found.config.data.image_size) == (1, None, 64)
    assert other_views(sized_for(bench, model), model, None) is not None


def test_what_somebody_says_is_never_changed_and_better_views_are_proposed(bench: Bench):
    model = teacher(HALF, given={"size": 96})
    found, trial = shown_best(bench, model, size_open=True)
    assert (trial, model.input.size, found.config.data.image_size) == (None, 96, 96)
    same, nothing = shown_best(bench, model, size_open=False)
    assert (same, nothing) == (bench, None)
    views = other_views(found, model, trial)
    assert doubt(0.5, 2, views) == (
        "is right on 50.0 % of the training images (50.0 % would be chance), which is little for a teacher of them; at "
        "64 pixels it is right on 100 % of 48 training images, at 96 pixels on 50 %: --image-size 64 shows it so"
    )
    assert model.input.size == 96
    assert doubt(0.5, 2, None).endswith("which is little for a teacher of them")


def test_another_view_must_be_better_by_more_than_chance():
    def view(*right: int) -> View:
        return View(HALF, 64, np.repeat([True, False], right), 0.1)

    assert view(90, 10).beats(view(60, 40))
    assert not view(90, 10).beats(view(85, 15))  # five images may be chance
    assert not view(60, 40).beats(view(90, 10))
    assert not view(90, 10).beats(view(90, 10))
    assert not view(9_901, 99).beats(view(9_880, 120))  # surely, and of no use


@pytest.mark.parametrize(
    ("accuracy", "classes", "poor"), [(0.17, 25, True), (0.4, 25, False), (0.3, 1000, True), (0.55, 2, True)]
)
def test_a_third_of_the_way_from_chance(accuracy: float, classes: int, poor: bool):
    assert is_poor(accuracy, classes) == poor

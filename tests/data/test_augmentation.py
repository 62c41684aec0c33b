from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from torchvision.transforms import v2

from tosmooth.config.schema import DataConfig
from tosmooth.data.augmentation import (
    eval_transform,
    eval_transform_names,
    full_train_transform,
    train_transform,
    train_transform_names,
)
from tosmooth.data.pipeline import ImagePipeline
from tosmooth.data.registry import load_image_data
from tosmooth.errors import ConfigError


@pytest.mark.parametrize("name", train_transform_names())
@pytest.mark.parametrize("channels", [1, 3])
def test_training_images_stay_uint8_and_come_out_at_the_crop(name: str, channels: int) -> None:
    image = torch.randint(256, (channels, 24, 24), dtype=torch.uint8)
    out = train_transform(name, 24)(image)
    assert out.dtype == torch.uint8
    assert out.shape == (channels, 24, 24)


@pytest.mark.parametrize("name", ["imagenet", "cub"])
def test_the_recipes_of_the_paper_bring_any_size_to_the_crop(name: str) -> None:
    assert train_transform(name, 16)(torch.zeros(3, 40, 23, dtype=torch.uint8)).shape == (3, 16, 16)


def test_the_recipe_of_the_paper_for_cub() -> None:
    """The figures of the authors' scripts: brightness and contrast only, rotation with bilinear interpolation."""
    crop, flip, rotation, grey, jitter = train_transform("cub", 224).transforms
    assert (crop.size, crop.scale, crop.ratio) == ((224, 224), (0.2, 1.0), (0.8, 1.25))
    assert (flip.p, grey.p) == (0.5, 0.2)
    assert (rotation.degrees, rotation.interpolation) == ([-45.0, 45.0], v2.InterpolationMode.BILINEAR)
    assert [list(jitter.brightness), list(jitter.contrast)] == [[0.8, 1.2], [0.8, 1.2]]
    assert (jitter.saturation, jitter.hue) == (None, None)


def _others() -> object:
    """Where Python's and NumPy's generators stand."""
    return random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002


def data(**settings: object) -> DataConfig:
    return DataConfig(**{"train_augmentation": "flip", "image_size": 24, **settings})


FURTHER = [
    ({"auto_augment": "trivialaugment"}, [v2.TrivialAugmentWide()], "flip + trivialaugment"),
    ({"auto_augment": "randaugment"}, [v2.RandAugment(num_ops=2, magnitude=9)], "flip + randaugment 9"),
    (
        {"auto_augment": "randaugment", "randaugment_magnitude": 15, "random_erasing": 0.7},
        [v2.RandAugment(num_ops=2, magnitude=15), v2.RandomErasing(p=0.7)],
        "flip + randaugment 15 + erasing 0.7",
    ),
    ({"random_erasing": 1.0}, [v2.RandomErasing(p=1.0)], "flip + erasing 1.0"),
]


@pytest.mark.parametrize(("settings", "parts", "name"), FURTHER, ids=[name for *_, name in FURTHER])
@pytest.mark.parametrize("channels", [1, 3])
def test_what_follows_the_crop_is_torchvisions_by_torchs_generator_alone(settings, parts, name, channels) -> None:
    config = data(**settings)
    assert config.full_augmentation == name
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (12, channels, 24, 24), generator=generator, dtype=torch.uint8)
    own, theirs = full_train_transform(config), v2.Compose([v2.RandomHorizontalFlip(), *parts])
    others = _others()
    found = []
    for transform in (own, theirs, own):
        torch.manual_seed(5)
        found.append(torch.stack([transform(image) for image in images]))
    assert _others() == others
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])
    assert (found[0].dtype, found[0].shape) == (torch.uint8, images.shape)
    assert not torch.equal(found[0], images)


def test_without_further_steps_the_name_and_the_transform_are_as_ever() -> None:
    assert data().full_augmentation == "flip"
    assert isinstance(full_train_transform(data()), v2.RandomHorizontalFlip)
    assert isinstance(full_train_transform(data(train_augmentation="none")), torch.nn.Identity)


def test_batches_of_further_augmentation_follow_seed_epoch_and_sample() -> None:
    """Also in worker processes, and where a sample stands changes nothing; evaluation shows images as they are."""
    raw = load_image_data("fashion_mnist_sample", limit_train=40, limit_test=20, validation=0.1)
    settings = {"auto_augment": "trivialaugment", "random_erasing": 0.5}

    def shown(epoch: int, seed: int = 0, **more: object) -> dict[int, torch.Tensor]:
        pipeline = ImagePipeline(data(**settings, **more), torch.device("cpu"))
        assert pipeline.training_outcomes(raw.train) is None
        batches = pipeline.training(raw.train, batch_size=8, seed=seed)
        return {int(i): im for b in batches.epoch(epoch) for i, im in zip(b.indices, b.inputs, strict=True)}

    first = shown(0)
    for other, same in ((shown(0), True), (shown(0, workers=2), True), (shown(1), False), (shown(0, seed=1), False)):
        assert all(torch.equal(first[index], other[index]) for index in first) is same
    evaluated = ImagePipeline(data(**settings), torch.device("cpu")).evaluation(raw.train, batch_size=40)
    (whole,) = evaluated.epoch(0)
    assert torch.equal(whole.inputs, torch.stack([raw.train[index] for index in range(len(raw.train))]))


def test_none_changes_nothing_and_flip_mirrors() -> None:
    image = torch.arange(12, dtype=torch.uint8).reshape(1, 3, 4)
    assert torch.equal(train_transform("none", None)(image), image)
    torch.manual_seed(0)
    seen = {tuple(train_transform("flip", None)(image).flatten().tolist()) for _ in range(40)}
    assert seen == {tuple(image.flatten().tolist()), tuple(image.flip(-1).flatten().tolist())}


def test_crop_flip_shifts_by_at_most_four_pixels() -> None:
    image = torch.zeros(1, 9, 9, dtype=torch.uint8)
    image[0, 4, 4] = 255
    torch.manual_seed(0)
    rows = set()
    for _ in range(300):
        out = train_transform("crop_flip", 9)(image)
        assert out.sum() == 255
        rows.add(int(out[0].nonzero()[0, 0]))
    assert rows == set(range(9))


def test_cub_leaves_saturation_and_hue_to_the_image() -> None:
    """Brightness and contrast move grey values together; a jitter of the hue would part the channels of one colour."""
    torch.manual_seed(0)
    image = torch.full((3, 20, 20), 100, dtype=torch.uint8)
    image[0] = 150
    for _ in range(30):
        centre = train_transform("cub", 20)(image)[:, 10, 10].int()
        assert centre[1] == centre[2]
        assert centre[0] >= centre[1]


def test_evaluation_crops_the_middle_after_a_resize_to_8_over_7() -> None:
    # 512 × 256 at crop 112: the shorter side becomes 128, the longer 256; the crop leaves 8 and 72 pixels a side.
    image = torch.zeros(1, 256, 512, dtype=torch.uint8)
    image[..., 256:] = 200
    out = eval_transform("resize_center_crop", 112)(image)
    assert out.shape == (1, 112, 112)
    assert out[0, :, :50].max() == 0
    assert out[0, :, 62:].min() == 200
    assert torch.equal(out, eval_transform("resize_center_crop", 112)(image))


def test_the_evaluation_of_the_paper() -> None:
    """Shorter side to 256, then the middle 224 × 224."""
    image = torch.randint(256, (3, 300, 400), dtype=torch.uint8)
    expected = v2.functional.center_crop(v2.functional.resize(image, [256], antialias=True), [224, 224])
    assert torch.equal(eval_transform("resize_center_crop", 224)(image), expected)


def test_the_evaluation_that_leaves_the_shorter_side_whole() -> None:
    image = torch.randint(256, (3, 40, 60), dtype=torch.uint8)
    assert torch.equal(eval_transform("whole_center_crop", 40)(image), image[..., 10:50])
    resized = v2.functional.resize(image, [20], antialias=True)
    assert torch.equal(eval_transform("whole_center_crop", 20)(image), resized[..., 5:25])


def test_an_unknown_name_brings_the_nearest() -> None:
    with pytest.raises(ConfigError, match="unknown train augmentation 'cropflip'; did you mean 'crop_flip'"):
        train_transform("cropflip", 32)
    with pytest.raises(ConfigError, match="unknown evaluation transform 'center'"):
        eval_transform("center", 32)


@pytest.mark.parametrize("name", ["crop_flip", "gentle_crop", "imagenet", "cub"])
def test_a_crop_without_a_size_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=f"image_size: '{name}' needs the side"):
        train_transform(name, None)


def test_the_names() -> None:
    assert train_transform_names() == (
        "none", "flip", "crop_flip", "gentle_crop", "imagenet", "cub", "resize_center_crop", "whole_center_crop",
    )  # fmt: skip
    assert eval_transform_names() == ("none", "resize_center_crop", "whole_center_crop")

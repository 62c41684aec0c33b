from __future__ import annotations

import pytest
import torch
from torchvision.transforms import v2

from tosmooth.data.augmentation import eval_transform, eval_transform_names, train_transform, train_transform_names
from tosmooth.errors import ConfigError

IMAGE = torch.randint(0, 256, (3, 40, 50), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", train_transform_names())
def test_training_augmentations_stay_uint8_and_draw_anew(name):
    transform = train_transform(name, 32)
    torch.manual_seed(0)
    views = [transform(IMAGE) for _ in range(8)]
    assert {view.dtype for view in views} == {torch.uint8}
    if name in {"crop_flip", "imagenet", "cub"}:
        assert {tuple(view.shape) for view in views} == {(3, 32, 32)}
    assert (len({view.numpy().tobytes() for view in views}) > 1) == (name != "none")


@pytest.mark.parametrize("name", eval_transform_names())
def test_evaluation_is_deterministic(name):
    transform = eval_transform(name, 28)
    assert torch.equal(transform(IMAGE), transform(IMAGE))


def test_the_evaluation_of_the_paper():
    """Shorter side to 256, then the middle 224 × 224."""
    picture = torch.randint(0, 256, (3, 300, 400), dtype=torch.uint8)
    expected = v2.functional.center_crop(v2.functional.resize(picture, [256], antialias=True), [224, 224])
    assert torch.equal(eval_transform("resize_center_crop", 224)(picture), expected)


def test_the_recipe_of_the_paper_for_cub():
    steps = train_transform("cub", 224).transforms
    crop, _, rotation, grey, jitter = steps
    assert (crop.size, crop.scale, crop.ratio) == ((224, 224), (0.2, 1.0), (0.8, 1.25))
    assert rotation.degrees == [-45.0, 45.0]
    assert grey.p == 0.2
    assert (jitter.brightness, jitter.contrast, jitter.saturation, jitter.hue) == (
        [0.8, 1.2], [0.8, 1.2], [0.8, 1.2], [-0.2, 0.2],
    )  # fmt: skip


def test_wrong_names_and_missing_sizes():
    with pytest.raises(ConfigError, match="did you mean 'imagenet'"):
        train_transform("imagenett", 224)
    with pytest.raises(ConfigError, match="did you mean 'resize_center_crop'"):
        eval_transform("resize_centre_crop", 224)
    for build in (lambda: train_transform("imagenet", None), lambda: eval_transform("resize_center_crop", None)):
        with pytest.raises(ConfigError, match=r"data\.image_size"):
            build()

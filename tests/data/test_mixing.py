"""Batches mixed by torchvision's MixUp and CutMix: the same ones for the same (seed, epoch, position)."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torchvision.transforms import v2

from tests.data.image_files import write_folder
from tosmooth.config.schema import DataConfig
from tosmooth.config.training import MixingConfig
from tosmooth.data.batches import Batch
from tosmooth.data.mixing import Mixing
from tosmooth.data.pipeline import ImagePipeline
from tosmooth.data.registry import load_image_data

N, K = 8, 10


def batch() -> Batch:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (N, 3, 12, 12), generator=generator, dtype=torch.uint8)
    return Batch(images, torch.arange(N) % K, torch.arange(N))


def mixing(seed: int = 3, **config: float) -> Mixing:
    return Mixing(MixingConfig(**config), K, seed)


@pytest.mark.parametrize(
    ("config", "transform"),
    [
        ({"mixup": 0.2}, v2.MixUp(alpha=0.2, num_classes=K)),
        ({"cutmix": 1.0}, v2.CutMix(alpha=1.0, num_classes=K)),
        (
            {"mixup": 0.8, "cutmix": 1.0},
            v2.RandomChoice([v2.MixUp(alpha=0.8, num_classes=K), v2.CutMix(alpha=1.0, num_classes=K)]),
        ),
    ],
)
def test_batches_are_those_of_torchvision_under_the_same_seed(config, transform):
    own, given = mixing(**config), batch()
    for epoch, position in ((0, 0), (0, 1), (2, 5)):
        found = own.of(given, epoch, position)
        torch.manual_seed(own.entropy(epoch, position))
        images, labels = transform(given.inputs / 255, given.labels)
        assert torch.equal(found.inputs, images)
        assert torch.equal(found.labels, labels)
        assert (found.mixed, given.mixed) == (True, False)
        assert found.labels.shape == (N, K)
        torch.testing.assert_close(found.labels.sum(1), torch.ones(N))
        assert found.counted == N


def test_a_mixup_by_hand():
    """Each image with the one before it, the first with the last, and labels alike."""
    own, given = mixing(mixup=1.0), batch()
    found = own.of(given, 0, 0)
    weight = found.labels[1, 1].item()
    assert 0 < weight < 1
    assert found.labels[1, 0].item() == pytest.approx(1 - weight)
    plain = given.inputs / 255
    torch.testing.assert_close(found.inputs[1], weight * plain[1] + (1 - weight) * plain[0])
    torch.testing.assert_close(found.inputs[0], weight * plain[0] + (1 - weight) * plain[-1])


def test_nothing_but_seed_epoch_and_position_counts_and_nobody_elses_draws_change():
    own, given = mixing(mixup=0.4, cutmix=1.0, probability=0.7), batch()
    before = torch.get_rng_state()
    first = [own.of(given, epoch, position) for epoch in range(2) for position in range(6)]
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(7)
    again = [mixing(mixup=0.4, cutmix=1.0, probability=0.7).of(given, e, p) for e in range(2) for p in range(6)]
    assert all(torch.equal(one.inputs, other.inputs) for one, other in zip(first, again, strict=True))
    weights = {round(one.labels[1, 1].item(), 6) for one in first if one.mixed}
    assert len(weights) == sum(one.mixed for one in first)  # each batch by a draw of its own
    other_seed = mixing(seed=4, mixup=0.4, cutmix=1.0, probability=0.7)
    assert {round(m.labels[1, 1].item(), 6) for p in range(6) if (m := other_seed.of(given, 0, p)).mixed} - weights


def test_the_share_of_batches_that_is_mixed():
    given = batch()
    for probability in (0.0, 0.3, 1.0):
        own = mixing(mixup=0.2, probability=probability)
        shown = [own.of(given, 0, position) for position in range(200)]
        share = sum(one.mixed for one in shown) / len(shown)
        assert share == pytest.approx(probability, abs=0.1)
        assert all(one is given for one in shown if not one.mixed)


def test_what_does_not_count_is_not_mixed():
    placeholder = batch()._replace(placeholder=True)
    assert mixing(cutmix=1.0).of(placeholder, 0, 0) is placeholder


@pytest.mark.parametrize("in_memory", ["auto", "off"])
@pytest.mark.parametrize("world", [2, 3])
def test_slices_of_several_processes_are_the_batches_of_one(in_memory: str, world: int):
    """Each process mixes its first image with the last of the process before it, and has it loaded for that."""
    data = load_image_data("fashion_mnist_sample", limit_train=65, limit_test=20, validation=0.0)
    own, config = mixing(mixup=0.4, cutmix=1.0, probability=0.8), DataConfig(in_memory=in_memory)

    def batches_of(process: tuple[int, int]) -> list[Batch]:
        pipeline = ImagePipeline(config, torch.device("cpu"), process)
        batches = pipeline.training(data.train, batch_size=20, seed=0)  # the last has 5: of three processes, one idles
        batches.neighbours = True
        return [own.of(batch, 1, position) for position, batch in enumerate(batches.epoch(1))]

    parts = [batches_of((rank, world)) for rank in range(world)]
    for whole, *slices in zip(batches_of((0, 1)), *parts, strict=True):
        counted = [part for part in slices if part.counted]
        assert {part.whole for part in slices} == {whole.counted} == {sum(part.counted for part in counted)}
        assert {part.mixed for part in counted} == {whole.mixed}
        for name in ("inputs", "labels", "indices"):
            assert torch.equal(torch.cat([getattr(part, name) for part in counted]), getattr(whole, name)), name


def test_a_neighbour_that_cannot_be_read_is_not_dropped_in_anothers_place(tmp_path):
    write_folder(tmp_path, splits={"train": 8, "val": 2})
    settings = DataConfig(source="folder", path=tmp_path, on_error="skip", train_augmentation="imagenet", image_size=8)
    data = load_image_data("folder", path=tmp_path, skip_unreadable=True)
    order = np.random.default_rng((0, 0)).permutation(len(data.train))  # as in an epoch
    half = len(data.train) // 2

    def second_slice() -> Batch:
        batches = ImagePipeline(settings, torch.device("cpu"), (1, 2)).training(
            data.train, batch_size=len(data.train), seed=0
        )
        batches.neighbours = True
        (batch,) = batches.epoch(0)
        return mixing(mixup=0.2).of(batch, 0, 0)

    assert second_slice().indices.tolist() == order[half:].tolist()
    name = data.train.describe(int(order[half - 1]))
    (broken,) = [path for path in tmp_path.rglob("*.png") if str(path) in name]
    broken.write_bytes(b"no image")
    assert second_slice().indices.tolist() == order[half:].tolist()


@pytest.mark.parametrize(("mixup", "cutmix", "probability", "on"), [(0, 0, 1, 0), (0.2, 0, 1, 1), (0, 1, 0, 0)])
def test_when_it_is_on(mixup, cutmix, probability, on):
    assert MixingConfig(mixup=mixup, cutmix=cutmix, probability=probability).on is bool(on)

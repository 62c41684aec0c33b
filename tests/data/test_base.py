from __future__ import annotations

import pytest
import torch

from tosmooth.data.base import Subset, TensorSplit, check_labels
from tosmooth.errors import DataError


def split_of(labels: list[int], name: str = "train") -> TensorSplit:
    images = torch.arange(len(labels), dtype=torch.uint8)[:, None, None, None].expand(-1, 1, 2, 2).contiguous()
    return TensorSplit(images, torch.tensor(labels), name)


def test_a_subset_hands_out_the_chosen_images_and_names_their_real_rows() -> None:
    subset = Subset(split_of([0, 1, 2, 1], "test"), [3, 1])
    assert subset.labels.tolist() == [1, 1]
    assert subset[0][0, 0, 0] == 3
    assert subset.describe(0) == "row 3 of the test split"
    assert len(Subset(subset, [])) == 0


def test_the_digest_follows_pixels_labels_and_choice() -> None:
    plain = split_of([0, 1, 2])
    changed = TensorSplit(plain.images.clone(), plain.labels, "train")
    assert changed.digest() == plain.digest()
    changed.images[2, 0, 1, 1] += 1
    others = {changed.digest(), split_of([0, 1, 1]).digest(), Subset(plain, [0, 1]).digest()}
    assert len(others | {plain.digest()}) == 4


@pytest.mark.parametrize(
    "images", [torch.zeros(2, 1, 2, 2), torch.zeros(2, 2, 2, dtype=torch.uint8), torch.zeros(3, 1, 2, 2).byte()]
)
def test_images_of_another_kind_are_refused(images: torch.Tensor) -> None:
    with pytest.raises(DataError, match=r"uint8 images \(N, C, H, W\)"):
        TensorSplit(images, torch.tensor([0, 1]), "train")


@pytest.mark.parametrize("label", [-1, 3])
def test_a_label_outside_the_classes_is_named_with_its_row(label: int) -> None:
    with pytest.raises(DataError, match=rf"row 1 of the test split: label {label} is outside the 3 classes \(0 to 2\)"):
        check_labels(split_of([0, label, 2], "test"), "test", ["a", "b", "c"])


def test_an_empty_class_is_an_error_in_training_only() -> None:
    check_labels(split_of([0, 0]), "validation", ["a", "b"])
    with pytest.raises(DataError, match="no image of 1 classes: b"):
        check_labels(split_of([0, 0]), "train", ["a", "b"])

"""Does a teacher know the data, and in which order?"""

from __future__ import annotations

import numpy as np
import pytest

from tosmooth.distill.agreement import Confusion, others, question
from tosmooth.distill.settling import temperatures_for, warning


def counted(predict, classes: int = 5, count: int = 200, seed: int = 0):
    generator = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    confusion = Confusion(classes)
    predictions = predict(labels, generator, classes)
    for start in range(0, count, 32):
        confusion.update(labels[start : start + 32], predictions[start : start + 32])
    return confusion.agreement()


def test_a_teacher_that_knows_its_classes_is_left_alone():
    def mostly(labels, generator, classes):
        return np.where(generator.random(len(labels)) < 0.8, labels, generator.integers(0, classes, len(labels)))

    found = counted(mostly)
    assert found.above_chance
    assert found.order is None
    assert found.accuracy > 0.75


def test_another_order_is_found_and_judged_on_other_samples():
    order = np.array([3, 1, 4, 0, 2])

    def shuffled(labels, generator, classes):
        return np.where(generator.random(len(labels)) < 0.9, order[labels], generator.integers(0, classes, len(labels)))

    found = counted(shuffled)
    assert found.order == tuple(order)
    assert 0.8 < found.accuracy_in_order < 1
    assert found.accuracy < 0.4
    assert "--class-map here.yaml" in question("t", found, "abcde", "here.yaml")


def test_two_of_ten_classes_that_stand_in_each_others_places_are_warned_about():
    order = np.array([0, 1, 2, 3, 5, 4, 6, 7, 8, 9])

    def swapped(labels, generator, classes):
        return np.where(generator.random(len(labels)) < 0.8, order[labels], generator.integers(0, classes, len(labels)))

    found = counted(swapped, classes=10, count=600)
    assert found.order == tuple(order)
    assert not found.far_better
    (text,) = others(found, "abcdefghij")
    assert "outputs for e, f look as if" in text
    assert others(counted(lambda labels, generator, classes: labels), "abcde") == []


@pytest.mark.parametrize("seed", range(5))
def test_guesses_are_chance_and_no_order_is_read_into_them(seed: int):
    found = counted(lambda labels, generator, classes: generator.integers(0, classes, len(labels)), seed=seed)
    assert not found.above_chance
    assert found.order is None
    assert "No order of its outputs fits" in question("t", found, "abcde", None)


def test_always_the_same_class_is_chance_even_where_it_is_frequent():
    confusion = Confusion(2)
    confusion.update(np.array([0] * 90 + [1] * 10), np.zeros(100, dtype=np.int64))
    found = confusion.agreement()
    assert found.accuracy == pytest.approx(0.9)
    assert not found.above_chance


def test_too_few_samples_of_a_class_suggest_nothing():
    found = counted(lambda labels, generator, classes: (labels + 1) % classes, classes=50, count=150)
    assert found.order is None


def test_temperatures_by_verdict():
    for verdict in ("smoothed", "undecided"):
        assert temperatures_for(verdict, None, validated=True).values == (1.0, 2.0)
        assert temperatures_for(verdict, None, validated=False).values == (1.0,)
    assert temperatures_for("not smoothed", None, validated=True).values == (1.0, 2.0, 4.0)
    assert temperatures_for("not smoothed", None, validated=False).values == (2.0,)
    assert temperatures_for("smoothed", (3.0,), validated=True).values == (3.0,)
    assert warning("t", (1.0, 2.0)) is None
    assert "meets T = 4, 8" in warning("t", (1.0, 2.0, 4.0, 8.0))

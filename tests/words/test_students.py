from __future__ import annotations

import pytest

from tosmooth.recipes.reading import load_config
from tosmooth.words.students import how_mixed, how_students_train


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ([], "SGD at 0.1, 2 epochs"),
        (["student.optimizer.name=adamw", "student.optimizer.learning_rate=0.005"], "AdamW at 0.005, 2 epochs"),
        (["student.learning_rates=[3]", "student.epochs=1"], "SGD at 0.3, 1 epoch"),
        (["student.learning_rates=[3,1]"], "SGD, each setting at the better of 0.1 and 0.3, 2 epochs"),
        (["student.learning_rates=[1,3,0.3]"], "SGD, each setting at the best of 0.03, 0.1 and 0.3, 2 epochs"),
    ],
)
def test_the_optimiser_its_rates_and_the_epochs_are_told(tiny_raw, overrides, words):
    student = load_config(tiny_raw, overrides).student
    training = {"optimizer": student.optimizer.name, "epochs": student.epochs}
    assert how_students_train(training, student.peak_rates) == words


@pytest.mark.parametrize(
    ("mixing", "words"),
    [
        ({"mixup": 0.2, "cutmix": 1.0, "probability": 1.0}, "images mixed: MixUp 0.2, CutMix 1"),
        ({"cutmix": 1.0, "probability": 0.5}, "images mixed: CutMix 1, in 50 % of the batches"),
        ({"mixup": 0.2, "cutmix": 0.0, "probability": 0.0}, ""),
        ({}, ""),
        (None, ""),
        ({"mixup": "much"}, ""),
    ],
)
def test_how_images_were_mixed(mixing, words):
    assert how_mixed(mixing) == words


def test_of_an_earlier_version_nothing_is_known():
    assert how_students_train({}, ()) == ""

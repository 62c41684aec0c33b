"""A model that only evaluation finds out: its losses are finite, its features are not."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from tosmooth.errors import StudyError
from tosmooth.models.build import register_model_source
from tosmooth.models.image_model import InputSpec
from tosmooth.recipes.reading import load_config
from tosmooth.study.run import run_study
from tosmooth.study.single import train_only_teachers


class Overflowing(nn.Module):
    """Features that overflow as soon as batch statistics are replaced by running ones."""

    def forward(self, features: Tensor) -> Tensor:
        return features if self.training else features * torch.inf


class Library:
    def validate(self, name: str, /) -> None: ...

    def build(self, name: str, request, /):
        layers = [nn.Flatten(), nn.Linear(28 * 28, 8), nn.ReLU(), Overflowing(), nn.Linear(8, request.num_classes)]
        return nn.Sequential(*layers), InputSpec(channels=1, size=28)


register_model_source("overflowing", Library())


@pytest.mark.usefixtures("unreported")
def test_it_is_a_failed_student_and_the_study_goes_on(tmp_path: Path, tiny_raw, silent):
    tiny_raw["student"] |= {"models": ["overflowing:x"], "seeds": [0], "temperatures": [1], "epochs": 1}
    results = run_study(load_config(tiny_raw), tmp_path, silent)
    failed = results.cells[results.cells.status == "failed"]
    assert set(failed.student) == {"overflowing:x"}
    assert failed.failure.str.contains("features are NaN or infinite in evaluation").all()
    assert (results.cells[results.cells.student == "resnet8"].status == "done").all()
    assert results.verdict["answer"]["chosen"]["student"] == "resnet8"


def test_a_teacher_that_does_so_ends_the_study_in_one_sentence(tmp_path: Path, tiny_raw, silent):
    tiny_raw["teacher"] |= {"model": "overflowing:x", "epochs": 1}
    with pytest.raises(StudyError, match="a study needs all its teachers:\na0-s0: its features are NaN or infinite"):
        train_only_teachers(load_config(tiny_raw), tmp_path, silent)

from __future__ import annotations

import math

import pytest
import torch

from tosmooth.losses.objectives import find_objective, hinton, objectives, teacher_only


def test_names_are_found_and_a_callable_is_itself():
    assert {"hinton", "teacher_only"} <= set(objectives())
    assert find_objective("teacher_only") is teacher_only
    assert find_objective(hinton) is hinton
    with pytest.raises(ValueError, match="did you mean 'teacher_only'"):
        find_objective("teacher-only")


def test_rows_by_hand_with_a_temperature_each():
    # Softened by (1, 2), the teachers ln 3 and 2 ln 3 are both (3/4, 1/4); the student is uniform at any temperature.
    teacher = torch.tensor([[math.log(3), 0.0], [2 * math.log(3), 0.0]])
    temperature = torch.tensor([[1.0], [2.0]])
    kl = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    assert hinton(torch.zeros(2, 2), teacher, temperature, None).tolist() == pytest.approx([kl, 4 * kl], rel=1e-5)
    assert teacher_only(torch.zeros(2, 2), teacher, temperature, None).tolist() == pytest.approx([kl, kl], rel=1e-5)


def test_only_the_teacher_is_softened_by_teacher_only():
    # Teacher uniform at any temperature; student (ln 3, 0): KL = 1/2 ln(2/3) + 1/2 ln 2, whatever T.
    student = torch.tensor([[math.log(3), 0.0]])
    expected = 0.5 * math.log(2 / 3) + 0.5 * math.log(2)
    for temperature in (1.0, 5.0):
        assert teacher_only(student, torch.zeros(1, 2), temperature, None).item() == pytest.approx(expected, rel=1e-5)

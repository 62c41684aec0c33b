"""The unit of inference, worked by hand on small tables."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from tosmooth.advice.units import balanced, by_unit, less_unsmoothed, unit_of, unit_word

ROWS = [  # α, teacher seed, seed, value
    (0.0, 0, 0, 1.0), (0.0, 0, 1, 3.0), (0.0, 1, 0, 5.0), (0.0, 1, 1, 9.0),
    (0.1, 0, 0, 2.0), (0.1, 0, 1, 6.0), (0.1, 1, 0, 5.5), (0.1, 1, 1, 10.0),
]  # fmt: skip


@pytest.fixture
def table() -> pd.DataFrame:
    return pd.DataFrame(ROWS, columns=["label_smoothing", "teacher_seed", "seed", "value"]).assign(temperature=2.0)


def test_several_teacher_seeds_are_the_unit_after_averaging_over_their_students(table: pd.DataFrame):
    assert (unit_of(table), unit_word(table)) == ("teacher_seed", "teacher seed")
    found = by_unit(table, ["value"])
    assert found.to_dict("records") == [
        {"label_smoothing": 0.0, "temperature": 2.0, "unit": 0, "value": 2.0},
        {"label_smoothing": 0.0, "temperature": 2.0, "unit": 1, "value": 7.0},
        {"label_smoothing": 0.1, "temperature": 2.0, "unit": 0, "value": 4.0},
        {"label_smoothing": 0.1, "temperature": 2.0, "unit": 1, "value": 7.75},
    ]


@pytest.mark.parametrize("column_there", [True, False])
def test_with_one_teacher_seed_every_student_seed_stays_as_it_is(table: pd.DataFrame, column_there: bool):
    one = table[table.teacher_seed == 1]
    one = one if column_there else one.drop(columns="teacher_seed")
    assert (unit_of(one), unit_word(one)) == ("seed", "seed")
    assert by_unit(one, ["value"])[["unit", "value"]].to_numpy().tolist() == [[0, 5.0], [1, 9.0], [0, 5.5], [1, 10.0]]


def test_a_part_of_a_table_keeps_the_unit_of_the_whole(table: pd.DataFrame):
    part = table[table.teacher_seed == 0]
    assert by_unit(part, ["value"], ["label_smoothing"], unit=unit_of(table))["value"].tolist() == [2.0, 4.0]


def test_the_contrast_pairs_students_and_leaves_out_those_without_a_partner(table: pd.DataFrame):
    lost = table[~((table.label_smoothing == 0) & (table.teacher_seed == 0) & (table.seed == 1))]
    contrast = lost.assign(contrast=less_unsmoothed(lost, "value"))
    found = by_unit(contrast[contrast.label_smoothing > 0], ["contrast"])["contrast"].tolist()
    assert found == [2.0 - 1.0, (5.5 - 5.0 + 10.0 - 9.0) / 2]  # not 4.0 − 1.0: student 1 has no partner
    alone = table[table.label_smoothing > 0]
    assert all(math.isnan(value) for value in less_unsmoothed(alone, "value"))


def test_balanced_keeps_the_students_that_all_settings_have(table: pd.DataFrame):
    lost = table.drop(index=1)
    kept = balanced(lost, ["label_smoothing", "temperature"])
    assert sorted(zip(kept.label_smoothing, kept.teacher_seed, kept.seed, strict=True)) == [
        (0.0, 0, 0), (0.0, 1, 0), (0.0, 1, 1), (0.1, 0, 0), (0.1, 1, 0), (0.1, 1, 1),
    ]  # fmt: skip
    never = table[~((table.label_smoothing == 0) & (table.teacher_seed == 0))]  # a setting with no student there
    assert len(balanced(never, ["label_smoothing", "temperature"])) == 6
    apart = table.drop(index=[1, 4])  # seeds 0 | 1: nothing in common
    assert len(balanced(apart, ["label_smoothing", "temperature"])) == 6
    one = lost[lost.teacher_seed == 0]
    assert balanced(one, ["label_smoothing", "temperature"]) is one

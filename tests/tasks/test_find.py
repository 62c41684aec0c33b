from __future__ import annotations

import pytest

from tosmooth.tasks.base import Traits
from tosmooth.tasks.find import find_task, traits_of
from tosmooth.tasks.metric import Figure, Metric


def test_a_task_that_is_not_installed_is_known_by_what_its_advice_says():
    found = traits_of("letters", {"metric": "val/perplexity", "lower_is_better": True})
    assert (found.name, found.metric.val, found.metric.words) == ("letters", "val/perplexity", "perplexity")
    assert found.metric.sign == -1
    right = traits_of("vectors", {"metric": "val/top1"}).metric
    assert (right.quantity, right.sign, right.samples) == ("top-1 accuracy", 1, "samples")


@pytest.mark.parametrize(
    "advice", [None, {}, {"metric": None}, {"metric": 5}, {"metric": ["val/top1"]}, {"metric": ""}]
)
def test_without_advice_nothing_is_taken_for_its_metric(advice):
    metric = traits_of("letters", advice).metric
    assert "accuracy" not in f"{metric.words} {metric.noun} {metric.quantity} {metric.title}"
    assert metric.val not in {"val/top1", "val/nll"}


@pytest.mark.parametrize(
    ("noun", "key"),
    [("token accuracy", "token-accuracy"), ("bits / byte", "bits-byte"), ("../x", "x"), ("µ", "metric")],
)
def test_a_metrics_key_names_a_file(noun: str, key: str):
    assert Metric("m", noun, "", noun, noun, noun, "samples").key == key


def test_units_of_figures_are_a_sentence_or_nothing():
    class Bare(Traits):
        metric = Metric("perplexity", "perplexity", "", "Perplexity", "perplexity", "perplexity", "letters")

    bare = Bare()
    assert bare.figure_units == "Top-1 in percent; top-5 in percent; NLL in nats; ECE in percent."
    bare.figures = (Figure("perplexity", "perplexity"),)
    assert bare.figure_units == ""
    assert find_task("translation").figure_units.startswith("BLEU")

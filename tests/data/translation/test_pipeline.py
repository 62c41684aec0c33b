from __future__ import annotations

import torch

from tests.data.translation.toy import split_of
from tosmooth.config.schema import DataConfig
from tosmooth.data.translation.pipeline import TranslationPipeline
from tosmooth.data.views import EachView

SPLIT = split_of()


def test_batches_of_each_kind() -> None:
    pipeline = TranslationPipeline(DataConfig(), torch.device("cpu"))
    training = pipeline.training(SPLIT, batch_size=60, seed=3)
    assert training.shuffle
    assert training.seed == 3
    assert next(training.epoch(0)).views is None
    batch = next(pipeline.in_order(SPLIT, batch_size=20, views=EachView(1, 0)).epoch(0))
    assert batch.indices.tolist() == list(range(20))
    assert batch.views is not None
    assert next(pipeline.evaluation(SPLIT, batch_size=20).epoch(0)).views is None
    assert pipeline.training_outcomes(SPLIT) == 1
    assert pipeline.unreadable == {}


def test_only_the_filling_of_a_cache_is_not_shared_out() -> None:
    pipeline = TranslationPipeline(DataConfig(), torch.device("cpu"), (1, 2))
    whole = next(pipeline.in_order(SPLIT, batch_size=50, views=EachView(1, 0)).epoch(0))
    assert (len(whole.labels), whole.total) == (50, None)
    for batches in (pipeline.evaluation(SPLIT, batch_size=50), pipeline.training(SPLIT, batch_size=60, seed=0)):
        part = next(batches.epoch(0))
        assert part.total is not None
        assert 0 < part.counted < part.total

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from tosmooth.config.schema import ComputeConfig
from tosmooth.recipes.reading import load_config
from tosmooth.tasks.find import find_task
from tosmooth.training.compute import Compute
from tosmooth.training.evaluation import evaluate, evaluate_together


def test_a_study_in_bf16_is_evaluated_and_measured_in_float32(tiny_raw):
    config = load_config(tiny_raw)
    task, found = find_task(config.task), []
    data = task.load_data(config)
    for precision in ("float32", "bf16"):
        compute = Compute.from_config(ComputeConfig(device="cpu", precision=precision))
        model = compute.place(task.new_model(config, data, config.student.model, 0))
        batches = task.pipeline(config.data, data, compute.device).evaluation(data.validation, batch_size=50)
        found.append(evaluate(model, batches, compute, centroids=True))
    one, other = found
    assert torch.equal(one.centroids.centroids, other.centroids.centroids)
    assert one.columns("val") == other.columns("val")


class Reads(TorchDispatchMode):
    """Counts how often the host asks for a number on the device, or for how many elements a mask selects."""

    count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        asked = (
            torch.ops.aten._local_scalar_dense.default,
            torch.ops.aten.nonzero.default,
            torch.ops.aten.equal.default,
        )
        self.count += func in asked
        return func(*args, **(kwargs or {}))


@pytest.fixture
def parts(tiny_raw):
    """A model, the batches of its validation split by their size, and the CPU."""
    config = load_config(tiny_raw)
    task = find_task(config.task)
    data, compute = task.load_data(config), Compute.from_config(ComputeConfig(device="cpu"))
    model = compute.place(task.new_model(config, data, config.student.model, 0))
    pipeline = task.pipeline(config.data, data, compute.device)
    return model, lambda size: pipeline.evaluation(data.validation, batch_size=size), compute


def test_a_pass_reads_its_flags_once_however_many_batches_it_has(parts):
    model, batches, compute = parts
    reads = []
    for size in (50, 5):
        with Reads() as found:
            evaluate(model, batches(size), compute)
        reads.append(found.count)
    assert reads[0] == reads[1]


def test_from_the_first_batch_that_is_not_finite_on_nothing_is_judged(parts):
    model, batches, compute = parts
    seen = 0

    def third(module: Any, inputs: Any, logits: torch.Tensor) -> torch.Tensor:
        nonlocal seen
        seen += 1
        return logits * float("nan") if seen == 3 else logits

    hook = model.backbone.register_forward_hook(third)
    try:
        found = evaluate(model, batches(10), compute)
    finally:
        hook.remove()
    assert not found.finite
    assert found.metrics.reliability()["count"].sum() == 0  # some of what they have seen is NaN
    assert (found.correct[:20] >= 0).all()
    assert (found.correct[20:] == -1).all()


def test_features_that_are_not_finite_are_told_where_some_were_to_be_kept(parts):
    model, batches, compute = parts
    with torch.no_grad():
        next(model.parameters()).fill_(float("nan"))
    found = evaluate(model, batches(50), compute, centroids=True, keep=(0, 1, 2))
    assert (found.finite, found.features) == (False, None)


def test_a_group_in_one_pass_is_each_model_alone_bit_for_bit(tiny_raw):
    config = load_config(tiny_raw)
    task = find_task(config.task)
    data, compute = task.load_data(config), Compute.from_config(ComputeConfig(device="cpu"))
    models = [compute.place(task.new_model(config, data, config.student.model, seed)) for seed in range(3)]
    with torch.no_grad():
        next(models[1].parameters()).fill_(float("nan"))  # the others do not mind it
    batches = task.pipeline(config.data, data, compute.device).evaluation(data.validation, batch_size=17)
    decoded, epoch = [], batches.epoch
    batches.epoch = lambda *given: (decoded.append(1) or batch for batch in epoch(*given))
    keep = [(0, 1), (), (2,)]
    together = evaluate_together(
        models, batches, compute, centroids=True, keep=keep, layers=[None] * 3, fit=True,
        temperatures=[1.0, None, 2.0],
    )  # fmt: skip
    assert len(decoded) == len(batches)
    for model, own, t, found in zip(models, keep, [1.0, None, 2.0], together, strict=True):
        alone = evaluate(model, batches, compute, centroids=True, keep=own, fit=True, temperature=t)
        assert torch.equal(found.answers, alone.answers)
        assert found.finite == alone.finite == (model is not models[1])
        if not found.finite:
            continue
        assert found.metrics.compute() == alone.metrics.compute()
        assert found.metrics.ece_fitted() == alone.metrics.ece_fitted()
        assert found.temperature == alone.temperature
        for name, value in alone.centroids.state_dict().items():
            assert torch.equal(found.centroids.state_dict()[name], value)
        assert (found.features is None) == (alone.features is None) == (not own)
        for one, other in zip(found.features or (), alone.features or (), strict=True):
            assert torch.equal(one, other)

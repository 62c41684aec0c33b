from __future__ import annotations

import torch

from tosmooth.config.schema import ComputeConfig
from tosmooth.recipes.reading import load_config
from tosmooth.tasks.find import find_task
from tosmooth.training.compute import Compute
from tosmooth.training.evaluation import evaluate


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


def test_features_that_are_not_finite_are_told_where_some_were_to_be_kept(tiny_raw):
    config = load_config(tiny_raw)
    task = find_task(config.task)
    data, compute = task.load_data(config), Compute.from_config(ComputeConfig(device="cpu"))
    model = task.new_model(config, data, config.student.model, 0)
    with torch.no_grad():
        next(model.parameters()).fill_(float("nan"))
    batches = task.pipeline(config.data, data, compute.device).evaluation(data.validation, batch_size=50)
    found = evaluate(compute.place(model), batches, compute, centroids=True, keep=(0, 1, 2))
    assert (found.finite, found.features) == (False, None)

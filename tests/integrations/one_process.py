"""What `test_processes.py` calls in one process, and runs in two: ``python -m tests.integrations.one_process OUT``.

There RANK and WORLD_SIZE are set, and samples are shared out between the processes, unevenly.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import torch
from torch import distributed

import tosmooth
from tests.integrations.models import TinyNet, images, marian, moved, sentences, weights
from tosmooth.integrations.torchmetrics import DiffusionIndex, Stability
from tosmooth.integrations.tracking import TrainingTracker


def shares(count: int) -> slice:
    """The samples of this process: of two, the first has a third of them."""
    if not distributed.is_initialized():
        return slice(0, count)
    return slice(0, count // 3) if distributed.get_rank() == 0 else slice(count // 3, count)


def metrics() -> dict[str, Any]:
    pixels, labels = images(0, 256)
    measured = []
    for seed in (0, 1):
        with tosmooth.PenultimateFeatures(TinyNet(seed).eval(), 10) as features_of, torch.no_grad():
            measured.append(features_of(pixels))
    (_, at_t1), (logits, features) = measured
    own = shares(256)
    reference = tosmooth.ClassCentroids(10, 96)
    reference.update(at_t1, labels)
    similar, dissimilar = tosmooth.similar_classes(reference, m=3)
    eta, stored = (
        DiffusionIndex(10, 96, similar, reference, debias=True, per_class=True),
        DiffusionIndex(10, 96, similar),
    )
    stability = Stability(10)
    eta.update(features[own], labels[own])
    stability.update(logits.softmax(1)[own], labels[own])
    stored.update(at_t1[own], labels[own])
    stored.keep_as_reference()
    stored.update(features[own], labels[own])
    tracker = TrainingTracker(10, similar, dissimilar, reference=reference)
    tracker.update(logits[own], features[own], labels[own])
    results = {"eta": eta.compute(), "stability": stability.compute(), "stored": stored.compute()}
    return results | {f"tracker/{name}": torch.tensor(value) for name, value in tracker.compute().items()}


def trained(folder: str, *, across: bool) -> dict[str, torch.Tensor]:
    """A step of the Trainer on four sentences of different length, all of them together or shared out."""
    from transformers import Seq2SeqTrainingArguments

    from tosmooth.integrations.transformers import Seq2SeqDistillationTrainer

    processes = int(os.environ.get("WORLD_SIZE", "1"))
    settings = Seq2SeqTrainingArguments(
        output_dir=folder, max_steps=1, per_device_train_batch_size=4 // processes, learning_rate=0.5, optim="sgd",
        max_grad_norm=0.0, lr_scheduler_type="constant", save_strategy="no", report_to=[], use_cpu=True,
        disable_tqdm=True, average_tokens_across_devices=across, ddp_backend="gloo" if processes > 1 else None,
    )  # fmt: skip
    student, teacher = marian(0), marian(1)
    taught = weights(teacher)
    trainer = Seq2SeqDistillationTrainer(
        model=student, args=settings, teacher=teacher, temperature=2.0, train_dataset=sentences(4)
    )
    trainer.train()
    assert not moved(taught, teacher)
    assert type(trainer.teacher.model) is type(student), "the teacher is not wrapped"
    if processes > 1:
        assert type(trainer.model_wrapped).__name__ == "DistributedDataParallel"
    return weights(student)


def everything(folder: str) -> dict[str, Any]:
    results = metrics()
    for across in (True, False):
        found = trained(folder, across=across)
        results |= {f"weights/{across}/{name}": value for name, value in found.items()}
    return results


def main(out: str) -> None:
    distributed.init_process_group("gloo")
    torch.save(everything(str(Path(out).parent)), out)
    distributed.barrier()
    # Without the interpreter's own ending: gloo's threads, when they outlive it, now and then abort a finished process.
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1])

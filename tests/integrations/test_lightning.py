from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.data import DataLoader, TensorDataset

import tosmooth
from tests.integrations.models import TinyNet, images, marian, moved, sentences, stacked, weights
from tosmooth.analysis.calibration import ClassificationMetrics
from tosmooth.errors import ModelError
from tosmooth.integrations.batches import Parts
from tosmooth.integrations.lightning import DiffusionCallback, DistillationModule, _count


def trainer(folder: Path, callbacks: Any = (), **settings: Any) -> Any:
    defaults = {
        "max_steps": 1, "accelerator": "cpu", "logger": False, "enable_checkpointing": False,
        "enable_progress_bar": False, "enable_model_summary": False, "log_every_n_steps": 1,
    }  # fmt: skip
    return pl.Trainer(default_root_dir=folder, callbacks=list(callbacks), **{**defaults, **settings})


def loader(start: int, stop: int, batch: int = 16) -> DataLoader[Any]:
    return DataLoader(TensorDataset(*images(start, stop)), batch_size=batch)


def sgd(parameters: Any) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, lr=0.5)


def features_and_logits(model: TinyNet, pixels: Tensor) -> tuple[Tensor, Tensor]:
    with tosmooth.PenultimateFeatures(model.eval(), 10) as features_of, torch.no_grad():
        logits, features = features_of(pixels)
    return features, logits


@pytest.mark.parametrize(
    "settings",
    [{}, {"hard_weight": 0.3, "label_smoothing": 0.1, "topk": 3}, {"objective": "logit_standard"}],
    ids=["hinton", "hard labels and top-k", "logit_standard"],
)
def test_the_loss_is_the_distillation_loss_and_only_the_student_moves(tmp_path: Path, settings: dict[str, Any]) -> None:
    student, teacher = TinyNet(0), TinyNet(1, width=8)
    student.dropout.p = 0.0
    before, taught = weights(student), weights(teacher)
    pixels, labels = images(0, 16)
    labels[3] = -100
    with torch.no_grad():
        expected = tosmooth.distillation_loss(
            TinyNet(0).requires_grad_(False).train().apply(_no_dropout)(pixels), teacher.eval()(pixels), 2.0,
            targets=labels, **settings,
        )  # fmt: skip
    module = DistillationModule(student, teacher.train(), 2.0, optimizer=sgd, **settings)
    run = trainer(tmp_path)
    run.fit(module, DataLoader(TensorDataset(pixels, labels), batch_size=16))
    assert float(run.callback_metrics["train/loss"]) == pytest.approx(float(expected), rel=1e-5)
    assert moved(before, student)
    assert not moved(taught, teacher)
    assert not teacher.training


def test_validation_numbers_are_means_over_all_samples_that_count(tmp_path: Path) -> None:
    student, teacher = TinyNet(0), TinyNet(1)
    pixels, labels = images(0, 40)
    labels[:7] = -100
    module = DistillationModule(student, teacher, 3.0)
    run = trainer(tmp_path)
    run.validate(module, DataLoader(TensorDataset(pixels, labels), batch_size=16), verbose=False)
    with torch.no_grad():
        logits, taught = student.eval()(pixels), teacher(pixels)
    expected = tosmooth.distillation_loss(logits, taught, 3.0, targets=labels)
    assert float(run.callback_metrics["val/loss"]) == pytest.approx(float(expected), rel=1e-5)
    accuracy = 100 * float((logits.argmax(1) == labels)[7:].float().mean())
    assert float(run.callback_metrics["val/top1"]) == pytest.approx(accuracy, rel=1e-5)


def test_a_checkpoint_holds_the_student_alone_and_is_read_again(tmp_path: Path) -> None:
    module = DistillationModule(TinyNet(0), TinyNet(1), 2.0)
    run = trainer(tmp_path)
    run.fit(module, loader(0, 32))
    run.save_checkpoint(tmp_path / "last.ckpt")
    saved = torch.load(tmp_path / "last.ckpt", weights_only=True)["state_dict"]
    assert saved.keys() == {f"student.{name}" for name in module.student.state_dict()}
    again = DistillationModule.load_from_checkpoint(
        tmp_path / "last.ckpt", student=TinyNet(7), teacher=TinyNet(1), temperature=2.0
    )
    assert not moved(weights(module.student), again.student)


def test_the_rows_that_count_are_counted_where_the_labels_are() -> None:
    with FakeTensorMode():  # to read a number is an error
        assert _count(Parts((), {}, torch.zeros(2, 3, dtype=torch.int64))).shape == ()


def test_sentences_as_dictionaries(tmp_path: Path) -> None:
    student, teacher, data = marian(0), marian(1), sentences(4)
    inputs = stacked(data)
    with torch.no_grad():
        expected = tosmooth.distillation_loss(
            student(**inputs).logits, teacher(**inputs).logits, 2.0, targets=inputs["labels"]
        )
    run = trainer(tmp_path)
    run.fit(DistillationModule(student, teacher, 2.0), DataLoader(data, batch_size=4))  # type: ignore[arg-type]
    assert float(run.callback_metrics["train/loss"]) == pytest.approx(float(expected), rel=1e-5)


def test_half_precision_students_and_teachers_that_see_other_inputs(tmp_path: Path) -> None:
    student, teacher = TinyNet(0), TinyNet(1)
    pixels, _ = images(0, 16)
    seen: list[Tensor] = []
    teacher.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    module = DistillationModule(student, teacher, 2.0, teacher_inputs=lambda x: 2 * x)
    trainer(tmp_path, precision="bf16-true").fit(module, loader(0, 16))
    assert next(teacher.parameters()).dtype == torch.float32
    torch.testing.assert_close(seen[0], 2 * pixels, atol=0.05, rtol=0.02)


def test_the_callback_gives_the_numbers_of_the_functions(tmp_path: Path) -> None:
    """Three epochs, validated after each; the reference is the first, and the sanity check before it does not count."""
    teacher = TinyNet(1)
    pixels, labels = images(64, 192)
    similar, dissimilar = _masks(teacher)
    kept: list[tuple[Tensor, Tensor]] = []

    class Keep(pl.Callback):
        def on_validation_epoch_end(self, trainer: Any, pl_module: Any) -> None:
            if not trainer.sanity_checking:
                kept.append(features_and_logits(pl_module.student, pixels))

    module = DistillationModule(TinyNet(0), teacher, 2.0, optimizer=sgd)
    callback = DiffusionCallback(10, similar, dissimilar)
    run = trainer(tmp_path, [callback, Keep()], max_steps=-1, max_epochs=3)
    run.fit(module, loader(0, 32), loader(64, 192, batch=48))
    assert len(callback.history) == 3
    assert (callback.history[0]["eta_s1"], callback.history[0]["eta_s2"]) == (0, 0)
    centroids = []
    for (features, logits), found in zip(kept, callback.history, strict=True):
        centroids.append(tosmooth.ClassCentroids(10, features.shape[1]))
        centroids[-1].update(features, labels)
        metrics = ClassificationMetrics(10)
        metrics.update(logits, labels)
        for name, value in metrics.compute().items():
            assert found[name] == pytest.approx(value, rel=1e-5)
        for name, mask in (("eta_s1", similar), ("eta_s2", dissimilar)):
            eta = tosmooth.diffusion_index(centroids[0], centroids[-1], mask).nanmean()
            assert found[name] == pytest.approx(float(eta), rel=1e-4, abs=1e-6)
    last = callback.history[-1]
    assert last["eta_s1"] != 0
    assert last["eta_difference"] == last["eta_s1"] - last["eta_s2"]
    names = {"diffusion/eta_s1": "eta_s1", "cal/ece_val": "ece", "cal/brier_val": "brier", "val/nll": "nll"}
    for logged, name in names.items():
        assert float(run.callback_metrics[logged]) == pytest.approx(last[name], rel=1e-5)
    assert not module.student.head._forward_hooks
    assert not module.student._forward_hooks


def test_the_callback_in_a_module_of_ones_own_against_given_centroids(tmp_path: Path) -> None:
    class Own(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.net = TinyNet(0)

        def training_step(self, batch: Any, batch_idx: int) -> Tensor:
            return nn.functional.cross_entropy(self.net(batch[0]), batch[1])

        def validation_step(self, batch: Any, batch_idx: int) -> None:
            self.net(batch[0])

        def configure_optimizers(self) -> Any:
            return sgd(self.parameters())

    pixels, labels = images(64, 192)
    at_t1 = tosmooth.ClassCentroids(10, 96)
    at_t1.update(features_and_logits(TinyNet(4), pixels)[0], labels)
    similar, dissimilar = _masks(TinyNet(1))
    module = Own()
    callback = DiffusionCallback(10, similar, dissimilar, reference=at_t1, model=lambda own: own.net, debias=True)
    trainer(tmp_path, [callback]).validate(module, loader(64, 192), verbose=False)
    seen = tosmooth.ClassCentroids(10, 96)
    seen.update(features_and_logits(module.net, pixels)[0], labels)
    eta = tosmooth.diffusion_index(at_t1, seen, similar, debias=True).nanmean()
    assert callback.history[0]["eta_s1"] == pytest.approx(float(eta), rel=1e-5)
    assert callback.tracker.reference_name == "given centroids"


def test_one_of_several_validation_loaders_is_tracked(tmp_path: Path) -> None:
    module, loaders = DistillationModule(TinyNet(0), TinyNet(1), 2.0), [loader(0, 48), loader(48, 64)]
    callbacks = [DiffusionCallback(10), DiffusionCallback(10, dataloader=1)]
    trainer(tmp_path, callbacks).validate(module, loaders, verbose=False)
    for callback, span in zip(callbacks, ((0, 48), (48, 64)), strict=True):
        pixels, labels = images(*span)
        metrics = ClassificationMetrics(10)
        metrics.update(features_and_logits(module.student, pixels)[1], labels)
        assert callback.history[0]["nll"] == pytest.approx(metrics.compute()["nll"], rel=1e-5)


def test_a_failing_validation_leaves_no_hooks(tmp_path: Path) -> None:
    module = DistillationModule(TinyNet(0), TinyNet(1), 2.0)
    callback = DiffusionCallback(10, layer="head")
    module.validation_step = lambda batch, batch_idx: None  # type: ignore[method-assign, assignment]
    with pytest.raises(ModelError, match="of one forward pass a batch, 0 were seen"):
        trainer(tmp_path, [callback]).validate(module, loader(0, 16), verbose=False)
    assert not module.student.head._forward_hooks


def test_the_other_namespace_is_taken_where_it_is_the_one_in_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "lightning.pytorch")
    monkeypatch.delitem(sys.modules, "tosmooth.integrations.lightning")
    import pytorch_lightning as other

    ours = importlib.import_module("tosmooth.integrations.lightning")
    assert issubclass(ours.DistillationModule, other.LightningModule)
    assert not issubclass(ours.DistillationModule, pl.LightningModule)
    module, callback = ours.DistillationModule(TinyNet(0), TinyNet(1), 2.0), ours.DiffusionCallback(10)
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    run = other.Trainer(max_epochs=1, accelerator="cpu", callbacks=[callback], default_root_dir=tmp_path, **quiet)
    run.fit(module, loader(0, 16), loader(16, 48))
    pixels, labels = images(16, 48)
    metrics = ClassificationMetrics(10)
    metrics.update(features_and_logits(module.student, pixels)[1], labels)
    assert callback.history[-1]["nll"] == pytest.approx(metrics.compute()["nll"], rel=1e-5)


@pytest.mark.parametrize(
    ("settings", "error", "reason"),
    [
        ({"temperature": 0}, ValueError, "temperature must be a finite number above 0"),
        ({"objective": "dkdd"}, ValueError, "did you mean 'dkd'"),
        ({"label_smoothing": 1.0}, ValueError, "label_smoothing must be in"),
        ({"teacher": "resnet50"}, ModelError, "must be an nn.Module, got str"),
    ],
)
def test_mistakes_are_refused_at_construction(settings: dict[str, Any], error: type[Exception], reason: str) -> None:
    with pytest.raises(error, match=reason):
        DistillationModule(**{"student": TinyNet(0), "teacher": TinyNet(1), "temperature": 2.0, **settings})


def test_mistakes_that_show_in_a_batch() -> None:
    class Pair(nn.Module):
        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            return x, x

    pixels, labels = images(0, 4)
    with pytest.raises(ModelError, match="the teacher tells 7 classes apart, the student 10"):
        DistillationModule(TinyNet(0), TinyNet(1, classes=7), 2.0)._loss((pixels, labels))
    with pytest.raises(ModelError, match=r"must return its logits as a tensor, or an object with \.logits"):
        DistillationModule(TinyNet(0), Pair(), 2.0)._loss((pixels, labels))
    with pytest.raises(TypeError, match=r"a batch must be \(inputs, labels\)"):
        DistillationModule(TinyNet(0), TinyNet(1), 2.0)._loss((pixels, labels, labels))
    module = DistillationModule(TinyNet(0), TinyNet(1), 2.0)
    module.teacher.model.train()
    with pytest.raises(ModelError, match="the teacher is in train mode"):
        module._loss((pixels, labels))


def _no_dropout(module: nn.Module) -> None:
    if isinstance(module, nn.Dropout):
        module.p = 0.0


def _masks(teacher: TinyNet) -> tuple[Tensor, Tensor]:
    pixels, labels = images(0, 256)
    centroids = tosmooth.ClassCentroids(10, 96)
    centroids.update(features_and_logits(teacher, pixels)[0], labels)
    return tosmooth.similar_classes(centroids, m=3)

"""Which of a file's tensors are a model's: files as people's training scripts leave them."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import safetensors.torch
import timm
import torch
from lightning.pytorch.callbacks import EMAWeightAveraging
from timm.utils import CheckpointSaver, ModelEmaV3
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel
from torch.utils.data import DataLoader, TensorDataset

from tosmooth.errors import ModelError, OtherModelError
from tosmooth.integrations.lightning import DistillationModule
from tosmooth.models.build import build_image_model
from tosmooth.models.image_model import ImageModel
from tosmooth.models.weights import load_weights, save_weights, weights_hash

State = dict[str, Tensor]


def net(seed: int = 0, name: str = "resnet8", classes: int = 3) -> ImageModel:
    return build_image_model(name, classes, channels=1, width=0.25, seed=seed)


S: State = net().backbone.state_dict()
E: State = net(1).backbone.state_dict()  # stands for an average, or for another network


def under(prefix: str, state: State = S) -> State:
    return {prefix + name: tensor for name, tensor in state.items()}


def opened(content: Any, folder: Path, *, ema: bool = False) -> tuple[str, tuple[str, ...]]:
    """The hash of what a fresh model holds afterwards, and what was noted, without the file."""
    torch.save(content, folder / "w.pth")
    model = net(7)
    load_weights(model, folder / "w.pth", ema=ema)
    assert all(note.startswith(f"{folder / 'w.pth'}: ") for note in model.notes)
    return weights_hash(model), tuple(note.removeprefix(f"{folder / 'w.pth'}: ") for note in model.notes)


PLAIN, AVERAGED = weights_hash(net()), weights_hash(net(1))


@pytest.mark.parametrize(
    "content",
    [
        S,
        *({key: S, "epoch": 3} for key in ("state_dict", "model_state_dict", "net", "network", "weights", "params")),
        {"net": under("module."), "acc": 91.2, "epoch": 3},
        {"checkpoint": {"model": S}},
        {"state_dict": {"model": S}},
        *(under(prefix) for prefix in ("module.", "_orig_mod.module.", "module.model.", "classifier.", "a.b.c.")),
        {name.replace("layer1.", "layer1._orig_mod."): tensor for name, tensor in S.items()},  # compiled in part
        {name: tensor for name, tensor in S.items() if not name.endswith("num_batches_tracked")},
        {"model": S, "copy": under("net."), "rng_state": torch.get_rng_state()},  # the same twice
    ],
)
def test_any_key_and_any_prefix(tmp_path: Path, content: Any) -> None:
    found, notes = opened(content, tmp_path)
    assert found == PLAIN
    assert not notes or notes == (f"model was taken; left out: copy.* ({len(S)} tensors)",)


@pytest.mark.parametrize(
    ("content", "left_out"),
    [
        ({**under("model."), "criterion.weight": torch.ones(3)}, "model was taken; left out: criterion.weight"),
        ({**S, "criterion.weight": torch.ones(3)}, "left out: criterion.weight"),
        (
            {"state_dict": {**under("student."), **under("teacher.", E)}},
            f"state_dict.student was taken; left out: state_dict.teacher.* ({len(S)} tensors)",
        ),
        ({"student": S, "teacher": E}, f"student was taken; left out: teacher.* ({len(S)} tensors)"),
        (
            {**S, "total_ops": torch.zeros(1), "layer1.total_ops": torch.zeros(1), "total_params": torch.zeros(1)},
            "left out: total_ops (2 tensors), total_params",
        ),
        ({"model": S, "centers": torch.ones(3, 2), "best": torch.tensor(1.0)}, "model was taken; left out: centers"),
    ],
)
def test_what_is_beside_the_weights_is_listed(tmp_path: Path, content: Any, left_out: str) -> None:
    assert opened(content, tmp_path) == (PLAIN, (left_out,))


AVERAGES: list[tuple[Any, str, str]] = [
    ({"model": S, "model_ema": E}, "model", "model_ema"),
    ({"state_dict": under("module."), "state_dict_ema": E}, "state_dict.module", "state_dict_ema"),
    ({"state_dict": {**under("net."), **under("ema_net.", E)}}, "state_dict.net", "state_dict.ema_net"),
    ({"model": S, "swa": {"n_averaged": torch.tensor(3), **under("module.", E)}}, "model", "swa.module"),
]


@pytest.mark.parametrize(("content", "plain", "averaged"), AVERAGES)
def test_plain_and_averaged_weights(tmp_path: Path, content: Any, plain: str, averaged: str) -> None:
    both = f"holds plain weights ({plain}) and averaged ones (EMA: {averaged}); "
    found, notes = opened(content, tmp_path)
    assert found == PLAIN
    assert notes[0] == f"{both}{plain} was taken, --ema (ema: true) takes the averaged ones"
    assert all("n_averaged" in note for note in notes[1:])
    found, notes = opened(content, tmp_path, ema=True)
    assert found == AVERAGED
    assert notes[0] == f"{both}{averaged} was taken, leave out --ema (ema: true) for the plain ones"
    assert all("n_averaged" in note for note in notes[1:])


def test_averaged_weights_alone_and_none(tmp_path: Path) -> None:
    alone = "holds averaged weights (EMA) alone, state_dict_ema; they were taken"
    assert opened({"state_dict_ema": E}, tmp_path) == (AVERAGED, (alone,))
    assert opened({"state_dict_ema": E}, tmp_path, ema=True) == (AVERAGED, ())
    with pytest.raises(ModelError, match=r"no averaged weights .* only student, teacher; leave out --ema"):
        opened({"student": S, "teacher": E}, tmp_path, ema=True)
    save_weights(net(), tmp_path / "own.safetensors")  # a file of ours has one kind
    model = net(7)
    load_weights(model, tmp_path / "own.safetensors", ema=True)
    assert (weights_hash(model), model.notes) == (PLAIN, ())


def test_several_that_fit_are_for_the_user_to_choose(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"several sets of weights of this model: first, last; save the one"):
        opened({"first": S, "last": E}, tmp_path)


def test_a_larger_network_beside_the_model_does_not_take_its_place(tmp_path: Path) -> None:
    """All names of a ResNet-8 are names of a ResNet-14, too."""
    larger = net(0, "resnet14").backbone.state_dict()
    assert opened({"a": larger, "b": S}, tmp_path)[0] == PLAIN
    with pytest.raises(OtherModelError, match=r"unexpected \(layer1\.1"):
        opened(larger, tmp_path)
    with pytest.raises(OtherModelError, match=r"2 missing \(fc\.weight, fc\.bias\)"):
        opened({name: tensor for name, tensor in S.items() if not name.startswith("fc.")}, tmp_path)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("fc.weight", float("nan"), r"1 of the \d+ numbers of fc\.weight is NaN: its training diverged"),
        ("bn1.running_var", float("inf"), r"1 of the \d+ numbers of bn1\.running_var is infinite"),
    ],
)
def test_what_is_not_finite_is_told(tmp_path: Path, name: str, value: float, words: str) -> None:
    state = {key: tensor.clone() for key, tensor in S.items()}
    state[name].view(-1)[0] = value
    model = net(7)
    for write in (torch.save, lambda content, file: safetensors.torch.save_file(content, file)):
        write(state, tmp_path / "w.pth")
        with pytest.raises(ModelError, match=words):
            load_weights(model, tmp_path / "w.pth")
    assert weights_hash(model) == weights_hash(net(7))


def test_float16_that_overflowed_and_quantised_files(tmp_path: Path) -> None:
    half = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in S.items()}
    opened(half, tmp_path)
    with pytest.raises(ModelError, match=r"fc\.bias is infinite: they were too large for float16"):
        opened({**half, "fc.bias": torch.tensor([1e6, 0, 0]).half()}, tmp_path)
    with pytest.raises(ModelError, match=r"fc\.weight is int8, the model has floats"):
        opened({**S, "fc.weight": S["fc.weight"].to(torch.int8)}, tmp_path)


class Masked(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mask", torch.full((3, 3), float("-inf")).triu(1))
        self.fc = nn.Linear(3, 3)


def test_a_mask_may_be_infinite(tmp_path: Path) -> None:
    torch.save(Masked().state_dict(), tmp_path / "w.pth")
    load_weights(Masked(), tmp_path / "w.pth")


# Files as the libraries themselves write them.


def tiny_timm(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return timm.create_model("test_resnet", num_classes=3)


def of_timm(file: Path) -> tuple[nn.Module, nn.Module]:
    """timm's `train.py`: its saver, with the arguments and the average beside the weights."""
    model, other = tiny_timm(0), tiny_timm(1)
    arguments = argparse.Namespace(model="test_resnet", lr=0.1, data_dir=file.parent)
    optimizer = torch.optim.AdamW(model.parameters())
    sum(p.sum() for p in model.parameters()).backward()
    optimizer.step()
    saver = CheckpointSaver(model, optimizer, arguments, ModelEmaV3(other), checkpoint_dir=str(file.parent))
    saver.save_checkpoint(0, metric=50.0)
    (file.parent / "last.pth.tar").rename(file)
    return model, other


def of_torchvision(file: Path) -> tuple[nn.Module, nn.Module]:
    """torchvision's `references/classification`: the average is an `AveragedModel`, whose names begin with module."""
    model, other = tiny_timm(0), tiny_timm(1)
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 5)
    content = {
        "model": model.state_dict(), "optimizer": optimizer.state_dict(), "lr_scheduler": schedule.state_dict(),
        "epoch": 3, "args": argparse.Namespace(lr=0.1, output_dir="out"),
        "model_ema": AveragedModel(other, use_buffers=True).state_dict(), 
        "scaler": torch.amp.GradScaler("cpu").state_dict(),
    }  # fmt: skip
    torch.save(content, file)
    return model, other


class Classifier(pl.LightningModule):
    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net, self.criterion = net, nn.CrossEntropyLoss(weight=torch.ones(3))
        self.save_hyperparameters({"root": Path("/data"), "lr": 0.1})

    def training_step(self, batch: Any, _: int) -> Tensor:
        return self.criterion(self.net(batch[0]), batch[1])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.1)


def fitted(module: pl.LightningModule, file: Path, *callbacks: pl.Callback) -> None:
    images = TensorDataset(torch.rand(4, 3, 32, 32), torch.tensor([0, 1, 2, 0]))
    trainer = pl.Trainer(
        max_steps=2, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, log_every_n_steps=1, default_root_dir=file.parent, callbacks=list(callbacks),
    )  # fmt: skip
    trainer.fit(module, DataLoader(images, batch_size=2))
    trainer.save_checkpoint(file)


def of_lightning(file: Path) -> tuple[nn.Module, None]:
    module = Classifier(tiny_timm(0))
    fitted(module, file)
    return module.net, None


def of_lightning_with_an_average(file: Path) -> tuple[nn.Module, nn.Module]:
    """`EMAWeightAveraging` writes the average where the weights were, and the weights elsewhere."""
    module, average = Classifier(tiny_timm(0)), EMAWeightAveraging(decay=0.5)
    fitted(module, file, average)
    averaged = Classifier(tiny_timm(1))
    averaged.load_state_dict(torch.load(file, weights_only=False)["state_dict"])
    trained = Classifier(tiny_timm(2))
    trained.load_state_dict(torch.load(file, weights_only=False)["current_model_state"])
    return trained.net, averaged.net


def of_tosmooth(file: Path) -> tuple[nn.Module, None]:
    module = DistillationModule(tiny_timm(0), tiny_timm(1), 2.0)
    fitted(module, file)
    return module.student, None


@pytest.mark.filterwarnings("ignore")  # of Lightning, that there are few workers
@pytest.mark.parametrize(
    "write",
    [of_timm, of_torchvision, of_lightning, of_lightning_with_an_average, of_tosmooth],
    ids=lambda write: write.__name__,
)
def test_files_of_libraries(tmp_path: Path, write: Callable[[Path], tuple[nn.Module, nn.Module | None]]) -> None:
    saved, averaged = write(tmp_path / "w.ckpt")
    for ema, expected in ((False, saved), (True, averaged)):
        if expected is not None:
            model = build_image_model("timm:test_resnet", 3, checkpoint=tmp_path / "w.ckpt", ema=ema)
            assert weights_hash(model) == weights_hash(expected)
            assert ("averaged ones" in " ".join(model.notes)) == (averaged is not None)


def test_wrapped_modules(tmp_path: Path) -> None:
    torch.save(nn.DataParallel(net().backbone).state_dict(), tmp_path / "0.pth")
    torch.save(torch.compile(net().backbone, backend="eager").state_dict(), tmp_path / "1.pth")
    for file in tmp_path.iterdir():
        other = net(7)
        load_weights(other, file)
        assert weights_hash(other) == PLAIN

from __future__ import annotations

import copy
import resource
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import nn

from tosmooth.errors import ModelError
from tosmooth.models.build import build_image_model
from tosmooth.models.weights import load_weights, save_weights, weights_hash


def net(classes: int = 10, seed: int = 0, **kwargs):
    return build_image_model("resnet8", classes, channels=1, width=0.25, seed=seed, kwargs=kwargs)


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "model.safetensors"


def test_weights_come_back_bit_equal(path):
    model = net().to(memory_format=torch.channels_last)
    model(torch.rand(4, 1, 8, 8))  # batch statistics are weights too
    save_weights(model, path)
    other = net(seed=1)
    assert weights_hash(other) != weights_hash(model)
    load_weights(other, path)
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, other.state_dict()[name]), name
    assert weights_hash(other) == weights_hash(model)


def test_the_file_opens_without_tosmooth(path):
    model = net()
    save_weights(model, path)
    tensors = safetensors.torch.load_file(path)
    assert torch.equal(tensors["fc.weight"], model.backbone.fc.weight)
    model.backbone.load_state_dict(tensors, strict=True)


def test_what_the_model_does_to_images_comes_back(path):
    trained = net(input_size=16, mean=0.3, std=0.2)
    save_weights(trained, path)
    plain, own_mean = net(), net(mean=0.7)
    load_weights(plain, path)
    load_weights(own_mean, path)
    assert plain.input == trained.input
    assert own_mean.input.mean == (0.7,)
    assert own_mean.input.size == 16


def test_saving_replaces_the_file_and_leaves_nothing_else(path):
    save_weights(net(seed=0), path)
    save_weights(net(seed=1), path)
    model = net(seed=2)
    load_weights(model, path)
    assert weights_hash(model) == weights_hash(net(seed=1))
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_a_failed_write_keeps_the_old_file(path):
    save_weights(net(seed=0), path)
    before = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))  # the system refuses to write more
    try:
        with pytest.raises(ModelError, match="could not be written"):
            save_weights(net(seed=1), path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_a_folder_that_cannot_be_made_is_one_clear_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelError, match="could not be written"):
        save_weights(net(), tmp_path / "file" / "model.safetensors")


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.encode, self.decode = nn.Linear(4, 4), nn.Linear(4, 4)
        self.decode.weight = self.encode.weight


def test_tensors_that_share_memory_stay_shared(path):
    model, other = Tied(), Tied()
    save_weights(model, path)
    load_weights(other, path)
    assert other.decode.weight is other.encode.weight
    assert weights_hash(other) == weights_hash(model)


def wrap_nothing(state):
    return state


def wrap_trainer(state):
    return {"epoch": 3, "state_dict": {f"module.{k}": v for k, v in state.items()}}


def wrap_compiled(state):
    return {"model": {f"_orig_mod.backbone.{k}": v for k, v in state.items()}}


def test_equal_weights_are_equal_files(tmp_path):
    """Also where several layers are tied; and other readers need no list of them."""
    layers = nn.ModuleDict({name: nn.Linear(3, 3, bias=False) for name in "dbace"})
    for name in "dbce":
        layers[name].weight = layers["a"].weight
    for number in range(6):
        save_weights(layers, tmp_path / f"{number}.safetensors")
    assert len({file.read_bytes() for file in tmp_path.iterdir()}) == 1
    assert set(safetensors.torch.load_file(tmp_path / "0.safetensors")) == {"a.weight"}
    other = copy.deepcopy(layers)
    nn.init.zeros_(other["c"].weight)
    safetensors.torch.load_model(other, tmp_path / "0.safetensors")
    assert torch.equal(other["e"].weight, layers["a"].weight)


@pytest.mark.parametrize("wrap", [wrap_nothing, wrap_trainer, wrap_compiled])
def test_pytorch_files_in_their_usual_forms(tmp_path, wrap):
    model, other = net(), net(seed=1)
    torch.save(wrap(model.backbone.state_dict()), tmp_path / "w.pt")
    load_weights(other, tmp_path / "w.pt")
    assert weights_hash(other) == weights_hash(model)


def test_files_from_before_batch_counters_load(tmp_path):
    model, other = net(), net(seed=1)
    state = {k: v for k, v in model.backbone.state_dict().items() if not k.endswith("num_batches_tracked")}
    torch.save(dict(state), tmp_path / "w.pt")
    load_weights(other, tmp_path / "w.pt")
    assert weights_hash(other) == weights_hash(model)


@pytest.mark.parametrize("name", ["model.safetensors", "model.pt"])
def test_damaged_files_are_named(tmp_path, name):
    file = tmp_path / name
    model = net()
    if name.endswith(".pt"):
        torch.save(model.backbone.state_dict(), file)
    else:
        save_weights(model, file)
    file.write_bytes(file.read_bytes()[:-500])
    before = weights_hash(model)
    with pytest.raises(ModelError, match=name):
        load_weights(model, file)
    assert weights_hash(model) == before


def test_another_class_count_names_both(path):
    save_weights(net(classes=10), path)
    model = net(classes=7, seed=1)
    before = weights_hash(model)
    with pytest.raises(ModelError, match=r"trained for 10 classes, this model has 7.*replace_head"):
        load_weights(model, path)
    assert weights_hash(model) == before


def test_a_replaced_head_is_the_models_own(path):
    source = net(classes=10)
    save_weights(source, path)
    model, fresh = net(classes=7, seed=1), net(classes=7, seed=1)
    load_weights(model, path, replace_head=True)
    assert torch.equal(model.backbone.fc.weight, fresh.backbone.fc.weight)
    assert torch.equal(model.backbone.layer3[0].conv2.weight, source.backbone.layer3[0].conv2.weight)


def test_replace_head_keeps_a_head_that_fits(path):
    save_weights(net(seed=0), path)
    model = net(seed=1)
    load_weights(model, path, replace_head=True)
    assert weights_hash(model) == weights_hash(net(seed=0))


def test_a_checkpoint_without_head_needs_replace_head(tmp_path):
    state = {k: v for k, v in net().backbone.state_dict().items() if not k.startswith("fc.")}
    torch.save(state, tmp_path / "body.pt")
    with pytest.raises(ModelError, match=r"2 missing \(fc.weight, fc.bias\)"):
        load_weights(net(), tmp_path / "body.pt")
    load_weights(net(), tmp_path / "body.pt", replace_head=True)


def test_another_architecture_is_refused(path):
    save_weights(build_image_model("resnet14", 10, channels=1, width=0.25), path)
    with pytest.raises(ModelError, match=r"unexpected \(layer1.1"):
        load_weights(net(), path, replace_head=True)
    save_weights(build_image_model("resnet8", 10, channels=1, width=0.5), path)
    with pytest.raises(ModelError, match=r"other shapes.*bn1.bias: \(8,\) there, \(4,\) here"):
        load_weights(net(), path, replace_head=True)


def test_the_hash_sees_one_bit_and_nothing_of_the_wrapping():
    model = net()
    changed = copy.deepcopy(model)
    with torch.no_grad():
        changed.backbone.fc.bias[0] = torch.nextafter(changed.backbone.fc.bias[0], torch.tensor(9.0))
    assert weights_hash(changed) != weights_hash(model)
    assert weights_hash(model.backbone) == weights_hash(model)
    assert weights_hash(nn.DataParallel(model)) == weights_hash(model)
    counted = copy.deepcopy(model)
    counted.backbone.bn1.num_batches_tracked += 1
    assert weights_hash(counted) != weights_hash(model)

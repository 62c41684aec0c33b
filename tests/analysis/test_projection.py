from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from tosmooth import PenultimateFeatures, PenultimateProjection
from tosmooth.data.registry import load_image_data
from tosmooth.models.build import build_image_model

CLASSES = (6, 0, 7)  # shirt, T-shirt, sneaker: not the first three, so wrong biases would show


@pytest.fixture(scope="module")
def trained() -> tuple[nn.Linear, torch.Tensor, torch.Tensor, torch.Tensor]:
    """The last layer of a briefly trained network, its real features with labels, and held-out features."""
    data = load_image_data("fashion_mnist_sample", limit_train=1000, limit_test=200)
    images = torch.stack([data.train[i] for i in range(len(data.train))])
    model = build_image_model("resnet8", 10, channels=1, kwargs={"stem_stride": 2}, seed=0)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    for step in range(30):
        part = torch.arange(step * 128, (step + 1) * 128) % len(images)
        loss = nn.functional.cross_entropy(model(images[part]), data.train.labels[part], label_smoothing=0.1)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.eval()
    with torch.no_grad(), PenultimateFeatures(model, 10) as features_of:
        _, features = features_of(images)
        _, held_out = features_of(torch.stack([data.test[i] for i in range(len(data.test))]))
        layer = features_of.last_layer
    assert isinstance(layer, nn.Linear)
    assert layer.bias.detach().abs().max() > 1e-3
    return layer, features, data.train.labels, held_out


def direct(layer: nn.Linear, features: np.ndarray, labels: np.ndarray, new: np.ndarray) -> np.ndarray:
    """Algorithm 1 step by step in numpy, up to the signs of the two axes."""
    weight, bias = layer.weight.detach().double().numpy(), layer.bias.detach().double().numpy()
    stacked = np.stack([np.append(weight[k], bias[k]) for k in CLASSES])
    basis, _ = np.linalg.qr(stacked.T)
    own = np.concatenate([features[labels == k] for k in CLASSES])
    means = np.stack([features[labels == k].mean(0) for k in CLASSES])
    everything = np.concatenate([own, means])
    projected = np.concatenate([everything, np.ones((len(everything), 1))], axis=1) @ basis
    centre = projected.mean(0)
    values, vectors = np.linalg.eigh(np.cov((projected - centre).T))
    axes = vectors[:, np.argsort(values)[::-1][:2]]
    return (np.concatenate([new, np.ones((len(new), 1))], axis=1) @ basis - centre) @ axes


def test_equal_to_a_direct_numpy_computation_on_real_features(trained):
    layer, features, labels, held_out = trained
    projection = PenultimateProjection(layer.weight, layer.bias, CLASSES).fit(features, labels)
    for new in (features, held_out):
        found = projection.transform(new).numpy()
        expected = direct(layer, features.double().numpy(), labels.numpy(), new.double().numpy())
        signs = np.sign((found * expected).sum(0))
        np.testing.assert_allclose(found, expected * signs, rtol=1e-6, atol=1e-6)


def test_the_biases_of_the_chosen_classes_count_and_no_others(trained):
    layer, features, labels, held_out = trained
    reference = PenultimateProjection(layer.weight, layer.bias, CLASSES).fit(features, labels).transform(held_out)
    others, own = layer.bias.detach().clone(), layer.bias.detach().clone()
    others[[1, 2, 3]] += 5.0
    own[list(CLASSES)] += torch.tensor([5.0, -2.0, 1.0])
    same = PenultimateProjection(layer.weight, others, CLASSES).fit(features, labels).transform(held_out)
    different = PenultimateProjection(layer.weight, own, CLASSES).fit(features, labels).transform(held_out)
    torch.testing.assert_close(same, reference)
    assert (different - reference).abs().max() > 1e-2


def test_signs_are_fixed_whatever_the_signs_of_the_features_axes(trained):
    layer, features, labels, _ = trained
    projection = PenultimateProjection(layer.weight, layer.bias, CLASSES).fit(features, labels)
    points = projection.transform(features)
    first, second, third = (points[labels == k].mean(0) for k in CLASSES)
    assert third[0] <= (first[0] + second[0]) / 2
    assert first[1] >= second[1]
    # Mirrored features with mirrored weights are the same network: the figure must not flip.
    mirrored = PenultimateProjection(-layer.weight, layer.bias, CLASSES).fit(-features, labels).transform(-features)
    torch.testing.assert_close(mirrored, points, rtol=1e-6, atol=1e-6)


def test_the_plane_of_the_templates_holds_them_undistorted(trained):
    layer, features, labels, _ = trained
    projection = PenultimateProjection(layer.weight, layer.bias, CLASSES, plane="templates").fit(features, labels)
    templates = layer.weight.detach()[list(CLASSES)].double()
    flat = projection.transform(templates)
    torch.testing.assert_close(torch.cdist(flat, flat), torch.cdist(templates, templates), rtol=1e-8, atol=1e-8)


def test_wrong_use(trained):
    layer, features, labels, _ = trained
    with pytest.raises(RuntimeError, match="not fitted"):
        PenultimateProjection(layer.weight, layer.bias, CLASSES).transform(features)
    for classes in ((0, 0, 1), (0, 1), (0, 1, 10)):
        with pytest.raises(ValueError, match="three different classes"):
            PenultimateProjection(layer.weight, layer.bias, classes)
    with pytest.raises(ValueError, match="no training sample of class 7"):
        PenultimateProjection(layer.weight, layer.bias, CLASSES).fit(features[labels != 7], labels[labels != 7])
    with pytest.raises(ValueError, match="unknown plane"):
        PenultimateProjection(layer.weight, layer.bias, CLASSES, plane="pca")


def test_a_convolutional_head_and_a_layer_without_bias(trained):
    layer, features, labels, _ = trained
    linear = PenultimateProjection(layer.weight, layer.bias, CLASSES).fit(features, labels).transform(features)
    kernel = layer.weight[:, :, None, None]
    assert torch.equal(
        PenultimateProjection(kernel, layer.bias, CLASSES).fit(features, labels).transform(features), linear
    )
    zeros = PenultimateProjection(layer.weight, torch.zeros(10), CLASSES).fit(features, labels).transform(features)
    without = PenultimateProjection(layer.weight, None, CLASSES).fit(features, labels).transform(features)
    assert torch.equal(without, zeros)


def test_the_plane_of_the_templates_by_hand():
    # Templates at (1, 0, 0), (3, 0, 0), (2, 2, 0): the plane z = 0, its origin at their mean (2, 2/3, 0), its first
    # axis along x. The third class lies above the others, so the second axis is turned down.
    weight = torch.tensor([[1.0, 0.0, 0.0], [3.0, 0.0, 0.0], [2.0, 2.0, 0.0]])
    projection = PenultimateProjection(weight, None, (0, 1, 2), plane="templates")
    projection.fit(weight, torch.tensor([0, 1, 2]))
    found = projection.transform(torch.tensor([[5.0, 1.0, 9.0]]))
    assert found[0].tolist() == pytest.approx([3.0, -1 / 3])


def test_features_that_do_not_fit(trained):
    layer, features, labels, _ = trained
    projection = PenultimateProjection(layer.weight, layer.bias, CLASSES).fit(features, labels)
    with pytest.raises(ValueError, match="expected"):
        projection.transform(features[:, :-1])
    with pytest.raises(ValueError, match="NaN"):
        projection.transform(torch.full_like(features[:1], float("nan")))
    with pytest.raises(ValueError, match="labels have shape"):
        PenultimateProjection(layer.weight, layer.bias, CLASSES).fit(features, labels[:-1])
    with pytest.raises(ValueError, match=r"\(K, D\) and \(K,\)"):
        PenultimateProjection(layer.weight, layer.bias[:-1], CLASSES)

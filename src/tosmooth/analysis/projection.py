"""Penultimate features in the plane of three classes (the paper's Algorithm 1), and the plane of Müller et al."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from tosmooth.errors import did_you_mean

Plane = Literal["algorithm1", "templates"]


class PenultimateProjection:
    """Projects penultimate features to 2-D so that three classes spread out.

    "algorithm1" (Chandrasegaran et al. 2022, Algorithm 1): stack [w_k ; b_k] of the three classes, take its QR basis
    Q ((D+1) × 3), project [x ; 1]·Q, then PCA to 2-D; the PCA is fitted on the three classes' training features and
    their centroids (one row each), and reused unchanged. "templates" (Müller et al. 2019): the plane through the three
    templates w_k, its origin at their mean, its first axis along w_second − w_first; only the signs are fitted.

    Signs are fixed by the training centroids, so a figure comes out the same each time and panels can be compared: with
    "algorithm1" the third class lies to the left of the first two and the first above the second; with "templates" the
    first lies to the left of the second and the third below them. All is computed in float64 on the CPU.

    Args:
        weight: (K, D) of the last linear layer, or (K, D, 1, 1) of a 1×1 convolution.
        bias: (K,), or None for a layer without.
        classes: three different class indices; the biases used are those of these classes.
        plane: "algorithm1" or "templates".

    Raises:
        ValueError: not three different classes within K, an unknown plane, or weight and bias do not fit.
    """

    def __init__(
        self, weight: Tensor, bias: Tensor | None, classes: Sequence[int], *, plane: Plane | str = "algorithm1"
    ) -> None:
        if len(set(classes)) != 3 or len(classes) != 3 or not all(0 <= index < len(weight) for index in classes):
            raise ValueError(f"expected three different classes in [0, {len(weight)}), got {list(classes)}")
        if plane not in {"algorithm1", "templates"}:
            raise ValueError(f"unknown plane {plane!r}; {did_you_mean(plane, ['algorithm1', 'templates'])}")
        if weight[0].numel() != weight.shape[1] or (bias is not None and bias.shape != weight.shape[:1]):
            raise ValueError(
                f"weight {tuple(weight.shape)} and bias {None if bias is None else tuple(bias.shape)} must be (K, D) "
                "and (K,)"
            )
        self.classes = tuple(classes)
        self.plane = plane
        self._width = weight.shape[1]
        rows = _double(weight.flatten(1)[list(classes)])  # (3, D)
        self._origin: Tensor | None = None
        if plane == "templates":
            self._origin = rows.mean(0)
            self._basis = torch.linalg.qr((rows[1:] - rows[0]).T).Q  # (D, 2)
        else:
            offsets = torch.zeros(3, dtype=torch.float64) if bias is None else _double(bias[list(classes)])
            stacked = torch.cat([rows, offsets[:, None]], dim=1)  # (3, D + 1)
            self._basis = torch.linalg.qr(stacked.T).Q  # (D + 1, 3)
        self._mean: Tensor | None = None
        self._axes: Tensor | None = None

    def _project(self, features: Tensor) -> Tensor:
        """(N, D) → (N, 3) of Algorithm 1, or (N, 2) in the templates' plane."""
        values = _double(features)
        if values.ndim != 2 or values.shape[1] != self._width:
            raise ValueError(f"features have shape {tuple(values.shape)}; expected (N, {self._width})")
        if not values.isfinite().all():
            raise ValueError("features hold NaN or infinite values")
        if self._origin is not None:
            return torch.matmul(values - self._origin, self._basis)
        return torch.matmul(torch.cat([values, torch.ones_like(values[:, :1])], dim=1), self._basis)

    def fit(self, features: Tensor, labels: Tensor) -> PenultimateProjection:
        """Fit the PCA on training features (N, D) with labels (N,); only the three classes' samples are used.

        Raises:
            ValueError: one of the classes has no sample, shapes do not fit, or a feature is not finite.
        """
        if labels.shape != features.shape[:1]:
            raise ValueError(f"labels have shape {tuple(labels.shape)}; expected ({len(features)},)")
        chosen = [_double(features[labels.to(features.device) == index]) for index in self.classes]
        empty = [index for index, own in zip(self.classes, chosen, strict=True) if not len(own)]
        if empty:
            raise ValueError(f"no training sample of class {empty[0]} to fit the projection on")
        centroids = torch.stack([own.mean(0) for own in chosen])
        projected = self._project(torch.cat([*chosen, centroids]))
        if self.plane == "templates":
            self._mean = torch.zeros_like(projected[0])
            axes = torch.eye(2).to(projected)
        else:
            self._mean = projected.mean(0)
            axes = torch.linalg.svd(projected - self._mean, full_matrices=False).Vh[:2].T  # (3, 2)
        first, second, third = ((self._project(centroids) - self._mean) @ axes).unbind(0)
        flips = torch.ones(2).to(axes)
        pair = (first + second) / 2
        # Each sign by what its axis spreads out: the PCA's first axis parts the third class from the similar pair and
        # its second the pair; the templates' first axis runs along the pair.
        if self.plane == "templates":
            wrong = (first[0] > second[0], third[1] > pair[1])
        else:
            wrong = (third[0] > pair[0], first[1] < second[1])
        flips[torch.stack(wrong)] = -1
        self._axes = axes * flips
        return self

    def transform(self, features: Tensor) -> Tensor:
        """(N, D) → (N, 2) float64, on the CPU.

        Raises:
            ValueError: shapes do not fit, or a feature is not finite.
            RuntimeError: `fit` has not been called.
        """
        if self._mean is None or self._axes is None:
            raise RuntimeError("the projection is not fitted; call fit(features, labels) with training features first")
        return torch.matmul(self._project(features) - self._mean, self._axes)


def _double(tensor: Tensor) -> Tensor:
    return tensor.detach().to("cpu").to(torch.float64)

"""Penultimate features in the plane of three classes (the paper's Algorithm 1), and the plane of Müller et al."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

Plane = Literal["algorithm1", "templates"]


class PenultimateProjection:
    """Projects penultimate features to 2-D so that three classes spread out.

    "algorithm1" (Chandrasegaran et al. 2022, Algorithm 1): stack [w_k ; b_k] of the three classes, take its QR basis
    Q ((D+1) × 3), project [x ; 1]·Q, then PCA to 2-D; the PCA is fitted on training features together with their centroids
    and reused unchanged. "templates" (Müller et al. 2019): the plane through the three templates w_k; nothing is fitted but
    the origin.

    Signs are fixed (the first class lies to the left of the second, the third below), so a figure comes out the same each time.

    Args:
        weight: (K, D) of the last linear layer.
        bias: (K,), or None for a layer without.
        classes: three different class indices; the biases used are those of these classes.
        plane: "algorithm1" or "templates".

    Raises:
        ValueError: not three different classes within K, or an unknown plane.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, classes: Sequence[int], *, plane: str = "algorithm1") -> None:
        if len(set(classes)) != 3 or len(classes) != 3 or not all(0 <= index < len(weight) for index in classes):
            raise ValueError(f"expected three different classes in [0, {len(weight)}), got {list(classes)}")
        if plane not in {"algorithm1", "templates"}:
            raise ValueError(f"unknown plane {plane!r}; allowed: algorithm1, templates")
        self.classes = tuple(classes)
        self.plane = plane
        rows = weight.detach()[list(classes)].to(torch.float64)  # (3, D)
        if plane == "templates":
            self._origin = rows.mean(0)
            self._basis = torch.linalg.qr((rows[1:] - rows[0]).T).Q  # (D, 2)
        else:
            offsets = torch.zeros(3) if bias is None else bias.detach()[list(classes)]
            stacked = torch.cat([rows, offsets.to(rows)[:, None]], dim=1)  # (3, D + 1)
            self._basis = torch.linalg.qr(stacked.T).Q  # (D + 1, 3)
        self._mean: Tensor | None = None
        self._axes: Tensor | None = None

    def _project(self, features: Tensor) -> Tensor:
        """(N, D) → (N, 3) of Algorithm 1, or (N, 2) in the templates' plane."""
        values = features.detach().to(self._basis)
        if self.plane == "templates":
            return (values - self._origin.to(values)) @ self._basis
        return torch.cat([values, torch.ones_like(values[:, :1])], dim=1) @ self._basis

    def fit(self, features: Tensor, labels: Tensor) -> PenultimateProjection:
        """Fit the PCA on training features (N, D) with labels (N,); only the three classes' samples are used.

        Raises:
            ValueError: one of the classes has no sample.
        """
        chosen = [features[labels == index] for index in self.classes]
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
        flips[0] = -1 if first[0] > second[0] else 1
        flips[1] = -1 if third[1] > (first[1] + second[1]) / 2 else 1
        self._axes = axes * flips
        return self

    def transform(self, features: Tensor) -> Tensor:
        """(N, D) → (N, 2) float64.

        Raises:
            RuntimeError: `fit` has not been called.
        """
        if self._mean is None or self._axes is None:
            raise RuntimeError("the projection is not fitted; call fit(features, labels) with training features first")
        return (self._project(features) - self._mean) @ self._axes

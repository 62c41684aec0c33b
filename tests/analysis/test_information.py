from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import integrate

import tosmooth


def _drawn(means: torch.Tensor, views: int, seed: int = 0) -> torch.Tensor:
    """(N, L): views of images with these means and unit noise."""
    generator = torch.Generator().manual_seed(seed)
    return means[:, None] + torch.randn(len(means), views, generator=generator, dtype=torch.float64)


def test_by_hand():
    # Image 0 shows −1 and 1, image 1 shows 9 and 11: σ² = (2 + 2) / (2 · 1) = 2. Left-out means are the other view, so
    # the own log density is −(2)² / 4 = −1 for each of the four; the other image's means are 10 and 0.
    samples = torch.tensor([[-1.0, 1.0], [9.0, 11.0]])
    others = [-(11**2) / 4, -(9**2) / 4, -(9**2) / 4, -(11**2) / 4]
    expected = np.mean([-1 - math.log((math.exp(-1) + math.exp(other)) / 2) for other in others])
    assert tosmooth.mutual_information(samples) == pytest.approx(expected)


def test_well_separated_images_give_log_n():
    samples = _drawn(100 * torch.arange(50, dtype=torch.float64), views=6)
    assert tosmooth.mutual_information(samples) == pytest.approx(math.log(50))


@pytest.mark.parametrize("views", [4, 8, 32])
def test_images_that_cannot_be_told_apart_give_about_zero_from_below(views):
    same = torch.zeros(80, dtype=torch.float64)
    found = np.mean([tosmooth.mutual_information(_drawn(same, views, seed)) for seed in range(20)])
    assert found == pytest.approx(-1 / (2 * views), abs=0.1 / views)


def test_two_groups_of_images_give_log_two():
    samples = _drawn(50 * (torch.arange(60) % 2).double(), views=100)
    assert tosmooth.mutual_information(samples) == pytest.approx(math.log(2), abs=0.02)


@pytest.mark.parametrize("distance", [1.0, 2.0, 3.0])
def test_simulations_agree_with_the_exact_value_of_two_normals(distance):
    """Half of the images at 0, half at `distance`: a binary input in Gaussian noise, by quadrature."""

    def integrand(y: float) -> float:
        near, far = (math.exp(-((y - m) ** 2) / 2) / math.sqrt(2 * math.pi) for m in (0.0, distance))
        return 0.5 * (near * math.log(2 * near / (near + far)) + far * math.log(2 * far / (near + far)))

    exact = integrate.quad(integrand, -8, distance + 8)[0]
    means = distance * (torch.arange(200) % 2).double()
    found = np.mean([tosmooth.mutual_information(_drawn(means, 40, seed)) for seed in range(5)])
    assert found == pytest.approx(exact, abs=0.03)


def test_shifting_and_scaling_change_nothing_and_blocks_agree(monkeypatch):
    samples = _drawn(torch.linspace(0, 5, 30, dtype=torch.float64), views=5)
    plain = tosmooth.mutual_information(samples)
    assert 0 < plain < math.log(30)
    assert tosmooth.mutual_information(40 * samples - 7000) == pytest.approx(plain)
    assert tosmooth.mutual_information(samples.float()) == pytest.approx(plain, abs=1e-4)
    monkeypatch.setattr("tosmooth.analysis.information.BLOCK", 200)
    assert tosmooth.mutual_information(samples) == pytest.approx(plain)


def test_views_that_never_differ_give_the_limit_without_noise():
    # Four images, two of them with one value: log 4 − (0 + 0 + 2 log 2) / 4.
    samples = torch.tensor([[1.0], [2.0], [3.0], [3.0]]).expand(4, 3)
    assert tosmooth.mutual_information(samples) == pytest.approx(math.log(4) - math.log(2) / 2)
    noisy = samples + 1e-3 * torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    assert tosmooth.mutual_information(noisy) == pytest.approx(math.log(4) - math.log(2) / 2, abs=0.2)


@pytest.mark.parametrize(
    ("samples", "reason"),
    [
        (torch.zeros(5), "N images, L views"),
        (torch.zeros(5, 1), "at least 2"),
        (torch.zeros(1, 5), "at least 2"),
        (torch.full((3, 3), float("inf")), "NaN or infinite"),
    ],
)
def test_what_cannot_be_right_is_refused(samples, reason):
    with pytest.raises(ValueError, match=reason):
        tosmooth.mutual_information(samples)

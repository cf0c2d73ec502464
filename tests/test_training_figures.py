"""PSNR and SSIM against their definitions and an independent library."""

import math

import numpy as np
import pytest
import torch
from kornia.metrics import ssim as kornia_ssim
from scipy.ndimage import gaussian_filter  # type: ignore[import-untyped]
from torch import Tensor

from nodes.training.figures import psnr, ssim


def pictures(seed: int = 0, size: tuple[int, int] = (24, 17)) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(3, 3, *size, generator=generator)


def test_a_known_error_has_its_decibels() -> None:
    x = torch.full((2, 3, 4, 4), 0.5)
    y = x.clone()
    y[0] += 0.1
    y[1] += 0.01
    assert psnr(x, y).tolist() == pytest.approx([20.0, 40.0], abs=1e-4)
    assert psnr(x, x).tolist() == [math.inf, math.inf]


def test_equal_pictures_are_alike_and_a_negative_is_not() -> None:
    x = pictures()
    assert ssim(x, x).tolist() == pytest.approx([1.0] * 3)
    assert ssim(x, 1 - x).max() < 0


def test_flat_pictures_are_compared_by_their_light_alone() -> None:
    x, y = torch.full((1, 3, 16, 16), 0.2), torch.full((1, 3, 16, 16), 0.6)
    expected = (2 * 0.2 * 0.6 + 1e-4) / (0.2**2 + 0.6**2 + 1e-4)
    assert ssim(x, y).item() == pytest.approx(expected, rel=1e-5)


def test_ssim_is_that_of_kornia() -> None:
    x = pictures()
    y = (x + 0.2 * pictures(1)).clamp(0, 1)
    theirs = kornia_ssim(x.double(), y.double(), 11, padding="valid").flatten(1).mean(1)
    assert torch.allclose(ssim(x, y), theirs, atol=1e-9)


def test_ssim_is_that_of_scikit_images_formula() -> None:
    x, y = pictures(2), pictures(3) * 0.5 + pictures(2) * 0.5

    def blurred(values: np.ndarray) -> np.ndarray:
        return gaussian_filter(values, 1.5, truncate=3.5)[5:-5, 5:-5]

    expected = []
    for one, other in zip(x.double().numpy(), y.double().numpy(), strict=True):
        channels = []
        for a, b in zip(one, other, strict=True):
            ux, uy = blurred(a), blurred(b)
            vx, vy, vxy = (
                blurred(a * a) - ux * ux,
                blurred(b * b) - uy * uy,
                blurred(a * b) - ux * uy,
            )
            above = (2 * ux * uy + 0.01**2) * (2 * vxy + 0.03**2)
            channels.append((above / ((ux**2 + uy**2 + 0.01**2) * (vx + vy + 0.03**2))).mean())
        expected.append(np.mean(channels))
    assert ssim(x, y).tolist() == pytest.approx(expected, abs=1e-9)


def test_pictures_too_small_for_a_window_or_of_two_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 11 pixels"):
        ssim(pictures(size=(10, 24)), pictures(size=(10, 24)))
    with pytest.raises(ValueError, match="two pictures of one size"):
        ssim(pictures(), pictures(size=(24, 18)))

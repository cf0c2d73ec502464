"""How near pictures are to what they should be: PSNR and SSIM, of (B, C, H, W) in [0, 1]."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import conv2d

WINDOW, DEVIATION = 11, 1.5  # of SSIM's window, in pixels
C_1, C_2 = 0.01**2, 0.03**2  # (K_1 L)² and (K_2 L)², L = 1


def psnr(x: Tensor, y: Tensor) -> Tensor:
    """(B,): −10 log₁₀ of the mean squared error, in dB; infinite for equal pictures."""
    return -10 * (x.double() - y.double()).square().flatten(1).mean(1).log10()


def ssim(x: Tensor, y: Tensor) -> Tensor:
    """(B,): structural similarity, 1 for equal pictures (Wang et al. 2004, eq. 13, TIP 13(4)).

        (2 μ_x μ_y + C_1)(2 σ_xy + C_2) / ((μ_x² + μ_y² + C_1)(σ_x² + σ_y² + C_2))

    in Gaussian windows of 11 x 11 pixels that lie inside; its mean over places and channels.
    Raises ValueError for pictures smaller than a window.
    """
    if x.shape != y.shape or min(x.shape[2:]) < WINDOW:
        raise ValueError(
            f"expected two pictures of one size, at least {WINDOW} pixels wide and high, got "
            f"{tuple(x.shape)} and {tuple(y.shape)}"
        )
    x, y = x.double(), y.double()
    mu_x, mu_y = _windowed(x), _windowed(y)
    var_x = _windowed(x * x) - mu_x**2
    var_y = _windowed(y * y) - mu_y**2
    cov = _windowed(x * y) - mu_x * mu_y
    light = (2 * mu_x * mu_y + C_1) / (mu_x**2 + mu_y**2 + C_1)
    structure = (2 * cov + C_2) / (var_x + var_y + C_2)
    return (light * structure).flatten(1).mean(1)


def _windowed(x: Tensor) -> Tensor:
    """Means over Gaussian windows, (B, C, H − 10, W − 10)."""
    place = torch.arange(WINDOW, dtype=x.dtype, device=x.device) - WINDOW // 2
    weight = torch.exp(-place.square() / (2 * DEVIATION**2))
    weight = (weight / weight.sum()).expand(x.shape[1], 1, 1, WINDOW)
    along = conv2d(x, weight, groups=x.shape[1])
    return conv2d(along, weight.transpose(2, 3), groups=x.shape[1])

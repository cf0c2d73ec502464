"""FreeU (arXiv:2309.11497): what comes up in the UNet made stronger, what comes across smoother.

At a block of the way up whose input has 4 or 2 times the model's channels, half of the channels of
that input x are scaled by b, and the low frequencies of the skip connection's tensor by s.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor


@dataclass(frozen=True)
class FreeU:
    """b_1 and s_1 act where there are 4 times the model's channels, b_2 and s_2 where 2 times.

    form: 1, x is scaled by b as it is; 2, by (b − 1) m + 1 with m the mean of x over the channels,
    stretched to [0, 1] for each image (the authors' second version, eq. 4).
    """

    b_1: float
    b_2: float
    s_1: float
    s_2: float
    form: Literal[1, 2] = 1

    def __call__(self, x: Tensor, skip: Tensor, model_channels: int) -> tuple[Tensor, Tensor]:
        """(x, skip), both (B, C, h, w), as they are joined."""
        scales = {
            4 * model_channels: (self.b_1, self.s_1),
            2 * model_channels: (self.b_2, self.s_2),
        }
        if x.shape[1] not in scales:
            return x, skip
        b, s = scales[x.shape[1]]
        half = x.shape[1] // 2
        gain: float | Tensor = b if self.form == 1 else (b - 1) * _stretched_mean(x) + 1
        return torch.cat([x[:, :half] * gain, x[:, half:]], dim=1), low_frequencies_scaled(skip, s)


def _stretched_mean(x: Tensor) -> Tensor:
    """(B, 1, h, w) in [0, 1]; 0 where all values are equal."""
    mean = x.mean(dim=1, keepdim=True)
    low, high = mean.amin((1, 2, 3), keepdim=True), mean.amax((1, 2, 3), keepdim=True)
    return (mean - low) / (high - low).clamp_min(torch.finfo(x.dtype).tiny)


def low_frequencies_scaled(x: Tensor, scale: float, radius: int = 1) -> Tensor:
    """The frequencies −radius ≤ f < radius of both axes times `scale`; x (B, C, h, w).

    The transform is in float32: half precision knows only sizes that are powers of two.
    """
    height, width = x.shape[-2:]
    mask = torch.ones(height, width, device=x.device)
    rows, columns = height // 2, width // 2
    mask[max(rows - radius, 0) : rows + radius, max(columns - radius, 0) : columns + radius] = scale
    frequencies = torch.fft.fftshift(torch.fft.fftn(x.float(), dim=(-2, -1)), dim=(-2, -1))
    back = torch.fft.ifftshift(frequencies * mask, dim=(-2, -1))
    return torch.fft.ifftn(back, dim=(-2, -1)).real.to(x.dtype)

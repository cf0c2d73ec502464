"""Blur, sharpening, morphology and edges, by kornia, of images (B, H, W, C)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from .matching import RGB, with_channels
from .optional import optional

CANNY_SIDE = 3  # kornia mirrors two pixels beyond the border
SHARPENING = 10  # alpha 1 adds this many times what a blur takes away


def blur(image: Tensor, radius: int, sigma: float) -> Tensor:
    """A Gaussian over 2 radius + 1 pixels, its standard deviation `sigma` in units of the radius.

    Beyond its border the picture is mirrored, the border itself not repeated.
    """
    filters = optional("kornia.filters")
    kernel = filters.get_gaussian_kernel1d(2 * radius + 1, sigma * radius)
    x = _mirrored(image.movedim(-1, 1), radius)
    blurred = filters.filter2d_separable(x, kernel, kernel, padding="valid")
    return blurred.movedim(1, -1).contiguous()


def sharpen(image: Tensor, radius: int, sigma: float, alpha: float) -> Tensor:
    """x + 10 alpha (x - blur(x)), clamped to [0, 1]: an unsharp mask."""
    return (image + SHARPENING * alpha * (image - blur(image, radius, sigma))).clamp(0, 1)


def _mirrored(x: Tensor, cells: int) -> Tensor:
    """(B, C, H, W) with `cells` more on every side; also where a side is shorter than that."""
    rows, columns = (_reflection(side, cells).to(x.device) for side in x.shape[-2:])
    return x.index_select(-2, rows).index_select(-1, columns)


def _reflection(side: int, cells: int) -> Tensor:
    """Places ..., 2, 1, 0, 1, ..., side - 2, side - 1, side - 2, ...: a triangle wave."""
    period = max(2 * (side - 1), 1)
    phase = torch.arange(-cells, side + cells) % period
    return torch.minimum(phase, period - phase) if side > 1 else torch.zeros_like(phase)


def morphology(image: Tensor, operation: str, size: int) -> Tensor:
    """Grey morphology of each channel with a square of `size` x `size` pixels.

    The largest value under the square (dilate) or the smallest (erode); open and close are both in
    turn, gradient their difference, top_hat x - open, bottom_hat close - x. What lies beyond the
    picture is left out. Raises ValueError for another operation.
    """
    x = image.movedim(-1, 1)
    match operation:
        case "erode":
            result = _erode(x, size)
        case "dilate":
            result = _dilate(x, size)
        case "open":
            result = _dilate(_erode(x, size), size)
        case "close":
            result = _erode(_dilate(x, size), size)
        case "gradient":
            result = _dilate(x, size) - _erode(x, size)
        case "top_hat":
            result = x - _dilate(_erode(x, size), size)
        case "bottom_hat":
            result = _erode(_dilate(x, size), size) - x
        case _:
            raise ValueError(f"morphology has no operation {operation!r}")
    return result.movedim(1, -1).contiguous()


def _dilate(x: Tensor, size: int) -> Tensor:
    return _both_ways(optional("kornia.morphology").dilation, x, size)


def _erode(x: Tensor, size: int) -> Tensor:
    return _both_ways(optional("kornia.morphology").erosion, x, size)


def _both_ways(function: Callable[..., Any], x: Tensor, size: int) -> Tensor:
    """A square is a row and a column after one another: 2 k comparisons a pixel instead of k^2."""
    return function(function(x, x.new_ones(1, size)), x.new_ones(size, 1))


def canny(image: Tensor, low: float, high: float) -> Tensor:
    """White lines on black (B, H, W, 3) along the edges (Canny 1986), alpha left out.

    An edge begins where the gradient exceeds `high` and goes on while it exceeds `low`. Gradients
    are those of kornia, sums of Sobel's weights, after a blur of 5 x 5 pixels with sigma 1.
    Raises ValueError for a picture that is too small for the blur.
    """
    height, width = image.shape[1:3]
    if min(height, width) < CANNY_SIDE:
        raise ValueError(
            f"edges are found in pictures of at least {CANNY_SIDE} x {CANNY_SIDE} pixels, and this "
            f"one has {width} x {height}: scale it up first"
        )
    x = with_channels(image, RGB).movedim(-1, 1)
    _, edges = optional("kornia.filters").canny(x, low, high)
    return edges.movedim(1, -1).expand(-1, -1, -1, RGB).contiguous()

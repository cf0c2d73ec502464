"""Edges of pictures (B, H, W, 3 or 4) in [0, 1], as maps (B, H, W), 0 where there is none.

Kornia is imported where it is used: it takes a second, and most runs find no edges.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

SCALES = (1.0, 2.0, 4.0)  # pixels


def canny(image: Tensor, low: float, high: float, blur: float) -> Tensor:
    """Lines a pixel wide, of 0 and 1 (J. Canny, PAMI 8(6), 1986).

    Where the slope is above `high`, and where it is above `low` beside such a place. A step from
    black to white has slopes up to 4. `blur`: deviation of the Gaussian before, in pixels.
    """
    import kornia

    smooth = blurred(grey(image), blur)
    _, lines = kornia.filters.canny(smooth, low, high, kernel_size=(1, 1))
    return lines[:, 0]


def sobel(image: Tensor) -> Tensor:
    """How steep brightness is, by Sobel's kernels; 1 for a step from black to white, √2 at most."""
    return 2 * steepness(grey(image))


def soft(image: Tensor, scales: Sequence[float] = SCALES) -> Tensor:
    """Broad, smooth edges: the mean over several Gaussian scales σ of σ √(2π) |∇(G_σ * image)|.

    At a step of height h each term is h, for σ well above a pixel, and fades over a distance of σ:
    the derivative's normalisation of T. Lindeberg, IJCV 30(2), 1998. This resembles the maps of
    the network HED, but no network takes part: it knows nothing of objects.
    """
    maps = [s * math.sqrt(2 * math.pi) * steepness(blurred(grey(image), s)) for s in scales]
    return torch.stack(maps).mean(dim=0)


def scribble(image: Tensor, blur: float, threshold: float, thickness: int) -> Tensor:
    """The lines of `canny` after a strong blur, `thickness` pixels wide, as drawn with a pen."""
    import kornia

    lines = canny(image, threshold / 2, threshold, blur)[:, None]
    if thickness == 1:
        return lines[:, 0]
    return kornia.morphology.dilation(lines, _pen(thickness).to(lines))[:, 0]


def grey(image: Tensor) -> Tensor:
    """Brightness, (B, 1, H, W)."""
    import kornia

    return kornia.color.rgb_to_grayscale(image[..., :3].movedim(-1, 1))


def blurred(x: Tensor, sigma: float) -> Tensor:
    """A Gaussian of deviation σ pixels over (B, C, H, W); the border's pixels go on beyond it."""
    import kornia

    if sigma == 0:
        return x
    side = 2 * math.ceil(3 * sigma) + 1
    return kornia.filters.gaussian_blur2d(x, (side, side), (sigma, sigma), "replicate")


def steepness(x: Tensor) -> Tensor:
    """|∇x| in units a pixel, (B, 1, H, W) -> (B, H, W)."""
    import kornia

    return kornia.filters.spatial_gradient(x)[:, 0].norm(dim=1)


def _pen(thickness: int) -> Tensor:
    """A disc, (thickness, thickness) of 0 and 1."""
    place = torch.arange(thickness) - (thickness - 1) / 2
    return (place[:, None].square() + place.square() <= (thickness / 2) ** 2).float()

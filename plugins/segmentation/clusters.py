"""Colours of pictures grouped by k-means in Lab, the same for a seed wherever the pixels lie.

Colours are points p_i in CIE Lab, each with the number n_i of its pixels. k-means looks for centres
c_j that minimise Σ_i n_i min_j |p_i − c_j|² (S. Lloyd, 1982), begun as k-means++ begins (D. Arthur
and S. Vassilvitskii, 2007). Distances in Lab are what the eye sees: 2.3 is just noticed.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

STARTS = 4  # the best of so many
ROUNDS = 100
LEVELS = 32  # a channel; colours that differ by less are one point


@dataclass(frozen=True, eq=False)
class Palette:
    """The different colours of pictures: (n, 3) RGB in [0, 1], which of them each pixel has
    (B, H, W), and how many pixels have each (n,)."""

    colors: Tensor
    of_pixel: Tensor
    counts: Tensor


def palette(image: Tensor, levels: int) -> Palette:
    """The colours of (B, H, W, 3 or 4), told apart at so many levels a channel; means of each."""
    rgb = image[..., :3].double().clamp(0, 1)
    steps = (rgb * (levels - 1)).round().long()
    codes = (steps[..., 0] * levels + steps[..., 1]) * levels + steps[..., 2]
    _, of_pixel, counts = torch.unique(codes, return_inverse=True, return_counts=True)
    sums = torch.zeros(len(counts), 3, dtype=torch.float64)
    sums.index_add_(0, of_pixel.flatten(), rgb.reshape(-1, 3))
    return Palette(sums / counts[:, None], of_pixel, counts)


def clustered(image: Tensor, most: int, seed: int) -> Tensor:
    """Labels (B, H, W) of at most so many clusters; fewer where there are fewer colours."""
    found = palette(image, LEVELS)
    labels = k_means(lab(found.colors), found.counts.double(), most, seed)
    return labels[found.of_pixel]


def k_means(points: Tensor, weights: Tensor, most: int, seed: int) -> Tensor:
    """Labels (n,) of points (n, D) with weights (n,): the best of several starts."""
    generator = torch.Generator().manual_seed(seed)
    best, least = torch.zeros(len(points), dtype=torch.long), float("inf")
    for _ in range(STARTS):
        labels, spread = _lloyd(points, weights, _begun(points, weights, most, generator))
        if spread < least:
            best, least = labels, spread
    return best


def _begun(points: Tensor, weights: Tensor, most: int, generator: torch.Generator) -> Tensor:
    """k-means++: each next centre is drawn by n_i times its squared distance to those there are."""
    chosen: list[int] = []
    chances = weights
    while len(chosen) < most and bool(chances.sum() > 0):
        chosen.append(int(torch.multinomial(chances, 1, generator=generator)))
        chances = weights * _squared(points, points[chosen]).amin(dim=1)
    return points[chosen]


def _lloyd(points: Tensor, weights: Tensor, centres: Tensor) -> tuple[Tensor, float]:
    """Labels where the centres no longer move, and Σ n_i |p_i − c|²."""
    labels = torch.full((len(points),), -1)
    for _ in range(ROUNDS):
        squared = _squared(points, centres)
        nearest = squared.argmin(dim=1)
        if torch.equal(nearest, labels):
            break
        labels = nearest
        member = torch.nn.functional.one_hot(labels, len(centres)).to(points) * weights[:, None]
        sizes = member.sum(dim=0)[:, None]
        centres = torch.where(sizes > 0, member.T @ points / sizes.clamp_min(1e-12), centres)
    return labels, float(
        (weights * _squared(points, centres).gather(1, labels[:, None])[:, 0]).sum()
    )


def _squared(points: Tensor, centres: Tensor) -> Tensor:
    """|p_i − c_j|², (n, k); exactly 0 for equal points."""
    return (points[:, None] - centres).square().sum(dim=-1)


def lab(colors: Tensor) -> Tensor:
    """(n, 3) RGB in [0, 1] as CIE Lab."""
    import kornia

    return kornia.color.rgb_to_lab(colors.T[None, :, :, None])[0, :, :, 0].T


def smoothed(labels: Tensor, radius: int) -> Tensor:
    """Each pixel gets the label most frequent in the square of `radius` around it."""
    if radius == 0:
        return labels
    parts = torch.nn.functional.one_hot(labels).movedim(-1, 1).float()
    shares = torch.nn.functional.avg_pool2d(parts, 2 * radius + 1, stride=1, padding=radius)
    return shares.argmax(dim=1)

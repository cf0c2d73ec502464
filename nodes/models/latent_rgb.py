"""Latents as colours, by a linear map: rgb = W z + b for every latent cell.

z ∈ R^C is a cell of a latent in the VAE's own scale, r ∈ R^3 the mean of the f x f pixels its
decoder paints there, in [-1, 1]. Such a latent is hardly more than a small picture in other
coordinates: over cells of pictures W z + b explains eight to nine tenths of the variance of r, and
costs 3 C multiplications a cell where a decoder costs millions.

    (W, b) = argmin Σ_i |W z_i + b - r_i|²

over the cells i of a VAE's own decodes, so nothing is known of any VAE beforehand. The z_i have to
be latents that the VAE makes (of noise a decoder makes nothing that a picture is like), so they are
encodings of pictures: swatches of smooth colour, of patches and of grain.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate

from .precision import safely
from .vae import VAE

SEED, COUNT = 0, 8  # more swatches make no better map: two times five numbers are soon known
SIDE = 64  # pixels; SD's VAE then takes some 3 s on two cores, once
CELLS = 8  # but at least that many cells a side, or the decoder sees little but borders
GRAIN = 0.15  # deviation of the noise of a grainy swatch, where black is 0 and white 1
RGB = 3
FORMAT = 1


@dataclass(frozen=True, eq=False)
class LatentRGB:
    """rgb = W z + b: weight W (3, C), bias b (3,), both float32 on the host."""

    weight: Tensor
    bias: Tensor

    def __call__(self, z: Tensor) -> Tensor:
        """(B, C, h, w) in the VAE's scale -> (B, 3, h, w), about [-1, 1] and not clamped."""
        return torch.einsum("rc,bchw->brhw", self.weight, z) + self.bias.view(RGB, 1, 1)

    def as_json(self) -> str:
        return json.dumps(
            {"format": FORMAT, "weight": self.weight.tolist(), "bias": self.bias.tolist()}
        )

    @classmethod
    def from_json(cls, text: str | bytes) -> LatentRGB:
        """ValueError for what `as_json` has not written."""
        try:
            data: dict[str, Any] = json.loads(text)
            weight, bias = (torch.tensor(data[name]) for name in ("weight", "bias"))
            known = data["format"] == FORMAT
        except (TypeError, KeyError, ValueError, RuntimeError) as error:
            raise ValueError(f"this is no map from latents to colours: {error}") from None
        shapes = weight.ndim == 2 and len(weight) == RGB == len(bias) and bias.ndim == 1
        finite = bool(weight.isfinite().all() and bias.isfinite().all())
        if not (known and shapes and weight.shape[1] and finite):
            raise ValueError("this is no map from latents to colours")
        return cls(weight.float(), bias.float())


def least_squares(z: Tensor, rgb: Tensor) -> LatentRGB:
    """The best map from z (B, C, h, w) to rgb (B, 3, h, w). ValueError if they are not finite."""
    if not (z.isfinite().all() and rgb.isfinite().all()):
        raise ValueError("the VAE's decodes are not numbers")
    cells, colours = (x.movedim(1, -1).flatten(0, -2).double() for x in (z, rgb))
    ones = torch.ones(len(cells), 1, dtype=torch.float64)
    # "gelsd" also finds a map, the smallest, where a channel is always the same.
    found = torch.linalg.lstsq(torch.cat([cells, ones], dim=1), colours, driver="gelsd").solution
    return LatentRGB(found[:-1].T.float().contiguous(), found[-1].float())


@torch.no_grad()
def fit(vae: VAE) -> LatentRGB:
    """The map of a VAE on the host, from its decodes of swatches; equal VAEs give equal maps."""
    side = max(SIDE // vae.factor, CELLS) * vae.factor
    x = swatches(COUNT, side) * 2 - 1
    z, _ = safely(vae, lambda pixels: vae.encode(pixels).mean, x)
    decoded, _ = safely(vae, vae.decode, z)
    return least_squares(z, avg_pool2d(decoded.clamp(-1, 1), vae.factor))


def swatches(count: int, side: int) -> Tensor:
    """Pictures (count, 3, side, side) in [0, 1] of all colours, the same ones every time.

    In turns random colours at 2 x 2 to 9 x 9 points with smooth passages between them, patches of
    random colours, and smooth passages with grain of the lightness.
    """
    generator = torch.Generator().manual_seed(SEED)
    pictures = []
    for index in range(count):
        points = (2, 3, 5, 9)[index % 4]
        colours = torch.rand(1, RGB, points, points, generator=generator)
        kind = index % 3
        if kind == 1:
            pictures.append(interpolate(colours, (side, side), mode="nearest"))
            continue
        smooth = interpolate(colours, (side, side), mode="bicubic", align_corners=True)
        grain = torch.randn(1, 1, side, side, generator=generator) * (GRAIN if kind == 2 else 0)
        pictures.append(smooth + grain)
    return torch.cat(pictures).clamp(0, 1)


def in_grey(z: Tensor) -> Tensor:
    """(B, C, h, w) -> (B, 3, h, w) in [-1, 1]: what can be seen of latents of an unknown VAE.

    Grey, since nobody knows its colours: the direction in which cells differ the most (the first
    principal component), from two deviations below the mean to two above. Which end of it is light
    is not known either; it is the same end in all pictures of a batch.
    """
    cells = z.nan_to_num(0).movedim(1, -1).flatten(0, -2)
    centred = cells - cells.mean(dim=0)
    _, directions = torch.linalg.eigh(centred.T @ centred)  # in ascending order
    direction = directions[:, -1]
    direction = direction * direction[direction.abs().argmax()].sign()
    light = centred @ direction
    spread = 2 * float(light.square().mean()) ** 0.5
    light = light / spread if math.isfinite(spread) and spread > 0 else torch.zeros_like(light)
    batch, _, height, width = z.shape
    return light.clamp(-1, 1).view(batch, 1, height, width).expand(-1, RGB, -1, -1)

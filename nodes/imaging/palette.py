"""Pictures of few colours, by Pillow: a palette from the picture itself, and dithering."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from .matching import RGB, with_channels
from .pixels import dequantise, quantise

RANGE = 256


def reduce_colours(image: Tensor, colours: int, dither: str) -> Tensor:
    """(B, H, W, C) with at most `colours` (1 .. 256) colours in each picture; alpha is kept.

    dither: "none"; "floyd-steinberg" (error diffusion); "bayer-n", n of 2, 4, 8, 16 (ordered, by a
    matrix of n x n). The palette is Pillow's median cut of floor(255 x).
    """
    values = quantise(with_channels(image, RGB)).numpy()
    reduced = np.stack([_reduced(picture, colours, dither) for picture in values])
    result = dequantise(torch.from_numpy(reduced)).to(image)
    return torch.cat([result, image[..., RGB:]], dim=-1)


def _reduced(values: NDArray[np.uint8], colours: int, dither: str) -> NDArray[np.uint8]:
    """(H, W, 3) bytes; twice through Pillow, since it dithers to a given palette alone."""
    palette = Image.fromarray(values).quantize(colours)
    method = Image.Dither.NONE
    if dither == "floyd-steinberg":
        method = Image.Dither.FLOYDSTEINBERG
    elif dither != "none":
        values = _ordered(values, int(dither.removeprefix("bayer-")), palette)
    quantised = Image.fromarray(values).quantize(palette=palette, dither=method)
    return np.array(quantised.convert("RGB"))


def _ordered(values: NDArray[np.uint8], side: int, palette: Image.Image) -> NDArray[np.uint8]:
    """v + s B + 1/2, cut to whole bytes: s twice the mean distance of the palette's colours."""
    spread = 2 * RANGE / (len(palette.getpalette() or [0] * RGB) // RGB)
    height, width = values.shape[:2]
    rows, columns = np.arange(height) % side, np.arange(width) % side
    threshold = (spread * bayer(side) + 0.5)[np.ix_(rows, columns)][..., None]
    return np.clip(values + threshold, 0, RANGE - 1).astype(np.uint8)


def bayer(side: int) -> NDArray[np.float32]:
    """Bayer's matrix (1973) of `side` = 2^k, around 0 and less than a half off it.

    B_2n = [[B_n - 3/2 q, B_n + 1/2 q], [B_n + 3/2 q, B_n - 1/2 q]], q = 1 / (2n)^2; B_1 = 0.
    """
    if side == 1:
        return np.zeros((1, 1), np.float32)
    half, q = bayer(side // 2), 1 / side**2
    return np.block([[half - 1.5 * q, half + 0.5 * q], [half + 1.5 * q, half - 0.5 * q]])

"""The tables of docs/vae-tiling.md: tiled pictures and latents against untiled ones.

    python -m benchmarks.vae_tiling [--side PIXELS]

By the embedded VAE in float32, of two pictures: drawings whose lines the borders of tiles cut, and
a smooth one. A minute and a half on a CPU.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence

import torch
from torch import Tensor

from nodegraph import Context, ModelManager
from nodegraph.folders import Folders
from nodes.imaging.files import decode
from nodes.loaders import load_checkpoint
from nodes.types import Image, Vae
from nodes.vae import vae_decode, vae_decode_tiled, vae_encode, vae_encode_tiled

from .measure import ROOT, table

CHECKPOINT = "emoji.safetensors"
DRAWINGS = ROOT / "tests" / "data" / "drawings.png"
SHIFT = (29, 37)  # pixels, so that borders cut through what is drawn
DECODING = ((256, 64), (256, 32), (128, 32), (256, 0))  # tile and overlap, in pixels
ENCODING = ((256, 64), (128, 32))


def drawings(side: int = 256) -> Image:
    """16 drawings on white, 256 x 256; larger sides are made by mirroring."""
    image = decode(DRAWINGS).image
    while image.shape[1] < side:
        image = torch.cat([image, image.flip(1)], dim=1)
        image = torch.cat([image, image.flip(2)], dim=2)
    return Image(image.roll(SHIFT, dims=(1, 2)))


def sunset(side: int = 256) -> Image:
    """A smooth picture."""
    places = torch.linspace(0, 1, side)
    y, x = torch.meshgrid(places, places, indexing="ij")
    colours = (0.95 - 0.3 * y, 0.5 + 0.4 * (3 * x + y).sin(), 0.3 + 0.6 * x * y)
    return Image(torch.stack(colours, dim=-1)[None])


def psnr(found: Tensor, expected: Tensor) -> float:
    """Decibels, of values in [0, 1]."""
    return -10 * math.log10(float((found - expected).square().mean()))


def borders(side: int, tile: int, overlap: int) -> list[int]:
    """Where, along one side, a tile of one of the three lengths begins or ends."""
    found: set[int] = set()
    for length in (tile, tile // 2, tile * 2):
        starts = [*range(0, side - length, length - overlap), side - length]
        found |= {end for start in starts for end in (start, start + length)}
    return sorted(place for place in found if 0 < place < side)


def seam(difference: Tensor, places: Sequence[int]) -> float:
    """How much larger the jumps of (B, H, W, C) are at these rows and columns than elsewhere."""
    down = (difference[:, 1:] - difference[:, :-1]).abs().mean(dim=(0, 2, 3))
    right = (difference[:, :, 1:] - difference[:, :, :-1]).abs().mean(dim=(0, 1, 3))
    jumps = torch.stack([down, right]).mean(dim=0)
    at = torch.zeros(len(jumps), dtype=torch.bool)
    at[[place - 1 for place in places]] = True
    return float(jumps[at].mean() / jumps[~at].mean())


def decoding(side: int, vae: Vae, context: Context) -> list[list[str]]:
    """A row for each tile: peak signal to noise and seam, of the drawings and of the sunset."""
    rows = []
    for tile, overlap in DECODING:
        row = [f"{tile} / {overlap}"]
        for image in (drawings(side), sunset(side)):
            latent = vae_encode(image, vae, context=context)
            whole = vae_decode(latent, vae, context=context)
            tiled = vae_decode_tiled(latent, vae, tile, overlap, context=context)
            row.append(f"{psnr(tiled, whole):.1f} dB")
            row.append(f"{seam(tiled - whole, borders(side, tile, overlap)):.1f}")
        rows.append(row)
    return rows


def encoding(side: int, vae: Vae, context: Context) -> list[list[str]]:
    """A row for each tile: the error as a share of the latent's spread."""
    rows = []
    for tile, overlap in ENCODING:
        row = [f"{tile} / {overlap}"]
        for image in (drawings(side), sunset(side)):
            whole = vae_encode(image, vae, context=context).samples
            tiled = vae_encode_tiled(image, vae, tile, overlap, context=context).samples
            row.append(f"{float((tiled - whole).std() / whole.std()):.2f}")
        rows.append(row)
    return rows


def fidelity(side: int, vae: Vae, context: Context) -> list[list[str]]:
    """What comes back of the drawings, untiled and by tiles of two sizes, against themselves."""
    image = drawings(side)
    latent = vae_encode(image, vae, context=context)
    found = {"untiled": vae_decode(latent, vae, context=context)}
    for tile in (256, 128):
        small = vae_encode_tiled(image, vae, tile, 32, context=context)
        found[str(tile)] = vae_decode_tiled(small, vae, tile, 32, context=context)
    return [[name, f"{psnr(picture, image):.1f} dB"] for name, picture in found.items()]


@torch.no_grad()
def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--side", type=int, default=512, help="of the pictures, in pixels")
    side = parser.parse_args(arguments).side
    folders = Folders((ROOT / "models",), ROOT / "input", ROOT / "output", ROOT / "temp")
    context = Context(precision="fp32", folders=folders, models=ModelManager())
    vae = load_checkpoint(CHECKPOINT, context=context).vae
    both = ["drawings", "seam", "smooth", "seam"]
    table("Decoding", ["tile / overlap", *both], decoding(side, vae, context))
    table("Encoding", ["tile / overlap", *both[::2]], encoding(side, vae, context))
    table("Against the picture itself", ["tile", "drawings"], fidelity(side, vae, context))


if __name__ == "__main__":
    main(sys.argv[1:])

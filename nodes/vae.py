"""Nodes between pixels and latents.

Pictures go through the VAE one by one, and to or from the host as they come, so that what the
device holds does not grow with the batch; in the tiled nodes not with the picture either. How far
tiled and untiled results differ: docs/vae-tiling.md.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Annotated, cast

import torch
from torch import Tensor, nn

from nodegraph import Context, NodeGraphError, Number, Tip, node
from nodes.imaging.tiling import tiled
from nodes.models.precision import safely
from nodes.models.vae import VAE
from nodes.types import Image, Latent, Vae

RGB = 3
TileSize = Annotated[int, Number(min=64, max=4096, step=32), Tip("in pixels")]
EncodeTileSize = Annotated[int, Number(min=64, max=4096, step=64), Tip("in pixels")]
Overlap = Annotated[
    int, Number(min=0, max=4096, step=32), Tip("in pixels; at most a quarter of the tile")
]
TemporalSize = Annotated[int, Number(min=8, max=4096, step=4), Tip("for video models only")]
TemporalOverlap = Annotated[int, Number(min=4, max=4096, step=4), Tip("for video models only")]

Network = Callable[[Tensor], Tensor]


@node("VAEDecode", category="latent", display_name="VAE Decode")
def vae_decode(samples: Latent, vae: Vae, *, context: Context) -> Image:
    """Latents to pictures."""
    z = _latents(samples, vae)
    if vae.source is None:
        return _to_image(z.to(torch.float32, copy=True))
    with context.need_models().lease(vae.source, context.device) as module:
        decode = _decoder(module, context)
        return Image(_one_by_one(lambda one: _to_image(decode(one)), z, context))


@node("VAEEncode", category="latent", display_name="VAE Encode")
def vae_encode(pixels: Image, vae: Vae, *, context: Context) -> Latent:
    """Pictures to latents: the mean of what the encoder finds likely."""
    image = _cropped(pixels, vae.factor)
    if vae.source is None:
        return Latent(_to_pixels(image), factor=1)
    with context.need_models().lease(vae.source, context.device) as module:
        encode = _encoder(module, context)
        z = _one_by_one(lambda one: encode(_to_pixels(one)), image, context)
    return Latent(z, factor=vae.factor)


@node("VAEDecodeTiled", category="_for_testing", display_name="VAE Decode (Tiled)")
def vae_decode_tiled(
    samples: Latent,
    vae: Vae,
    tile_size: TileSize = 512,
    overlap: Overlap = 64,
    temporal_size: TemporalSize = 64,
    temporal_overlap: TemporalOverlap = 8,
    *,
    context: Context,
) -> Image:
    """Latents to pictures, tile by tile: the memory it takes does not grow with the picture."""
    del temporal_size, temporal_overlap
    z = _latents(samples, vae)
    if vae.source is None:
        return _to_image(z.to(torch.float32, copy=True))
    side, shared = _cells(tile_size, overlap, vae.factor)
    with context.need_models().lease(vae.source, context.device) as module:
        pixels = tiled(
            _decoder(module, context),
            z,
            tile=(side, side),
            overlap=shared,
            scale=vae.factor,
            out_channels=RGB,
            on_tile=context.progress,
            three_shapes=max(z.shape[-2:]) > side,
        )
    return _to_image(pixels)


@node("VAEEncodeTiled", category="_for_testing", display_name="VAE Encode (Tiled)")
def vae_encode_tiled(
    pixels: Image,
    vae: Vae,
    tile_size: EncodeTileSize = 512,
    overlap: Overlap = 64,
    temporal_size: TemporalSize = 64,
    temporal_overlap: TemporalOverlap = 8,
    *,
    context: Context,
) -> Latent:
    """Pictures to latents, tile by tile: the memory it takes does not grow with the picture."""
    del temporal_size, temporal_overlap
    image = _cropped(pixels, vae.factor)
    if vae.source is None:
        return Latent(_to_pixels(image), factor=1)
    side, shared = (cells * vae.factor for cells in _cells(tile_size, overlap, vae.factor))
    with context.need_models().lease(vae.source, context.device) as module:
        encode = _encoder(module, context)
        z = tiled(
            lambda tile: encode(_to_pixels(tile.movedim(1, -1))),
            image.movedim(-1, 1),
            tile=(side, side),
            overlap=shared,
            scale=Fraction(1, vae.factor),
            out_channels=vae.channels,
            on_tile=context.progress,
            three_shapes=max(image.shape[1:3]) > side,
        )
    return Latent(z, factor=vae.factor)


def _latents(samples: Latent, vae: Vae) -> Tensor:
    z = samples.samples
    if samples.pixels is not None:  # an empty latent nobody has shaped yet
        width, height = samples.pixels
        return torch.zeros(len(z), vae.channels, height // vae.factor, width // vae.factor)
    if z.shape[1] != vae.channels:
        raise NodeGraphError(
            f"the latent has {z.shape[1]} channels, but this VAE decodes {vae.channels}: "
            "take the VAE that belongs to the model that made the latent"
        )
    return z


def _cropped(image: Image, factor: int) -> Tensor:
    """The centre of (B, H, W, C) that whole cells fill, without alpha: a view."""
    height, width, channels = image.shape[1:]
    if channels < RGB:
        raise NodeGraphError(
            f"the picture has {channels} channel{'s' if channels > 1 else ''}; a VAE encodes red, "
            "green and blue"
        )
    rows, columns = height // factor * factor, width // factor * factor
    if not rows or not columns:
        raise NodeGraphError(
            f"the picture is {width} x {height} pixels, smaller than this VAE's latent cell of "
            f"{factor} x {factor}: scale it up first"
        )
    top, left = (height - rows) // 2, (width - columns) // 2
    return image[:, top : top + rows, left : left + columns, :RGB]


def _to_pixels(image: Tensor) -> Tensor:
    """(B, H, W, 3) in [0, 1] -> (B, 3, H, W) in [-1, 1], a new tensor."""
    x = image.movedim(-1, 1).to(torch.float32, memory_format=torch.contiguous_format, copy=True)
    return x.mul_(2).sub_(1)


def _to_image(pixels: Tensor) -> Image:
    """(B, 3, H, W) in [-1, 1], ours to change -> (B, H, W, 3) in [0, 1] on the host."""
    return Image(pixels.add_(1).div_(2).clamp_(0, 1).cpu().movedim(1, -1).contiguous())


def _cells(tile: int, overlap: int, factor: int) -> tuple[int, int]:
    """Tile and overlap in latent cells; the overlap is at most a quarter of the tile."""
    side = max(tile // factor, 2)  # half a tile is the short side of an oblong one
    return side, min(overlap // factor, side // 4)


def _decoder(module: nn.Module, context: Context) -> Network:
    """(1, Z, h, w) -> (1, 3, H, W) in [-1, 1]."""
    return _on(module, cast(VAE, module).decode, context)


def _encoder(module: nn.Module, context: Context) -> Network:
    """(1, 3, H, W) in [-1, 1] -> (1, Z, h, w)."""
    encode = cast(VAE, module).encode
    return _on(module, lambda x: encode(x).mean, context)


def _on(module: nn.Module, function: Network, context: Context) -> Network:
    """`function` of the module, from and to float32; warns where half precision was not enough."""

    def run(x: Tensor) -> Tensor:
        result, warning = safely(module, function, x.to(context.device))
        if warning:
            context.warn(warning)
        return result

    return run


def _one_by_one(run: Network, x: Tensor, context: Context) -> Tensor:
    """`run` for each of a batch, written into one tensor as they come."""
    first = run(x[:1])
    context.progress(1, len(x))
    if len(x) == 1:
        return first
    whole = first.new_empty(len(x), *first.shape[1:])
    whole[:1] = first
    for index in range(1, len(x)):
        whole[index : index + 1] = run(x[index : index + 1])
        context.progress(index + 1, len(x))
    return whole

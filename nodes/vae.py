"""Nodes between pixels and latents."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Annotated

import torch
from torch import Tensor, nn

from nodegraph import Context, NodeGraphError, Number, Tip, node
from nodes.imaging.tiling import tiled
from nodes.models.precision import safely
from nodes.types import Image, Latent, Vae

RGB = 3
TileSize = Annotated[int, Number(min=64, max=4096, step=32), Tip("in pixels")]
EncodeTileSize = Annotated[int, Number(min=64, max=4096, step=64), Tip("in pixels")]
Overlap = Annotated[int, Number(min=0, max=4096, step=32), Tip("in pixels")]
TemporalSize = Annotated[int, Number(min=8, max=4096, step=4), Tip("for video models only")]
TemporalOverlap = Annotated[int, Number(min=4, max=4096, step=4), Tip("for video models only")]


@node("VAEDecode", category="latent", display_name="VAE Decode")
def vae_decode(samples: Latent, vae: Vae, *, context: Context) -> Image:
    """Latents to pictures."""
    z = _latents(samples, vae)
    if vae.source is None:
        return _to_image(z)
    with context.need_models().lease(vae.source, context.device) as module:
        run = _on(module, module.decode, context)
        return _to_image(_one_by_one(run, z, context))


@node("VAEEncode", category="latent", display_name="VAE Encode")
def vae_encode(pixels: Image, vae: Vae, *, context: Context) -> Latent:
    """Pictures to latents: the mean of what the encoder finds likely."""
    x = _to_pixels(pixels, vae.factor)
    if vae.source is None:
        return Latent(x, factor=1)
    with context.need_models().lease(vae.source, context.device) as module:
        run = _on(module, _mean_of(module), context)
        return Latent(_one_by_one(run, x, context), factor=vae.factor)


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
    """Latents to pictures, tile by tile: memory does not grow with the picture."""
    del temporal_size, temporal_overlap
    z = _latents(samples, vae)
    if vae.source is None:
        return _to_image(z)
    side, shared = _cells(tile_size, overlap, vae.factor)
    with context.need_models().lease(vae.source, context.device) as module:
        image = tiled(
            _on(module, module.decode, context),
            z,
            tile=(side, side),
            overlap=shared,
            scale=vae.factor,
            out_channels=RGB,
            on_tile=context.progress,
        )
    return _to_image(image)


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
    """Pictures to latents, tile by tile."""
    del temporal_size, temporal_overlap
    x = _to_pixels(pixels, vae.factor)
    if vae.source is None:
        return Latent(x, factor=1)
    side, shared = _cells(tile_size, overlap, vae.factor)
    with context.need_models().lease(vae.source, context.device) as module:
        z = tiled(
            _on(module, _mean_of(module), context),
            x,
            tile=(side * vae.factor, side * vae.factor),
            overlap=shared * vae.factor,
            scale=Fraction(1, vae.factor),
            out_channels=vae.channels,
            on_tile=context.progress,
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
            "take the VAE of the model that made it"
        )
    return z


def _to_pixels(image: Image, factor: int) -> Tensor:
    """(B, H, W, C) in [0, 1] -> (B, 3, H, W) in [-1, 1], cropped to whole cells, centred."""
    height, width = (side // factor * factor for side in image.shape[1:3])
    if not height or not width:
        raise NodeGraphError(
            f"the picture is {image.shape[2]} x {image.shape[1]} pixels; a latent cell takes "
            f"{factor} x {factor}"
        )
    top, left = (image.shape[1] - height) // 2, (image.shape[2] - width) // 2
    cropped = image[:, top : top + height, left : left + width, :RGB]
    return cropped.movedim(-1, 1).contiguous() * 2 - 1


def _to_image(pixels: Tensor) -> Image:
    """(B, 3, H, W) in [-1, 1] -> (B, H, W, 3) in [0, 1], float32, on the host."""
    return Image(((pixels + 1) / 2).clamp(0, 1).movedim(1, -1).float().cpu().contiguous())


def _cells(tile: int, overlap: int, factor: int) -> tuple[int, int]:
    """Tile and overlap in latent cells; the overlap is at most a quarter of the tile."""
    side = max(tile // factor, 1)
    return side, min(overlap // factor, side // 4)


def _mean_of(module: nn.Module) -> Callable[[Tensor], Tensor]:
    return lambda x: module.encode(x).mean  # type: ignore[operator,no-any-return]


def _on(
    module: nn.Module, function: Callable[[Tensor], Tensor], context: Context
) -> Callable[[Tensor], Tensor]:
    """`function` of the module, from and to float32; warns where half precision was not enough."""

    def run(x: Tensor) -> Tensor:
        result, warning = safely(module, function, x.to(context.device))
        if warning:
            context.warn(warning)
        return result

    return run


def _one_by_one(run: Callable[[Tensor], Tensor], x: Tensor, context: Context) -> Tensor:
    """Image by image: norms see one image anyway, and memory does not grow with the batch."""
    results = []
    for index, one in enumerate(x.split(1)):
        results.append(run(one))
        context.progress(index + 1, len(x))
    return torch.cat(results)

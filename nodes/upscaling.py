"""Nodes that enlarge pictures by a network, through spandrel, where it is installed."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import Annotated

import torch
from torch import Tensor, nn

from nodegraph import Context, FileOf, ModelSource, PortType, node
from nodes.imaging.matching import RGB, with_channels
from nodes.imaging.resize import resize
from nodes.imaging.tiling import tiled
from nodes.models.upscaler import UpscalerFile, inspect_upscaler
from nodes.types import Image

TILES = (512, 256, 128)  # pixels, tried in turn where memory runs out
OVERLAP = 32


@dataclass(frozen=True, eq=False)
class UpscaleModel:
    """A network that enlarges pictures `scale` times, to be leased."""

    source: ModelSource
    scale: int


UPSCALE_MODEL = PortType("UPSCALE_MODEL", UpscaleModel, color="#c5e1a5")


@dataclass(frozen=True, eq=False)
class UpscalerSource:
    """Such a network as the model manager loads it (nodegraph.ModelSource); identity: its hash.

    spandrel needs all weights to build it, so what asks for one weight gets it from a whole load:
    these networks take megabytes, and are hardly ever streamed.
    """

    file: UpscalerFile
    identity: str

    @property
    def key(self) -> str:
        return f"{self.identity}:upscaler:float32"

    @property
    def nbytes(self) -> int:
        return self.file.nbytes

    def load(self) -> nn.Module:
        return self.file.build()

    def skeleton(self) -> nn.Module:
        return self.file.build().to("meta")

    def tensor(self, name: str) -> Tensor:
        module = self.file.build()
        return dict(chain(module.named_parameters(), module.named_buffers()))[name].data


@node("UpscaleModelLoader", category="loaders", display_name="Load Upscale Model")
def upscale_model_loader(
    model_name: Annotated[str, FileOf("upscale_models")], *, context: Context
) -> UpscaleModel:
    """A network that enlarges pictures: ESRGAN, SwinIR and whatever else spandrel knows."""
    path = context.need_folders().resolve("upscale_models", model_name)
    file = inspect_upscaler(path, ckpt=bool(context.extra.get("allow_ckpt")))
    identity = context.hashes.sha256(path) if context.hashes else str(path)
    return UpscaleModel(UpscalerSource(file, identity), file.scale)


@node(
    "ImageUpscaleWithModel", category="image/upscaling", display_name="Upscale Image (using Model)"
)
def image_upscale_with_model(
    upscale_model: UpscaleModel, image: Image, *, context: Context
) -> Image:
    """Enlarge pictures by a network, tile by tile; an alpha channel is resized bilinearly."""
    x = with_channels(image, max(image.shape[-1], RGB)).movedim(-1, 1)
    large = _enlarged(upscale_model, x[:, :RGB], context)
    if x.shape[1] > RGB:
        alpha = resize(x[:, RGB:], large.shape[-1], large.shape[-2], "bilinear")
        large = torch.cat([large, alpha], dim=1)
    return Image(large.movedim(1, -1).contiguous())


def _enlarged(model: UpscaleModel, x: Tensor, context: Context) -> Tensor:
    """(B, 3, H, W) -> (B, 3, scale H, scale W) on the host; in smaller tiles if memory runs out."""
    for side in TILES:
        try:
            return _tile_by_tile(model, x, side, context)
        except Exception as error:
            if side == TILES[-1] or context.need_models().recover(error) is None:
                raise
        context.warn(f"memory ran out with tiles of {side} pixels: trying half of that")
    raise AssertionError("the last size has returned or raised")


def _tile_by_tile(model: UpscaleModel, x: Tensor, side: int, context: Context) -> Tensor:
    with context.need_models().lease(model.source, context.device) as module:
        return tiled(
            lambda tile: module(tile.to(context.device)),
            x,
            tile=(side, side),
            overlap=OVERLAP,
            scale=model.scale,
            out_channels=RGB,
            on_tile=context.progress,
        ).clamp_(0, 1)

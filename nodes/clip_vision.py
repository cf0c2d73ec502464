"""Nodes that load an image encoder of CLIP, and see pictures through it."""

from __future__ import annotations

from typing import Annotated, Literal, cast

import torch

from nodegraph import Context, FileOf, NodeGraphError, Tip, node
from nodes.models.clip_pixels import clip_pixels
from nodes.models.clip_vision import CLIPVision, ImageFeatures
from nodes.models.clip_vision_config import CLIPVisionConfig
from nodes.models.clip_vision_file import CONFIG, inspect_clip_vision
from nodes.models.errors import ArchitectureError
from nodes.models.precision import choose
from nodes.part_source import FileSource
from nodes.types import ClipVision, ClipVisionOutput, Image

BATCH = 16  # pictures that are encoded at once: what the device holds does not grow beyond
Crop = Annotated[
    Literal["center", "none"], Tip("center cuts the longer side off; none squashes it to a square")
]


@node("CLIPVisionLoader", category="loaders", display_name="Load CLIP Vision")
def clip_vision_loader(
    clip_name: Annotated[str, FileOf("clip_vision", beside=(CONFIG,))], *, context: Context
) -> ClipVision:
    """An image encoder of CLIP, in the layout of transformers or of OpenAI and OpenCLIP."""
    path = context.need_folders().resolve("clip_vision", clip_name)
    found = inspect_clip_vision(path, ckpt=bool(context.extra.get("allow_ckpt")))
    identity = context.hashes.sha256(path) if context.hashes else str(path)
    # Like a text encoder it runs once, so its digits count for more than its speed.
    source = FileSource(found, identity, choose(context.precision, "text", context.device))
    config = cast(CLIPVisionConfig, found.config)
    return ClipVision(
        source, config.size, config.tokens, config.width, config.projection or config.width
    )


@node("CLIPVisionEncode", category="conditioning", display_name="CLIP Vision Encode")
def clip_vision_encode(
    clip_vision: ClipVision, image: Image, crop: Crop, *, context: Context
) -> ClipVisionOutput:
    """What CLIP sees in pictures: an embedding of each, and tokens of its patches."""
    return encode_image(clip_vision, image, crop, context)


def encode_image(
    clip_vision: ClipVision, image: Image, crop: Literal["center", "none"], context: Context
) -> ClipVisionOutput:
    """Pictures (B, H, W, C) through an image encoder, float32 on the host.

    `crop` "center" scales the shorter side to the encoder's size and cuts the longer one, "none"
    squashes. Raises NodeGraphError for pictures without colours.
    """
    try:
        pixels = clip_pixels(image, clip_vision.size, crop)
    except ArchitectureError as error:
        raise NodeGraphError(str(error)) from error
    parts: list[ImageFeatures] = []
    with context.need_models().lease(clip_vision.source, context.device) as module:
        encoder = cast(CLIPVision, module)
        dtype = next(module.parameters()).dtype
        for start in range(0, len(pixels), BATCH):
            some = pixels[start : start + BATCH]
            parts.append(encoder(some.to(context.device, dtype)))
            context.progress(start + len(some), len(pixels))
        columns = zip(*((p.embedding, p.last, p.penultimate) for p in parts), strict=True)
        whole = [torch.cat(column).to("cpu", torch.float32) for column in columns]
    return ClipVisionOutput(*whole)

"""Nodes that load, make, convert and combine masks."""

from __future__ import annotations

from typing import Annotated, Literal

import torch

from nodegraph import Context, FileOf, NodeGraphError, Number, Tip, node
from nodes.imaging.files import decode
from nodes.imaging.masks import combine, feather, grow, of_colour
from nodes.imaging.matching import RGB, apart, as_masks
from nodes.types import Image, Mask

Channel = Literal["red", "green", "blue", "alpha"]
CHANNELS = ("red", "green", "blue")
Length = Annotated[int, Number(min=1, max=16384, step=1)]
Place = Annotated[int, Number(min=0, max=16384, step=1)]
Colour = Annotated[int, Number(min=0, max=0xFFFFFF, step=1), Tip("0xRRGGBB as one number")]


@node("LoadImageMask", category="mask", display_name="Load Image (as Mask)", lane="io")
def load_image_mask(
    image: Annotated[str, FileOf("input", upload=True)],
    channel: Literal["alpha", "red", "green", "blue"],
    *,
    context: Context,
) -> Mask:
    """A channel of a picture from the input folder; of alpha, white where it is transparent."""
    picture = decode(context.need_folders().resolve("input", image))
    if channel in CHANNELS:
        return Mask(picture.image[..., CHANNELS.index(channel)].contiguous())
    if picture.mask.shape != picture.image.shape[:3]:  # a picture without alpha
        return Mask(torch.zeros(picture.image.shape[:3]))
    return Mask(picture.mask)


@node("MaskToImage", category="mask", display_name="Convert Mask to Image")
def mask_to_image(mask: Mask) -> Image:
    """The mask as a grey picture."""
    return Image(as_masks(mask)[..., None].repeat(1, 1, 1, RGB))


@node("ImageToMask", category="mask", display_name="Convert Image to Mask")
def image_to_mask(image: Image, channel: Channel) -> Mask:
    """A channel of a picture as it is; the alpha of a picture without one is white."""
    colours, alpha = apart(image)
    return Mask((alpha if channel == "alpha" else colours[..., CHANNELS.index(channel)]).clone())


@node("ImageColorToMask", category="mask", display_name="Color to Mask")
def image_color_to_mask(image: Image, color: Colour = 0) -> Mask:
    """White where the picture has exactly this colour, in 8 bits."""
    return Mask(of_colour(apart(image)[0], color))


@node("SolidMask", category="mask", display_name="Solid Mask")
def solid_mask(
    value: Annotated[float, Number(min=0.0, max=1.0, step=0.01)] = 1.0,
    width: Length = 512,
    height: Length = 512,
) -> Mask:
    """A mask of one value."""
    return Mask(torch.full((1, height, width), value))


@node("InvertMask", category="mask", display_name="Invert Mask")
def invert_mask(mask: Mask) -> Mask:
    """Black for white."""
    return Mask(1 - as_masks(mask))


@node("CropMask", category="mask", display_name="Crop Mask")
def crop_mask(
    mask: Mask, x: Place = 0, y: Place = 0, width: Length = 512, height: Length = 512
) -> Mask:
    """The part of the mask inside a rectangle, as far as the mask goes."""
    masks = as_masks(mask)
    rows, columns = masks.shape[1:]
    if x >= columns or y >= rows:
        raise NodeGraphError(
            f"the rectangle begins at ({x}, {y}), outside the mask of {columns} x {rows} pixels: "
            f"choose x below {columns} and y below {rows}"
        )
    return Mask(masks[:, y : y + height, x : x + width].clone())


@node("MaskComposite", category="mask", display_name="Combine Masks")
def mask_composite(
    destination: Mask,
    source: Mask,
    x: Place = 0,
    y: Place = 0,
    *,
    operation: Literal["multiply", "add", "subtract", "and", "or", "xor"],
) -> Mask:
    """One mask combined with another that lies at (x, y) on it; nothing changes beside it."""
    return Mask(combine(destination, source, x, y, operation))


@node("FeatherMask", category="mask", display_name="Feather Mask")
def feather_mask(
    mask: Mask, left: Place = 0, top: Place = 0, right: Place = 0, bottom: Place = 0
) -> Mask:
    """Fade the mask out towards the borders of the picture, over so many pixels."""
    return Mask(feather(mask, left, top, right, bottom))


@node("GrowMask", category="mask", display_name="Grow Mask")
def grow_mask(
    mask: Mask,
    expand: Annotated[
        int, Number(min=-16384, max=16384, step=1), Tip("in pixels; below 0 it shrinks")
    ] = 0,
    tapered_corners: Annotated[bool, Tip("slanting corners instead of square ones")] = True,
) -> Mask:
    """Widen what is white in the mask, or narrow it."""
    return Mask(grow(mask, expand, tapered=tapered_corners))


@node("ThresholdMask", category="mask", display_name="Threshold Mask")
def threshold_mask(
    mask: Mask, value: Annotated[float, Number(min=0.0, max=1.0, step=0.01)] = 0.5
) -> Mask:
    """White where the mask is above the value, black elsewhere."""
    return Mask((as_masks(mask) > value).float())

"""Nodes that make canvases, lay pictures on one another, and handle alpha and batches."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Annotated, Literal, NamedTuple

import torch
from torch import Tensor

from nodegraph import Number, Tip, node
from nodes.image import ImageMethod
from nodes.imaging.blending import porter_duff
from nodes.imaging.holes import fitted
from nodes.imaging.matching import apart, as_masks, repeat_to, together, with_channels
from nodes.imaging.outpainting import pad_to_paint
from nodes.imaging.pasting import paste
from nodes.imaging.resize import resize, resize_images
from nodes.types import Image, Mask

MEGAPIXEL = 1024 * 1024
Length = Annotated[int, Number(min=1, max=16384, step=1)]
Place = Annotated[int, Number(min=0, max=16384, step=1)]
Margin = Annotated[int, Number(min=0, max=16384, step=8), Tip("in pixels")]
BatchSize = Annotated[int, Number(min=1, max=4096)]
PorterDuffMode = Literal[
    "ADD",
    "CLEAR",
    "DARKEN",
    "DST",
    "DST_ATOP",
    "DST_IN",
    "DST_OUT",
    "DST_OVER",
    "LIGHTEN",
    "MULTIPLY",
    "OVERLAY",
    "SCREEN",
    "SRC",
    "SRC_ATOP",
    "SRC_IN",
    "SRC_OUT",
    "SRC_OVER",
    "XOR",
]


class Masked(NamedTuple):
    image: Image
    mask: Mask


@node("EmptyImage", category="image", display_name="Empty Image")
def empty_image(
    width: Length = 512,
    height: Length = 512,
    batch_size: BatchSize = 1,
    color: Annotated[int, Number(min=0, max=0xFFFFFF, step=1), Tip("0xRRGGBB as one number")] = 0,
) -> Image:
    """Pictures of one colour."""
    levels = [color >> shift & 255 for shift in (16, 8, 0)]
    return Image((torch.tensor(levels) / 255).repeat(batch_size, height, width, 1))


@node("ImageScaleToTotalPixels", category="image/upscaling", display_name="Scale to Total Pixels")
def image_scale_to_total_pixels(
    image: Image,
    upscale_method: ImageMethod,
    megapixels: Annotated[
        float, Number(min=0.01, max=16.0, step=0.01), Tip("of 1024 x 1024 pixels")
    ] = 1.0,
) -> Image:
    """Resize to a number of pixels, with the same aspect."""
    height, width = image.shape[1:3]
    scale = math.sqrt(int(megapixels * MEGAPIXEL) / (width * height))
    wide, high = (max(1, round(side * scale)) for side in (width, height))
    return Image(resize_images(image, wide, high, upscale_method))


@node("ImagePadForOutpaint", category="image", display_name="Pad Image for Outpainting")
def image_pad_for_outpaint(
    image: Image,
    left: Margin = 0,
    top: Margin = 0,
    right: Margin = 0,
    bottom: Margin = 0,
    feathering: Annotated[
        int, Number(min=0, max=16384, step=1), Tip("pixels of the picture that are repainted")
    ] = 40,
) -> Masked:
    """A larger grey canvas around the picture, and the mask of what is to be painted."""
    padded, mask = pad_to_paint(image, left, top, right, bottom, feathering)
    return Masked(Image(padded), Mask(mask))


@node("ImageCompositeMasked", category="image", display_name="Image Composite (Masked)")
def image_composite_masked(
    destination: Image,
    source: Image,
    x: Place = 0,
    y: Place = 0,
    resize_source: Annotated[bool, Tip("to the size of the destination")] = False,
    mask: Mask | None = None,
) -> Image:
    """Lay one picture on another at (x, y), where the mask is white; what overhangs is cut."""
    below = destination.movedim(-1, 1)
    above = with_channels(source, destination.shape[-1]).movedim(-1, 1)
    if resize_source:
        above = resize(above, below.shape[-1], below.shape[-2], "bilinear")
    shown = None if mask is None else repeat_to(fitted(mask, *above.shape[-2:]), len(below))
    pasted = paste(below, repeat_to(above, len(below)).to(below), x, y, shown)
    return Image(pasted.movedim(1, -1).contiguous())


@node("JoinImageWithAlpha", category="mask/compositing", display_name="Join Image with Alpha")
def join_image_with_alpha(image: Image, alpha: Mask) -> Image:
    """The picture, transparent where the mask is white."""
    transparency = fitted(alpha, *image.shape[1:3]).movedim(1, -1)
    colours, masks = together(apart(image)[0], transparency)
    return Image(torch.cat([colours, 1 - masks], dim=-1))


@node("SplitImageWithAlpha", category="mask/compositing", display_name="Split Image with Alpha")
def split_image_with_alpha(image: Image) -> Masked:
    """The colours, and a mask that is white where the picture is transparent."""
    colours, alpha = apart(image)
    return Masked(Image(colours.clone()), Mask(1 - alpha))


@node(
    "PorterDuffImageComposite",
    category="mask/compositing",
    display_name="Porter-Duff Image Composite",
)
def porter_duff_image_composite(
    source: Image,
    source_alpha: Mask,
    destination: Image,
    destination_alpha: Mask,
    mode: PorterDuffMode = "DST",
) -> Masked:
    """Compose two pictures whose masks are white where they are transparent.

    All are resized and cropped to the destination's size.
    """
    size = destination.shape[1:3]
    s, sa, d, da = together(
        *_layer(source, source_alpha, size), *_layer(destination, destination_alpha, size)
    )
    colours, alpha = porter_duff(s, sa, d, da, mode)
    return Masked(Image(colours), Mask((1 - alpha).clamp(0, 1)))


def _layer(image: Tensor, mask: Tensor, size: torch.Size) -> tuple[Tensor, Tensor]:
    """Colours (B, h, w, 3) and alpha (B, h, w); the picture's own alpha is left out."""
    transparency = _fitted(as_masks(mask)[..., None], size)
    return _fitted(apart(image)[0], size), 1 - transparency[..., 0]


def _fitted(image: Tensor, size: torch.Size) -> Tensor:
    """(B, H, W, C) resized and cropped to (height, width)."""
    height, width = size
    if image.shape[1:3] == size:
        return image
    return resize_images(image, width, height, "bicubic", "center")


@node("RebatchImages", category="image/batch", display_name="Rebatch Images")
def rebatch_images(images: list[Image], batch_size: BatchSize = 1) -> list[Image]:
    """Pictures in batches of this size; a new batch begins where the pictures' size changes."""
    return [Image(torch.cat(batch)) for batch in _batches(images, batch_size)]


@node("ImageFromBatch", category="image/batch", display_name="Image From Batch")
def image_from_batch(
    image: Image,
    batch_index: Annotated[int, Number(min=0, max=4095)] = 0,
    length: Annotated[int, Number(min=1, max=4096)] = 1,
) -> Image:
    """`length` pictures of a batch from one on: the last ones, where there are not so many."""
    first = min(batch_index, len(image) - 1)
    return Image(image[first : first + length].clone())


@node("RepeatImageBatch", category="image/batch", display_name="Repeat Image Batch")
def repeat_image_batch(image: Image, amount: Annotated[int, Number(min=1, max=4096)] = 1) -> Image:
    """The whole batch several times, one after the other."""
    return Image(image.repeat(amount, 1, 1, 1))


@node("ImageCrop", category="image/transform", display_name="Image Crop")
def image_crop(
    image: Image,
    width: Annotated[int, Number(min=1, max=16384)] = 512,
    height: Annotated[int, Number(min=1, max=16384)] = 512,
    x: Annotated[int, Number(min=0, max=16384)] = 0,
    y: Annotated[int, Number(min=0, max=16384)] = 0,
) -> Image:
    """A rectangle of each picture, as far as it reaches; one that begins beyond it, its edge."""
    left, top = min(x, image.shape[2] - 1), min(y, image.shape[1] - 1)
    return Image(image[:, top : top + height, left : left + width].clone())


def _batches(images: list[Image], size: int) -> Iterator[list[Tensor]]:
    batch: list[Tensor] = []
    for picture in (one[None] for image in images for one in image):
        if len(batch) == size or (batch and batch[0].shape != picture.shape):
            yield batch
            batch = []
        batch.append(picture)
    if batch:
        yield batch

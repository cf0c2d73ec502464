"""Nodes that blend pictures, blur, sharpen and reduce them, and find their edges."""

from __future__ import annotations

from typing import Annotated, Literal

import torch

from nodegraph import NodeGraphError, Number, Tip, node
from nodes.imaging.blending import blend
from nodes.imaging.filters import blur, canny, morphology, sharpen
from nodes.imaging.matching import RGB, together, with_channels
from nodes.imaging.palette import reduce_colours
from nodes.imaging.resize import resize_images
from nodes.types import Image

Radius = Annotated[int, Number(min=1, max=31, step=1), Tip("in pixels")]
Threshold = Annotated[float, Number(min=0.01, max=0.99, step=0.01)]
Sigma = Tip("the Gaussian's width, as a share of the radius")


@node("ImageBlend", category="image/postprocessing", display_name="Blend Images")
def image_blend(
    image1: Image,
    image2: Image,
    blend_factor: Annotated[float, Number(min=0.0, max=1.0, step=0.01)] = 0.5,
    *,
    blend_mode: Literal["normal", "multiply", "screen", "overlay", "soft_light", "difference"],
) -> Image:
    """Mix the second picture into the first, whose size and alpha are kept."""
    height, width = image1.shape[1:3]
    colours = with_channels(image2, min(image1.shape[-1], RGB))
    if colours.shape[1:3] != (height, width):
        colours = resize_images(colours, width, height, "bicubic", "center")
    below, above = together(image1, colours)
    mixed = blend(below[..., :RGB], above, blend_factor, blend_mode)
    return Image(torch.cat([mixed, below[..., RGB:]], dim=-1))


@node("ImageBlur", category="image/postprocessing", display_name="Blur Image")
def image_blur(
    image: Image,
    blur_radius: Radius = 1,
    sigma: Annotated[float, Number(min=0.1, max=10.0, step=0.1), Sigma] = 1.0,
) -> Image:
    """A Gaussian blur."""
    return Image(blur(image, blur_radius, sigma))


@node("ImageQuantize", category="image/postprocessing", display_name="Quantize Image")
def image_quantize(
    image: Image,
    colors: Annotated[int, Number(min=1, max=256, step=1)] = 256,
    *,
    dither: Literal["none", "floyd-steinberg", "bayer-2", "bayer-4", "bayer-8", "bayer-16"],
) -> Image:
    """Each picture in few colours of its own."""
    return Image(reduce_colours(image, colors, dither))


@node("ImageSharpen", category="image/postprocessing", display_name="Sharpen Image")
def image_sharpen(
    image: Image,
    sharpen_radius: Radius = 1,
    sigma: Annotated[float, Number(min=0.1, max=10.0, step=0.01), Sigma] = 1.0,
    alpha: Annotated[float, Number(min=0.0, max=5.0, step=0.01)] = 1.0,
) -> Image:
    """More of what a blur takes away."""
    return Image(sharpen(image, sharpen_radius, sigma, alpha))


@node("Morphology", category="image/postprocessing", display_name="Image Morphology")
def image_morphology(
    image: Image,
    operation: Literal["erode", "dilate", "open", "close", "gradient", "bottom_hat", "top_hat"],
    kernel_size: Annotated[int, Number(min=3, max=999, step=1), Tip("in pixels")] = 3,
) -> Image:
    """Spread what is dark or light over a square, or what that changes."""
    return Image(morphology(image, operation, kernel_size))


def _thresholds(low_threshold: float | None, high_threshold: float | None) -> str | None:
    """What is wrong with the two, as far as they are known."""
    if low_threshold is None or high_threshold is None or low_threshold <= high_threshold:
        return None
    return (
        f"low_threshold is {low_threshold:g}, but an edge begins at high_threshold "
        f"({high_threshold:g}) and goes on down to low_threshold: choose low_threshold no larger"
    )


@node(
    "Canny",
    category="image/preprocessors",
    display_name="Canny",
    check=_thresholds,
)
def canny_edges(
    image: Image, low_threshold: Threshold = 0.4, high_threshold: Threshold = 0.8
) -> Image:
    """White lines on black along the edges of what is in the picture."""
    if complaint := _thresholds(low_threshold, high_threshold):  # from a link
        raise NodeGraphError(complaint)
    try:
        return Image(canny(image, low_threshold, high_threshold))
    except ValueError as error:
        raise NodeGraphError(str(error)) from error

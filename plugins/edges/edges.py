"""Nodes that find edges, as hints for ControlNets trained on such pictures."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor

from nodegraph import Number, Tip, node
from nodes.types import Image

from . import lines

Invert = Annotated[bool, Tip("black lines on white; ControlNets want white on black")]
Slope = Annotated[float, Number(min=0.01, max=4.0, step=0.01)]
Blur = Annotated[float, Number(min=0.0, max=16.0, step=0.1), Tip("in pixels; hides detail")]
Strength = Annotated[float, Number(min=0.1, max=20.0, step=0.1), Tip("edges are brighter by it")]
Threshold = Annotated[
    float, Number(min=0.0, max=1.0, step=0.01), Tip("what is fainter is left out")
]


def wrong_order(low: float | None, high: float | None) -> str | None:
    """What is wrong with two thresholds that stand in the graph."""
    if low is None or high is None or low <= high:
        return None
    return f"low ({low:g}) is above high ({high:g}): exchange them"


@node("EdgesCanny", category="image/edges", display_name="Canny Edges", check=wrong_order)
def edges_canny(
    image: Image, low: Slope = 0.2, high: Slope = 0.6, blur: Blur = 1.0, invert: Invert = False
) -> Image:
    """Lines a pixel wide. Strong ones, steeper than `high`, and what goes on from them to `low`."""
    return as_hint(lines.canny(image, low, high, blur), invert)


@node("EdgesSobel", category="image/edges", display_name="Sobel Edges")
def edges_sobel(
    image: Image, strength: Strength = 1.0, threshold: Threshold = 0.0, invert: Invert = False
) -> Image:
    """How steep the picture is at each pixel."""
    return as_hint(above(lines.sobel(image) * strength, threshold), invert)


@node("EdgesSoft", category="image/edges", display_name="Soft Edges")
def edges_soft(
    image: Image, strength: Strength = 1.0, threshold: Threshold = 0.0, invert: Invert = False
) -> Image:
    """Broad, smooth edges, like HED's but by filters alone: it is not the HED network."""
    return as_hint(above(lines.soft(image) * strength, threshold), invert)


@node("EdgesScribble", category="image/edges", display_name="Scribble")
def edges_scribble(
    image: Image,
    blur: Blur = 3.0,
    threshold: Slope = 0.2,
    thickness: Annotated[int, Number(min=1, max=32), Tip("in pixels")] = 3,
    invert: Invert = False,
) -> Image:
    """The main outlines, as if drawn by hand with a pen."""
    return as_hint(lines.scribble(image, blur, threshold, thickness), invert)


def above(edges: Tensor, threshold: float) -> Tensor:
    """The map within [0, 1], and 0 where it is below the threshold."""
    return torch.where(edges >= threshold, edges, 0.0).clamp(0, 1)


def as_hint(edges: Tensor, invert: bool) -> Image:
    """A map (B, H, W) as a grey picture."""
    shown = 1 - edges if invert else edges
    return Image(shown[..., None].repeat(1, 1, 1, 3))

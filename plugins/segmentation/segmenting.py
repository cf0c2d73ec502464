"""Nodes that take pictures apart by colour."""

from __future__ import annotations

from typing import Annotated, NamedTuple

import torch
from torch import Tensor

from nodegraph import NodeGraphError, Number, Seed, Tip, node
from nodes.imaging.silhouette import silhouette
from nodes.types import Image, Mask

from .clusters import clustered, palette, smoothed
from .kinds import Segments

MOST = 64


class Parts(NamedTuple):
    """The segments, as a picture of flat colours, and as a mask of number / 255."""

    segments: Segments
    image: Image
    numbers: Mask


@node("SegmentByColor", category="image/segmentation", display_name="Segment by Colour")
def segment_by_color(
    image: Image,
    segments: Annotated[int, Number(min=2, max=MOST), Tip("at most so many")] = 4,
    smoothing: Annotated[int, Number(min=0, max=32), Tip("radius in pixels; removes specks")] = 0,
    seed: Annotated[int, Seed()] = 0,
) -> Parts:
    """Pixels of like colour become a segment; 0 is the largest. A batch is taken apart together."""
    return as_parts(smoothed(clustered(image, segments, seed), smoothing), image)


@node("SegmentsFromImage", category="image/segmentation", display_name="Segments from Flat Colours")
def segments_from_image(image: Image) -> Parts:
    """A painted map: every colour is a segment; 0 is the largest."""
    colors = palette(image, 256)
    if len(colors.counts) > MOST:
        raise NodeGraphError(
            f"the picture has {len(colors.counts):,} colours and a map has at most {MOST}: paint "
            "it without soft edges and save it as PNG, or use SegmentByColor"
        )
    return as_parts(colors.of_pixel, image)


@node("SegmentMask", category="image/segmentation", display_name="Mask of a Segment")
def segment_mask(
    segments: Segments, segment: Annotated[str, Tip("its number, or a colour: red, #ff0000")] = "0"
) -> Mask:
    """Where one segment is."""
    return Mask(segments.mask(segments.named(segment.strip())))


@node("SegmentMasks", category="image/segmentation", display_name="Masks of All Segments")
def segment_masks(segments: Segments) -> Mask:
    """A mask for each segment, from number 0 on; of each, one for every picture of the batch."""
    return Mask(torch.cat([segments.mask(number) for number in range(len(segments))]))


class Shape(NamedTuple):
    """White on black, as ControlNets for silhouettes want it, and as a mask."""

    image: Image
    mask: Mask


@node("Silhouette", category="image/segmentation", display_name="Silhouette")
def silhouette_of(
    image: Image,
    tolerance: Annotated[
        float,
        Number(min=0.0, max=1.0, step=0.01),
        Tip("what differs less from the border's colour is background"),
    ] = 0.04,
) -> Shape:
    """What stands before a plain background: all that the picture's border does not reach."""
    shape = silhouette(image[..., :3], tolerance)
    return Shape(Image(shape[..., None].expand(*shape.shape, 3).contiguous()), Mask(shape))


def as_parts(labels: Tensor, image: Image) -> Parts:
    segments = Segments.of(labels, image)
    return Parts(segments, Image(segments.image), Mask(segments.index))

"""Nodes that take depth maps from files and pictures. No model is involved."""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

from torch import Tensor

from nodegraph import Context, FileOf, NodeGraphError, Number, Tip, node
from nodes.types import Image, Mask

from .maps import between, read_values, stretched

Nearest = Annotated[Literal["bright", "dark"], Tip("how the map shows what is near")]
Percentile = Annotated[float, Number(min=0.0, max=100.0, step=0.1)]
Stored = Annotated[float, Number(min=-1e9, max=1e9, step=0.01), Tip("in the file's own numbers")]


class Imported(NamedTuple):
    """The map, near white; and where it is known."""

    depth: Image
    known: Mask


def no_range(near: float | None, far: float | None, range: str | None) -> str | None:
    """What is wrong with a range that stands in the graph."""
    if range == "near and far" and near is not None and near == far:
        return f"near and far are both {near:g}: give the numbers that stand for near and for far"
    return None


def no_spread(low_percentile: float | None, high_percentile: float | None) -> str | None:
    """What is wrong with percentiles that stand in the graph."""
    if low_percentile is None or high_percentile is None or low_percentile < high_percentile:
        return None
    return "low_percentile has to be below high_percentile"


def unusable(
    near: float | None,
    far: float | None,
    range: str | None,
    low_percentile: float | None,
    high_percentile: float | None,
) -> str | None:
    """What is wrong with any of it."""
    return no_range(near, far, range) or no_spread(low_percentile, high_percentile)


@node(
    "LoadDepthImage",
    category="image/depth",
    display_name="Load Depth Image",
    lane="io",
    check=unusable,
)
def load_depth_image(
    image: Annotated[str, FileOf("input", upload=True)],
    range: Annotated[
        Literal["percentiles", "near and far"], Tip("what becomes white and black")
    ] = "percentiles",
    nearest: Nearest = "bright",
    low_percentile: Percentile = 0.0,
    high_percentile: Percentile = 100.0,
    near: Stored = 0.0,
    far: Stored = 65535.0,
    zero_is_unknown: Annotated[bool, Tip("as depth cameras write it; becomes black")] = False,
    *,
    context: Context,
) -> Imported:
    """A depth map from a file of 8 or 16 bits or of floats, near white and far black.

    `percentiles` stretches it, by `nearest`; `near and far` maps the file's own numbers, such as
    millimetres or disparities, in whichever order.
    """
    values = read_values(context.need_folders().resolve("input", image))[None]
    known = values.isfinite() & ((values != 0) | (not zero_is_unknown))
    values = values.where(known, 0.0)
    if range == "percentiles":
        made = stretched(signed(values, nearest), low_percentile, high_percentile, known)
    elif fault := no_range(near, far, range):  # over links
        raise NodeGraphError(fault)
    else:
        made = between(values, near, far).where(known, 0.0).float()
    return Imported(as_image(made), Mask(known.float()))


@node("NormalizeDepth", category="image/depth", display_name="Normalize Depth", check=no_spread)
def normalize_depth(
    image: Image,
    nearest: Nearest = "bright",
    low_percentile: Percentile = 0.0,
    high_percentile: Percentile = 100.0,
) -> Image:
    """A picture of depth stretched to the whole range, near white and far black, each by itself."""
    grey = image[..., :3].mean(dim=-1)
    return as_image(stretched(signed(grey, nearest), low_percentile, high_percentile))


def signed(values: Tensor, nearest: str) -> Tensor:
    """Numbers that grow towards the viewer."""
    return values if nearest == "bright" else -values


def as_image(depth: Tensor) -> Image:
    return Image(depth[..., None].repeat(1, 1, 1, 3))

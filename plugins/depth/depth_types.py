"""DEPTH_MODEL: a network that sees how far away things are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nodegraph import ModelSource, NodeGraphError, PortType

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
HALVES = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


@dataclass(frozen=True)
class Sight:
    """How a network wants to see a picture.

    height, width: in pixels. keep_aspect: one side fits, the other is what it comes to.
    multiple: sides are rounded to it. mean, std: subtracted and divided by, for red, green, blue.
    """

    height: int
    width: int
    keep_aspect: bool
    multiple: int
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def of(cls, family: str, stored: Mapping[str, Any]) -> Sight:
        """As a preprocessor_config.json says; what it leaves out is usual for the family."""
        anything = family == "depth_anything"
        size = stored.get("size", 518 if anything else 384)
        height, width = (size["height"], size["width"]) if isinstance(size, dict) else (size, size)
        mean, std = IMAGENET if anything else HALVES
        return cls(
            height,
            width,
            bool(stored.get("keep_aspect_ratio", anything)),
            int(stored.get("ensure_multiple_of", 14 if anything else 1)),
            tuple(stored.get("image_mean", mean)),
            tuple(stored.get("image_std", std)),
        )

    def size_for(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) in which it sees a picture of this size: scaled as little as may be."""
        scales = [self.height / height, self.width / width]
        if self.keep_aspect:
            scales = [min(scales, key=lambda scale: abs(1 - scale))] * 2
        sides = (scales[0] * height, scales[1] * width)
        rows, columns = (max(1, round(side / self.multiple)) * self.multiple for side in sides)
        return rows, columns


@dataclass(frozen=True, eq=False)
class DepthModel:
    """A depth network, to be leased from the model manager.

    metric: it gives distances; else closeness, 1 / distance but for scale and offset.
    """

    source: ModelSource
    sight: Sight
    metric: bool


DEPTH_MODEL = PortType("DEPTH_MODEL", DepthModel, color="#9575cd")


def require_own_backbone(config: Mapping[str, Any]) -> None:
    """Raises NodeGraphError for a network of which a part would be fetched from elsewhere."""
    if config.get("backbone") or config.get("use_timm_backbone"):
        raise NodeGraphError(
            f"the depth model's config.json takes its backbone from elsewhere "
            f"({config.get('backbone')}), and nothing is downloaded here: use a model whose "
            "config.json describes its backbone itself"
        )

"""Segmentation maps: from flat colours or class numbers to one-hot, (B, K, H, W).

y_k = 1 where a pixel belongs to class k, else 0, for the patch encoder of K channels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from ..errors import ArchitectureError
from .limits import require_range
from .maps import Resolution, blocky
from .patches import PatchConfig

Unknown: TypeAlias = Literal["error", "nearest"]
Colour: TypeAlias = tuple[int, int, int]  # red, green and blue, 0 to 255

SHOWN = 8  # unknown colours that an error lists
AT_ONCE = 4096  # colours compared with the palette at a time


@dataclass(frozen=True, kw_only=True)
class SegmentationConfig(PatchConfig):
    """classes: K. palette: each class's colour in pictures; none: maps are class numbers alone.
    names: of the classes, or none. The rest: PatchConfig. Raises ArchitectureError."""

    classes: int
    palette: tuple[Colour, ...] = ()
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        require_range("classes", self.classes)
        for name in ("palette", "names"):
            given = len(getattr(self, name))
            if given not in (0, self.classes):
                raise ArchitectureError(
                    f"{name}: expected {self.classes}, one for each class, got {given}"
                )
        for level in (level for colour in self.palette for level in colour):
            require_range("palette", level, least=0, most=255)
        if len(set(self.palette)) != len(self.palette):
            raise ArchitectureError("palette: two classes have the same colour")


def one_hot_map(
    given: Tensor,
    config: SegmentationConfig,
    resolution: Resolution = "trained",
    *,
    unknown: Unknown = "error",
) -> Tensor:
    """(B, K, H, W) of zeros and ones, float32.

    given:   a picture (B, H, W, C) in the palette's colours, or class numbers as a mask (B, H, W),
             number / 255, which is how an 8-bit grey picture of class numbers is read.
    unknown: of a colour that is not in the palette: an error that lists it, or the nearest one.
    Raises ValueError for what is no map of these classes.
    """
    match given.ndim:
        case 4 if given.shape[-1] >= 3:
            labels = _by_colour(given[..., :3], config, unknown)
        case 3:
            labels = _by_number(given, config)
        case _:
            shape = tuple(given.shape)
            raise ValueError(f"expected a picture (B, H, W, 3) or a mask (B, H, W), got {shape}")
    labels = blocky(labels, config, resolution)
    return one_hot(labels, config.classes).movedim(-1, 1).float()


def _by_number(mask: Tensor, config: SegmentationConfig) -> Tensor:
    labels = (mask * 255).round().long()
    strange = sorted(set(labels[(labels < 0) | (labels >= config.classes)].tolist()))
    if strange:
        raise ValueError(
            f"the map has class numbers {_some(list(map(str, strange)))}, but there are classes 0 "
            f"to {config.classes - 1}: a mask holds number / 255, as a grey picture is read"
        )
    return labels


def _by_colour(image: Tensor, config: SegmentationConfig, unknown: Unknown) -> Tensor:
    if not config.palette:
        raise ValueError(
            "the encoder's file has no palette: give class numbers as a mask, number / 255"
        )
    colours, places = _colours(image)
    distance, label = _nearest(colours, config.palette)
    if unknown == "error" and bool(distance.any()):
        strange = [_hex(colour) for colour in colours[distance > 0].tolist()]
        known = [_hex(colour) for colour in config.palette]
        raise ValueError(
            f"the map has the colours {_some(strange)}, which are not in the palette: "
            f"{_some(known)}; take the nearest for them (unknown), or draw without smooth edges"
        )
    return label[places]


def _colours(image: Tensor) -> tuple[Tensor, Tensor]:
    """The different colours (U, 3), 0 to 255, and which of them each pixel has, (B, H, W)."""
    levels = (image * 255).round().long().clamp(0, 255)
    codes = (levels[..., 0] << 16) | (levels[..., 1] << 8) | levels[..., 2]
    found, places = torch.unique(codes, return_inverse=True)
    return torch.stack([found >> 16, (found >> 8) & 255, found & 255], dim=1), places


def _nearest(colours: Tensor, palette: tuple[Colour, ...]) -> tuple[Tensor, Tensor]:
    """The squared distance to the nearest colour of the palette, and its place; both (U,)."""
    known = torch.tensor(palette, device=colours.device)  # (K, 3)
    parts = [
        (part[:, None] - known).square().sum(dim=-1).min(dim=1)
        for part in torch.split(colours, AT_ONCE)
    ]
    return torch.cat([part.values for part in parts]), torch.cat([part.indices for part in parts])


def _hex(colour: tuple[int, ...] | list[int]) -> str:
    return "#" + "".join(f"{level:02x}" for level in colour)


def _some(texts: list[str]) -> str:
    more = len(texts) - SHOWN
    return ", ".join(texts[:SHOWN]) + (f" and {more} more" if more > 0 else "")

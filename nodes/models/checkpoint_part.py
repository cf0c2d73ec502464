"""The parts of a checkpoint (UNet, text encoder, VAE) and the places they are found in."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from types import MappingProxyType
from typing import Literal, get_args

import torch
from torch import nn

from .clip import CLIPText
from .clip_config import CLIPConfig
from .clip_vision import CLIPVision
from .clip_vision_config import CLIPVisionConfig
from .controlnet import ControlNet, ControlNetConfig
from .errors import CheckpointError
from .shapes import shapes_of
from .unet import UNet
from .unet_config import UNetConfig
from .vae import VAE, VAEConfig
from .weights import WeightFile

Part = Literal["unet", "text", "vae"]  # of a checkpoint
Kind = Literal[Part, "control", "vision"]  # and what has files of its own
Naming = Literal["original", "diffusers", "huggingface", "bare", "openclip"]
Config = UNetConfig | CLIPConfig | VAEConfig | ControlNetConfig | CLIPVisionConfig

KINDS: Mapping[Kind, str] = {
    "unet": "UNet",
    "text": "text encoder",
    "vae": "VAE",
    "control": "ControlNet",
    "vision": "image encoder",
}
PARTS: Mapping[Part, str] = {part: KINDS[part] for part in get_args(Part)}
SHOWN = 3  # names an error lists before "..."


@dataclass(frozen=True)
class Place:
    """A way to store a part: names begin with one of `prefixes`, and some go on with `mark`."""

    part: Part
    naming: Naming
    prefixes: tuple[str, ...]
    mark: str


CLIP = ("cond_stage_model.transformer.", "text_encoders.clip_l.transformer.", "text_encoder.", "")
OPENCLIP = ("cond_stage_model.model.", "text_encoders.clip_h.transformer.", "text_encoder.", "")
PLACES = (
    Place("unet", "original", ("model.diffusion_model.", "diffusion_model.", ""), "output_blocks."),
    Place("unet", "diffusers", ("unet.", ""), "up_blocks."),
    Place("vae", "original", ("first_stage_model.", "vae.", ""), "decoder.up."),
    Place("vae", "diffusers", ("first_stage_model.", "vae.", ""), "decoder.up_blocks."),
    Place("text", "huggingface", CLIP, "text_model.encoder.layers."),
    Place("text", "bare", CLIP, "encoder.layers."),
    Place("text", "openclip", OPENCLIP, "transformer.resblocks."),
)


@dataclass(frozen=True)
class Location:
    """One part in one file: how its tensors are named, and what their names begin with."""

    part: Kind
    naming: Naming
    prefix: str

    @property
    def original(self) -> bool:
        """Whether these are latent diffusion's own names, and not those of diffusers."""
        if self.naming in ("original", "openclip"):
            return True
        return self.naming != "diffusers" and self.prefix.startswith("cond_stage_model.")


def locate(names: Collection[str], part: Part) -> Location | None:
    """Where `part` is among `names`, or None. The first entry of PLACES that fits counts."""
    for place in PLACES:
        for prefix in place.prefixes if place.part == part else ():
            if any(name.startswith(prefix + place.mark) for name in names):
                return Location(part, place.naming, prefix)
    return None


@dataclass(frozen=True)
class Source:
    """Where one of our parameters is: the `block`-th of `blocks` equal parts of a file's tensor."""

    name: str
    block: int = 0
    blocks: int = 1
    transposed: bool = False

    def shape(self, stored: tuple[int, ...]) -> tuple[int, ...]:
        """What a tensor of shape `stored` becomes once it is divided and transposed."""
        if self.blocks > 1 and stored and stored[0] % self.blocks == 0:
            stored = (stored[0] // self.blocks, *stored[1:])
        return stored[::-1] if self.transposed else stored


@dataclass(frozen=True, eq=False)
class PartInfo:
    """A part found in a file: its architecture, and where each of its parameters comes from.

    Raises CheckpointError naming the tensors that are missing or do not fit.
    """

    location: Location
    config: Config
    file: WeightFile
    sources: Mapping[str, Source]  # by name in the module's state_dict
    shapes: Mapping[str, tuple[int, ...]]  # in the module, same names

    def __post_init__(self) -> None:
        faults = [
            _listed(self._missing(), "missing"),
            _listed(self._misshapen(), "of the wrong shape"),
            _listed(self._odd(), "not made of floating-point numbers"),
        ]
        if found := [fault for fault in faults if fault]:
            raise CheckpointError(
                self.file.path, f"its {KINDS[self.location.part]} is not whole: {'; '.join(found)}"
            )

    @property
    def names(self) -> frozenset[str]:
        """The file's names of its tensors."""
        return frozenset(source.name for source in self.sources.values())

    @property
    def dtype(self) -> torch.dtype:
        """The dtype most of its bytes are stored in."""
        sizes: dict[torch.dtype, int] = {}
        for name in self.names:
            info = self.file.tensors[name]
            sizes[info.dtype] = sizes.get(info.dtype, 0) + info.nbytes
        return max(sizes, key=lambda dtype: sizes[dtype])

    def nbytes(self, dtype: torch.dtype) -> int:
        """Bytes its parameters take in `dtype`."""
        return sum(prod(shape) for shape in self.shapes.values()) * dtype.itemsize

    def _missing(self) -> list[str]:
        names = dict.fromkeys(source.name for source in self.sources.values())
        return [name for name in names if name not in self.file.tensors]

    def _misshapen(self) -> list[str]:
        wrong = []
        for ours, source in self.sources.items():
            if (info := self.file.tensors.get(source.name)) is None:
                continue
            found, expected = source.shape(info.shape), self.shapes[ours]
            if not _same(found, expected):
                wrong.append(f"{source.name} is {found} instead of {expected}")
        return wrong

    def _odd(self) -> list[str]:
        stored = {name: self.file.tensors.get(name) for name in sorted(self.names)}
        return [
            f"{name} is {info.dtype}"
            for name, info in stored.items()
            if info is not None and not info.dtype.is_floating_point
        ]


def build(config: Config) -> nn.Module:
    """The module of an architecture, on torch's current default device."""
    if isinstance(config, UNetConfig):
        return UNet(config)
    if isinstance(config, ControlNetConfig):
        return ControlNet(config)
    if isinstance(config, CLIPVisionConfig):
        return CLIPVision(config)
    return VAE(config) if isinstance(config, VAEConfig) else CLIPText(config)


@lru_cache(maxsize=16)
def parameter_shapes(config: Config) -> Mapping[str, tuple[int, ...]]:
    """Name -> shape of everything in the module's state_dict."""
    return MappingProxyType(shapes_of(lambda: build(config)))


def _same(found: tuple[int, ...], expected: tuple[int, ...]) -> bool:
    """A matrix stands for a 1 x 1 convolution, and the other way round."""
    length = max(len(found), len(expected))
    pad = (1,) * length
    return bool(found) and (found + pad)[:length] == (expected + pad)[:length]


def _listed(names: list[str], what: str) -> str:
    if not names:
        return ""
    count = "1 tensor is" if len(names) == 1 else f"{len(names)} tensors are"
    return f"{count} {what} ({', '.join(names[:SHOWN])}{', ...' if len(names) > SHOWN else ''})"

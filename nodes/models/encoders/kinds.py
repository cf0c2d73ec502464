"""Kinds of condition encoders: what the extension point "condition_encoders" maps names to.

CORE are the kinds that come with the nodes. They are registered as any plugin's are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor

from ..clip_config import CLIPConfig
from ..shapes import Shapes
from .class_label import ClassConfig, ClassEncoder, latent_diffusion_classes
from .clip_image import ClipImageConfig, ClipImageEncoder
from .encoder import EncoderConfig, TokenEncoder
from .maps import as_depth, as_picture
from .patches import PatchConfig, PatchEncoder
from .segmentation import SegmentationConfig, one_hot_map
from .text import TextTokens, text_numbers

C = TypeVar("C", bound=EncoderConfig)

COLOURS, DEPTHS = 3, 1  # channels
SHOWN = 5  # names that an error lists


def _none(_: Shapes) -> None:
    return None


@dataclass(frozen=True)
class EncoderKind(Generic[C]):
    """One kind of encoder.

    config:  its configuration, a frozen dataclass of numbers, texts and tuples of them.
    build:   the network, with the first weights of a training, from torch's generator.
    prepare: what stands on a node's port -> the network's y, its first dimension the batch.
             Raises ValueError for what it cannot take.
    takes:   that in words, for messages: "a picture (IMAGE)".
    foreign: of a file in another layout, by names and shapes: the configuration and what precedes
             the names of the network's tensors; None where it is no such file.
    """

    config: type[C]
    build: Callable[[C], TokenEncoder]
    prepare: Callable[[C, Any], Tensor]
    takes: str
    foreign: Callable[[Shapes], tuple[C, str] | None] = _none


@runtime_checkable
class Seen(Protocol):
    """What an image encoder of CLIP makes of B pictures."""

    image_embeds: Tensor  # (B, E)
    last_hidden_state: Tensor  # (B, N, E)
    penultimate_hidden_states: Tensor


def fresh(kind: EncoderKind[C], config: C, *, seed: int) -> TokenEncoder:
    """A network to be trained, the same for the same seed; torch's own generator is not moved."""
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        return kind.build(config)


class Classes(Protocol):
    """Classes by number, or by name where they have names."""

    @property
    def classes(self) -> int: ...

    @property
    def names(self) -> tuple[str, ...]: ...


def class_numbers(config: Classes, given: Any) -> Tensor:
    """(B,) of class numbers, from a number, or from names or numbers in a text, one a line.

    Raises ValueError for a class that is not there.
    """
    if isinstance(given, int):
        return torch.tensor([_number(config, str(given))])
    labels = [line.strip() for line in str(given).split("\n") if line.strip()]
    return torch.tensor([_class(config, label) for label in labels or [""]])


def _class(config: Classes, label: str) -> int:
    return config.names.index(label) if label in config.names else _number(config, label)


def _number(config: Classes, label: str) -> int:
    number = int(label) if label.isascii() and label.isdecimal() else -1
    if 0 <= number < config.classes:
        return number
    last = config.classes - 1
    which = f"0 to {last}, which have no names here"
    if config.names:
        more = " ..." if config.classes > SHOWN else ""
        which = f"0 to {last} or a name: {', '.join(config.names[:SHOWN])}{more}"
    raise ValueError(f"there is no class {label!r}: expected a number from {which}")


def clip_vectors(config: ClipImageConfig, given: Any) -> Tensor:
    """(B, N, E), the output of CLIP's image encoder that `config` reads.

    Raises ValueError for vectors of another width, and for anything else.
    """
    if not isinstance(given, Seen):
        raise ValueError(f"expected the output of CLIP's image encoder, got {_named(given)}")
    vectors: Tensor = getattr(given, config.reads)
    vectors = vectors[:, None] if config.reads == "image_embeds" else vectors
    if vectors.shape[-1] != config.embedding:
        raise ValueError(
            f"{config.reads} is {vectors.shape[-1]} wide, but this encoder reads "
            f"{config.embedding}: it was trained with another CLIP"
        )
    return vectors


def _tensor(given: Any) -> Tensor:
    if not isinstance(given, Tensor):
        raise ValueError(f"expected a picture or a mask, got {_named(given)}")
    return given


def _named(value: Any) -> str:
    return f"a value of type {type(value).__name__}"


CORE: Mapping[str, EncoderKind[Any]] = MappingProxyType(
    {
        "text": EncoderKind(CLIPConfig, TextTokens, text_numbers, "a text (STRING)"),
        "class": EncoderKind(
            ClassConfig,
            ClassEncoder,
            class_numbers,
            "a class number or name (INT or STRING)",
            latent_diffusion_classes,
        ),
        "image": EncoderKind(
            PatchConfig,
            lambda config: PatchEncoder(config, COLOURS),
            lambda config, given: as_picture(_tensor(given), config),
            "a picture (IMAGE)",
        ),
        "segmentation": EncoderKind(
            SegmentationConfig,
            lambda config: PatchEncoder(config, config.classes),
            lambda config, given: one_hot_map(_tensor(given), config),
            "a segmentation map (IMAGE or MASK)",
        ),
        "depth": EncoderKind(
            PatchConfig,
            lambda config: PatchEncoder(config, DEPTHS),
            lambda config, given: as_depth(_tensor(given), config),
            "a depth map (IMAGE or MASK)",
        ),
        "clip_image": EncoderKind(
            ClipImageConfig,
            ClipImageEncoder,
            clip_vectors,
            "what CLIP sees in a picture (CLIP_VISION_OUTPUT)",
        ),
    }
)

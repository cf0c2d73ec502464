"""The sizes and settings of a CLIP image encoder, and where they are read from.

OpenAI's encoders (ViT-B and ViT-L, up to 1024 wide) have quick-GELU and heads 64 wide; OpenCLIP's
larger ones (ViT-H, g and bigG, 1280, 1408 and 1664 wide) have GELU and 16 heads. OpenCLIP's of the
smaller sizes have GELU as well, which no tensor tells: the config.json beside the file does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isqrt
from typing import Any

from .clip_config import Activation
from .errors import ArchitectureError
from .shapes import Shapes, count, dimension

HEAD_WIDTH = 64  # up to LARGEST_OPENAI
LARGEST_OPENAI = 1024
HEADS = 16  # from there on
RGB = 3
EMBEDDINGS = "vision_model.embeddings."
LAYERS = "vision_model.encoder.layers."
PROJECTION = "visual_projection.weight"


@dataclass(frozen=True)
class CLIPVisionConfig:
    """A CLIP image encoder.

    size:       side of the square pictures it sees, in pixels; patch: side of one of their patches.
    projection: width of the embedding; None where the pooled state is the embedding.
    """

    width: int
    layers: int
    heads: int
    mlp: int
    size: int = 224
    patch: int = 14
    projection: int | None = None
    activation: Activation = "quick_gelu"
    norm_eps: float = 1e-5

    def __post_init__(self) -> None:
        if self.heads < 1 or self.width % self.heads:
            raise ArchitectureError(
                f"an image encoder of width {self.width} cannot have {self.heads} heads: "
                "the number of heads must divide the width"
            )
        if self.layers < 1:
            raise ArchitectureError("the image encoder has no layers: the file is incomplete")

    @property
    def tokens(self) -> int:
        """Of one picture: the class token, and one for each whole patch."""
        return 1 + (self.size // self.patch) ** 2


def config_from_shapes(
    shapes: Shapes, *, declared: Mapping[str, Any] | None = None
) -> CLIPVisionConfig:
    """Read the sizes off a file's tensor shapes, keys as in `CLIPVision.state_dict()`.

    `declared` is the vision part of a config.json of transformers, for what no shape tells.
    Raises ArchitectureError naming the key that is missing or the shape that fits no such encoder.
    """
    kernel = f"{EMBEDDINGS}patch_embedding.weight"
    width, channels, patch = (dimension(shapes, kernel, axis) for axis in (0, 1, 2))
    if channels != RGB:
        raise ArchitectureError(f"{kernel} reads {channels} channels, and pictures have {RGB}")
    patches = dimension(shapes, f"{EMBEDDINGS}position_embedding.weight", 0) - 1
    side = isqrt(patches)
    if side < 1 or side * side != patches:
        raise ArchitectureError(
            f"{EMBEDDINGS}position_embedding.weight is for {patches} patches and a class token: "
            "expected a square number of patches"
        )
    said = declared or {}
    return CLIPVisionConfig(
        width=width,
        layers=count(shapes, LAYERS),
        heads=_integer(said, "num_attention_heads", heads_of(width)),
        mlp=dimension(shapes, f"{LAYERS}0.mlp.fc1.weight", 0),
        size=side * patch,
        patch=patch,
        projection=dimension(shapes, PROJECTION, 0) if PROJECTION in shapes else None,
        activation=_activation(said, width),
        norm_eps=float(said.get("layer_norm_eps", 1e-5)),
    )


def heads_of(width: int) -> int:
    """The number of heads of the published encoders of a width."""
    return width // HEAD_WIDTH if width <= LARGEST_OPENAI else HEADS


def _activation(said: Mapping[str, Any], width: int) -> Activation:
    usual = "quick_gelu" if width <= LARGEST_OPENAI else "gelu"
    match said.get("hidden_act", usual):
        case "quick_gelu":
            return "quick_gelu"
        case "gelu":
            return "gelu"
        case other:
            raise ArchitectureError(
                f"config.json: hidden_act is {other!r}; expected quick_gelu or gelu"
            )


def _integer(said: Mapping[str, Any], name: str, usual: int) -> int:
    value = said.get(name, usual)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ArchitectureError(
            f"config.json: {name} is {value!r}; expected a positive whole number"
        )
    return value

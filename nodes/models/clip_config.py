"""The sizes and settings of a CLIP text encoder, and where they are read from.

Two families: "sd1" is OpenAI's CLIP ViT-L/14 (quick-GELU, padded with the end token, last layer),
"sd2" is OpenCLIP ViT-H/14 (GELU, padded with token 0, penultimate layer).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from .errors import ArchitectureError
from .shapes import Shapes, dimension

Activation = Literal["quick_gelu", "gelu"]
Family = Literal["sd1", "sd2"]

HEAD_WIDTH = 64  # of every CLIP text encoder OpenAI and OpenCLIP published
START_TOKEN, END_TOKEN = 49406, 49407
TRIMMED_LAYERS = 23  # diffusers stores SD 2's encoder without its unused 24th layer
LEGACY_END_TOKEN = 2  # what transformers wrote as eos_token_id before 4.31, whatever the vocabulary


@dataclass(frozen=True)
class CLIPConfig:
    """A CLIP text encoder: sizes, special tokens, and the hidden state it is used at.

    `default_skip` counts from the end of the `layers` present (-1: the last). `dropped_layers` is
    how many layers of the published network the checkpoint leaves out at the end, so that a user's
    clip skip means the same layer in every packaging of one network.
    """

    vocab: int
    width: int
    layers: int
    heads: int
    mlp: int
    positions: int = 77
    activation: Activation = "quick_gelu"
    pad_token: int = END_TOKEN
    start_token: int = START_TOKEN
    end_token: int = END_TOKEN
    default_skip: int = -1
    dropped_layers: int = 0
    projection: int | None = None
    norm_eps: float = 1e-5

    def __post_init__(self) -> None:
        if self.heads < 1 or self.width % self.heads:
            raise ArchitectureError(
                f"a text encoder of width {self.width} cannot have {self.heads} heads: "
                "the number of heads must divide the width"
            )
        if not -self.layers <= self.default_skip <= -1:
            raise ArchitectureError(
                f"a text encoder of {self.layers} layers has no hidden state {self.default_skip}"
            )


def config_from_shapes(
    shapes: Shapes, *, family: Family = "sd1", heads: int | None = None
) -> CLIPConfig:
    """Read the sizes off a checkpoint's tensor shapes, keys as in `CLIPText.state_dict()`.

    `heads` is the width over 64 unless given. Raises ArchitectureError naming the key that is
    missing or the shape that fits no CLIP text encoder.
    """
    tokens = "text_model.embeddings.token_embedding.weight"
    width = dimension(shapes, tokens, 1)
    layers = _count_layers(shapes)
    if heads is None and width % HEAD_WIDTH:
        raise ArchitectureError(
            f"the text encoder is {width} wide, which is no multiple of {HEAD_WIDTH}: "
            "its number of heads cannot be told from its shapes, so pass heads="
        )
    projection = "text_projection.weight"
    dropped = _dropped(layers, family)
    return CLIPConfig(
        vocab=dimension(shapes, tokens, 0),
        width=width,
        layers=layers,
        heads=width // HEAD_WIDTH if heads is None else heads,
        mlp=dimension(shapes, "text_model.encoder.layers.0.mlp.fc1.weight", 0),
        positions=dimension(shapes, "text_model.embeddings.position_embedding.weight", 0),
        activation="gelu" if family == "sd2" else "quick_gelu",
        pad_token=0 if family == "sd2" else END_TOKEN,
        default_skip=-2 if family == "sd2" and not dropped and layers > 1 else -1,
        dropped_layers=dropped,
        projection=dimension(shapes, projection, 0) if projection in shapes else None,
    )


def config_from_diffusers(config: Mapping[str, Any], *, pad_token: int | None = None) -> CLIPConfig:
    """Read `text_encoder/config.json` of a diffusers folder, whose last layer is the one used.

    The padding token is the tokenizer's business there: pass it as `pad_token` where it is known,
    or the family's (from the activation) is taken. Raises ArchitectureError naming the field.
    """
    activation = config.get("hidden_act", "quick_gelu")
    if activation not in ("quick_gelu", "gelu"):
        raise ArchitectureError(
            f"text_encoder/config.json: hidden_act is {activation!r}; expected quick_gelu or gelu"
        )
    family: Family = "sd2" if activation == "gelu" else "sd1"
    layers = _integer(config, "num_hidden_layers")
    projected = "CLIPTextModelWithProjection" in (config.get("architectures") or ())
    end_token = config.get("eos_token_id")
    return CLIPConfig(
        vocab=_integer(config, "vocab_size"),
        width=_integer(config, "hidden_size"),
        layers=layers,
        heads=_integer(config, "num_attention_heads"),
        mlp=_integer(config, "intermediate_size"),
        positions=_integer(config, "max_position_embeddings", 77),
        activation=activation,
        pad_token=(0 if family == "sd2" else END_TOKEN) if pad_token is None else pad_token,
        end_token=END_TOKEN if end_token in (None, LEGACY_END_TOKEN) else int(end_token),
        dropped_layers=_dropped(layers, family),
        projection=_integer(config, "projection_dim") if projected else None,
        norm_eps=float(config.get("layer_norm_eps", 1e-5)),
    )


def _dropped(layers: int, family: Family) -> int:
    return 1 if family == "sd2" and layers == TRIMMED_LAYERS else 0


def _count_layers(shapes: Shapes) -> int:
    matches = (re.match(r"text_model\.encoder\.layers\.(\d+)\.", key) for key in shapes)
    found = {int(match[1]) for match in matches if match}
    if missing := set(range(max(found, default=0) + 1)) - found:
        raise ArchitectureError(
            f"the text encoder has no layer {min(missing)} (text_model.encoder.layers."
            f"{min(missing)}.*): the file is incomplete"
        )
    return len(found)


def _integer(config: Mapping[str, Any], name: str, default: int | None = None) -> int:
    value = config.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ArchitectureError(
            f"text_encoder/config.json: {name} is {value!r}; expected a positive whole number"
        )
    return value

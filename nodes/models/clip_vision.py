"""CLIP's image encoder, a Vision Transformer (Dosovitskiy et al. 2020, arXiv:2010.11929; Radford et
al. 2021, arXiv:2103.00020, section 2.4).

A picture is cut into patches, each a token, and a class token stands before them; the layers are
those of the text encoder without its mask. B pictures of S x S pixels in patches of P, N = 1 +
(S / P)^2 tokens, D width, E the embedding. Parameter names are Hugging Face's
`CLIPVisionModelWithProjection` layout, `pre_layrnorm` included.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .clip import Layer
from .clip_vision_config import RGB, CLIPVisionConfig
from .errors import ArchitectureError


@dataclass(frozen=True)
class ImageFeatures:
    """`embedding` (B, E); the hidden states `last` and `penultimate` (B, N, D), before any norm."""

    embedding: Tensor
    last: Tensor
    penultimate: Tensor


class Embeddings(nn.Module):
    def __init__(self, config: CLIPVisionConfig) -> None:
        super().__init__()
        self.class_embedding = nn.Parameter(torch.zeros(config.width))
        self.patch_embedding = nn.Conv2d(
            RGB, config.width, config.patch, stride=config.patch, bias=False
        )
        self.position_embedding = nn.Embedding(config.tokens, config.width)

    def forward(self, pixels: Tensor) -> Tensor:
        patches = self.patch_embedding(pixels).flatten(2).transpose(1, 2)  # (B, N - 1, D)
        first = self.class_embedding.expand(len(pixels), 1, -1)
        return torch.cat([first, patches], dim=1) + self.position_embedding.weight


class Encoder(nn.Module):
    def __init__(self, config: CLIPVisionConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Layer(config, causal=False) for _ in range(config.layers))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The hidden states after the last layer and the one before; both (B, N, D)."""
        before = x
        for layer in self.layers:
            before, x = x, layer(x)
        return x, before


class Transformer(nn.Module):
    def __init__(self, config: CLIPVisionConfig) -> None:
        super().__init__()
        self.embeddings = Embeddings(config)
        self.pre_layrnorm = nn.LayerNorm(config.width, eps=config.norm_eps)
        self.encoder = Encoder(config)
        self.post_layernorm = nn.LayerNorm(config.width, eps=config.norm_eps)


class CLIPVision(nn.Module):
    """The image side of CLIP, with `visual_projection` where `config.projection` is set."""

    def __init__(self, config: CLIPVisionConfig) -> None:
        super().__init__()
        self.config = config
        self.vision_model = Transformer(config)
        if config.projection is not None:
            self.visual_projection = nn.Linear(config.width, config.projection, bias=False)

    def forward(self, pixels: Tensor) -> ImageFeatures:
        """Encode `pixels` (B, 3, S, S), normalised to CLIP's mean and deviation.

        The embedding is the class token after the last layer, normed, and projected where there is
        a projection. Raises ArchitectureError for pictures of another size.
        """
        side = self.config.size
        if pixels.shape[1:] != (RGB, side, side):
            raise ArchitectureError(
                f"pixels of shape {tuple(pixels.shape)}: this image encoder reads "
                f"(B, {RGB}, {side}, {side})"
            )
        model = self.vision_model
        last, before = model.encoder(model.pre_layrnorm(model.embeddings(pixels)))
        pooled = model.post_layernorm(last[:, 0])
        embedding = pooled if self.config.projection is None else self.visual_projection(pooled)
        return ImageFeatures(embedding, last, before)

"""CLIP's text transformer (Radford et al. 2021, arXiv:2103.00020, section 2.4).

Pre-norm layers x := x + attn(norm1(x)), x := x + mlp(norm2(x)) under a causal mask. Shapes:
B prompts, T tokens (77), D width. Parameter names are Hugging Face's `CLIPTextModel` layout,
which Stable Diffusion 1 single files carry below `cond_stage_model.transformer.`.

A `skip` counts hidden states from the end: -1 is the last layer's output, -2 the one before. Every
hidden state that leaves the network has passed the final layer norm.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from .clip_config import Activation, CLIPConfig
from .errors import ArchitectureError


@dataclass(frozen=True)
class TextFeatures:
    """`hidden` (B, T, D), `pooled` (B, D) or (B, projection), and what could not be honoured."""

    hidden: Tensor
    pooled: Tensor
    warnings: tuple[str, ...] = ()


class Sizes(Protocol):
    """What a layer has to know."""

    @property
    def width(self) -> int: ...
    @property
    def heads(self) -> int: ...
    @property
    def mlp(self) -> int: ...
    @property
    def activation(self) -> Activation: ...
    @property
    def norm_eps(self) -> float: ...


class QuickGELU(nn.Module):
    """x sigmoid(1.702 x): the approximation OpenAI's CLIP was trained with."""

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(1.702 * x)


class Embeddings(nn.Module):
    def __init__(self, config: CLIPConfig) -> None:
        super().__init__()
        self.token_embedding = nn.Embedding(config.vocab, config.width)
        self.position_embedding = nn.Embedding(config.positions, config.width)

    def forward(self, tokens: Tensor, vectors: Mapping[tuple[int, int], Tensor]) -> Tensor:
        x: Tensor = self.token_embedding(tokens)  # (B, T, D)
        for place, vector in vectors.items():
            x[place] = vector.to(x)
        return x + self.position_embedding.weight[: tokens.shape[1]]


class Attention(nn.Module):
    def __init__(self, config: Sizes, *, causal: bool) -> None:
        super().__init__()
        self.heads = config.heads
        self.causal = causal
        self.q_proj = nn.Linear(config.width, config.width)
        self.k_proj = nn.Linear(config.width, config.width)
        self.v_proj = nn.Linear(config.width, config.width)
        self.out_proj = nn.Linear(config.width, config.width)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (self._heads(project(x)) for project in (self.q_proj, self.k_proj, self.v_proj))
        mixed = scaled_dot_product_attention(
            q, k, v, is_causal=self.causal
        )  # (B, heads, T, D/heads)
        return self.out_proj(mixed.transpose(1, 2).flatten(2))

    def _heads(self, x: Tensor) -> Tensor:
        return x.reshape(*x.shape[:2], self.heads, -1).transpose(1, 2)  # (B, heads, T, D/heads)


class MLP(nn.Module):
    def __init__(self, config: Sizes) -> None:
        super().__init__()
        self.activation = QuickGELU() if config.activation == "quick_gelu" else nn.GELU()
        self.fc1 = nn.Linear(config.width, config.mlp)
        self.fc2 = nn.Linear(config.mlp, config.width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(self.activation(self.fc1(x)))


class Layer(nn.Module):
    """Of text and of pictures alike; where it is `causal`, a token sees those before it alone."""

    def __init__(self, config: Sizes, *, causal: bool = True) -> None:
        super().__init__()
        self.layer_norm1 = nn.LayerNorm(config.width, eps=config.norm_eps)
        self.self_attn = Attention(config, causal=causal)
        self.layer_norm2 = nn.LayerNorm(config.width, eps=config.norm_eps)
        self.mlp = MLP(config)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.self_attn(self.layer_norm1(x))
        return x + self.mlp(self.layer_norm2(x))


class Encoder(nn.Module):
    def __init__(self, config: CLIPConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.layers))

    def forward(self, x: Tensor, skip: int) -> tuple[Tensor, Tensor]:
        """The hidden state `skip` names, and the last one; both (B, T, D)."""
        chosen = x
        for number, layer in enumerate(self.layers):
            x = layer(x)
            if number == len(self.layers) + skip:
                chosen = x
        return chosen, x


class Transformer(nn.Module):
    def __init__(self, config: CLIPConfig) -> None:
        super().__init__()
        self.embeddings = Embeddings(config)
        self.encoder = Encoder(config)
        self.final_layer_norm = nn.LayerNorm(config.width, eps=config.norm_eps)


class CLIPText(nn.Module):
    """The text side of CLIP, with `text_projection` where `config.projection` is set."""

    def __init__(self, config: CLIPConfig) -> None:
        super().__init__()
        self.config = config
        self.text_model = Transformer(config)
        if config.projection is not None:
            self.text_projection = nn.Linear(config.width, config.projection, bias=False)

    def forward(
        self,
        tokens: Tensor,
        *,
        skip: int | None = None,
        vectors: Mapping[tuple[int, int], Tensor] | None = None,
    ) -> TextFeatures:
        """Encode `tokens`, integers (B, T) with T <= positions, to hidden (B, T, D) and pooled.

        `skip` is -1 (last layer) to -layers; None takes the config's. `vectors` replaces the
        embedding of single tokens, {(row, column): (D,)}, as textual inversion does (Gal et al.
        2022, arXiv:2208.01618). `pooled` is the last hidden state at each row's first end token,
        projected where there is a projection; a row without an end token pools its first token.
        Raises ArchitectureError for a skip or a length the network does not have.
        """
        config = self.config
        skip = config.default_skip if skip is None else skip
        if not -config.layers <= skip <= -1:
            raise ArchitectureError(
                f"clip skip is {skip}, but this text encoder has {config.layers} layers: "
                f"use -1 (the last layer) to -{config.layers}"
            )
        if tokens.shape[1] > config.positions:
            raise ArchitectureError(
                f"{tokens.shape[1]} tokens a row, but this text encoder has {config.positions} "
                "positions: split the prompt into chunks"
            )
        chosen, last = self.text_model.encoder(
            self.text_model.embeddings(tokens, vectors or {}), skip
        )
        norm = self.text_model.final_layer_norm
        return TextFeatures(hidden=norm(chosen), pooled=self._pool(norm(last), tokens))

    def _pool(self, last: Tensor, tokens: Tensor) -> Tensor:
        first_end = (tokens == self.config.end_token).int().argmax(dim=1)  # (B,)
        pooled = last[torch.arange(len(last), device=last.device), first_end]
        return pooled if self.config.projection is None else self.text_projection(pooled)

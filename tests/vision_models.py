"""Small image encoders of CLIP with seeded weights: transformers' own, and OpenAI's by hand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import CLIPVisionConfig as TheirConfig
from transformers import CLIPVisionModelWithProjection

from nodes.models.clip_vision_config import CLIPVisionConfig

QUICK = CLIPVisionConfig(
    width=128, layers=3, heads=2, mlp=256, size=28, patch=7, projection=48, activation="quick_gelu"
)
EXACT = CLIPVisionConfig(
    width=192, layers=2, heads=3, mlp=768, size=32, patch=16, projection=64, activation="gelu"
)


@dataclass(frozen=True)
class Seen:
    embedding: Tensor
    last: Tensor
    penultimate: Tensor


def seeded(module: nn.Module, seed: int = 3) -> Any:
    """Random weights and biases, all away from zero and one so that none can be left unused."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in module.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        fan_in = parameter[0].numel() if parameter.ndim > 1 else 1
        norm = ("norm" in name or "ln_" in name or "layrnorm" in name) and name.endswith("weight")
        parameter.data = noise * (0.2 if parameter.ndim < 2 else fan_in**-0.5) + (
            1.0 if norm else 0
        )
    return module.eval().requires_grad_(False)


def settings(config: CLIPVisionConfig) -> TheirConfig:
    """The same architecture, as transformers is told of it."""
    return TheirConfig(
        hidden_size=config.width,
        num_hidden_layers=config.layers,
        num_attention_heads=config.heads,
        intermediate_size=config.mlp,
        image_size=config.size,
        patch_size=config.patch,
        projection_dim=config.projection or config.width,
        hidden_act=config.activation,
    )


def huggingface(config: CLIPVisionConfig) -> CLIPVisionModelWithProjection:
    return seeded(CLIPVisionModelWithProjection(settings(config)))  # type: ignore[no-any-return]


def seen_by(model: CLIPVisionModelWithProjection, pixels: Tensor) -> Seen:
    """What transformers makes of pixels (B, 3, S, S)."""
    out = model(pixels, output_hidden_states=True)
    assert out.hidden_states is not None
    return Seen(out.image_embeds, out.last_hidden_state, out.hidden_states[-2])


def pixels(config: CLIPVisionConfig, count: int = 2, seed: int = 5) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, 3, config.size, config.size, generator=generator)


class Block(nn.Module):
    def __init__(self, config: CLIPVisionConfig) -> None:
        super().__init__()
        self.quick = config.activation == "quick_gelu"
        self.ln_1 = nn.LayerNorm(config.width)
        self.attn = nn.MultiheadAttention(config.width, config.heads, batch_first=True)
        self.ln_2 = nn.LayerNorm(config.width)
        self.mlp = nn.ModuleDict({"c_fc": nn.Linear(config.width, config.mlp)})
        self.mlp["c_proj"] = nn.Linear(config.mlp, config.width)

    def forward(self, x: Tensor) -> Tensor:
        y = self.ln_1(x)
        x = x + self.attn(y, y, y, need_weights=False)[0]
        z = self.mlp["c_fc"](self.ln_2(x))
        z = z * torch.sigmoid(1.702 * z) if self.quick else nn.functional.gelu(z)
        return x + self.mlp["c_proj"](z)


class OpenAI(nn.Module):
    """The image tower with OpenAI's and OpenCLIP's names, on torch's own attention."""

    def __init__(self, config: CLIPVisionConfig) -> None:
        super().__init__()
        width, patch = config.width, config.patch
        self.conv1 = nn.Conv2d(3, width, patch, stride=patch, bias=False)
        self.class_embedding = nn.Parameter(torch.empty(width))
        self.positional_embedding = nn.Parameter(torch.empty(config.tokens, width))
        self.ln_pre = nn.LayerNorm(width)
        blocks = [Block(config) for _ in range(config.layers)]
        self.transformer = nn.ModuleDict({"resblocks": nn.ModuleList(blocks)})
        self.ln_post = nn.LayerNorm(width)
        self.proj = nn.Parameter(torch.empty(width, config.projection or width))

    def forward(self, x: Tensor) -> Seen:
        patches = self.conv1(x).flatten(2).mT
        first = self.class_embedding.repeat(len(x), 1, 1)
        states = [self.ln_pre(torch.cat([first, patches], dim=1) + self.positional_embedding)]
        for block in self.transformer["resblocks"]:
            states.append(block(states[-1]))
        return Seen(self.ln_post(states[-1][:, 0]) @ self.proj, states[-1], states[-2])


def difference(actual: Tensor, expected: Tensor) -> float:
    """The largest difference as a share of the largest value."""
    assert actual.shape == expected.shape
    return ((actual - expected).abs().max() / expected.abs().max()).item()

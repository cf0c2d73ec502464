"""Latent diffusion's UNet: ε_θ(x_t, t, context).

Rombach et al. 2022 (arXiv:2112.10752), §3.3; the residual blocks are those of Dhariwal & Nichol
2021 (arXiv:2105.05233). Modules are named as in the original checkpoints, below
`model.diffusion_model.`, so a single-file checkpoint loads strictly.

B batch, C channels, h x w the latent grid, L = h w tokens, N context tokens of width D, H heads,
E width of the time embedding.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import (
    avg_pool2d,
    gelu,
    interpolate,
    linear,
    scaled_dot_product_attention,
)

from .control import Control
from .freeu import FreeU
from .layers import Pointwise, to_grid, to_tokens, zeroed
from .shapes import Shapes, require_equal, shapes_of
from .unet_config import GROUPS, Block, Part, UNetConfig, input_layout, output_layout
from .unet_shapes import infer_config

__all__ = ["Control", "UNet", "UNetConfig", "config_from_shapes", "timestep_embedding"]

Resize = Literal["up", "down"]

# Fewer tokens at a time would pack the weights too often, and more would spend a third of the
# feed-forward's time on fresh pages of memory for its wide activations.
CPU_ROWS = 1024


def timestep_embedding(t: Tensor, channels: int) -> Tensor:
    """[cos ω t, sin ω t], ω_i = 10000^(−2i/channels): t (B,) -> (B, channels), float32."""
    half = channels // 2
    i = torch.arange(half, dtype=torch.float32, device=t.device)
    angle = t.float()[:, None] * torch.exp(-math.log(10_000) * i / half)
    return torch.cat([angle.cos(), angle.sin()], dim=1)


class ResBlock(nn.Module):
    """x + conv(conv(x) + time), with an optional change of resolution or scale-shift norm."""

    def __init__(
        self, config: UNetConfig, c_in: int, c_out: int, resize: Resize | None = None
    ) -> None:
        super().__init__()
        self.resize: Resize | None = resize
        self.scale_shift = config.scale_shift_norm
        self.in_layers = nn.Sequential(
            nn.GroupNorm(GROUPS, c_in), nn.SiLU(inplace=True), nn.Conv2d(c_in, c_out, 3, padding=1)
        )
        c_time = 2 * c_out if self.scale_shift else c_out
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(config.time_channels, c_time))
        self.out_layers = nn.Sequential(
            nn.GroupNorm(GROUPS, c_out),
            nn.SiLU(inplace=True),
            nn.Identity(),  # dropout in the original: it keeps the convolution's index at 3
            zeroed(nn.Conv2d(c_out, c_out, 3, padding=1)),
        )
        self.skip_connection = nn.Conv2d(c_in, c_out, 1) if c_in != c_out else nn.Identity()

    def forward(self, x: Tensor, emb: Tensor, size: torch.Size | None = None) -> Tensor:
        """x (B, c_in, h, w), emb (B, E); `size` is (h, w) of the result where it upsamples."""
        norm, activation, conv = self.in_layers
        h = activation(norm(x))
        if self.resize is not None:
            h, x = _resized(h, self.resize, size), _resized(x, self.resize, size)
        h = conv(h)
        time = self.emb_layers(emb)[:, :, None, None]  # (B, c_out or 2 c_out, 1, 1)
        if self.scale_shift:
            scale, shift = time.chunk(2, dim=1)
            h = self.out_layers[1:](self.out_layers[0](h) * (1 + scale) + shift)
        else:
            h = self.out_layers(h + time)
        return self.skip_connection(x) + h


class Downsample(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.op = nn.Conv2d(channels, channels, 3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.op(x)


class Upsample(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor, size: torch.Size | None) -> Tensor:
        return self.conv(_resized(x, "up", size))


def _resized(x: Tensor, resize: Resize, size: torch.Size | None) -> Tensor:
    if resize == "down":
        return avg_pool2d(x, 2)
    return interpolate(x, size=size or [2 * n for n in x.shape[2:]], mode="nearest")


class CrossAttention(nn.Module):
    """softmax(Q K^T / sqrt(C/H)) V, Q from x and K, V from the context (or x itself)."""

    def __init__(self, channels: int, context_dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.to_q = nn.Linear(channels, channels, bias=False)
        self.to_k = nn.Linear(context_dim, channels, bias=False)
        self.to_v = nn.Linear(context_dim, channels, bias=False)
        self.to_out = nn.Sequential(nn.Linear(channels, channels))

    def forward(self, x: Tensor, context: Tensor, *, identity: bool = False) -> Tensor:
        """With `identity` each token attends to its own place of the context alone."""
        if identity:
            return self.to_out(self.to_v(context))
        q, k, v = self._split(self.to_q(x)), self._split(self.to_k(context)), self.to_v(context)
        out = scaled_dot_product_attention(q, k, self._split(v))  # (B, H, L, C/H)
        return self.to_out(out.transpose(1, 2).flatten(2))  # (B, L, C)

    def _split(self, x: Tensor) -> Tensor:
        return x.view(*x.shape[:2], self.heads, -1).transpose(1, 2)  # (B, L, C) -> (B, H, L, C/H)


class GEGLU(nn.Module):
    """(x W + b) * GELU(x V + c), both products as one (Shazeer 2020, arXiv:2002.05202)."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.proj = nn.Linear(c_in, 2 * c_out)

    def forward(self, x: Tensor) -> Tensor:
        x, gate = self.proj(x).chunk(2, dim=-1)
        return x * gelu(gate)


class FeedForward(nn.Module):
    """Each token on its own through a layer eight times as wide; on a CPU some rows at a time."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.net = nn.Sequential(
            GEGLU(channels, 4 * channels), nn.Identity(), nn.Linear(4 * channels, channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        rows = x.flatten(0, 1)  # (B, L, C) -> (B L, C)
        # where a gradient is wanted all activations stay, and parts would only be joined again
        if x.device.type != "cpu" or len(rows) <= CPU_ROWS or x.requires_grad:
            return self.net(x)
        return torch.cat([self.net(part) for part in torch.split(rows, CPU_ROWS)]).view(x.shape)


class TransformerBlock(nn.Module):
    """Self-attention, cross-attention, feed-forward; each normalised before and added after."""

    def __init__(self, channels: int, context_dim: int, heads: int) -> None:
        super().__init__()
        self.attn1 = CrossAttention(channels, channels, heads)
        self.attn2 = CrossAttention(channels, context_dim, heads)
        self.ff = FeedForward(channels)
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(channels) for _ in range(3))

    def forward(self, x: Tensor, context: Tensor, *, perturbed: bool = False) -> Tensor:
        normed = self.norm1(x)
        x = x + self.attn1(normed, normed, identity=perturbed)
        x = x + self.attn2(self.norm2(x), context)
        return x + self.ff(self.norm3(x))


class SpatialTransformer(nn.Module):
    """A transformer over the grid's cells that reads the context."""

    def __init__(self, config: UNetConfig, channels: int, depth: int, context_dim: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(GROUPS, channels, eps=1e-6)
        projection = nn.Linear if config.use_linear_projection else Pointwise
        self.proj_in = projection(channels, channels)
        heads = config.heads(channels)
        self.transformer_blocks = nn.ModuleList(
            TransformerBlock(channels, context_dim, heads) for _ in range(depth)
        )
        self.proj_out = zeroed(projection(channels, channels))

    def forward(self, x: Tensor, context: Tensor, *, perturbed: bool = False) -> Tensor:
        tokens = self.proj_in(to_tokens(self.norm(x)))  # (B, C, h, w) -> (B, L, C)
        for block in self.transformer_blocks:
            tokens = block(tokens, context, perturbed=perturbed)
        return x + to_grid(self.proj_out(tokens), x)  # (B, L, C) -> (B, C, h, w)


class TokenConv(nn.Conv1d):
    """A convolution of width 1 that is given tokens (B, L, C)."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__(c_in, c_out, 1)

    def forward(self, tokens: Tensor) -> Tensor:
        return linear(tokens, self.weight.flatten(1), self.bias)


class AttentionBlock(nn.Module):
    """Self-attention over the grid's cells, for networks without a context."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.GroupNorm(GROUPS, channels)
        self.qkv = TokenConv(channels, 3 * channels)
        self.proj_out = zeroed(TokenConv(channels, channels))

    def forward(self, x: Tensor, *, perturbed: bool = False) -> Tensor:
        qkv = self.qkv(to_tokens(self.norm(x)))  # (B, L, 3 C), each head's q, k and v together
        qkv = qkv.view(*qkv.shape[:2], self.heads, 3, -1).transpose(1, 2)  # (B, H, L, 3, C/H)
        q, k, v = qkv.unbind(3)
        out = v if perturbed else scaled_dot_product_attention(q, k, v)  # (B, H, L, C/H)
        return x + to_grid(self.proj_out(out.transpose(1, 2).flatten(2)), x)


class TimestepSequential(nn.Sequential):
    """Parts in order, each given what it reads besides x."""

    def forward(  # type: ignore[override]
        self,
        x: Tensor,
        emb: Tensor,
        context: Tensor | None,
        size: torch.Size | None = None,
        *,
        perturbed: bool = False,
    ) -> Tensor:
        for part in self:
            if isinstance(part, ResBlock):
                x = part(x, emb, size)
            elif isinstance(part, SpatialTransformer):
                x = part(x, context, perturbed=perturbed)
            elif isinstance(part, AttentionBlock):
                x = part(x, perturbed=perturbed)
            elif isinstance(part, Upsample):
                x = part(x, size)
            else:
                x = part(x)
        return x


def attention(config: UNetConfig, channels: int, depth: int) -> nn.Module:
    if config.context_dim is None:
        return AttentionBlock(channels, config.heads(channels))
    return SpatialTransformer(config, channels, depth, config.context_dim)


def block(config: UNetConfig, layout: Block) -> TimestepSequential:
    """One entry of input_blocks or output_blocks."""
    return TimestepSequential(*(_part(config, layout, part) for part in layout.parts))


def _part(config: UNetConfig, layout: Block, part: Part) -> nn.Module:
    c = layout.c_out
    match part:
        case "conv":
            return nn.Conv2d(layout.c_in, c, 3, padding=1)
        case "res":
            return ResBlock(config, layout.c_in, c)
        case "attention":
            return attention(config, c, config.transformer_depth[layout.level])
        case "down":
            return ResBlock(config, c, c, "down") if config.resblock_updown else Downsample(c)
        case "up":
            return ResBlock(config, c, c, "up") if config.resblock_updown else Upsample(c)


def middle_block(config: UNetConfig) -> TimestepSequential:
    """Two residual blocks around the deepest attention."""
    c = config.widths[-1]
    inner = [attention(config, c, config.middle_depth)] if config.middle_depth else []
    return TimestepSequential(ResBlock(config, c, c), *inner, ResBlock(config, c, c))


class UNet(nn.Module):
    """The network ε_θ (or v_θ, or one that also learns a variance: then out_channels is 2 C)."""

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        self.config = config
        c, e = config.model_channels, config.time_channels
        self.time_embed = mlp(c, e)
        if config.num_classes is not None:
            self.label_emb: nn.Module = nn.Embedding(config.num_classes, e)
        elif config.adm_channels is not None:
            self.label_emb = nn.Sequential(mlp(config.adm_channels, e))
        self.input_blocks = nn.ModuleList(block(config, b) for b in input_layout(config))
        self.middle_block = middle_block(config)
        self.output_blocks = nn.ModuleList(block(config, b) for b in output_layout(config))
        c_last = config.widths[0]
        self.out = nn.Sequential(
            nn.GroupNorm(GROUPS, c_last),
            nn.SiLU(inplace=True),
            zeroed(nn.Conv2d(c_last, config.out_channels, 3, padding=1)),
        )

    def forward(
        self,
        x: Tensor,
        t: Tensor,
        context: Tensor | None = None,
        y: Tensor | None = None,
        *,
        control: Control | None = None,
        freeu: Sequence[FreeU] = (),
        perturbed: bool = False,
    ) -> Tensor:
        """x (B, in, h, w), t (B,) in steps, context (B, N, D) -> (B, out, h, w).

        `y` is (B,) of class numbers, or (B, adm_channels). Any h and w will do. x, context and
        control have the parameters' dtype. `freeu`, one after the other, act on the way up;
        `perturbed` replaces the middle block's self-attention by the identity (perturbed-attention
        guidance, Ahn et al. 2024, arXiv:2403.17377). Raises ValueError where the network needs a
        context or y and gets none, or where `control` was made for another network.
        """
        _require_inputs(self.config, context, y)
        emb = self.embed(t, y, x.dtype)
        skips = []
        for block in self.input_blocks:
            x = block(x, emb, context)
            skips.append(x)
        x = self.middle_block(x, emb, context, perturbed=perturbed)
        if control is not None:
            x, skips = _controlled(x, skips, control)
        for block in self.output_blocks:
            skip = skips.pop()
            for change in freeu:
                x, skip = change(x, skip, self.config.model_channels)
            x = torch.cat([x, skip], dim=1)
            x = block(x, emb, context, skips[-1].shape[2:] if skips else None)
        return self.out(x)

    def embed(self, t: Tensor, y: Tensor | None, dtype: torch.dtype) -> Tensor:
        """t (B,), and y where there are classes -> (B, E), which the residual blocks read."""
        emb = self.time_embed(timestep_embedding(t, self.config.model_channels).to(dtype))
        if y is None:
            return emb
        return emb + self.label_emb(y if self.config.num_classes is not None else y.to(dtype))


def mlp(c_in: int, c_out: int) -> nn.Sequential:
    """What makes the time embedding of the sinusoidal one."""
    return nn.Sequential(nn.Linear(c_in, c_out), nn.SiLU(), nn.Linear(c_out, c_out))


def _require_inputs(config: UNetConfig, context: Tensor | None, y: Tensor | None) -> None:
    if config.context_dim is not None and context is None:
        raise ValueError(
            f"this UNet reads a context: give one of shape (B, N, {config.context_dim})"
        )
    if config.num_classes is not None and y is None:
        raise ValueError(f"this UNet has {config.num_classes} classes: give y of shape (B,)")
    if config.adm_channels is not None and y is None:
        raise ValueError(f"this UNet reads a vector: give y of shape (B, {config.adm_channels})")
    if y is not None and config.num_classes is None and config.adm_channels is None:
        raise ValueError("this UNet has no classes: leave y out")


def _controlled(x: Tensor, skips: list[Tensor], control: Control) -> tuple[Tensor, list[Tensor]]:
    if len(control.skips) != len(skips):
        raise ValueError(
            f"this UNet has {len(skips)} skip connections, but the control has "
            f"{len(control.skips)}: it belongs to another architecture"
        )
    if control.middle is not None:
        x = x + control.middle
    return x, [skip + extra for skip, extra in zip(skips, control.skips, strict=True)]


def config_from_shapes(
    shapes: Shapes, *, num_heads: int | None = None, head_channels: int | None = None
) -> UNetConfig:
    """The architecture of a UNet with tensors of these names (without prefix) and shapes.

    What shapes cannot show is the number of heads. Where neither argument gives it, the rule of
    the family decides: heads of 64 channels with linear projections (Stable Diffusion 2) or
    scale-shift norm (Dhariwal & Nichol), 8 heads with convolutional ones (Stable Diffusion 1),
    heads of 32 channels without a context (latent diffusion).
    Raises ArchitectureError naming the tensor that is missing, unknown or of the wrong shape.
    """
    config = infer_config(shapes, num_heads, head_channels)
    require_equal(shapes, shapes_of(lambda: UNet(config)))
    return config

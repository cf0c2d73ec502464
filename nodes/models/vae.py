"""Latent diffusion's autoencoder: pixels <-> latents (KL-regularised).

Rombach et al. 2022 (arXiv:2112.10752), §3.1 and appendix G, with the networks of Esser et al. 2021
(arXiv:2012.09841). Modules are named as in the original checkpoints, below
`first_stage_model.`, so a single-file checkpoint loads strictly.

B batch, C channels, H x W the picture, h x w = H/f x W/f the latent grid, f = `factor`, Z latent
channels. Latents here are not scaled to unit variance: that belongs to the diffusion model.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, pad, scaled_dot_product_attention, silu

from .errors import ArchitectureError
from .layers import Pointwise, to_grid, to_tokens
from .shapes import Shapes, count, dimension, require_equal, shapes_of

GROUPS, EPS = 32, 1e-6  # every GroupNorm of the family
PARTS = ("encoder.", "decoder.", "quant_conv.", "post_quant_conv.")


@dataclass(frozen=True)
class VAEConfig:
    """An autoencoder's architecture; level 0 is the finest.

    `embed_dim` is the latent's channels outside, `z_channels` those inside the two 1 x 1
    convolutions around it. Self-attention is always in the middle, and at `attention_levels`.
    Raises ArchitectureError where the numbers do not fit together.
    """

    channels: int = 128
    channel_mult: tuple[int, ...] = (1, 2, 4, 4)
    num_res_blocks: int = 2
    attention_levels: tuple[int, ...] = ()
    in_channels: int = 3
    out_channels: int = 3
    z_channels: int = 4
    embed_dim: int = 4

    def __post_init__(self) -> None:
        if not self.channel_mult or self.channels < GROUPS or self.channels % GROUPS:
            raise ArchitectureError(
                f"an autoencoder needs at least one level and a multiple of {GROUPS} channels, got "
                f"channel_mult {self.channel_mult} and {self.channels} channels"
            )
        sizes = (self.num_res_blocks, self.in_channels, self.out_channels)
        if min(*self.channel_mult, *sizes, self.z_channels, self.embed_dim) < 1:
            raise ArchitectureError("an autoencoder's blocks and channels count from 1 up")
        if any(not 0 <= level < len(self.channel_mult) for level in self.attention_levels):
            raise ArchitectureError(
                f"attention_levels {self.attention_levels} name levels beyond the "
                f"{len(self.channel_mult)} there are"
            )

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels at each level."""
        return tuple(mult * self.channels for mult in self.channel_mult)

    @property
    def factor(self) -> int:
        """Pixels per latent cell, along each side."""
        return 2 ** (len(self.channel_mult) - 1)


@dataclass(frozen=True)
class Posterior:
    """q(z | x) = N(mean, exp(logvar)), both (B, Z, h, w)."""

    mean: Tensor
    logvar: Tensor

    @property
    def mode(self) -> Tensor:
        return self.mean

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """z = mean + exp(logvar / 2) ε, ε drawn on the generator's device."""
        device = self.mean.device if generator is None else generator.device
        noise = torch.randn(
            self.mean.shape, generator=generator, device=device, dtype=self.mean.dtype
        )
        return self.mean + (self.logvar / 2).exp() * noise.to(self.mean.device)


class ResBlock(nn.Module):
    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(GROUPS, c_in, eps=EPS)
        self.conv1 = nn.Conv2d(c_in, c_out, 3, padding=1)
        self.norm2 = nn.GroupNorm(GROUPS, c_out, eps=EPS)
        self.conv2 = nn.Conv2d(c_out, c_out, 3, padding=1)
        self.nin_shortcut = nn.Conv2d(c_in, c_out, 1) if c_in != c_out else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv1(silu(self.norm1(x)))
        h = self.conv2(silu(self.norm2(h)))
        return self.nin_shortcut(x) + h


class Attention(nn.Module):
    """Self-attention over the grid's cells, with one head."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(GROUPS, channels, eps=EPS)
        self.q = Pointwise(channels, channels)
        self.k = Pointwise(channels, channels)
        self.v = Pointwise(channels, channels)
        self.proj_out = Pointwise(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        tokens = to_tokens(self.norm(x))  # (B, C, h, w) -> (B, h w, C)
        # The fused kernel takes a dimension of heads, and never holds the (h w) x (h w) weights.
        q, k, v = (part(tokens)[:, None] for part in (self.q, self.k, self.v))
        out = scaled_dot_product_attention(q, k, v)[:, 0]
        return x + to_grid(self.proj_out(out), x)


class Middle(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.block_1 = ResBlock(channels, channels)
        self.attn_1 = Attention(channels)
        self.block_2 = ResBlock(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.block_2(self.attn_1(self.block_1(x)))


class Downsample(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(pad(x, (0, 1, 0, 1)))  # padded at the right and the bottom alone


class Upsample(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(interpolate(x, scale_factor=2.0, mode="nearest"))


class Level(nn.Module):
    """Residual blocks at one resolution, each followed by attention where the level has it."""

    def __init__(self, c_in: int, c_out: int, blocks: int, attention: bool) -> None:
        super().__init__()
        self.block = nn.ModuleList(ResBlock(c_out if i else c_in, c_out) for i in range(blocks))
        self.attn = nn.ModuleList(Attention(c_out) for _ in range(blocks if attention else 0))

    def forward(self, x: Tensor) -> Tensor:
        for i, block in enumerate(self.block):
            x = block(x)
            if self.attn:
                x = self.attn[i](x)
        return x


class DownLevel(Level):
    def __init__(self, config: VAEConfig, level: int) -> None:
        c_in, c = config.widths[max(level - 1, 0)], config.widths[level]
        c_in = c_in if level else config.channels
        super().__init__(c_in, c, config.num_res_blocks, level in config.attention_levels)
        last = level == len(config.widths) - 1
        self.downsample = nn.Identity() if last else Downsample(c)

    def forward(self, x: Tensor) -> Tensor:
        return self.downsample(super().forward(x))


class UpLevel(Level):
    def __init__(self, config: VAEConfig, level: int) -> None:
        c_in, c = config.widths[min(level + 1, len(config.widths) - 1)], config.widths[level]
        super().__init__(c_in, c, config.num_res_blocks + 1, level in config.attention_levels)
        self.upsample = Upsample(c) if level else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.upsample(super().forward(x))


class Encoder(nn.Module):
    def __init__(self, config: VAEConfig) -> None:
        super().__init__()
        c = config.widths[-1]
        self.conv_in = nn.Conv2d(config.in_channels, config.channels, 3, padding=1)
        self.down = nn.ModuleList(DownLevel(config, i) for i in range(len(config.widths)))
        self.mid = Middle(c)
        self.norm_out = nn.GroupNorm(GROUPS, c, eps=EPS)
        self.conv_out = nn.Conv2d(c, 2 * config.z_channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv_in(x)
        for level in self.down:
            x = level(x)
        return self.conv_out(silu(self.norm_out(self.mid(x))))


class Decoder(nn.Module):
    def __init__(self, config: VAEConfig) -> None:
        super().__init__()
        c = config.widths[0]
        self.conv_in = nn.Conv2d(config.z_channels, config.widths[-1], 3, padding=1)
        self.mid = Middle(config.widths[-1])
        self.up = nn.ModuleList(UpLevel(config, i) for i in range(len(config.widths)))
        self.norm_out = nn.GroupNorm(GROUPS, c, eps=EPS)
        self.conv_out = nn.Conv2d(c, config.out_channels, 3, padding=1)

    def forward(self, z: Tensor) -> Tensor:
        x = self.mid(self.conv_in(z))
        for level in reversed(self.up):
            x = level(x)
        return self.conv_out(silu(self.norm_out(x)))


class VAE(nn.Module):
    """The autoencoder, whole."""

    def __init__(self, config: VAEConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)
        self.quant_conv = nn.Conv2d(2 * config.z_channels, 2 * config.embed_dim, 1)
        self.post_quant_conv = nn.Conv2d(config.embed_dim, config.z_channels, 1)

    @property
    def factor(self) -> int:
        """Pixels per latent cell, along each side."""
        return self.config.factor

    def encode(self, pixels: Tensor) -> Posterior:
        """(B, 3, H, W) in [-1, 1] -> q(z | pixels); H and W are cut down to multiples of f."""
        mean, logvar = self.quant_conv(self.encoder(pixels)).chunk(2, dim=1)
        return Posterior(mean, logvar.clamp(-30.0, 20.0))

    def decode(self, z: Tensor) -> Tensor:
        """(B, Z, h, w) -> pixels (B, 3, h f, w f), about [-1, 1] and not clamped."""
        return self.decoder(self.post_quant_conv(z))


def config_from_shapes(shapes: Shapes) -> VAEConfig:
    """The architecture of an autoencoder with tensors of these names (without prefix) and shapes.

    Tensors outside the autoencoder's own four parts (a training loss, an EMA copy) are passed
    over. Attention's projections may be stored as matrices (C, C), as some files have them; whoever
    loads such a file reshapes them to (C, C, 1, 1).
    Raises ArchitectureError naming the tensor that is missing, unknown or of the wrong shape.
    """
    own = {name: shape for name, shape in shapes.items() if name.startswith(PARTS)}
    config = _infer_config(own)
    expected = shapes_of(lambda: VAE(config))
    stored = {
        name: (*shape, 1, 1) if len(shape) == 2 and len(expected.get(name, ())) == 4 else shape
        for name, shape in own.items()
    }
    require_equal(stored, expected)
    return config


def _infer_config(shapes: Shapes) -> VAEConfig:
    base = dimension(shapes, "encoder.conv_in.weight", 0)
    levels = range(count(shapes, "encoder.down."))
    widths = [dimension(shapes, f"encoder.down.{i}.block.0.conv2.weight", 0) for i in levels]
    if bad := [width for width in widths if width % base]:
        raise ArchitectureError(
            f"a level of {bad[0]} channels is no multiple of the first's {base}"
        )
    return VAEConfig(
        channels=base,
        channel_mult=tuple(width // base for width in widths),
        num_res_blocks=count(shapes, "encoder.down.0.block."),
        attention_levels=tuple(i for i in levels if count(shapes, f"encoder.down.{i}.attn.")),
        in_channels=dimension(shapes, "encoder.conv_in.weight", 1),
        out_channels=dimension(shapes, "decoder.conv_out.weight", 0),
        z_channels=dimension(shapes, "decoder.conv_in.weight", 1),
        embed_dim=dimension(shapes, "post_quant_conv.weight", 1),
    )

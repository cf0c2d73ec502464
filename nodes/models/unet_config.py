"""What a UNet of latent diffusion is made of, and in which order.

The layout is that of latent diffusion's UNet (Rombach et al. 2022, arXiv:2112.10752; Dhariwal &
Nichol 2021, arXiv:2105.05233): `input_blocks` go down, `middle_block` stays, `output_blocks` come
back up and read one skip connection each. A level is one resolution; level 0 is the finest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .errors import ArchitectureError

GROUPS = 32  # every GroupNorm of the family

Part = Literal["conv", "res", "attention", "down", "up"]


@dataclass(frozen=True)
class UNetConfig:
    """A UNet's architecture.

    `num_res_blocks` and `transformer_depth` have one entry a level (depth 0: no attention there).
    `context_dim` is the width of the tokens cross-attention reads; None means an unconditional
    network whose attention is self-attention alone. Exactly one of `num_heads` (the same number
    everywhere) and `head_channels` (channels a head) is given. `num_classes` asks for a class
    embedding, `adm_channels` for a projected vector (unCLIP, SDXL). `scale_shift_norm` and
    `resblock_updown` are the pixel-space variants of Dhariwal & Nichol.

    Raises ArchitectureError where the numbers do not fit together.
    """

    in_channels: int
    out_channels: int
    model_channels: int
    channel_mult: tuple[int, ...]
    num_res_blocks: tuple[int, ...]
    transformer_depth: tuple[int, ...]
    middle_depth: int
    context_dim: int | None = None
    num_heads: int | None = None
    head_channels: int | None = None
    use_linear_projection: bool = False
    num_classes: int | None = None
    adm_channels: int | None = None
    scale_shift_norm: bool = False
    resblock_updown: bool = False

    def __post_init__(self) -> None:
        levels = len(self.channel_mult)
        if not levels or {len(self.num_res_blocks), len(self.transformer_depth)} != {levels}:
            raise ArchitectureError(
                "channel_mult, num_res_blocks and transformer_depth need one entry a level, got "
                f"{self.channel_mult}, {self.num_res_blocks} and {self.transformer_depth}"
            )
        if self.model_channels < GROUPS or self.model_channels % GROUPS:
            raise ArchitectureError(
                f"model_channels must be a multiple of {GROUPS}, got {self.model_channels}"
            )
        if min(*self.channel_mult, self.in_channels, self.out_channels) < 1:
            raise ArchitectureError("channel_mult, in_channels and out_channels count from 1 up")
        if (self.num_heads is None) == (self.head_channels is None):
            raise ArchitectureError("give either num_heads or head_channels, and not both")
        if self.num_classes is not None and self.adm_channels is not None:
            raise ArchitectureError("give num_classes or adm_channels, not both")
        if self.context_dim is None and max(*self.transformer_depth, self.middle_depth) > 1:
            raise ArchitectureError("without a context_dim every transformer_depth is 0 or 1")
        for channels in self._attending():
            self.heads(channels)

    def _attending(self) -> list[int]:
        found = [c for c, d in zip(self.widths, self.transformer_depth, strict=True) if d]
        return [*found, self.widths[-1]] if self.middle_depth else found

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels at each level."""
        return tuple(mult * self.model_channels for mult in self.channel_mult)

    @property
    def time_channels(self) -> int:
        """Width of the time embedding."""
        return 4 * self.model_channels

    @property
    def factor(self) -> int:
        """How many times smaller than the input the coarsest level is."""
        return 2 ** (len(self.channel_mult) - 1)

    def heads(self, channels: int) -> int:
        """Attention heads at a level of so many channels."""
        size = self.num_heads or self.head_channels or 0
        if size < 1 or channels % size:
            rule = f"{size} heads" if self.num_heads else f"heads of {size} channels"
            raise ArchitectureError(
                f"{rule} do not divide {channels} channels: give num_heads or head_channels"
            )
        return size if self.num_heads else channels // size


@dataclass(frozen=True)
class Block:
    """One entry of input_blocks or output_blocks: its parts, in order, at one level.

    A block that changes resolution counts to the level it leaves.
    """

    level: int
    c_in: int
    c_out: int
    parts: tuple[Part, ...]


def input_layout(config: UNetConfig) -> list[Block]:
    """The blocks of the way down. Each one's output is a skip connection."""
    c = config.model_channels
    blocks = [Block(0, config.in_channels, c, ("conv",))]
    for level, width in enumerate(config.widths):
        for _ in range(config.num_res_blocks[level]):
            blocks.append(Block(level, c, width, _res_parts(config, level)))
            c = width
        if level < len(config.widths) - 1:
            blocks.append(Block(level, c, c, ("down",)))
    return blocks


def skips_of(config: UNetConfig) -> tuple[tuple[int, int], ...]:
    """(channels, how often halved) of each skip connection, first to last."""
    return tuple((b.c_out, b.level + ("down" in b.parts)) for b in input_layout(config))


def output_layout(config: UNetConfig) -> list[Block]:
    """The blocks of the way up. Each reads its predecessor's output joined with one skip."""
    skips = [block.c_out for block in input_layout(config)]
    c = skips[-1]
    blocks = []
    for level in reversed(range(len(config.widths))):
        for i in range(config.num_res_blocks[level] + 1):
            last = i == config.num_res_blocks[level]
            up: tuple[Part, ...] = ("up",) if level and last else ()
            parts = _res_parts(config, level) + up
            blocks.append(Block(level, c + skips.pop(), config.widths[level], parts))
            c = config.widths[level]
    return blocks


def _res_parts(config: UNetConfig, level: int) -> tuple[Part, ...]:
    return ("res", "attention") if config.transformer_depth[level] else ("res",)

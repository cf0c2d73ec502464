"""Reading a UNet's configuration off the names and shapes of its tensors (names without prefix).

The way up tells everything: a block that ends in an upsampler ends its level, and a level has one
residual block more than on the way down.
"""

from __future__ import annotations

from dataclasses import dataclass

from .errors import ArchitectureError
from .shapes import Shapes, count, dimension, has
from .unet_config import UNetConfig


@dataclass(frozen=True)
class _Level:
    channels: int
    res_blocks: int
    depth: int


def infer_config(
    shapes: Shapes, num_heads: int | None = None, head_channels: int | None = None
) -> UNetConfig:
    """What `config_from_shapes` does, without comparing every tensor to the result."""
    base = dimension(shapes, "time_embed.0.weight", 1)
    levels = _levels(shapes)
    if bad := [level.channels for level in levels if level.channels % base]:
        raise ArchitectureError(
            f"a level of {bad[0]} channels is no multiple of the model's {base}"
        )
    context_dim = context_width(shapes)
    linear = linear_projection(shapes)
    scale_shift = _scale_shift(shapes)
    if num_heads is None and head_channels is None:
        num_heads, head_channels = family_heads(context_dim, linear, scale_shift)
    num_classes, adm_channels = _labels(shapes)
    return UNetConfig(
        in_channels=dimension(shapes, "input_blocks.0.0.weight", 1),
        out_channels=dimension(shapes, "out.2.weight", 0),
        model_channels=base,
        channel_mult=tuple(level.channels // base for level in levels),
        num_res_blocks=tuple(level.res_blocks for level in levels),
        transformer_depth=tuple(level.depth for level in levels),
        middle_depth=depth_of(shapes, "middle_block.1"),
        context_dim=context_dim,
        num_heads=num_heads,
        head_channels=head_channels,
        use_linear_projection=linear,
        num_classes=num_classes,
        adm_channels=adm_channels,
        scale_shift_norm=scale_shift,
        resblock_updown=_resblock_updown(shapes),
    )


def _labels(shapes: Shapes) -> tuple[int | None, int | None]:
    """(num_classes, adm_channels), of which at most one is there."""
    if has(shapes, "label_emb.0"):
        return None, dimension(shapes, "label_emb.0.0.weight", 1)
    if has(shapes, "label_emb"):
        return dimension(shapes, "label_emb.weight", 0), None
    return None, None


def _levels(shapes: Shapes) -> list[_Level]:
    """The levels, finest first."""
    levels: list[_Level] = []
    blocks = 0
    total = count(shapes, "output_blocks.")
    if not total:
        raise ArchitectureError("no tensor is named output_blocks.*: this is no UNet, or cut short")
    for i in range(total):
        name = f"output_blocks.{i}"
        blocks += 1
        if i == total - 1 or _upsampler(shapes, name):
            channels = dimension(shapes, f"{name}.0.out_layers.3.weight", 0)
            levels.append(_Level(channels, blocks - 1, depth_of(shapes, f"{name}.1")))
            blocks = 0
    return levels[::-1]


def _upsampler(shapes: Shapes, block: str) -> str | None:
    """What the block's upsampler is called, if it has one: a convolution or a residual block."""
    names = (f"{block}.{i}.{kind}" for i in (1, 2) for kind in ("conv", "in_layers"))
    return next((name for name in names if has(shapes, name)), None)


def depth_of(shapes: Shapes, attention: str) -> int:
    """How many transformer blocks the module `attention` has; 0 where there is no such module."""
    if has(shapes, f"{attention}.qkv"):
        return 1
    return count(shapes, f"{attention}.transformer_blocks.")


def context_width(shapes: Shapes) -> int | None:
    """How wide the tokens are that cross-attention reads; None without cross-attention."""
    names = (name for name in shapes if name.endswith(".attn2.to_k.weight"))
    name = next(names, None)
    return None if name is None else dimension(shapes, name, 1)


def linear_projection(shapes: Shapes) -> bool:
    """Whether the transformers project by matrices (Stable Diffusion 2), not by convolutions."""
    return any(n.endswith(".proj_in.weight") and len(shapes[n]) == 2 for n in shapes)


def _scale_shift(shapes: Shapes) -> bool:
    c_time = dimension(shapes, "middle_block.0.emb_layers.1.weight", 0)
    return c_time == 2 * dimension(shapes, "middle_block.0.out_layers.3.weight", 0)


def _resblock_updown(shapes: Shapes) -> bool:
    blocks = (f"output_blocks.{i}" for i in range(count(shapes, "output_blocks.")))
    return any((_upsampler(shapes, block) or "").endswith(".in_layers") for block in blocks)


def family_heads(
    context_dim: int | None, linear: bool, scale_shift: bool
) -> tuple[int | None, int | None]:
    """(num_heads, head_channels) by the family's rule; see `config_from_shapes`."""
    if linear or scale_shift:
        return None, 64
    return (None, 32) if context_dim is None else (8, None)

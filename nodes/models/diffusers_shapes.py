"""Architectures of single files in diffusers' names, which come without their config.json."""

from __future__ import annotations

from .shapes import Shapes, count, dimension
from .unet_config import UNetConfig
from .vae import VAEConfig


def unet_config(shapes: Shapes) -> UNetConfig:
    """A UNet2DConditionModel's; heads by the family's rule, as for the original layout.

    Raises ArchitectureError naming a tensor that is missing.
    """
    base = dimension(shapes, "conv_in.weight", 0)
    down = [f"down_blocks.{level}" for level in range(count(shapes, "down_blocks."))]
    linear = len(shapes.get("mid_block.attentions.0.proj_in.weight", ())) == 2
    context = "mid_block.attentions.0.transformer_blocks.0.attn2.to_k.weight"
    vectors = [f"{name}.linear_1.weight" for name in ("class_embedding", "add_embedding")]
    return UNetConfig(
        in_channels=dimension(shapes, "conv_in.weight", 1),
        out_channels=dimension(shapes, "conv_out.weight", 0),
        model_channels=base,
        channel_mult=_multiples(shapes, down, base),
        num_res_blocks=tuple(count(shapes, f"{name}.resnets.") for name in down),
        transformer_depth=tuple(
            count(shapes, f"{name}.attentions.0.transformer_blocks.") for name in down
        ),
        middle_depth=count(shapes, "mid_block.attentions.0.transformer_blocks."),
        context_dim=dimension(shapes, context, 1),
        num_heads=None if linear else 8,
        head_channels=64 if linear else None,
        use_linear_projection=linear,
        adm_channels=next((shapes[name][1] for name in vectors if name in shapes), None),
    )


def vae_config(shapes: Shapes) -> VAEConfig:
    """An AutoencoderKL's. Raises ArchitectureError naming a tensor that is missing."""
    base = dimension(shapes, "encoder.conv_in.weight", 0)
    down = [f"encoder.down_blocks.{i}" for i in range(count(shapes, "encoder.down_blocks."))]
    return VAEConfig(
        channels=base,
        channel_mult=_multiples(shapes, down, base),
        num_res_blocks=count(shapes, "encoder.down_blocks.0.resnets."),
        attention_levels=tuple(
            level for level, name in enumerate(down) if count(shapes, f"{name}.attentions.")
        ),
        in_channels=dimension(shapes, "encoder.conv_in.weight", 1),
        out_channels=dimension(shapes, "decoder.conv_out.weight", 0),
        z_channels=dimension(shapes, "decoder.conv_in.weight", 1),
        embed_dim=dimension(shapes, "post_quant_conv.weight", 1),
    )


def _multiples(shapes: Shapes, levels: list[str], base: int) -> tuple[int, ...]:
    widths = [dimension(shapes, f"{name}.resnets.0.conv2.weight", 0) for name in levels]
    return tuple(width // base for width in widths)

"""The sizes of published models: Stable Diffusion's UNets and the text encoders they read."""

from dataclasses import replace

from nodes.models.clip_config import CLIPConfig
from nodes.models.unet_config import UNetConfig

SD1_UNET = UNetConfig(
    4, 4, 320, (1, 2, 4, 4), (2, 2, 2, 2), (1, 1, 1, 0), 1, context_dim=768, num_heads=8
)
SD2_UNET = replace(
    SD1_UNET, context_dim=1024, num_heads=None, head_channels=64, use_linear_projection=True
)
SDXL_UNET = UNetConfig(
    4,
    4,
    320,
    (1, 2, 4),
    (2, 2, 2),
    (0, 2, 10),
    10,
    context_dim=2048,
    head_channels=64,
    use_linear_projection=True,
    adm_channels=2816,
)
CLIP_L = CLIPConfig(vocab=49408, width=768, layers=12, heads=12, mlp=3072)
OPENCLIP_H = CLIPConfig(
    vocab=49408,
    width=1024,
    layers=24,
    heads=16,
    mlp=4096,
    activation="gelu",
    pad_token=0,
    default_skip=-2,
)

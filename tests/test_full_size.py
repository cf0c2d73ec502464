"""The published sizes of Stable Diffusion 1.5 and 2.1 against diffusers and transformers.

Slow (gigabytes of random weights): `make test-slow`. The suite has the same at reduced width.
"""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from published_sizes import CLIP_L, OPENCLIP_H, SD1_UNET, SD2_UNET
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel

from nodes.models import keys_unet, keys_vae
from nodes.models.blank import blank
from nodes.models.clip import CLIPText
from nodes.models.clip_config import CLIPConfig
from nodes.models.keys_clip import from_openclip, to_openclip
from nodes.models.unet import UNet
from nodes.models.unet_config import UNetConfig
from nodes.models.vae import VAE, VAEConfig

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

RELATIVE = 1e-4
DIFFUSERS: dict[str, Any] = {"block_out_channels": (320, 640, 1280, 1280)}
DIFFUSERS_SD15 = {**DIFFUSERS, "cross_attention_dim": 768, "attention_head_dim": 8}
DIFFUSERS_SD21 = {
    **DIFFUSERS,
    "cross_attention_dim": 1024,
    "attention_head_dim": (5, 10, 20, 20),
    "use_linear_projection": True,
}


def seeded(module: nn.Module) -> nn.Module:
    """Random weights that keep activations near one."""
    module = module.to_empty(device="cpu").eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(0)
    for name, parameter in module.named_parameters():
        parameter.normal_(generator=generator)
        if parameter.ndim == 1:
            parameter.mul_(0.1).add_(1.0 if name.endswith("weight") else 0.0)
        else:
            parameter.mul_(1 / math.sqrt(parameter[0].numel()))
    return module


def assert_near(actual: Tensor, expected: Tensor) -> None:
    difference = ((actual - expected).abs().max() / expected.abs().max()).item()
    print(f"\nlargest difference: {difference:.1e} of the output's scale")
    assert difference <= RELATIVE


@pytest.mark.parametrize(
    ("config", "options"),
    [(SD1_UNET, DIFFUSERS_SD15), (SD2_UNET, DIFFUSERS_SD21)],
    ids=["sd15", "sd21"],
)
@torch.no_grad()
def test_a_full_size_unet_equals_that_of_diffusers(
    config: UNetConfig, options: dict[str, Any]
) -> None:
    with blank():
        ours = UNet(config)
    ours = seeded(ours)
    with torch.device("meta"):
        peer = UNet2DConditionModel(**options)
    shapes = {name: tensor.shape for name, tensor in peer.state_dict().items()}
    weights = ours.state_dict()
    names = keys_unet.to_diffusers(config)
    peer.load_state_dict(
        {theirs: weights[own].reshape(shapes[theirs]) for own, theirs in names.items()}, assign=True
    )
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(2, 4, 64, 64, generator=generator)
    tokens = torch.randn(2, 77, config.context_dim or 0, generator=generator)
    t = torch.tensor([10.0, 900.0])

    assert_near(ours(x, t, tokens), peer.eval()(x, t, tokens).sample)


@torch.no_grad()
def test_a_full_size_vae_equals_that_of_diffusers() -> None:
    config = VAEConfig()
    with blank():
        ours = VAE(config)
    ours = seeded(ours)
    peer = AutoencoderKL(
        block_out_channels=config.widths,
        layers_per_block=config.num_res_blocks,
        latent_channels=config.z_channels,
        down_block_types=["DownEncoderBlock2D"] * 4,
        up_block_types=["UpDecoderBlock2D"] * 4,
    ).eval()
    weights, shapes = ours.state_dict(), peer.state_dict()
    names = keys_vae.to_diffusers(config)
    peer.load_state_dict({p: weights[o].reshape(shapes[p].shape) for o, p in names.items()})
    generator = torch.Generator().manual_seed(1)
    pixels = torch.rand(1, 3, 256, 256, generator=generator) * 2 - 1
    z = torch.randn(1, 4, 64, 64, generator=generator)

    assert_near(ours.encode(pixels).mean, peer.encode(pixels).latent_dist.mean)
    assert_near(ours.decode(z), peer.decode(z).sample)


@pytest.mark.parametrize("config", [CLIP_L, OPENCLIP_H], ids=["clip-l", "openclip-h"])
@torch.no_grad()
def test_a_full_size_text_encoder_equals_that_of_transformers(config: CLIPConfig) -> None:
    with blank():
        ours = CLIPText(config)
    ours = seeded(ours)
    peer = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=config.vocab,
            hidden_size=config.width,
            intermediate_size=config.mlp,
            num_hidden_layers=config.layers,
            num_attention_heads=config.heads,
            hidden_act=config.activation,
        )
    ).eval()
    state = ours.state_dict()
    if not any(name.startswith("text_model.") for name in peer.state_dict()):
        state = {name.removeprefix("text_model."): tensor for name, tensor in state.items()}
    peer.load_state_dict(state)
    tokens = torch.randint(0, 49000, (1, 77), generator=torch.Generator().manual_seed(1))
    tokens[:, 0], tokens[:, -1] = 49406, 49407

    result = ours(tokens, skip=-2).hidden
    states = peer(tokens, output_hidden_states=True).hidden_states
    norm = peer.get_submodule(
        "text_model.final_layer_norm" if hasattr(peer, "text_model") else "final_layer_norm"
    )

    assert_near(result, norm(states[-2]))


def test_a_full_size_openclip_survives_its_own_layout() -> None:
    with blank():
        ours = seeded(CLIPText(OPENCLIP_H))
    state = ours.state_dict()

    back = from_openclip(to_openclip(state))

    assert back.keys() == state.keys()
    assert all(torch.equal(back[name], tensor) for name, tensor in state.items())

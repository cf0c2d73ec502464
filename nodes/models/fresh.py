"""Untrained networks, as a function of their architecture and a seed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from .clip import CLIPText
from .clip_config import CLIPConfig
from .unet import UNet
from .unet_config import UNetConfig
from .vae import VAE, VAEConfig


def fresh_unet(config: UNetConfig, seed: int) -> UNet:
    """PyTorch's initial weights; what the paper starts at zero is zero (its last convolutions)."""
    with _seeded(seed):
        return UNet(config)


def fresh_vae(config: VAEConfig, seed: int) -> VAE:
    with _seeded(seed):
        return VAE(config)


def fresh_text(config: CLIPConfig, seed: int) -> CLIPText:
    """CLIP's initial weights (arXiv:2103.00020, github.com/openai/CLIP).

    Embeddings N(0, 0.02²) and N(0, 0.01²); attention N(0, 1/D), its output and the MLP's thinner
    by √(2 layers); biases 0.
    """
    with _seeded(seed):
        text = CLIPText(config)
        width, thin = config.width**-0.5, (2 * config.layers) ** -0.5
        embeddings = text.text_model.embeddings
        nn.init.normal_(embeddings.token_embedding.weight, std=0.02)
        nn.init.normal_(embeddings.position_embedding.weight, std=0.01)
        for layer in text.text_model.encoder.layers:
            deviations = {
                "q_proj": width,
                "k_proj": width,
                "v_proj": width,
                "out_proj": width * thin,
                "fc1": (2 * config.width) ** -0.5,
                "fc2": width * thin,
            }
            for name, module in layer.named_modules():
                deviation = deviations.get(name.rpartition(".")[2])
                if deviation is not None and isinstance(module, nn.Linear):
                    nn.init.normal_(module.weight, std=deviation)
                    nn.init.zeros_(module.bias)
        return text


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """torch's own generator, seeded for the time of a block, then as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield

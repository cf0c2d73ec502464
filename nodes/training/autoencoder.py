"""The autoencoder of latent diffusion (arXiv:2112.10752, §3.1, KL-regularised).

    L = w_1 |x − D(z)| + w_2 (x − D(z))² + w_KL KL(q(z | x) ‖ N(0, I)),   z ~ q(z | x)

each a mean over its own numbers: pixels, or the latent's. x (B, 3, H, W) in [−1, 1].
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from nodes.models.vae import VAE, Posterior
from nodes.training.chance import Chance
from nodes.training.order import Order

SCALE = 0.18215  # Stable Diffusion's: latents times this have about unit variance


class Batches(Protocol):
    """Something that gives a batch for the numbers of its examples."""

    def batch(self, examples: tuple[int, ...], chance: Chance) -> Tensor: ...


@dataclass(frozen=True)
class AutoencoderWeights:
    """How much each term of the loss counts."""

    absolute: float = 1.0
    squared: float = 1.0
    kl: float = 1e-4


@dataclass(frozen=True, eq=False)
class AutoencoderLesson:
    """Learns to give back the pictures of `pixels`, (B, 3, H, W) in [−1, 1]."""

    vae: VAE
    pixels: Batches
    order: Order
    weights: AutoencoderWeights = AutoencoderWeights()
    device: str = "cpu"

    @property
    def modules(self) -> Mapping[str, nn.Module]:
        return {"vae": self.vae}

    def loss(self, examples: tuple[int, ...], chance: Chance) -> tuple[Tensor, dict[str, Tensor]]:
        x = self.pixels.batch(examples, chance).to(self.device)
        posterior = self.vae.encode(x)
        error = x - self.vae.decode(drawn(posterior, chance))
        absolute, squared, kl = error.abs().mean(), error.square().mean(), divergence(posterior)
        use = self.weights
        total = use.absolute * absolute + use.squared * squared + use.kl * kl
        return total, {"squared": squared.detach(), "kl": kl.detach()}


def drawn(posterior: Posterior, chance: Chance) -> Tensor:
    """z = μ + σ ε, ε a function of chance."""
    return posterior.sample(chance.generator("posterior"))


def divergence(posterior: Posterior) -> Tensor:
    """KL(N(μ, σ²) ‖ N(0, 1)) = ½ (μ² + σ² − 1 − log σ²), its mean over the latent's numbers."""
    mean, logvar = posterior.mean.float(), posterior.logvar.float()
    return (mean.square() + logvar.exp() - 1 - logvar).mean() / 2


@torch.no_grad()
def spread(vae: VAE, pictures: Iterable[Tensor]) -> float:
    """The standard deviation of all latents' means, about 0 as a diffusion model sees them."""
    total, count = 0.0, 0
    for x in pictures:
        mean = vae.encode(x).mean.double()
        total, count = total + float(mean.square().sum()), count + mean.numel()
    if count == 0:
        raise ValueError("pictures: expected at least one batch, got none")
    return float((total / count) ** 0.5)


@torch.no_grad()
def fold_scale(vae: VAE, deviation: float, scale: float = SCALE) -> None:
    """Make latents whose deviation is `deviation` have 1/scale instead; pictures stay the same.

    z' = k z with k = 1/(deviation scale): the encoder's last convolution gives k μ and
    log σ² + 2 log k, the decoder's first takes z'/k.
    """
    if not deviation > 0:
        raise ValueError(f"deviation: expected a value above 0, got {deviation}")
    k = 1 / (deviation * scale)
    channels = vae.config.embed_dim
    quant, post = vae.quant_conv, vae.post_quant_conv
    assert quant.bias is not None
    quant.weight[:channels] *= k
    quant.bias[:channels] *= k
    quant.bias[channels:] += 2 * torch.tensor(k).log()
    post.weight /= k

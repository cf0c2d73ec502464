"""Nodes that say how good a trained network is, in figures: on pictures it has not seen."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Annotated, Literal, NamedTuple

import torch
from torch import Tensor

from nodegraph import OPTIONAL, Context, NodeGraphError, Number, Seed, Shown, Tip, node
from nodes.imaging.files import decode
from nodes.models.unet import UNet
from nodes.models.vae import VAE
from nodes.training.chance import Chance
from nodes.training.curve import loss_by_time_picture
from nodes.training.dataset import Dataset
from nodes.training.diffusion import DiffusionLesson, loss_by_time
from nodes.training.figures import psnr, ssim
from nodes.training.order import Order
from nodes.training.pixels import Pixels
from nodes.training.simple_loss import SimpleLoss
from nodes.training.variational import Bound, bits_per_dimension
from nodes.training_classes import labels_of
from nodes.training_conditions import Tellers
from nodes.training_parts import framing_of, latents_of, network_of
from nodes.types import Clip, ConditionEncoder, Image, Model, Vae

CATEGORY = "training/evaluation"

Resolution = Annotated[int, Number(min=16, max=4096, step=8), Tip("side of the pictures, pixels")]
Pictures = Annotated[int, Number(min=1, max=1_000_000), Tip("how many, chosen by the seed")]
Batch = Annotated[int, Number(min=1, max=4096), Tip("pictures at once")]
Chosen = Annotated[int, Seed()]
Text = Annotated[Clip | None, OPTIONAL, Tip("for a model that reads captions")]
Encoder = Annotated[ConditionEncoder | None, OPTIONAL, Tip("as it was trained with the model")]
Reads = Annotated[str, Tip("what the encoder is shown; empty: as its kind says")]


class Bits(NamedTuple):
    bits: float
    report: str
    shown: Shown


@node("BitsPerDimension", category=CATEGORY, display_name="Bits per Dimension")
def bits_of_model(
    model: Model,
    dataset: Dataset,
    resolution: Resolution = 64,
    count: Pictures = 16,
    batch: Batch = 16,
    variance: Annotated[
        Literal["beta_tilde", "beta"], Tip("of a model that has not learned one")
    ] = "beta_tilde",
    seed: Chosen = 0,
    reads: Reads = "",
    *,
    clip: Text = None,
    encoder: Encoder = None,
    context: Context,
) -> Bits:
    """The variational bound on −log₂ p of pictures, for each of their numbers (DDPM, table 1).

    Of a model that works on pixels. It is asked about every time of its schedule.
    """
    if model.channels != 3 or model.factor != 1:
        raise NodeGraphError("bits per dimension are those of pixels: this model makes latents")
    chosen = dataset.sample(count, seed)
    lesson = _lesson(model, chosen, resolution, None, Tellers(clip, encoder, reads), context)
    T = lesson.objective.T
    batches = list(_batches(len(chosen), batch))
    done = iter(range(1, T * len(batches) + 1))
    found: list[Bound] = []
    for number, examples in enumerate(batches):
        chance = Chance(seed, (number,))
        x_0 = lesson.data.batch(examples, chance).to(context.device)
        network = _counted(
            lesson.network(examples, chance),
            lambda: context.progress(next(done), T * len(batches), "asking the network"),
        )
        found.append(bits_per_dimension(network, model.sampling, x_0, chance, variance))
    terms, prior = torch.cat([b.terms for b in found]), torch.cat([b.prior for b in found])
    bits = Bound(terms, prior).total.mean().item()
    said = (
        f"{bits:.4f} bits per dimension, of {len(chosen)} pictures of {dataset.name!r}\n"
        f"L_0: {terms[:, 0].mean().item():.4f}\n"
        f"L_1 to L_(T-1): {terms[:, 1:].sum(1).mean().item():.4f}\n"
        f"L_T: {prior.mean().item():.6f}"
    )
    return Bits(bits, said, Shown(values={"text": [said]}))


class TimedLoss(NamedTuple):
    loss: float
    report: str
    curve: Image
    shown: Shown


@node("ValidationLoss", category=CATEGORY, display_name="Validation Loss")
def validation_loss(
    model: Model,
    dataset: Dataset,
    resolution: Resolution = 64,
    count: Pictures = 64,
    batch: Batch = 16,
    parts: Annotated[int, Number(min=1, max=100), Tip("equal parts of the times")] = 10,
    seed: Chosen = 0,
    reads: Reads = "",
    *,
    vae: Annotated[Vae | None, OPTIONAL, Tip("for a model that works on latents")] = None,
    clip: Text = None,
    encoder: Encoder = None,
    context: Context,
) -> TimedLoss:
    """L_simple of a model by time, with every condition shown: on pictures set aside, the same
    noise for each model that is compared."""
    chosen = dataset.sample(count, seed)
    lesson = _lesson(model, chosen, resolution, vae, Tellers(clip, encoder, reads), context)
    batches = list(_batches(len(chosen), batch))
    sums = torch.zeros(parts)
    for number, examples in enumerate(batches):
        chance = Chance(seed, (number,))
        found = torch.tensor(loss_by_time(lesson, examples, parts, chance))
        sums += found * len(examples) / len(chosen)
        context.progress(number + 1, len(batches), "asking the network")
    losses, loss = sums.tolist(), sums.mean().item()
    times = lesson.objective.T // parts
    said = "\n".join(
        [
            f"{loss:.5f} over all times, of {len(chosen)} pictures of {dataset.name!r}",
            *(
                f"times {part * times} to {(part + 1) * times - 1}: {value:.5f}"
                for part, value in enumerate(losses)
            ),
        ]
    )
    return TimedLoss(loss, said, _curve(losses, times * parts), Shown(values={"text": [said]}))


class Likeness(NamedTuple):
    psnr: float
    ssim: float
    report: str
    shown: Shown


@node("AutoencoderFigures", category=CATEGORY, display_name="Autoencoder Figures")
def autoencoder_figures(
    vae: Vae,
    dataset: Dataset,
    resolution: Resolution = 64,
    count: Pictures = 64,
    batch: Batch = 16,
    seed: Chosen = 0,
    *,
    context: Context,
) -> Likeness:
    """How well pictures come back from an autoencoder: PSNR in dB and SSIM, means over pictures."""
    if vae.source is None:
        raise NodeGraphError(
            "pixel_space gives every picture back as it is: connect an autoencoder"
        )
    chosen = dataset.sample(count, seed)
    network = network_of(vae.source, VAE, context, learns=False)
    pixels = Pixels(chosen, framing_of(resolution, "square", "center", 0.0))
    found: list[Tensor] = []
    for examples in _batches(len(chosen), batch):
        x = pixels.batch(examples, Chance(seed)).to(context.device)
        with torch.no_grad():
            back = network.decode(network.encode(x).mean)
        x, back = (x + 1) / 2, (back.clamp(-1, 1) + 1) / 2
        found.append(torch.stack([psnr(x, back), ssim(x, back)]).cpu())
        context.progress(sum(f.shape[1] for f in found), len(chosen))
    decibels, likeness = torch.cat(found, dim=1).mean(1).tolist()
    said = (
        f"PSNR {decibels:.2f} dB, SSIM {likeness:.4f}: {len(chosen)} pictures of {dataset.name!r}"
    )
    return Likeness(decibels, likeness, said, Shown(values={"text": [said]}))


def _lesson(
    model: Model,
    dataset: Dataset,
    resolution: int,
    vae: Vae | None,
    tellers: Tellers,
    context: Context,
) -> DiffusionLesson:
    """What a model was taught, in the middle of each picture, nothing dropped."""
    framing = framing_of(resolution, "square", "center", 0.0)
    data = latents_of(dataset, framing, vae or Vae(None, 1, model.channels), context)
    unet = network_of(model.source, UNet, context, learns=False)
    return DiffusionLesson(
        unet=unet,
        data=data,
        order=Order.over(len(dataset), 1, 0),
        objective=SimpleLoss(model.sampling),
        trained={},
        condition=tellers.told(model, dataset, data, context).condition,
        drop=0.0,
        scale=model.scale,
        device=context.device,
        labels=labels_of(model, dataset, 0.0, context),
    )


def _batches(count: int, batch: int) -> Iterator[tuple[int, ...]]:
    for start in range(0, count, batch):
        yield tuple(range(start, min(start + batch, count)))


def _counted(
    network: Callable[[Tensor, Tensor], Tensor], tell: Callable[[], None]
) -> Callable[[Tensor, Tensor], Tensor]:
    """The network, which tells of each time that it is asked."""

    def asked(x_t: Tensor, t: Tensor) -> Tensor:
        tell()
        return network(x_t, t)

    return asked


def _curve(losses: list[float], T: int) -> Image:
    try:
        return Image(decode(loss_by_time_picture(losses, T)).image)
    except ImportError as fault:
        raise NodeGraphError("the picture of the loss needs matplotlib: pip install it") from fault

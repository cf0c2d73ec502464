"""A training step of the embedded UNet's shape (7.2 M parameters): ours against diffusers.

Batch 32, latents of 16 x 16, 77 tokens known beforehand, float32. Ours is a step of the trainer as
TrainDiffusion runs it: batch, noise, gradient, clipping, AdamW, moving average. The other is the
loop of diffusers' training examples with the same parts. Both have the same threads and take turns.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import mse_loss

from nodes.diffusion.prediction import ModelSampling
from nodes.diffusion.schedule import NoiseSchedule, scaled_linear
from nodes.models.fresh import fresh_unet
from nodes.models.unet_config import UNetConfig
from nodes.training.chance import Chance
from nodes.training.conditioning import Fixed
from nodes.training.diffusion import DiffusionLesson
from nodes.training.loop import Trainer
from nodes.training.order import Order
from nodes.training.recipe import Recipe
from nodes.training.simple_loss import SimpleLoss
from nodes.training.state import RunFolder

from .measure import in_turn, medians, table

ROUNDS, BATCH, SIDE, TOKENS, WIDTH, EXAMPLES = 7, 32, 16, 77, 192, 256
SHAPE = UNetConfig(
    in_channels=4,
    out_channels=4,
    model_channels=64,
    channel_mult=(1, 2, 2),
    num_res_blocks=(1, 1, 1),
    transformer_depth=(1, 1, 1),
    middle_depth=1,
    context_dim=WIDTH,
    num_heads=8,
)
DIFFUSERS: dict[str, Any] = {
    "sample_size": SIDE,
    "cross_attention_dim": WIDTH,
    "attention_head_dim": 8,
    "block_out_channels": (64, 128, 128),
    "layers_per_block": 1,
    "down_block_types": ("CrossAttnDownBlock2D",) * 3,
    "up_block_types": ("CrossAttnUpBlock2D",) * 3,
}
RATE = 1e-4


class Latents:
    """Numbers in place of a data set's latents."""

    def __init__(self) -> None:
        self.all = torch.randn(EXAMPLES, 4, SIDE, SIDE, generator=torch.Generator().manual_seed(0))

    def batch(self, examples: tuple[int, ...], chance: Chance) -> Tensor:
        del chance
        return self.all[list(examples)]


def texts() -> Tensor:
    return torch.randn(EXAMPLES, TOKENS, WIDTH, generator=torch.Generator().manual_seed(1))


def ours(folder: Path) -> Callable[[], object]:
    """A step of the trainer."""
    unet = fresh_unet(SHAPE, 0).to(memory_format=torch.channels_last).requires_grad_(True)
    known = texts()
    lesson = DiffusionLesson(
        unet=unet,
        data=Latents(),
        order=Order.over(EXAMPLES, BATCH, 0),
        objective=SimpleLoss(ModelSampling(NoiseSchedule(scaled_linear()), "eps")),
        trained={"unet": unet},
        condition=Fixed(lambda rows: known[rows], range(EXAMPLES), 0),
    )
    recipe = Recipe(steps=10_000, batch=BATCH, rate=RATE, ema=0.999)
    trainer = Trainer(lesson, recipe, RunFolder(folder, "benchmark"))

    def step() -> None:
        with torch.enable_grad():
            trainer.advance()

    return step


def theirs() -> Callable[[], object]:
    """The loop body of diffusers' examples/text_to_image, on latents and texts known before."""
    from diffusers import DDPMScheduler, UNet2DConditionModel
    from diffusers.training_utils import EMAModel

    unet = UNet2DConditionModel(**DIFFUSERS).train()
    schedule = DDPMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
    optimizer = torch.optim.AdamW(unet.parameters(), lr=RATE, weight_decay=0.01)
    average = EMAModel(unet.parameters(), decay=0.999)
    data, known = Latents(), texts()
    order = Order.over(EXAMPLES, BATCH, 0)
    turn = iter(range(10_000))

    def step() -> None:
        examples = list(order.examples(next(turn)))
        latents = data.all[examples]
        noise = torch.randn_like(latents)
        t = torch.randint(1000, (BATCH,))
        found = unet(schedule.add_noise(latents, noise, t), t, known[examples]).sample
        mse_loss(found, noise).backward()
        torch.nn.utils.clip_grad_norm_(unet.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        average.step(unet.parameters())

    return step


def main(rounds: int = ROUNDS) -> None:
    with tempfile.TemporaryDirectory() as folder:
        works = {"diffusers": theirs(), "nodegraph": ours(Path(folder))}
        in_turn(works, 1)
        found = medians(in_turn(works, rounds))
    rows = [
        [name, f"{taken:.2f}", f"{BATCH / taken:.1f}", f"{found['diffusers'] / taken:.2f}"]
        for name, taken in found.items()
    ]
    table(
        "A training step of the embedded UNet, batch 32",
        ["", "seconds", "samples/s", "times diffusers' speed"],
        rows,
    )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))

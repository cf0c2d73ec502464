"""A whole picture on the embedded model: ours as a graph against the same loop on diffusers' parts.

64 x 64 pixels, batch 4, 30 DDIM steps, guidance 4. The peer is diffusers' UNet, VAE and DDIM
scheduler and transformers' text encoder with the same weights, already loaded; ours runs the graph
with its models loaded and its results forgotten.
"""

from __future__ import annotations

from typing import Any

import torch

from nodes.models.checkpoint import inspect, load
from nodes.models.keys_unet import to_diffusers

from .embedded import CHECKPOINT, GRAPH, forgetful
from .measure import in_turn, medians, table

ROUNDS, STEPS, BATCH, CFG = 7, 30, 4, 4.0


def main() -> None:
    with forgetful() as engine, torch.no_grad():
        graph = engine.load(GRAPH)
        peer = _peer()
        works = {
            "diffusers' UNet and scheduler, the loop alone": peer,
            "nodegraph, the whole graph": lambda: engine.run(graph).require(),
        }
        in_turn(works, 1)
        found = medians(in_turn(works, ROUNDS))
    base = next(iter(found.values()))
    rows = [[key, f"{value:.3f}", f"{base / value:.2f}"] for key, value in found.items()]
    table("Four emoji, 30 steps, fp32", ["", "seconds", "times the peer's speed"], rows)


def _peer() -> Any:
    from diffusers import DDIMScheduler, UNet2DConditionModel

    ours = load(inspect(CHECKPOINT), "unet", dtype=torch.float32)
    peer = UNet2DConditionModel(
        block_out_channels=(64, 128, 128),
        down_block_types=("CrossAttnDownBlock2D",) * 3,
        up_block_types=("CrossAttnUpBlock2D",) * 3,
        layers_per_block=1,
        attention_head_dim=8,
        cross_attention_dim=192,
        norm_num_groups=32,
    ).eval()
    weights, shapes = ours.state_dict(), peer.state_dict()
    names = to_diffusers(ours.config)
    peer.load_state_dict({p: weights[o].reshape(shapes[p].shape) for o, p in names.items()})
    scheduler = DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False
    )
    scheduler.set_timesteps(STEPS)
    tokens = torch.randn(2 * BATCH, 77, 192)

    def loop() -> torch.Tensor:
        x = torch.randn(BATCH, 4, 16, 16)
        for t in scheduler.timesteps:
            uncond, cond = peer(torch.cat([x, x]), t, tokens).sample.chunk(2)
            x = scheduler.step(uncond + CFG * (cond - uncond), t, x).prev_sample
        return x

    return loop


if __name__ == "__main__":
    main()

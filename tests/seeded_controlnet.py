"""ControlNets that fit the embedded model: copies of its way down that add a little, by a seed.

They steer towards nothing in particular; what they are shown does change the picture.
"""

from __future__ import annotations

from pathlib import Path

import torch

from nodes.models.checkpoint import inspect, load
from nodes.models.controlnet import ControlNet
from nodes.models.save import save_control_net

SMALL = 0.02


def save_seeded(checkpoint: Path, path: Path, seed: int) -> Path:
    """A ControlNet for the checkpoint's UNet, as a file in the original layout."""
    unet = load(inspect(checkpoint), "unet", dtype=torch.float32)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = ControlNet.from_unet(unet).requires_grad_(False)
        last = network.input_hint_block[-1]
        for zero in (last, network.middle_block_out, *network.zero_convs):
            for parameter in zero.parameters():
                parameter.normal_(std=SMALL)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_control_net(path, network, dtype=torch.float16)
    return path

"""A sampling step of the full SD 1.5 shape (860 M parameters): ours against diffusers.

One step is one UNet call on cond and uncond together, 512 x 512 pixels. Both have the same weights
and threads, and take turns. `auto` is what nodegraph chooses on this machine.
"""

from __future__ import annotations

import torch

from nodes.models.precision import choose

from .measure import in_turn, medians, table
from .shapes import as_diffusers, inputs, random_unet

ROUNDS = 3


@torch.no_grad()
def main() -> None:
    ours = random_unet()
    peer = as_diffusers(ours)
    x, t, tokens = inputs()
    difference = (ours(x, t, tokens) - peer(x, t, tokens).sample).abs().max()
    scale = ours(x, t, tokens).abs().max()
    found = medians(
        in_turn(
            {
                "diffusers fp32": lambda: peer(x, t, tokens).sample,
                "nodegraph fp32": lambda: ours(x, t, tokens),
            },
            ROUNDS,
        )
    )
    precision = choose("auto", "unet", "cpu")
    layout = torch.channels_last if precision.channels_last else torch.contiguous_format
    chosen = ours.to(precision.dtype, memory_format=layout)
    given = [value.to(precision.dtype) for value in (x, tokens)]
    auto = medians(in_turn({"auto": lambda: chosen(given[0], t, given[1])}, ROUNDS + 1))["auto"]
    name = f"nodegraph auto ({str(precision.dtype)[6:]}, channels last {precision.channels_last})"
    base = found["diffusers fp32"]
    rows = [[key, f"{value:.2f}", f"{base / value:.2f}"] for key, value in found.items()]
    rows.append([name, f"{auto:.2f}", f"{base / auto:.2f}"])
    table(
        "A step of SD 1.5's full shape, 512 x 512, cond and uncond",
        ["", "seconds", "times diffusers' speed"],
        rows,
    )
    print(f"\nLargest difference in fp32: {difference / scale:.1e} of the output's scale.")


if __name__ == "__main__":
    main()

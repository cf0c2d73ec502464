"""What each precision and memory layout costs and gains here: SD 1.5's UNet and VAE.

The UNet at 64 x 64 pixels (cond and uncond), the VAE decoding 64 x 64: a CPU without half precision
takes minutes for more. float16 is for CUDA alone. `error` is the largest
difference from float32, as a share of the output's largest value. `auto` marks what nodegraph takes
on this device.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from nodes.models.blank import blank
from nodes.models.checkpoint_part import Part
from nodes.models.precision import Precision, choose
from nodes.models.vae import VAE, VAEConfig

from .measure import in_turn, medians, table
from .shapes import fill, inputs, random_unet

ROUNDS = 3  # on CUDA; the first is its warm-up. On a CPU one
SIDE = 8  # of the latent
DTYPES = {
    "cpu": (torch.float32, torch.bfloat16),
    "cuda": (torch.float32, torch.bfloat16, torch.float16),
}
Run = Callable[[torch.dtype], Tensor]


@torch.no_grad()
def main() -> None:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    unet = random_unet().to(device)
    x, t, tokens = (value.to(device) for value in inputs(side=SIDE))
    rows = _rows("unet", unet, device, lambda dtype: unet(x.to(dtype), t, tokens.to(dtype)))
    with blank():
        vae = VAE(VAEConfig())
    vae = fill(vae.to_empty(device=device), 0).eval().requires_grad_(False)
    z = x[:1] * 3
    rows += _rows("vae", vae, device, lambda dtype: vae.decode(z.to(dtype)))
    header = ["part", "dtype", "layout", "seconds", "times fp32's speed", "error", ""]
    table(f"Precision on {device}", header, rows)


def _rows(part: Part, module: nn.Module, device: str, run: Run) -> list[list[str]]:
    exact = run(torch.float32).float()
    chosen = choose("auto", part, device)
    rows, base = [], 0.0
    # Rounded to each dtype from the same float32 weights, which are kept aside.
    weights = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    for dtype in DTYPES[device]:
        for last in (False, True):
            layout = torch.channels_last if last else torch.contiguous_format
            module.float().load_state_dict(weights)
            module.to(dtype, memory_format=layout)  # type: ignore[call-overload]
            result = exact

            def work(dtype: torch.dtype = dtype) -> None:
                nonlocal result
                result = _wait(run(dtype), device)

            rounds = ROUNDS if device == "cuda" else 1
            seconds = medians(in_turn({"": work}, rounds))[""]
            error = (result.float() - exact).abs().max() / exact.abs().max()
            base = base or seconds
            mark = "auto" if chosen == Precision(dtype, last) else ""
            cells = [part, str(dtype)[6:], "channels last" if last else "plain"]
            rows.append([*cells, f"{seconds:.2f}", f"{base / seconds:.2f}", f"{error:.1e}", mark])
    return rows


def _wait(result: Tensor, device: str) -> Tensor:
    if device == "cuda":
        torch.cuda.synchronize()
    return result


if __name__ == "__main__":
    main()

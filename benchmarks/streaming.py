"""What a memory budget costs: the SD 1.5 UNet's attention blocks, resident and streamed.

A network of SD 1.5's widest transformer blocks is leased within budgets of its whole size, three
quarters, half and a quarter of it. On this machine the device is simulated: its memory is separate
and counted, transfers are copies within the host. `peak` is counted by the device itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nodegraph.memory import ModelManager, SimulatedDevice
from nodes.models.blank import blank
from nodes.models.unet import TransformerBlock

from .measure import in_turn, medians, table
from .shapes import fill

ROUNDS, BLOCKS, WIDTH, CONTEXT, HEADS = 3, 8, 1280, 768, 8
SHARES = (1.0, 0.75, 0.5, 0.25)
MIB = 2**20


class Tower(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(TransformerBlock(WIDTH, CONTEXT, HEADS) for _ in range(BLOCKS))

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x, context)
        return x


@dataclass(frozen=True)
class Source:
    weights: dict[str, Tensor]
    key: str = "tower"

    @property
    def nbytes(self) -> int:
        return sum(tensor.nbytes for tensor in self.weights.values())

    def load(self) -> nn.Module:
        module = self.skeleton().to_empty(device="cpu")
        module.load_state_dict(self.weights)
        return module

    def skeleton(self) -> nn.Module:
        with blank():
            return Tower().eval().requires_grad_(False)

    def tensor(self, name: str) -> Tensor:
        return self.weights[name]


@torch.no_grad()
def main() -> None:
    with blank():
        tower = Tower()
    source = Source(fill(tower.to_empty(device="cpu"), 0).state_dict())
    x, context = torch.randn(2, 256, WIDTH), torch.randn(2, 77, CONTEXT)
    rows, results = [], []
    for share in SHARES:
        # A little more than the weights at the full share, so that they fit.
        budget = int(source.nbytes * share) + (MIB if share == 1.0 else 0)
        device = SimulatedDevice("sim:0")
        manager = ModelManager(budgets={"sim:0": budget}, devices=[device])
        with manager.lease(source, "sim:0") as module:
            results.append(module(x, context))
            found = medians(in_turn({"": lambda module=module: module(x, context)}, ROUNDS))
        peak = manager.stats().devices["sim:0"].peak
        row = [f"{budget / MIB:.0f}", f"{peak / MIB:.0f}", f"{found['']:.3f}"]
        rows.append([*row, str(torch.equal(results[0], results[-1]))])
    header = ["budget, MiB", "peak, MiB", "seconds", "same bits as resident"]
    table(f"Streaming a model of {source.nbytes / MIB:.0f} MiB", header, rows)


if __name__ == "__main__":
    main()

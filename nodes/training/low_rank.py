"""LoRA while it learns (Hu et al. 2021, arXiv:2106.09685): W' = W + (α/r) B A, W frozen.

A (r, in, ...) starts random and B (out, r, 1, ...) at zero, so training starts from W itself.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

ATTENTION = ("to_q", "to_k", "to_v", "to_out.0", "q_proj", "k_proj", "v_proj", "out_proj")


class LowRank(nn.Module):
    """A parametrisation of a weight (out, in, ...): what is stored plus (α/r) B A."""

    def __init__(self, weight: Tensor, rank: int, alpha: float, generator: torch.Generator) -> None:
        super().__init__()
        rank = min(rank, weight.shape[0], weight[0].numel())
        down = torch.empty(rank, *weight.shape[1:])
        # the bound that nn.Linear has (Kaiming, a = √5), as LoRA's own code takes it
        bound = 1 / math.sqrt(down[0].numel())
        self.down = nn.Parameter(down.uniform_(-bound, bound, generator=generator))
        self.up = nn.Parameter(torch.zeros(weight.shape[0], rank, *[1] * (weight.ndim - 2)))
        self.alpha = alpha
        self.to(weight.device)

    def forward(self, weight: Tensor) -> Tensor:
        scale = self.alpha / len(self.down)
        delta = self.up.flatten(1) @ self.down.flatten(1)
        return weight + scale * delta.view_as(weight).to(weight.dtype)


class Adapters(nn.Module):
    """The low-rank changes of one network's modules, in place; alone these learn.

    modules: names of modules with a weight, such as those of `attention_of`.
    """

    def __init__(
        self, network: nn.Module, modules: Iterable[str], rank: int, alpha: float, seed: int
    ) -> None:
        super().__init__()
        network.requires_grad_(False)
        generator = torch.Generator().manual_seed(seed)
        self.names: list[str] = []
        found = nn.ModuleList()
        for name in modules:
            module = network.get_submodule(name)
            weight = module.weight
            assert isinstance(weight, Tensor)
            change = LowRank(weight, rank, alpha, generator)
            parametrize.register_parametrization(module, "weight", change)
            self.names.append(name)
            found.append(change)
        if not self.names:
            raise ValueError("modules: expected at least one, got none")
        self.changes = found

    def by_name(self) -> Iterator[tuple[str, LowRank]]:
        for name, change in zip(self.names, self.changes, strict=True):
            assert isinstance(change, LowRank)
            yield name, change


def attention_of(network: nn.Module, parts: tuple[str, ...] = ATTENTION) -> list[str]:
    """The projections of every attention in a network: what LoRA usually changes."""
    return [
        name
        for name, module in network.named_modules()
        if name.endswith(parts) and getattr(module, "weight", None) is not None
    ]


def as_kohya(adapters: Adapters, prefix: str, paths: Mapping[str, str]) -> dict[str, Tensor]:
    """The tensors of a LoRA file in the format that kohya introduced and every tool reads.

    prefix: "lora_unet_" or "lora_te_". paths: our module's name -> its path in diffusers' layout.
    """
    tensors: dict[str, Tensor] = {}
    for name, change in adapters.by_name():
        module = prefix + paths[name].replace(".", "_")
        tensors[f"{module}.lora_up.weight"] = change.up.detach()
        tensors[f"{module}.lora_down.weight"] = change.down.detach()
        tensors[f"{module}.alpha"] = torch.tensor(float(change.alpha))
    return tensors

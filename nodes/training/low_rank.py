"""LoRA and its kin while they learn (Hu et al. 2021, arXiv:2106.09685): W' of W, W frozen.

A network's own weights stay; what learns are changes of some of them (`changes`), in place.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from nodes.training.changes import CHANGES, Algorithm, Change, Orthogonal

Modules = Literal["attention", "attention and feed-forward", "all"]

ATTENTION = ("to_q", "to_k", "to_v", "to_out.0", "q_proj", "k_proj", "v_proj", "out_proj")
FEED_FORWARD = ("ff.net.0.proj", "ff.net.2", "mlp.fc1", "mlp.fc2")
# Parameters whose name in a file is another.
IN_FILES = {"up": "lora_up.weight", "down": "lora_down.weight"}


class AdapterMisfit(Exception):
    """An earlier LoRA cannot be gone on from as this one."""


class Adapters(nn.Module):
    """The changes of one network's modules, in place; alone these learn.

    modules: names of modules with a weight, such as those of `attention_of`.
    begun:   tensors that a module's change starts from, by its parameters' names and "alpha";
             its rank is theirs. Raises AdapterMisfit for those of another kind or size.
    """

    def __init__(
        self,
        network: nn.Module,
        modules: Iterable[str],
        rank: int,
        alpha: float,
        seed: int,
        algorithm: Algorithm = "LoRA",
        begun: Mapping[str, Mapping[str, Tensor]] | None = None,
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
            earlier = (begun or {}).get(name)
            if earlier is None:
                change = CHANGES[algorithm](weight, rank, alpha, generator)
            else:
                change = continued(name, weight, algorithm, earlier, generator)
            change.to(weight.device)
            parametrize.register_parametrization(module, "weight", change)
            self.names.append(name)
            found.append(change)
        if not self.names:
            raise ValueError("modules: expected at least one, got none")
        self.changes = found

    def by_name(self) -> Iterator[tuple[str, Change]]:
        for name, change in zip(self.names, self.changes, strict=True):
            assert isinstance(change, Change)
            yield name, change


def continued(
    name: str,
    weight: Tensor,
    algorithm: Algorithm,
    earlier: Mapping[str, Tensor],
    generator: torch.Generator,
) -> Change:
    """A change that starts where an earlier one ended. Raises AdapterMisfit."""
    kind, rank = CHANGES[algorithm], _rank_of(earlier)
    alpha = earlier.get("alpha")
    plain = 0.0 if kind is Orthogonal else float(rank)
    change = kind(weight, rank, plain if alpha is None else float(alpha), generator)
    sizes = {n: p.numel() for n, p in change.named_parameters()}
    given = {n: t.numel() for n, t in earlier.items() if n != "alpha"}
    if sizes != given:
        has = ", ".join(given)
        raise AdapterMisfit(
            f"{name}: expected the tensors of {algorithm} ({', '.join(sizes)}) in this model's "
            f"sizes, got {has}: choose the algorithm and model of the earlier LoRA"
        )
    with torch.no_grad():
        for parameter_name, parameter in change.named_parameters():
            parameter.copy_(earlier[parameter_name].reshape(parameter.shape))
    return change


def attention_of(network: nn.Module, parts: tuple[str, ...] = ATTENTION) -> list[str]:
    """The projections of every attention in a network: what LoRA usually changes."""
    return [
        name
        for name, module in network.named_modules()
        if name.endswith(parts) and getattr(module, "weight", None) is not None
    ]


def modules_of(network: nn.Module, which: Modules) -> list[str]:
    """The modules of a network that LoRA changes; "all": every linear layer and convolution."""
    match which:
        case "attention":
            return attention_of(network)
        case "attention and feed-forward":
            return attention_of(network, (*ATTENTION, *FEED_FORWARD))
        case _:
            layers = (nn.Linear, nn.Conv2d)
            return [n for n, module in network.named_modules() if isinstance(module, layers)]


def as_kohya(adapters: Adapters, prefix: str, paths: Mapping[str, str]) -> dict[str, Tensor]:
    """The tensors of a LoRA file in the format that kohya introduced and every tool reads; those
    of LoHa, LoKr and OFT as LyCORIS names them.

    prefix: "lora_unet_" or "lora_te_". paths: our module's name -> its path in diffusers' layout.
    """
    tensors: dict[str, Tensor] = {}
    for name, change in adapters.by_name():
        module = prefix + paths[name].replace(".", "_")
        for role, parameter in change.named_parameters():
            tensors[f"{module}.{IN_FILES.get(role, role)}"] = parameter.detach()
        tensors[f"{module}.alpha"] = torch.tensor(float(change.alpha))
    return tensors


def _rank_of(earlier: Mapping[str, Tensor]) -> int:
    """The rank that tensors have; of those that are not factored, one at which none would be."""
    for role, dimension in (("down", 0), ("hada_w1_b", 0), ("lokr_w2_b", 0), ("oft_blocks", -1)):
        if role in earlier:
            return earlier[role].shape[dimension]
    return max(earlier["lokr_w2"].shape) if "lokr_w2" in earlier else 1

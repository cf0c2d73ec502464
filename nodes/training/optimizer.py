"""torch's optimisers by name, and their state as tensors and plain numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from nodes.training.recipe import Recipe


def make_optimizer(parameters: Iterable[nn.Parameter], recipe: Recipe) -> torch.optim.Optimizer:
    """The recipe's optimiser; biases and norms (vectors) are not decayed."""
    found = list(parameters)
    groups = [
        {"params": [p for p in found if p.ndim > 1], "weight_decay": recipe.decay},
        {"params": [p for p in found if p.ndim <= 1], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    adam: dict[str, Any] = {"lr": recipe.rate, "betas": recipe.betas}
    match recipe.optimizer:
        case "adamw":
            return torch.optim.AdamW(groups, **adam, fused=True)
        case "adam":
            return torch.optim.Adam(groups, **adam, fused=True)
        case "radam":
            return torch.optim.RAdam(groups, **adam, decoupled_weight_decay=True)
        case "nadam":
            return torch.optim.NAdam(groups, **adam, decoupled_weight_decay=True)
        case "adafactor":
            return torch.optim.Adafactor(groups, lr=recipe.rate)
        case "rmsprop":
            return torch.optim.RMSprop(groups, lr=recipe.rate)
        case _:
            return torch.optim.SGD(groups, lr=recipe.rate, momentum=recipe.betas[0])


def state_of(optimizer: torch.optim.Optimizer) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Its tensors by "number.name", and its plain numbers by the same names."""
    tensors: dict[str, Tensor] = {}
    numbers: dict[str, Any] = {}
    for number, entries in optimizer.state_dict()["state"].items():
        for name, value in entries.items():
            place = tensors if isinstance(value, Tensor) else numbers
            if value is not None:
                place[f"{number}.{name}"] = value
    return tensors, numbers


def restore(
    optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor], numbers: Mapping[str, Any]
) -> None:
    """Put back what `state_of` gave, laid out as the parameters are."""
    state: dict[int, dict[str, Any]] = {}
    for key, value in {**tensors, **numbers}.items():
        number, _, name = key.partition(".")
        state.setdefault(int(number), {})[name] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
    for parameter, entries in optimizer.state.items():
        for name, value in entries.items():
            # fused steps walk weights and moments side by side: they must lie alike in memory
            if isinstance(value, Tensor) and value.shape == parameter.shape:
                entries[name] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)

"""A LoRA file against one network: which weights it changes, and what matches nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

from .checkpoint_part import PARTS, Part
from .derived import Use, Weights
from .errors import CheckpointError
from .lora_file import OFT, LoraFile, LoraModule
from .lora_keys import Target, part_of, targets_of


@dataclass(frozen=True, eq=False)
class Match:
    """What a file has for one part of a model.

    uses: by the weight's name. unmatched: its modules that the network has no weight for.
    """

    uses: Mapping[str, tuple[Use, ...]]
    unmatched: tuple[str, ...]


def match(lora: LoraFile, weights: Weights) -> Match:
    """Raises CheckpointError where a change does not have the size of the weight it is for."""
    targets = targets_of(weights.config)
    uses: dict[str, list[Use]] = {}
    unmatched: list[str] = []
    for module in modules_of(lora, weights.part):
        found = part_of(module.name)
        assert found is not None  # or it would be of no part
        names = 0
        for target in targets.get(found[1], ()):
            for name in _changed(lora, module, target, weights):
                uses.setdefault(name, []).append(Use(module, target))
                names += 1
        if not names:
            unmatched.append(module.name)
    return Match({name: tuple(several) for name, several in uses.items()}, tuple(unmatched))


def modules_of(lora: LoraFile, part: Part) -> list[LoraModule]:
    """The file's modules that are named as those of a part."""
    found = ((module, part_of(module.name)) for module in lora.modules.values())
    return [module for module, place in found if place is not None and place[0] == part]


def strangers(lora: LoraFile) -> tuple[str, ...]:
    """The file's modules that are named as those of no part, and its tensors without a role."""
    names = [name for name in lora.modules if part_of(name) is None]
    return (*names, *lora.unknown)


def _changed(lora: LoraFile, module: LoraModule, target: Target, weights: Weights) -> list[str]:
    """The names of the weight and bias of ours that the module changes."""
    weight, bias = f"{target.module}.weight", f"{target.module}.bias"
    names = []
    if module.changes_weight and _separable(lora, module, target):
        _require_size(lora, module, lora.size(module), target, weights, weight)
        names.append(weight)
    if module.changes_bias and bias in weights.shapes:
        shape = lora.file.tensors[module.roles["diff_b"]].shape
        _require_size(lora, module, (prod(shape), prod(shape)), target, weights, bias)
        names.append(bias)
    return names


def _separable(lora: LoraFile, module: LoraModule, target: Target) -> bool:
    """Whether rows of it can be had alone: lengths of whole columns need all of the rows, and what
    turns rows of two of the parts together needs both."""
    if target.blocks == 1:
        return True
    if OFT in module.roles and lora.file.tensors[module.roles[OFT]].shape[0] % target.blocks:
        return False
    if "dora_scale" not in module.roles:
        return True
    return lora.file.tensors[module.roles["dora_scale"]].shape[0] != 1


def _require_size(
    lora: LoraFile,
    module: LoraModule,
    size: tuple[int, int | None],
    target: Target,
    weights: Weights,
    name: str,
) -> None:
    shape = weights.shapes[name]
    expected = (shape[0] * target.blocks, prod(shape) * target.blocks)
    size = (size[0], expected[1] if size[1] is None else size[1])
    if size != expected:
        made = [f"{rows} x {elements // max(rows, 1)}" for rows, elements in (size, expected)]
        raise CheckpointError(
            lora.path,
            f"{module.name} changes a weight of {made[0]}, but {name} of this "
            f"{PARTS[weights.part]} is {made[1]}: the LoRA was made for another model",
        )

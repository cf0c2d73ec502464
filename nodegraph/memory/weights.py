"""The distinct weights of a module, and putting others in their place."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn

KINDS = ("_parameters", "_buffers")


@dataclass(frozen=True)
class Place:
    """Where a weight is registered: its owner's dict of that `kind`, under `name`.

    Does not keep the owner alive: what a streamed module holds points back at its places, and in
    a cycle the weights would wait for the garbage collector.
    """

    reference: weakref.ref[nn.Module]
    kind: str
    name: str
    full_name: str

    @property
    def owner(self) -> nn.Module:
        owner = self.reference()
        assert owner is not None  # whoever works on a model's weights holds the model
        return owner

    @property
    def tensor(self) -> Tensor:
        return self.owner.__dict__[self.kind][self.name]


@dataclass(eq=False)
class Weight:
    """One tensor; tied weights are one with several places."""

    nbytes: int
    places: list[Place] = field(default_factory=list)

    @property
    def tensor(self) -> Tensor:
        return self.places[0].tensor.data

    @property
    def names(self) -> list[str]:
        return [place.full_name for place in self.places]

    @property
    def is_parameter(self) -> bool:
        return self.places[0].kind == "_parameters"


def weights_of(module: nn.Module) -> list[Weight]:
    """Parameters and buffers, in the order of registration."""
    found: dict[object, Weight] = {}
    for prefix, owner in module.named_modules():
        for kind in KINDS:
            for name, tensor in owner.__dict__[kind].items():
                if tensor is None:
                    continue
                weight = found.setdefault(_identity(tensor), Weight(tensor.nbytes))
                full_name = f"{prefix}.{name}" if prefix else name
                weight.places.append(Place(weakref.ref(owner), kind, name, full_name))
    return list(found.values())


def size_of(module: nn.Module) -> int:
    """Bytes of all weights, tied ones once."""
    return sum(weight.nbytes for weight in weights_of(module))


def move(weight: Weight, transfer: Callable[[Tensor], Tensor]) -> None:
    """Replace the weight's memory by its copy elsewhere; the parameter objects stay."""
    moved = transfer(weight.tensor)
    for place in weight.places:
        place.tensor.data = moved


def discard(module: nn.Module) -> None:
    """Free the memory of all weights, even while somebody still refers to the module."""
    for weight in weights_of(module):
        if not weight.tensor.is_meta:
            move(weight, lambda tensor: tensor.new_empty(0))


def fill(weight: Weight, tensor: Tensor) -> None:
    """Put `tensor` where the weight was on the meta device, which cannot change its memory."""
    value = as_registered(weight, tensor)
    for place in weight.places:
        place.owner.__dict__[place.kind][place.name] = value


def as_registered(weight: Weight, tensor: Tensor) -> Tensor:
    """`tensor` as a frozen parameter where the weight is a parameter."""
    if not weight.is_parameter:
        return tensor
    from torch import nn

    return nn.Parameter(tensor, requires_grad=False)


def frozen(module: nn.Module) -> nn.Module:
    """The module as it is lent: for inference."""
    return module.eval().requires_grad_(False)


def _identity(tensor: Tensor) -> Any:
    if tensor.is_meta or not tensor.nbytes:
        return id(tensor)
    return (tensor.data_ptr(), tensor.dtype, tuple(tensor.shape), tensor.stride())

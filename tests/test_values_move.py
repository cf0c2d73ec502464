"""move and to_host: values whose tensors are elsewhere, rebuilt as what they were."""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch

from nodegraph.values import Many, fingerprint, move, to_host


@dataclass(frozen=True)
class Latent:
    samples: Any
    mask: Any = None

    def __post_init__(self) -> None:
        if self.samples is None:
            raise ValueError("no samples")


@dataclass(frozen=True, slots=True)
class Slotted:
    samples: Any


class Pair(NamedTuple):
    first: Any
    second: Any


class OnAccelerator(torch.Tensor):
    """A tensor that says it is on an accelerator."""

    device = property(lambda self: torch.device("cuda:0"))  # type: ignore[assignment]

    def to(self, *args: Any, **kwargs: Any) -> Any:
        return self.as_subclass(torch.Tensor).clone()


def far(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.clone().as_subclass(OnAccelerator)


@pytest.mark.parametrize(
    "value",
    [
        5,
        None,
        "a",
        torch.ones(2),
        Latent(torch.ones(2)),
        [torch.ones(2), {"a": (1, Many((torch.ones(1),)))}],
        np.ones(3),
        torch.nn.Linear(2, 2),
        torch.eye(2).to_sparse(),
    ],
)
def test_what_is_on_the_host_already_comes_back_as_it_is(value: Any) -> None:
    assert to_host(value) is value


WRAPPERS = {
    "bare": lambda t: t,
    "dataclass": lambda t: Latent(t, 5),
    "slotted": lambda t: Slotted(t),
    "list": lambda t: [1, t],
    "tuple": lambda t: (t, "a"),
    "dict": lambda t: {"a": 1, "b": t},
    "ordered": lambda t: OrderedDict(b=t, a=1),
    "named tuple": lambda t: Pair(1, t),
    "Many": lambda t: Many((t, 2)),
    "deep": lambda t: {"a": [(Latent([{"b": t}]),)]},
    "proxy": lambda t: MappingProxyType({"a": t}),
    "deque": lambda t: deque([t, 1]),
    "struct sequence": lambda t: torch.return_types.max((t, torch.zeros(3))),
}


@pytest.mark.parametrize("wrap", WRAPPERS.values(), ids=WRAPPERS)
def test_a_value_from_an_accelerator_is_rebuilt_as_it_was(wrap: Any) -> None:
    tensor = torch.tensor([1.0, 2.0, 3.0])
    value = wrap(far(tensor))

    moved = to_host(value)

    assert type(moved) is type(value) or isinstance(value, OnAccelerator)
    assert fingerprint(moved) == fingerprint(wrap(tensor))
    assert fingerprint(value) == fingerprint(wrap(far(tensor)))


@pytest.mark.parametrize("kind", [set, frozenset])
def test_sets_of_tensors_move(kind: Any) -> None:
    moved = to_host(kind([far(torch.ones(2)), 1]))

    assert type(moved) is kind
    assert fingerprint(moved) == fingerprint({torch.ones(2), 1} if kind is set else moved)
    assert all(str(t.device) == "cpu" for t in moved if isinstance(t, torch.Tensor))


def test_what_need_not_move_is_shared_and_order_is_kept() -> None:
    host, model = torch.ones(2), torch.nn.Linear(2, 2)
    inner = [host]
    value = {"z": inner, "a": far(host), "m": model}

    moved = to_host(value)

    assert list(moved) == ["z", "a", "m"]
    assert moved["z"] is inner
    assert moved["m"] is model


def test_a_tensor_that_is_there_twice_moves_once() -> None:
    tensor = far(torch.ones(2))

    moved = to_host([tensor, (tensor,)])

    assert moved[0] is moved[1][0]


def test_a_gradient_requirement_moves_along() -> None:
    moved = move([torch.ones(2, requires_grad=True), torch.ones(2)], "meta")

    assert [tensor.requires_grad for tensor in moved] == [True, False]
    assert {str(tensor.device) for tensor in moved} == {"meta"}


def test_a_cycle_does_not_hang() -> None:
    loop: list[Any] = [far(torch.ones(2))]
    loop.append(loop)

    moved = to_host(loop)

    assert str(moved[0].device) == "cpu"

"""Running a model whose weights do not all fit: each comes when it is touched, and goes again.

A streamed module's dicts of parameters and buffers are replaced by `LazyTensors`, so every access
brings the weight: in a layer's forward, in a parent that uses a child's weight, in any method.

    limit   bytes of this model that may be on the device at once
    floor   the least limit that works: the most expensive layer with what its parents hold directly
    kept    weights that stay, first come, within limit - floor; the others take turns in the floor
"""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator
from collections.abc import ItemsView as Items
from collections.abc import ValuesView as Values
from typing import TYPE_CHECKING, Any

from .ledger import Ledger
from .weights import Weight, as_registered, weights_of

if TYPE_CHECKING:
    from torch import Tensor, nn


class Streamer:
    """Streams one module until `close`.

    read:   gives a weight on the device, from the tensor that was registered for it.
    copies: what it gives has memory of its own.

    To look at every parameter (`state_dict`, the whole of `parameters()`) holds them all, beyond
    the limit. Several threads may run the module: a layer that owns weights runs in one thread at
    a time, so only one layer's weights are in use. What is on the device is counted until its
    memory is really free, so a weight that somebody still holds is seen in `ledger`.
    """

    def __init__(
        self,
        module: nn.Module,
        ledger: Ledger,
        read: Callable[[Weight, Tensor], Tensor],
        *,
        copies: bool,
    ) -> None:
        weights = weights_of(module)
        self._read = read
        self._copies = copies
        self._originals = {weight: weight.tensor for weight in weights}
        self._device = ledger
        self._own = Ledger()
        self._lock = threading.Lock()
        self._turn = threading.RLock()
        self._present: OrderedDict[Weight, Tensor] = OrderedDict()
        self._alive: weakref.WeakValueDictionary[Weight, Tensor] = weakref.WeakValueDictionary()
        self._kept: set[Weight] = set()
        self._kept_bytes = 0
        self._replaced: list[tuple[weakref.ref[nn.Module], str, Any]] = []
        self.floor = _floor(module, weights)
        self.limit = self.floor
        self._install(weights)

    def fetch(self, weight: Weight) -> Tensor:
        """The weight on the device, brought if it is not there."""
        with self._lock:
            tensor = self._alive.get(weight)  # let go of, perhaps, but held by somebody still
            if tensor is None:
                self._make_room(weight.nbytes)
                tensor = self._bring(weight)
            self._present[weight] = tensor
            self._present.move_to_end(weight)
            return tensor

    def trim(self, limit: int) -> None:
        """Set the limit (at least the floor) and let go of what exceeds it."""
        with self._lock:
            self.limit = max(limit, self.floor)
            for weight in list(self._kept):
                if self._kept_bytes <= self.limit - self.floor:
                    break
                self._drop(weight)
            self._make_room(0)

    def rest(self) -> None:
        """Let go of all that is not kept."""
        with self._lock:
            for weight in [w for w in self._present if w not in self._kept]:
                self._drop(weight)

    def close(self) -> None:
        """Give the module its own dicts and forwards back, and let go of everything."""
        for reference, name, value in self._replaced:
            owner = reference()
            if owner is None:
                continue
            if value is None:
                del owner.__dict__[name]
            else:
                owner.__dict__[name] = value
        self._replaced.clear()
        with self._lock:
            self._present.clear()
            self._kept.clear()
            self._kept_bytes = 0

    def _bring(self, weight: Weight) -> Tensor:
        for ledger in (self._device, self._own):
            ledger.add(weight.nbytes)
        try:
            tensor = as_registered(weight, self._read(weight, self._originals[weight]))
        except BaseException:
            for ledger in (self._device, self._own):
                ledger.give_back(weight.nbytes)
            raise
        # A copy's storage is what takes the memory, and a view may outlive the tensor. On the
        # host the storage may be a whole mapped file's, shared by all of its weights.
        owner = tensor.untyped_storage() if self._copies else tensor
        for ledger in (self._device, self._own):
            ledger.watch(owner, weight.nbytes)
        self._alive[weight] = tensor
        if self._kept_bytes + weight.nbytes <= self.limit - self.floor:
            self._kept.add(weight)
            self._kept_bytes += weight.nbytes
        return tensor

    def _make_room(self, nbytes: int) -> None:
        while self._present and self._own.present + nbytes > self.limit:
            passing = (weight for weight in self._present if weight not in self._kept)
            self._drop(next(passing, None) or next(iter(self._present)))

    def _drop(self, weight: Weight) -> None:
        del self._present[weight]
        if weight in self._kept:
            self._kept.remove(weight)
            self._kept_bytes -= weight.nbytes

    def _install(self, weights: list[Weight]) -> None:
        tensors: dict[tuple[nn.Module, str], dict[str, Weight]] = {}
        for weight in weights:
            for place in weight.places:
                tensors.setdefault((place.owner, place.kind), {})[place.name] = weight
        for (owner, kind), named in tensors.items():
            original = owner.__dict__[kind]
            lazy = LazyTensors(self, {name: named.get(name) for name in original})
            self._replace(owner, kind, lazy)
        for owner in dict.fromkeys(owner for owner, _ in tensors):
            self._replace(owner, "forward", _in_turn(owner, self._turn))

    def _replace(self, owner: nn.Module, name: str, value: Any) -> None:
        self._replaced.append((weakref.ref(owner), name, owner.__dict__.get(name)))
        owner.__dict__[name] = value


class LazyTensors(dict[str, Any]):
    """A module's parameters or buffers by name; a weight is fetched when it is looked at.

    What the module stores itself (a table computed in its forward) is kept as it is.
    """

    def __init__(self, streamer: Streamer, tensors: dict[str, Weight | None]) -> None:
        super().__init__(tensors)
        self._streamer = streamer

    def __getitem__(self, name: str) -> Any:
        return self._fetched(super().__getitem__(name))

    def __iter__(self) -> Iterator[str]:
        # dict(lazy) would copy the raw values of a dict that does not override this.
        return super().__iter__()

    def get(self, name: str, default: Any = None) -> Any:
        return self._fetched(super().get(name, default))

    def items(self) -> Items[str, Any]:  # type: ignore[override]
        return Items(self)

    def values(self) -> Values[Any]:  # type: ignore[override]
        return Values(self)

    def copy(self) -> dict[str, Any]:
        return {name: self[name] for name in self}

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return dict, (self.copy(),)

    def _fetched(self, value: Any) -> Any:
        return self._streamer.fetch(value) if isinstance(value, Weight) else value


def _in_turn(owner: nn.Module, turn: threading.RLock) -> Callable[..., Any]:
    """The module's forward, in one thread at a time."""
    reference = weakref.ref(owner)  # a strong one would make a cycle, and weights wait for the gc
    own: Callable[..., Any] | None = owner.__dict__.get("forward")

    def forward(*args: Any, **kwargs: Any) -> Any:
        module = reference()
        assert module is not None  # its forward runs
        with turn:
            if own is not None:
                return own(*args, **kwargs)
            return type(module).forward(module, *args, **kwargs)

    return forward


def _floor(module: nn.Module, weights: list[Weight]) -> int:
    direct: dict[nn.Module, set[Weight]] = {}
    for weight in weights:
        for place in weight.places:
            direct.setdefault(place.owner, set()).add(weight)
    return _dearest(module, frozenset(), direct)


def _dearest(
    module: nn.Module, above: frozenset[Weight], direct: dict[nn.Module, set[Weight]]
) -> int:
    """The most bytes that one layer below holds together with the modules it is in."""
    held = above | direct.get(module, set())
    own = sum(weight.nbytes for weight in held)
    return max([own, *(_dearest(child, held, direct) for child in module.children())])

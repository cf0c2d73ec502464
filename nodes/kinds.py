"""Conditioning kinds: what can be attached to an entry and then acts on the network.

A kind is a function registered at the extension point "conditioning_kinds". When a run begins it
is given what the entry carries and what the run is about, and makes a hook of it (see
`nodes.diffusion.hooks`), which the sampler asks at every step:

    def strange(data: Any, binding: Binding) -> Hook: ...

    KINDS = Extension("conditioning_kinds", {"strange": strange})

A node attaches it: `replace(entry, attached=(*entry.attached, Attached("strange", data)))`.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeVar

from torch import Tensor, nn

from nodegraph import Context, ModelSource
from nodes.diffusion.hooks import Hook
from nodes.types import Attached, Condition, Conditioning, Model

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Binding:
    """What a hook is made for: one run.

    model:   the handle of the network that is sampled from.
    latents: (B, C, h, w) in the model's scale, where the run starts, on its device.
    sigmas:  (n + 1,), the levels it walks.
    """

    model: Model
    latents: Tensor
    sigmas: Tensor
    context: Context
    stack: ExitStack = field(repr=False)
    made: dict[Any, Any] = field(default_factory=dict, repr=False)

    def lease(self, source: ModelSource) -> nn.Module:
        """A further model on the run's device, until the run ends."""
        return self.once(source.key, lambda: self._lease(source))

    def once(self, key: Any, make: Callable[[], T]) -> T:
        """What `make` gives, made once for a key in this run: rows that share a network share a
        call only if they name the very same one."""
        if key not in self.made:
            self.made[key] = make()
        made: T = self.made[key]
        return made

    def hooks(self, entry: Condition) -> tuple[Hook, ...]:
        """The hooks of an entry. Raises NodeGraphError for a kind that is not registered."""
        return tuple(self.once(id(one), partial(self._hook, one)) for one in entry.attached)

    def _hook(self, attached: Attached) -> Hook:
        kind = self.context.extension("conditioning_kinds", attached.kind)
        hook: Hook = kind(attached.data, self)
        return hook

    def _lease(self, source: ModelSource) -> nn.Module:
        lending = self.context.need_models().lease(source, self.context.device)
        return self.stack.enter_context(lending)


def shared(positive: Conditioning, other: Conditioning) -> Conditioning:
    """`other` with what the positive side shares, kind by kind, where it carries none of that kind.

    What the n-th entry of the positive side shares goes to the n-th of the other side, counted
    round and round; of several that come to one entry the last stays. Entries with an area neither
    share nor get anything: they see another part of the picture.
    """
    kinds = dict.fromkeys(a.kind for e in positive.entries for a in e.attached if a.shared)
    for kind in kinds:
        other = _shared(kind, positive, other)
    return other


def _shared(kind: str, positive: Conditioning, other: Conditioning) -> Conditioning:
    carried = [_of_kind(kind, entry) for entry in positive.entries if _sees_all(entry)]
    given = [chain for chain in carried if any(attached.shared for attached in chain)]
    entries = list(other.entries)
    if any(_of_kind(kind, entry) for entry in entries if _sees_all(entry)):
        return other
    places = [i for i, entry in enumerate(entries) if _sees_all(entry)]
    for n, chain in enumerate(given if places else ()):
        i = places[n % len(places)]
        before = other.entries[i]
        entries[i] = replace(before, attached=(*before.attached, *chain))
    return Conditioning(tuple(entries))


def _of_kind(kind: str, entry: Condition) -> tuple[Attached, ...]:
    return tuple(attached for attached in entry.attached if attached.kind == kind)


def _sees_all(entry: Condition) -> bool:
    return entry.area is None and not (entry.within_mask and entry.mask is not None)

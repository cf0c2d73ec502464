"""The weights of a network as they are computed when they are read: of a file, patched, combined.

Each kind is frozen data that says how a weight comes about; its numbers exist only while a reader
gives them, one weight at a time, in float32. So nothing is ever added to a weight in memory, and
what was patched can be had again without the patch, bit for bit.

    Stored    W of a file
    Patched   W + sum_i strength_i \\delta_i(W), in an order of the patches' own
    Combined  a W_1 + b W_2, a and b by the weight's name
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from torch import Tensor

from .adapters import Full, change
from .checkpoint import reading
from .checkpoint_info import CheckpointInfo
from .checkpoint_part import Config, Part
from .lora_file import LoraFile, LoraModule
from .lora_keys import Target

Read = Callable[[str], Tensor]


class Weights(Protocol):
    """The weights of one part of a checkpoint, before they are cast to what it runs in."""

    @property
    def key(self) -> str:
        """The identity of their values."""

    @property
    def part(self) -> Part: ...

    @property
    def config(self) -> Config: ...

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """By name in the module's state_dict."""

    @property
    def origin(self) -> Stored:
        """The file that settings beside the weights come from."""

    def reader(self) -> AbstractContextManager[Read]:
        """Open the files; what it gives reads a weight by name, new, float32, on the host."""


@dataclass(frozen=True, eq=False)
class Stored:
    """The weights of a file. identity: the file's content hash."""

    info: CheckpointInfo = field(repr=False)
    part: Part
    identity: str

    @property
    def key(self) -> str:
        return f"{self.identity}:{self.part}"

    @property
    def config(self) -> Config:
        return self.info.parts[self.part].config

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        return self.info.parts[self.part].shapes

    @property
    def origin(self) -> Stored:
        return self

    @contextmanager
    def reader(self) -> Iterator[Read]:
        with reading(self.info, self.part) as read:
            yield lambda name: read(name).float()


@dataclass(frozen=True)
class Use:
    """A module of a LoRA file that changes one weight (or bias) of ours."""

    module: LoraModule
    target: Target


@dataclass(frozen=True, eq=False)
class Patch:
    """A LoRA at a strength. identity: the file's content hash; uses: by the weight's name."""

    lora: LoraFile
    identity: str
    strength: float
    uses: Mapping[str, tuple[Use, ...]] = field(repr=False)

    def change(self, name: str, W: Tensor, read: Read) -> Tensor:
        """What a weight gains; `read` gives tensors of the LoRA file, new ones."""
        delta = _sum([self._delta(use, name, W, read) for use in self.uses[name]])
        return delta if self.strength == 1 else delta.mul_(self.strength)

    def _delta(self, use: Use, name: str, W: Tensor, read: Read) -> Tensor:
        module, target = use.module, use.target
        if name.endswith(".bias"):
            whole = Full(read(module.roles["diff_b"]).float())
            return change(W, whole, None, target.block, target.blocks)
        adapter, m = self.lora.adapter(module, read), self.lora.magnitude(module, read)
        return change(W, adapter, m, target.block, target.blocks)


@dataclass(frozen=True, eq=False)
class Patched:
    """W + the changes of patches, each taken against W itself.

    Sums of floating-point numbers depend on their order, so the order is one of the patches' own
    (content hash, then strength): in which order they came does not matter, bit for bit.
    """

    base: Weights
    patches: tuple[Patch, ...]

    @property
    def key(self) -> str:
        return _digest(["patched", self.base.key, [[p.identity, p.strength] for p in self.patches]])

    @property
    def part(self) -> Part:
        return self.base.part

    @property
    def config(self) -> Config:
        return self.base.config

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        return self.base.shapes

    @property
    def origin(self) -> Stored:
        return self.base.origin

    @contextmanager
    def reader(self) -> Iterator[Read]:
        with ExitStack() as stack:
            base = stack.enter_context(self.base.reader())
            files = [stack.enter_context(patch.lora.file.reader()) for patch in self.patches]

            def read(name: str) -> Tensor:
                W = base(name)  # a new one, so it may be added to, after all have seen it
                changes = [
                    patch.change(name, W, file)
                    for patch, file in zip(self.patches, files, strict=True)
                    if name in patch.uses
                ]
                return W.add_(_sum(changes)) if changes else W

            yield read


def patched(weights: Weights, patch: Patch) -> Patched:
    """The weights with one more patch; those that are there already keep their meaning."""
    base, before = (
        (weights.base, weights.patches) if isinstance(weights, Patched) else (weights, ())
    )
    ordered = sorted((*before, patch), key=lambda p: (p.identity, p.strength))
    return Patched(base, tuple(ordered))


@dataclass(frozen=True)
class Share:
    """a and b in a W_1 + b W_2, for the weights whose names begin with `prefix`."""

    prefix: str
    a: float
    b: float


@dataclass(frozen=True, eq=False)
class Combined:
    """a W_1 + b W_2; the longest prefix decides. A weight W_2 lacks is W_1's.

    shares: one of them has the prefix "".
    """

    first: Weights
    second: Weights
    shares: tuple[Share, ...]

    @property
    def key(self) -> str:
        shares = sorted([share.prefix, share.a, share.b] for share in self.shares)
        return _digest(["combined", self.first.key, self.second.key, shares])

    @property
    def part(self) -> Part:
        return self.first.part

    @property
    def config(self) -> Config:
        return self.first.config

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        return self.first.shapes

    @property
    def origin(self) -> Stored:
        return self.first.origin

    def share(self, name: str) -> tuple[float, float]:
        """(a, b) of a weight."""
        if self.second.shapes.get(name) != self.shapes[name]:
            return 1.0, 0.0
        fitting = [share for share in self.shares if name.startswith(share.prefix)]
        longest = max(fitting, key=lambda share: len(share.prefix))
        return longest.a, longest.b

    @contextmanager
    def reader(self) -> Iterator[Read]:
        with self.first.reader() as first, self.second.reader() as second:

            def read(name: str) -> Tensor:
                a, b = self.share(name)
                if b == 0 and a == 1:  # which the sum gives as well, but for the sign of a zero
                    return first(name)
                if a == 0 and b == 1:
                    return second(name)
                return a * first(name) + b * second(name)

            yield read


def unlike(first: Weights, second: Weights) -> tuple[str, ...]:
    """The weights that one has and the other has not, or has in another shape."""
    names = dict.fromkeys([*first.shapes, *second.shapes])
    return tuple(n for n in names if first.shapes.get(n) != second.shapes.get(n))


def _sum(new: Sequence[Tensor]) -> Tensor:
    """The sum, in order, in the memory of the first: fresh memory costs more than the sum."""
    total, *others = new
    for other in others:
        total.add_(other)
    return total


def _digest(parts: Sequence[object]) -> str:
    text = json.dumps(parts, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()

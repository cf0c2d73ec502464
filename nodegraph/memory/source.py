"""Where a model comes from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor, nn


class ModelSource(Protocol):
    """How to get one model, as often as the manager needs it.

    Two sources with equal keys give equal models: the manager loads one of them. All three
    methods give the same values, in the same dtype and memory layout, every time.
    """

    @property
    def key(self) -> str:
        """The content's identity: file hash, part, dtype, patches."""

    @property
    def nbytes(self) -> int:
        """Bytes of all weights, tied ones once; known before anything is loaded."""

    def load(self) -> nn.Module:
        """The whole model on the host, a new one: the manager empties it. May be slow."""

    def skeleton(self) -> nn.Module:
        """The model with its weights on the meta device; small buffers may be real already."""

    def tensor(self, name: str) -> Tensor:
        """One weight on the host, by its name among the named parameters and buffers.

        Called for every name that is on the meta device in the skeleton. Raises KeyError for a
        name it does not know; a tied weight is asked for under its other names then. Runs while
        the model runs, so it must not lease.
        """

"""Tensors kept within a number of bytes, the longest unused let go first."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

from torch import Tensor

K = TypeVar("K")


class Kept(Generic[K]):
    """Tensors by key, made when they are not there. May be used from several threads.

    limit: bytes; a tensor that is larger alone is made each time.
    """

    def __init__(self, limit: int, make: Callable[[K], Tensor]) -> None:
        self.limit = limit
        self.nbytes = 0
        self._make = make
        self._kept: OrderedDict[K, Tensor] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: K) -> Tensor:
        """The tensor of a key; it must not be changed."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        made = self._make(key)
        with self._lock:
            self._keep(key, made)
        return made

    def _keep(self, key: K, made: Tensor) -> None:
        if key in self._kept or made.nbytes > self.limit:
            return
        self._kept[key] = made
        self.nbytes += made.nbytes
        while self.nbytes > self.limit:
            _, oldest = self._kept.popitem(last=False)
            self.nbytes -= oldest.nbytes

"""Telling a lack of memory from other errors."""

from __future__ import annotations

import sys
from typing import Literal

_HOST = (
    "defaultcpuallocator",
    "can't allocate memory",
    "cannot allocate memory",
    "not enough memory: you tried to allocate",
)
_DEVICE = (
    "out of memory",
    "cublas_status_alloc_failed",
    "cudnn_status_alloc_failed",
)


def out_of_memory(error: BaseException) -> Literal["host", "device"] | None:
    """Which memory ran out, judged by `error` and what it was raised `from`; None: neither.

    PyTorch has no one class for this: the CPU allocator, cuBLAS and older versions raise a plain
    RuntimeError, so those are known by their text.
    """
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        if where := _exhausted(cause):
            return where
        cause = cause.__cause__
    return None


def _exhausted(error: BaseException) -> Literal["host", "device"] | None:
    if isinstance(error, MemoryError):
        return "host"
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(error, torch.cuda.OutOfMemoryError):
        return "device"
    if not isinstance(error, RuntimeError):
        return None
    text = str(error).lower()
    if any(words in text for words in _HOST):
        return "host"
    return "device" if any(words in text for words in _DEVICE) else None

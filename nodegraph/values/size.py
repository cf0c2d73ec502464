"""How many bytes a value holds, and where."""

from __future__ import annotations

from typing import Any

from .tree import everything, is_array, is_tensor

OBJECT_BYTES = 64  # what one object is taken to cost, beside the memory it points to


def nbytes(value: Any) -> int:
    """Bytes held by `value`: every tensor storage and array buffer once, text, and its objects.

    A view holds all of the storage it looks into. Opaque objects count as one object.
    """
    return sum(device_bytes(value).values())


def device_bytes(value: Any) -> dict[str, int]:
    """`nbytes` by device: `{"cpu": ..., "cuda:0": ...}`; objects and arrays are on the CPU."""
    held = {"cpu": 0}
    storages: set[tuple[str, int]] = set()
    for leaf in everything(value):
        held["cpu"] += OBJECT_BYTES
        if isinstance(leaf, (str, bytes, bytearray)):
            held["cpu"] += len(leaf)
        elif is_tensor(leaf) and str(leaf.layout) == "torch.strided":
            storage, device = leaf.untyped_storage(), str(leaf.device)
            if device != "meta" and (device, storage.data_ptr()) not in storages:
                storages.add((device, storage.data_ptr()))
                held[device] = held.get(device, 0) + storage.nbytes()
        elif is_array(leaf) and leaf.base is None:
            held["cpu"] += leaf.nbytes
    return held

"""How many bytes a value holds, and where."""

from __future__ import annotations

from typing import Any

from .tree import PLAIN, everything, is_array, is_tensor

OBJECT_BYTES = 64  # what one object is taken to cost, beside the memory it points to


def nbytes(value: Any) -> int:
    """Bytes held by `value`: every tensor storage and array buffer once, text, and its objects.

    A view holds all of the storage it looks into. Opaque objects count as one object.
    """
    return sum(device_bytes(value).values())


def device_bytes(value: Any) -> dict[str, int]:
    """`nbytes` by device: `{"cpu": ..., "cuda:0": ...}`; objects and arrays are on the CPU."""
    if type(value) is tuple and PLAIN.issuperset(map(type, value)):  # the outputs of most nodes
        texts = sum(len(item) for item in set(value) if isinstance(item, (str, bytes)))
        return {"cpu": OBJECT_BYTES * (1 + len({id(item) for item in value})) + texts}
    host = 0
    storages: dict[tuple[str, int], int] = {}
    for leaf in everything(value):
        host += OBJECT_BYTES
        if isinstance(leaf, (str, bytes, bytearray)):
            host += len(leaf)
        elif type(leaf) in PLAIN:
            continue
        elif is_tensor(leaf):
            if leaf.device.type != "meta" and str(leaf.layout) == "torch.strided":
                storage = leaf.untyped_storage()
                storages[str(leaf.device), storage.data_ptr()] = storage.nbytes()
        elif is_array(leaf) and leaf.base is None:
            host += leaf.nbytes
    held = {"cpu": host}
    for (device, _), size in storages.items():
        held[device] = held.get(device, 0) + size
    return held

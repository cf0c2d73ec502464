"""Port types: the wire name of what travels over a link, its colour, what may connect to what.

A wire name is a word in capitals ("IMAGE"), a union of words ("INT,FLOAT") or "*", which means
anything. A link is allowed when every word given is among the words wanted. Two conveniences go
beyond that: an INT may go where a FLOAT is wanted, and a STRING or COMBO to the other.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

ANYTHING = "*"
PRIMITIVES: Mapping[type, str] = {int: "INT", float: "FLOAT", str: "STRING", bool: "BOOLEAN"}
CONVERTIBLE = frozenset({("INT", "FLOAT"), ("STRING", "COMBO"), ("COMBO", "STRING")})

Encoder = Callable[[Any], Any]  # value -> JSON, tensors left in place
Decoder = Callable[[Any], Any]  # the inverse


@dataclass(frozen=True)
class Codec:
    """How a port type's values go to the disk cache and come back.

    `encode` turns a value into JSON-like data (None, bool, int, float, str, list, dict) whose
    leaves may also be tensors; `decode` is its inverse.
    """

    encode: Encoder
    decode: Decoder


@dataclass(frozen=True)
class PortType:
    """One kind of value a port carries.

    name:   wire name, as clients see it ("LATENT").
    python: the annotation that means this type in a node's signature.
    color:  CSS colour of its ports and cables.
    codec:  how values go to disk; None: they are recomputed after a restart.
    """

    name: str
    python: Any
    color: str = "#9a9a9a"
    codec: Codec | None = None


def accepts(wanted: str, given: str) -> bool:
    """Whether a link from an output of type `given` may feed an input of type `wanted`."""
    if wanted == given or ANYTHING in wanted or ANYTHING in given:
        return True
    words = wanted.split(",")
    return all(
        word in words or any((word, other) in CONVERTIBLE for other in words)
        for word in given.split(",")
    )


def structural(*classes: type) -> Codec:
    """A codec for tensors, plain data and trees of them in the given (frozen) dataclasses.

    A dataclass becomes {"$": class name, "fields": {...}}, a tuple {"$": "tuple", ...}, so the
    value comes back with the types it had. Raises TypeError for a value of any other class, also of
    one derived from these (which would come back as something else).
    """
    known = _by_name(classes)

    def encode(value: Any) -> Any:
        kind = type(value)
        if value is None or kind in PRIMITIVES or _is_tensor(value):
            return value
        if known.get(kind.__name__) is kind:
            fields = {f.name: encode(getattr(value, f.name)) for f in _made_from(kind)}
            return {"$": kind.__name__, "fields": fields}
        if kind is tuple:
            return {"$": "tuple", "items": [encode(item) for item in value]}
        if kind is list:
            return [encode(item) for item in value]
        if kind is dict and all(type(key) is str for key in value):
            return {"$": "dict", "items": {key: encode(item) for key, item in value.items()}}
        raise TypeError(f"a value of type {kind.__name__} cannot be stored")

    def decode(data: Any) -> Any:
        if isinstance(data, list):
            return [decode(item) for item in data]
        if not isinstance(data, dict):
            return data
        match data["$"]:
            case "tuple":
                return tuple(decode(item) for item in data["items"])
            case "dict":
                return {key: decode(item) for key, item in data["items"].items()}
            case name:
                fields = {key: decode(item) for key, item in data["fields"].items()}
                return known[name](**fields)

    return Codec(encode, decode)


def _by_name(classes: tuple[type, ...]) -> dict[str, type]:
    known: dict[str, type] = {}
    for cls in classes:
        if not dataclasses.is_dataclass(cls):
            raise TypeError(f"{cls.__name__} is no dataclass: a codec cannot take it apart")
        if known.setdefault(cls.__name__, cls) is not cls or cls.__name__ in ("tuple", "dict"):
            raise TypeError(f"two classes of one codec are named {cls.__name__}")
    return known


def _made_from(kind: type) -> list[dataclasses.Field[Any]]:
    """The fields that the class is called with; it works out the others by itself."""
    return [field for field in dataclasses.fields(kind) if field.init]


def _is_tensor(value: Any) -> bool:
    # A value can only be a tensor once torch has been imported; the engine never imports it here.
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)

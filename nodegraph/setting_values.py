"""Reading one setting's value, from YAML (typed already) or from text.

A reader takes what was given and returns the value, or raises ValueError with what it expects.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

Reader = Callable[[Any], Any]

UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
YES = ("true", "yes", "on", "1")
NO = ("false", "no", "off", "0")


def path(given: Any) -> Path:
    if not isinstance(given, str | Path) or not str(given).strip():
        raise ValueError("a path")
    return Path(given).expanduser()


def optional_path(given: Any) -> Path | None:
    return None if given is None else path(given)


def paths(given: Any) -> tuple[Path, ...]:
    if isinstance(given, str):
        given = [part for part in given.split(os.pathsep) if part]
    try:
        return tuple(path(part) for part in _items(given, Path))
    except ValueError:
        raise ValueError(f"paths: a list, or text with {os.pathsep!r} between them") from None


def names(given: Any) -> tuple[str, ...]:
    if isinstance(given, str):
        given = [part.strip() for part in given.split(",") if part.strip()]
    parts = _items(given)
    if not all(isinstance(part, str) for part in parts):
        raise ValueError("names: a list, or text with commas")
    return tuple(parts)


def permissions(given: Any) -> tuple[str, ...]:
    """Texts such as "downloader.network", from these or from {downloader: [network]}."""
    expected = 'permissions of plugins: {name: [network]}, or texts such as "name.network"'
    if isinstance(given, dict):
        given = [
            f"{name}.{what}"
            for name, granted in given.items()
            for what in (granted if isinstance(granted, list) else [granted])
        ]
    try:
        found = names(given)
    except ValueError:
        raise ValueError(expected) from None
    if not all(re.fullmatch(r"[a-z][a-z0-9_]*\.[a-z]+", text) for text in found):
        raise ValueError(expected)
    return found


def truth(given: Any) -> bool:
    if isinstance(given, bool):
        return given
    word = str(given).strip().lower()
    if word not in YES + NO:
        raise ValueError("true or false")
    return word in YES


def whole(low: int, high: int) -> Reader:
    """A reader of whole numbers from `low` to `high`."""

    def read(given: Any) -> int:
        expected = ValueError(f"a whole number from {low} to {high}")
        try:
            number = int(given) if isinstance(given, str) else given
        except ValueError:
            raise expected from None
        if isinstance(number, bool) or not isinstance(number, int) or not low <= number <= high:
            raise expected
        return number

    return read


def size(given: Any) -> int:
    """Bytes: a number, or text like 512M, 8G, 1.5 GiB, in powers of 1024."""
    number: float | None = None
    if isinstance(given, str):
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?", given.strip(), re.IGNORECASE)
        number = float(match[1]) * UNITS[match[2].upper()] if match else None
    elif isinstance(given, int) and not isinstance(given, bool):
        number = given
    if number is None or number < 0:
        raise ValueError("a size: bytes, or a number with K, M, G or T (8G)")
    return int(number)


def optional_size(given: Any) -> int | None:
    """The same, or none (`auto`): measured."""
    return None if given is None or given == "auto" else size(given)


def one_of(*choices: str) -> Reader:
    """A reader of one of some words."""

    def read(given: Any) -> str:
        if given not in choices:
            raise ValueError(f"one of {', '.join(choices)}")
        return str(given)

    return read


def device(given: Any) -> str:
    if not isinstance(given, str) or not re.fullmatch(r"auto|cpu|cuda(:\d+)?", given):
        raise ValueError("auto, cpu, cuda or cuda:N")
    return given


def text(given: Any) -> str:
    if not isinstance(given, str) or not given.strip():
        raise ValueError("text")
    return given


def seconds(given: Any) -> float:
    """A time in seconds, 0 or more."""
    return _number(given, "a number of seconds, 0 or more")


def optional_seconds(given: Any) -> float | None:
    """Seconds, more than 0, or none: with 0 nothing would ever be in time."""
    if given is None or given == "none":
        return None
    expected = "a number of seconds, more than 0, or none"
    number = _number(given, expected)
    if number == 0:
        raise ValueError(expected)
    return number


def optional_days(given: Any) -> float | None:
    """Days, 0 or more, or none."""
    if given is None or given == "none":
        return None
    return _number(given, "a number of days, 0 or more, or none")


def token(given: Any) -> str | None:
    """A secret that can stand in a header. It is never repeated in a message."""
    if given is None:
        return None
    if not isinstance(given, str) or not re.fullmatch(r"[!-~]{8,200}", given):
        raise Unspeakable("8 to 200 letters, digits and signs, without spaces")
    return given


class Unspeakable(ValueError):
    """A wrong value that must not be shown: it is a secret."""


def url(given: Any) -> str | None:
    """http:// or https:// and a host, perhaps a port."""
    if given is None:
        return None
    if not isinstance(given, str) or not re.fullmatch(r"https?://[^/?#@\s]+/?", given):
        raise ValueError("an address like https://example.org")
    return given.rstrip("/")


def _number(given: Any, expected: str) -> float:
    try:
        number = float(given) if isinstance(given, str) else given
    except ValueError:
        raise ValueError(expected) from None
    if isinstance(number, bool) or not isinstance(number, (int, float)):
        raise ValueError(expected)
    if not 0 <= number < 1e12:
        raise ValueError(expected)
    return float(number)


def _items(given: Any, *single: type) -> list[Any]:
    if given is None:
        return []
    if isinstance(given, single):
        return [given]
    if isinstance(given, list | tuple):
        return list(given)
    raise ValueError("a list")

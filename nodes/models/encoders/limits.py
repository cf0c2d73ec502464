"""Bounds of the numbers in a configuration: no damaged file asks for a network without end."""

from __future__ import annotations

from ..errors import ArchitectureError

MOST = 1 << 20


def require_range(name: str, value: int, *, least: int = 1, most: int = MOST) -> None:
    """Raise ArchitectureError unless `value` lies between `least` and `most`."""
    if not least <= value <= most:
        raise ArchitectureError(f"{name}: expected {least} to {most}, got {value}")

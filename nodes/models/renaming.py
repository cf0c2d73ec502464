"""Tables of tensor names: what the original and the diffusers tables share."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from .errors import ArchitectureError


def rename(name: str, modules: Mapping[str, str]) -> str:
    """`name` with the longest module path of `modules` that starts it replaced."""
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        module = ".".join(parts[:end])
        if module in modules:
            return ".".join([modules[module], *parts[end:]])
    raise ArchitectureError(f"{name} has no counterpart in the table of module names")


def choose(tables: Iterable[Mapping[str, str]], names: Collection[str]) -> dict[str, str]:
    """The one of `tables` (original -> diffusers) that `names` follow, as diffusers -> original.

    Raises ArchitectureError naming the first tensors that are missing or unknown in the closest.
    """
    present = set(names)
    table = min(tables, key=lambda table: len(present.symmetric_difference(table.values())))
    expected = set(table.values())
    if missing := sorted(expected - present):
        raise ArchitectureError(_fault(missing, "missing: the file is incomplete"))
    if unknown := sorted(present - expected):
        raise ArchitectureError(_fault(unknown, "not part of this architecture"))
    return {diffusers: original for original, diffusers in table.items()}


def _fault(names: list[str], what: str) -> str:
    more = f" (and {len(names) - 1} more)" if len(names) > 1 else ""
    return f"the tensor {names[0]}{more} is {what}"

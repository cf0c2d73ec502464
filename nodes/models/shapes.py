"""Reading an architecture off the names and shapes of a file's tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import nn

from .blank import blank
from .errors import ArchitectureError

Shapes = Mapping[str, tuple[int, ...]]


def dimension(shapes: Shapes, name: str, axis: int) -> int:
    """Size of tensor `name` along `axis`; ArchitectureError where the file has no such tensor."""
    if name not in shapes:
        raise ArchitectureError(
            f"the tensor {name} is missing: the file is incomplete or holds another architecture"
        )
    if len(shapes[name]) <= axis or shapes[name][axis] < 1:
        raise ArchitectureError(
            f"{name} has shape {tuple(shapes[name])}: its dimension {axis} is missing or empty"
        )
    return shapes[name][axis]


def has(shapes: Shapes, module: str) -> bool:
    """Whether any tensor belongs to `module`."""
    return any(name.startswith(module + ".") for name in shapes)


def count(shapes: Shapes, prefix: str) -> int:
    """How many of the names `prefix`0., `prefix`1., ... tensors have, without a gap."""
    found = {name[len(prefix) :].split(".", 1)[0] for name in shapes if name.startswith(prefix)}
    n = 0
    while str(n) in found:
        n += 1
    return n


def shapes_of(build: Callable[[], nn.Module]) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the module `build` makes, without allocating it."""
    with blank():
        return {name: tuple(tensor.shape) for name, tensor in build().state_dict().items()}


def require_equal(found: Shapes, expected: Shapes) -> None:
    """Raise ArchitectureError naming the first tensors that are missing, misshapen or unknown."""
    if missing := [name for name in expected if name not in found]:
        raise ArchitectureError(f"{_some(missing)} missing: the file is incomplete")
    if unknown := [name for name in found if name not in expected]:
        raise ArchitectureError(f"{_some(unknown)} not part of the architecture found here")
    for name, shape in expected.items():
        if tuple(found[name]) != shape:
            raise ArchitectureError(
                f"{name} has shape {tuple(found[name])}, but the other tensors call for {shape}"
            )


def _some(names: list[str]) -> str:
    if len(names) == 1:
        return f"the tensor {names[0]} is"
    return f"{len(names)} tensors ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''}) are"

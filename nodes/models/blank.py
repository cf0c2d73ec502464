"""Building modules without memory and without drawing their first weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

DRAWS = frozenset({Tensor.uniform_, Tensor.normal_})


class _Undrawn(TorchFunctionMode):
    """The functions that give a module its first weights leave them alone.

    A meta tensor has nothing to draw into, but to find out torch would import its compiler (some
    800 modules, for the normal numbers of an embedding), which takes more than a second.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        given = kwargs or {}
        if func in DRAWS or getattr(func, "__module__", None) == nn.init.__name__:
            return args[0] if args else given["tensor"]
        return func(*args, **given)


@contextmanager
def blank() -> Iterator[None]:
    """Modules made inside are on the meta device: names, shapes and dtypes, and no numbers."""
    with torch.device("meta"), _Undrawn():
        yield

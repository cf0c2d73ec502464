"""Questions of many runs in few calls of one network.

Rows of one call have the same channels and size; each has its own time and its own tokens.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from nodes.diffusion.controlling import control_for
from nodes.diffusion.hooks import ControlQuery

# (x / √(σ²+1) of shape (N, C, h, w), whole times (N,) as float32, tokens (N, L, D) or None)
# -> (N, C or 2C, h, w); called with perturbed=True, control=... and y=... where that is asked
# for, and else without.
Network = Callable[..., Tensor]

MOST_REPEATS = 4


@dataclass(frozen=True, eq=False)
class Query:
    """Rows that one run wants answered: x_t (B, C, h, w), one time t, tokens (B, L, D) or None.

    perturbed: by the network with its attention perturbed (arXiv:2403.17377).
    controls:  what control networks are asked along with it; their answers are added up.
    y:         (B,) class numbers, or (B, E) vectors.
    """

    x_t: Tensor
    t: int
    context: Tensor | None
    perturbed: bool = False
    controls: tuple[ControlQuery, ...] = ()
    y: Tensor | None = None


def evaluate(
    queries: Sequence[Query], network: Network, max_rows: int | None = None
) -> list[Tensor | Exception]:
    """The network's answer to each query, in order; no call has more than `max_rows` rows.

    A call that raises an Exception gives it to every query that was in it, and to no other.
    """
    if max_rows is not None and max_rows < 1:
        raise ValueError(f"max_rows: expected at least 1, got {max_rows}")
    answers: dict[int, Tensor | Exception] = {}
    for group in _groups(queries):
        rows = [len(queries[i].x_t) for i in group]
        try:
            output = _call([queries[i] for i in group], network, max_rows)
            answers.update(zip(group, output.split_with_sizes(rows), strict=True))
        except Exception as fault:
            answers.update((i, fault) for i in group)
    return [answers[i] for i in range(len(queries))]


def _groups(queries: Sequence[Query]) -> list[list[int]]:
    groups: list[list[int]] = []
    for i, query in enumerate(queries):
        for group in groups:
            if _fit([query, *(queries[j] for j in group)]):
                group.append(i)
                break
        else:
            groups.append([i])
    return groups


def _fit(queries: Sequence[Query]) -> bool:
    """Whether these can share a call: equal but for the batch, the time and the tokens' number."""
    if len({(q.x_t.shape[1:], q.x_t.dtype, q.x_t.device, q.perturbed) for q in queries}) > 1:
        return False
    contexts = [q.context for q in queries if q.context is not None]
    ys = [q.y for q in queries if q.y is not None]
    if {len(contexts), len(ys)} - {0, len(queries)}:
        return False
    if len({(y.shape[1:], y.dtype, y.device) for y in ys}) > 1:
        return False
    if len({(c.shape[2], c.dtype, c.device) for c in contexts}) > 1:
        return False
    lengths = [c.shape[1] for c in contexts]
    return not lengths or math.lcm(*lengths) <= MOST_REPEATS * min(lengths)


def _call(queries: Sequence[Query], network: Network, max_rows: int | None) -> Tensor:
    x_t = torch.cat([q.x_t for q in queries])
    times = [float(q.t) for q in queries for _ in q.x_t]
    t = torch.tensor(times, dtype=torch.float32, device=x_t.device)
    context = _tokens(q.context for q in queries if q.context is not None)
    ys = [q.y for q in queries if q.y is not None]
    y = torch.cat(ys) if ys else None
    size = max_rows or len(x_t)
    controls = [query.controls for query in queries for _ in query.x_t]
    images = [image for query in queries for image in range(len(query.x_t))]
    options: dict[str, Any] = {"perturbed": True} if queries[0].perturbed else {}
    outputs = []
    for i in range(0, len(x_t), size):
        rows = slice(i, i + size)
        tokens = None if context is None else context[rows]
        control = control_for(controls[rows], images[rows], x_t[rows], t[rows], tokens)
        added: dict[str, Any] = {} if control is None else {"control": control}
        if y is not None:
            added["y"] = y[rows]
        output = network(x_t[rows], t[rows], tokens, **options, **added)
        _check(output, x_t[rows])
        outputs.append(output)
    return torch.cat(outputs) if len(outputs) > 1 else outputs[0]


def _tokens(contexts: Iterable[Tensor]) -> Tensor | None:
    """Tokens of all rows, each row's repeated to the least common multiple of their numbers.

    Attention over every token k times is attention over every token once: softmax weights shrink
    by k and are summed k times. So repeating, unlike padding, does not change the answer.
    """
    contexts = list(contexts)
    if not contexts:
        return None
    length = math.lcm(*(c.shape[1] for c in contexts))
    return torch.cat([c.repeat(1, length // c.shape[1], 1) for c in contexts])


def _check(output: Tensor, x_t: Tensor) -> None:
    if output.ndim != x_t.ndim or (len(output), *output.shape[2:]) != (len(x_t), *x_t.shape[2:]):
        raise ValueError(
            f"the network returned {tuple(output.shape)}: expected ({len(x_t)}, channels, "
            f"{', '.join(map(str, x_t.shape[2:]))})"
        )

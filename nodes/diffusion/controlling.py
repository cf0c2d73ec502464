"""The control networks of many queries' rows in few calls, each once for all rows that ask it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nodes.diffusion.hooks import ControlNetwork, ControlQuery
from nodes.models.control import Control


@dataclass(frozen=True, eq=False)
class _Row:
    """Row `number` of a call to the UNet asks for this; `image` is its row in the query's hint."""

    number: int
    query: ControlQuery
    image: int

    @property
    def hint(self) -> Tensor:
        return self.query.hint[self.image % len(self.query.hint)]


def control_for(
    asked: Sequence[tuple[ControlQuery, ...]],
    images: Sequence[int],
    x_t: Tensor,
    t: Tensor,
    context: Tensor | None,
) -> Control | None:
    """What is added to the UNet's features in a call of N rows; None where nobody asks.

    asked:  for each row, what it asks; several are added up, and a row without any gets 0.
    images: for each row, its number in the batch of its own query, which is its hint's.
    """
    total: Control | None = None
    for rows in _together(asked, images):
        added = _spread(_call(rows, x_t, t, context), rows, len(x_t))
        total = added if total is None else total + added
    return total


def _together(asked: Sequence[tuple[ControlQuery, ...]], images: Sequence[int]) -> list[list[_Row]]:
    """Rows that can share a call: of one network, with hints of one shape, each row once."""
    groups: dict[tuple[ControlNetwork, torch.Size, int], list[_Row]] = {}
    for number, (queries, image) in enumerate(zip(asked, images, strict=True)):
        seen: dict[tuple[ControlNetwork, torch.Size], int] = {}
        for query in queries:
            kind = (query.network, query.hint.shape[1:])
            turn = seen[kind] = seen.get(kind, -1) + 1
            groups.setdefault((*kind, turn), []).append(_Row(number, query, image))
    return list(groups.values())


def _call(rows: Sequence[_Row], x_t: Tensor, t: Tensor, context: Tensor | None) -> Control:
    """The network's answer for these rows alone, each times its strength and weights."""
    network: ControlNetwork = rows[0].query.network
    hint = torch.stack([row.hint for row in rows])
    if len(rows) < len(x_t):
        numbers = _numbers(rows, x_t)
        x_t, t = x_t[numbers], t[numbers]
        context = None if context is None else context[numbers]
    control = network(x_t, t, context, hint)
    return control.weighted(_weights(rows, len(control.skips) + 1, x_t.device))


def _weights(rows: Sequence[_Row], places: int, device: torch.device) -> Tensor:
    table = []
    for row in rows:
        weights = row.query.weights or (1.0,) * places
        if len(weights) != places:
            raise ValueError(f"weights of a control: expected {places}, got {len(weights)}")
        table.append([row.query.strength * weight for weight in weights])
    return torch.tensor(table, dtype=torch.float32, device=device)


def _spread(control: Control, rows: Sequence[_Row], total: int) -> Control:
    """The same for all rows of the call: 0 in those that did not ask."""
    if len(rows) == total:
        return control

    def spread(feature: Tensor) -> Tensor:
        whole = feature.new_zeros(total, *feature.shape[1:])
        return whole.index_copy(0, _numbers(rows, feature), feature)

    return control.each(spread)


def _numbers(rows: Sequence[_Row], like: Tensor) -> Tensor:
    return torch.tensor([row.number for row in rows], device=like.device)

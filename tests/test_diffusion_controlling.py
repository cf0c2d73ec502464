"""Which rows share a call of a control network, and that each gets its own answer back."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from nodes.diffusion.controlling import control_for
from nodes.diffusion.hooks import ControlQuery
from nodes.diffusion.packing import Query, evaluate
from nodes.models.control import Control


class Net:
    """Adds scale * (x + t + tokens' mean + hint) at its first place, and twice, thrice that at the
    others; notes what it was asked."""

    def __init__(self, scale: float = 1.0) -> None:
        self.scale = scale
        self.calls: list[tuple[list[float], list[float]]] = []  # times, hints
        self.tokens: list[int | None] = []

    def __call__(self, x: Tensor, t: Tensor, context: Tensor | None, hint: Tensor) -> Control:
        self.calls.append((t.tolist(), hint.flatten(1)[:, 0].tolist()))
        self.tokens.append(None if context is None else context.shape[1])
        tokens = 0 if context is None else context.mean(dim=(1, 2))
        value = self.scale * (x.flatten(1)[:, 0] + t + tokens + hint.flatten(1)[:, 0])
        one = value[:, None, None, None]
        return Control((one, 2 * one), 3 * one)


def ask(network: Net, hint: float | list[float] = 0.0, **options: object) -> ControlQuery:
    """A hint for each image, or one for all."""
    values = hint if isinstance(hint, list) else [hint]
    return ControlQuery(network, torch.tensor(values).view(-1, 1, 1, 1), **options)  # type: ignore[arg-type]


def found(
    asked: list[tuple[ControlQuery, ...]], *, x: list[float] | None = None
) -> tuple[list[float], list[float], list[float]] | None:
    """What each row gets at the first place, the second and the middle."""
    rows = len(asked)
    x_t = torch.tensor(x or [0.0] * rows).view(-1, 1, 1, 1)
    control = control_for(asked, list(range(rows)), x_t, torch.zeros(rows), None)
    if control is None:
        return None
    assert control.middle is not None
    first, second = control.skips
    return first.flatten().tolist(), second.flatten().tolist(), control.middle.flatten().tolist()


def test_networks_are_told_apart_by_equality_so_that_methods_will_do() -> None:
    net = Net()
    rows = [(replace(ask(net, hint), network=net.__call__),) for hint in (1.0, 2.0)]

    assert rows[0][0].network is not rows[1][0].network
    assert found(rows) == ([1, 2], [2, 4], [3, 6])
    assert len(net.calls) == 1


def test_where_nobody_asks_there_is_no_control() -> None:
    assert found([(), ()]) is None


def test_all_rows_that_ask_share_one_call() -> None:
    net = Net()

    assert found([(ask(net, 1.0),), (ask(net, 5.0),)]) == ([1, 5], [2, 10], [3, 15])
    assert len(net.calls) == 1


def test_rows_that_do_not_ask_are_left_out_of_the_call_and_get_nothing() -> None:
    net = Net()

    result = found([(), (ask(net, 1.0),), (), (ask(net, 2.0),)], x=[10, 20, 30, 40])

    assert result is not None
    assert result[0] == [0, 21, 0, 42]
    assert net.calls == [([0, 0], [1, 2])]


def test_strength_multiplies_everything_and_weights_place_by_place() -> None:
    net = Net()

    result = found(
        [
            (ask(net, 1.0, strength=0.5),),
            (ask(net, 1.0, strength=2.0, weights=(1.0, 0.25, 0.0)),),
        ]
    )

    assert result == ([0.5, 2], [1, 1], [1.5, 0])
    assert len(net.calls) == 1


def test_weights_of_another_number_are_refused() -> None:
    with pytest.raises(ValueError, match="weights of a control: expected 3, got 2"):
        found([(ask(Net(), weights=(1.0, 1.0)),)])


def test_a_row_that_asks_several_networks_gets_their_sum() -> None:
    one, hundred = Net(), Net(100.0)

    result = found([(ask(one, 1.0), ask(hundred, 2.0)), (ask(hundred, 3.0),)])

    assert result is not None
    assert result[0] == [201, 300]
    assert (len(one.calls), len(hundred.calls)) == (1, 1)


def test_a_row_that_asks_one_network_twice_gets_both_answers() -> None:
    net = Net()

    result = found([(ask(net, 1.0), ask(net, 10.0)), (ask(net, 100.0),)])

    assert result is not None
    assert result[0] == [11, 100]


def test_hints_of_another_shape_go_apart() -> None:
    net = Net()
    wide = ControlQuery(net, torch.full((1, 1, 2, 2), 7.0))

    result = found([(ask(net, 1.0),), (wide,)])

    assert result is not None
    assert result[0] == [1, 7]
    assert len(net.calls) == 2


def test_each_image_of_a_query_has_its_own_hint_and_few_hints_repeat() -> None:
    net = Net()
    query = ask(net, [1.0, 2.0])

    assert found([(query,)] * 5) == ([1, 2, 1, 2, 1], [2, 4, 2, 4, 2], [3, 6, 3, 6, 3])


# --- with the calls of the UNet ------------------------------------------------------------------


class UNet:
    """Answers what is added at its first place, or 0; notes its calls' rows."""

    def __init__(self) -> None:
        self.calls: list[int] = []

    def __call__(
        self, x: Tensor, t: Tensor, context: Tensor | None, control: Control | None = None
    ) -> Tensor:
        self.calls.append(len(x))
        return torch.zeros_like(x) if control is None else control.skips[0].expand_as(x)


def question(rows: int, t: int, *controls: ControlQuery, tokens: int | None = None) -> Query:
    context = None if tokens is None else torch.full((rows, tokens, 2), float(tokens))
    return Query(torch.zeros(rows, 1, 2, 2), t, context, controls=controls)


def answered(queries: list[Query], unet: UNet, max_rows: int | None = None) -> list[list[float]]:
    answers = evaluate(queries, unet, max_rows)
    assert all(isinstance(answer, Tensor) for answer in answers), answers
    return [a[:, 0, 0, 0].tolist() for a in answers if isinstance(a, Tensor)]


def test_several_runs_share_a_call_of_both_networks() -> None:
    net, unet = Net(), UNet()
    hints = ask(net, [0.25, 0.5])

    answers = answered([question(2, 5, hints), question(1, 7), question(2, 9, hints)], unet)

    assert answers == [[5.25, 5.5], [0], [9.25, 9.5]]
    assert unet.calls == [5]
    assert net.calls == [([5, 5, 9, 9], [0.25, 0.5, 0.25, 0.5])]


@pytest.mark.parametrize("most", [1, 2, 3])
def test_a_call_cut_into_parts_gives_each_row_the_same(most: int) -> None:
    net, other, unet = Net(), Net(100.0), UNet()
    hints = ask(net, [0.25, 0.5, 0.75])
    queries = [
        question(2, 5, hints),
        question(1, 7),
        question(3, 9, hints, ask(other, [1.0, 2.0, 3.0])),
    ]

    parts = answered(queries, unet, most)

    assert parts == [[5.25, 5.5], [0], [1009.25, 1109.5, 1209.75]]
    assert max(unet.calls) == most
    assert all(len(times) <= most for times, _ in net.calls)


def test_the_control_network_reads_the_tokens_of_the_rows_it_serves() -> None:
    net, unet = Net(), UNet()
    query = ask(net)

    answers = answered([question(1, 0, query, tokens=2), question(1, 0, query, tokens=4)], unet)

    assert answers == [[2], [4]]
    assert net.tokens == [4]  # the shorter ones repeated, as for the UNet


def test_a_control_network_that_fails_ends_the_runs_of_that_call_alone() -> None:
    def failing(*_: object) -> Control:
        raise RuntimeError("no such picture")

    unet = UNet()
    broken = replace(ask(Net()), network=failing)
    wide = Query(torch.zeros(1, 1, 4, 4), 3, None)

    first, second = evaluate([question(1, 5, broken), wide], unet)

    assert isinstance(first, RuntimeError)
    assert isinstance(second, Tensor)

"""Which rows share a call of the network, and that each gets its own answer back."""

import pytest
import torch
from torch import Tensor

from nodes.diffusion.packing import Query, evaluate

Call = tuple[tuple[int, ...], list[float], tuple[int, ...] | None]


class Recorder:
    """A network that answers x + t + the sum over tokens / their number, and notes its calls."""

    def __init__(self) -> None:
        self.calls: list[Call] = []

    def __call__(self, x: Tensor, t: Tensor, context: Tensor | None) -> Tensor:
        tokens = None if context is None else tuple(context.shape)
        self.calls.append((tuple(x.shape), t.tolist(), tokens))
        extra = t if context is None else t + context.mean(dim=(1, 2))
        return x + extra[:, None, None, None]


def query(
    rows: int, t: int, tokens: int | None = None, *, size: int = 2, value: float = 0
) -> Query:
    context = None if tokens is None else torch.full((rows, tokens, 3), float(value))
    return Query(torch.zeros(rows, 1, size, size), t, context)


def answered(queries: list[Query], network: Recorder, max_rows: int | None = None) -> list[float]:
    answers = evaluate(queries, network, max_rows)
    assert all(isinstance(a, Tensor) for a in answers)
    assert [len(a) for a in answers if isinstance(a, Tensor)] == [len(q.x_t) for q in queries]
    return [a.unique().item() for a in answers if isinstance(a, Tensor)]


def test_rows_of_one_shape_share_a_call_each_with_its_time() -> None:
    network = Recorder()

    assert answered([query(2, 5), query(1, 7)], network) == [5, 7]
    assert network.calls == [((3, 1, 2, 2), [5, 5, 7], None)]


def test_rows_of_another_size_or_without_tokens_go_apart() -> None:
    network = Recorder()

    queries = [query(1, 1), query(1, 2, size=4), query(1, 3), query(1, 4, tokens=2, value=0.5)]

    assert answered(queries, network) == [1, 2, 3, 4.5]
    assert [call[0] for call in network.calls] == [(2, 1, 2, 2), (1, 1, 4, 4), (1, 1, 2, 2)]


def test_tokens_of_different_numbers_are_repeated_to_a_common_multiple() -> None:
    network = Recorder()

    assert answered([query(1, 0, 77, value=1), query(1, 0, 154, value=2)], network) == [1, 2]
    assert network.calls[0][2] == (2, 154, 3)


def test_numbers_of_tokens_without_a_small_common_multiple_go_apart() -> None:
    network = Recorder()

    answered([query(1, 0, 77), query(1, 0, 78), query(1, 0, 77 * 4)], network)

    assert [call[2] for call in network.calls] == [(2, 308, 3), (1, 78, 3)]


def test_repeated_tokens_leave_attention_unchanged() -> None:
    q, kv = torch.randn(2, 1, 1, 6, 8, generator=torch.Generator().manual_seed(0)).double()
    attention = torch.nn.functional.scaled_dot_product_attention

    once, thrice = attention(q, kv, kv), attention(q, kv.repeat(1, 1, 3, 1), kv.repeat(1, 1, 3, 1))

    torch.testing.assert_close(once, thrice, rtol=1e-12, atol=1e-12)


def test_no_call_has_more_rows_than_allowed() -> None:
    network = Recorder()

    queries = [query(3, 1, 2, value=1), query(2, 5, 2, value=2)]

    assert answered(queries, network, max_rows=2) == [2, 7]
    assert [call[1] for call in network.calls] == [[1, 1], [1, 5], [5]]


def test_nothing_asked_is_nothing_called() -> None:
    network = Recorder()

    assert evaluate([], network) == []
    assert network.calls == []


def test_a_failing_call_fails_its_own_rows_alone() -> None:
    def network(x: Tensor, t: Tensor, context: Tensor | None) -> Tensor:
        if x.shape[-1] == 4:
            raise MemoryError("too large")
        return x

    small, large, small_too = evaluate([query(1, 1), query(1, 1, size=4), query(1, 2)], network)

    assert isinstance(small, Tensor)
    assert isinstance(small_too, Tensor)
    assert isinstance(large, MemoryError)


def test_an_answer_of_the_wrong_size_is_refused() -> None:
    [fault] = evaluate([query(2, 1)], lambda x, t, context: x[:, :, :1])

    assert isinstance(fault, ValueError)
    assert "returned (2, 1, 1, 2): expected (2, channels, 2, 2)" in str(fault)


def test_a_limit_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="max_rows: expected at least 1"):
        evaluate([query(1, 1)], Recorder(), 0)


def test_perturbed_rows_are_asked_about_apart_and_by_name() -> None:
    asked: list[tuple[int, bool]] = []

    def network(x: Tensor, t: Tensor, context: Tensor | None, **options: bool) -> Tensor:
        asked.append((len(x), options.get("perturbed", False)))
        return x + (5 if options else 1)

    plain, perturbed = query(2, 10), Query(torch.zeros(3, 1, 2, 2), 10, None, perturbed=True)
    answers = evaluate([plain, perturbed, plain], network)

    assert asked == [(4, False), (3, True)]
    assert [a.unique().item() for a in answers if isinstance(a, Tensor)] == [1, 5, 1]


def classed(*numbers: int, dtype: torch.dtype = torch.int64) -> Query:
    y = torch.tensor(numbers, dtype=dtype)
    return Query(torch.zeros(len(numbers), 1, 2, 2), 0, None, y=y)


def test_rows_of_different_classes_share_a_call_and_others_go_apart() -> None:
    calls: list[list[float] | None] = []

    def network(x: Tensor, t: Tensor, context: Tensor | None, y: Tensor | None = None) -> Tensor:
        calls.append(None if y is None else y.flatten().tolist())
        return x if y is None else x + y.flatten()[: len(x), None, None, None]

    vectors = Query(torch.zeros(1, 1, 2, 2), 0, None, y=torch.tensor([[9.0, 8.0]]))
    one, _, two, three = evaluate([classed(3, 5), query(1, 0), classed(7), vectors], network)

    assert calls == [[3, 5, 7], None, [9, 8]]
    assert isinstance(one, Tensor)
    assert isinstance(two, Tensor)
    assert isinstance(three, Tensor)
    assert [one[:, 0, 0, 0].tolist(), two.unique().tolist()] == [[3, 5], [7]]
    assert three.unique().tolist() == [9]
    evaluate([classed(3, 5), classed(7)], network, max_rows=2)
    assert calls[3:] == [[3, 5], [7]]

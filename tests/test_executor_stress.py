"""Many small runs at once on one executor: nothing hangs, nothing is mixed up."""

import asyncio
import random
import threading
from typing import Annotated, Any

import pytest
import torch
from executor_support import SECONDS, entry, rig_of
from torch import Tensor

from nodegraph.context import CancelToken, Context
from nodegraph.errors import InputChanged
from nodegraph.expansion import Builder, Expansion
from nodegraph.node import LAZY, node
from nodegraph.types import PortType
from nodegraph.values import Many

TENSOR = PortType("TENSOR", Tensor)


@node("Make", category="t")
def make(value: int) -> Tensor:
    return torch.full((3,), float(value))


@node("Add", category="t")
def add(a: Tensor, b: Tensor) -> Tensor:
    return a + b


@node("AddIo", category="t", lane="io")
def add_io(a: Tensor, b: Tensor) -> Tensor:
    return a + b


@node("AddLater", category="t")
async def add_later(a: Tensor, b: Tensor) -> Tensor:
    await asyncio.sleep(0)
    return a + b


@node("AddTwice", category="t")
def add_twice(a: Tensor, b: Tensor, *, context: Context) -> Tensor | Expansion:
    build = Builder()
    first = build.add("Add", a=context.links["a"], b=context.links["b"])
    return build.result(build.add("AddIo", a=first, b=context.links["b"]))


@node("First", category="t", needs=lambda a: ["a"])
def first(a: Annotated[Tensor, LAZY], b: Annotated[Tensor, LAZY]) -> Tensor:
    return a.clone()


@node("Fail", category="t")
def fail(a: Tensor, b: Tensor) -> Tensor:
    raise ValueError("on purpose")


@node("Spoil", category="t")
def spoil(a: Tensor, b: Tensor) -> Tensor:
    a.add_(100)
    return a


@node("SpoilIo", category="t", lane="io")
def spoil_io(a: Tensor, b: Tensor) -> Tensor:
    b.mul_(3)
    return a


NODES = (TENSOR, make, add, add_io, add_later, add_twice, first, fail, spoil, spoil_io)
KINDS = ["Add", "AddIo", "AddLater", "AddTwice", "First", "Fail", "Spoil", "SpoilIo"]
WEIGHTS = [6, 6, 3, 2, 2, 1, 1, 1]


def random_graph(draw: random.Random) -> dict[str, Any]:
    document: dict[str, Any] = {str(i): entry("Make", value=draw.randint(0, 3)) for i in range(2)}
    for i in range(2, draw.randint(4, 14)):
        a, b = (str(draw.randrange(i)) for _ in range(2))
        kind = draw.choices(KINDS, WEIGHTS)[0]
        document[str(i)] = entry(kind, a=[a, 0], b=[b, 0])
    return document


def expected(document: dict[str, Any]) -> dict[str, float | str]:
    """The value of each node; "failed", "spoils" or "skipped" where it has none."""
    found: dict[str, float | str] = {}
    for id, each in document.items():
        kind, inputs = each["class_type"], each["inputs"]
        if kind == "Make":
            found[id] = float(inputs["value"])
            continue
        a, b = (found[inputs[name][0]] for name in "ab")
        if isinstance(a, str) or (isinstance(b, str) and kind != "First"):
            found[id] = "skipped"
        elif kind == "First":
            found[id] = a
        elif kind in ("Fail", "Spoil", "SpoilIo"):
            # Changing 0 to 0 is no change.
            harmless = kind == "SpoilIo" and b == 0.0
            found[id] = a if harmless else "failed" if kind == "Fail" else "spoils"
        else:
            assert isinstance(b, float)
            found[id] = a + (2 * b if kind == "AddTwice" else b)
    return found


def check(document: dict[str, Any], result: Any) -> None:
    wanted = expected(document)
    for id, value in wanted.items():
        if isinstance(value, float):
            assert torch.equal(result[id][0], torch.full((3,), value)), id
        elif value == "skipped":
            assert id in result.skipped, id
        else:
            assert isinstance(result.errors[id], InputChanged) == (value == "spoils"), id


@pytest.mark.parametrize("seed", range(4))
def test_random_runs_from_many_threads_give_what_they_should(seed: int) -> None:
    complaints: list[BaseException] = []

    def work(number: int) -> None:
        draw = random.Random(f"{seed} {number}")
        try:
            for _ in range(12):
                document = random_graph(draw)
                plan = rig.plan(document, list(document))
                token = CancelToken()
                left = draw.choice([None, None, draw.randrange(40)])
                count = iter(range(10_000))

                def cancel(
                    _: Any, left: Any = left, token: Any = token, count: Any = count
                ) -> None:
                    if next(count) == left:
                        token.cancel()

                result = rig.executor.run(plan, emit=cancel, cancel=token)
                if not result.cancelled:
                    check(document, result)
        except BaseException as error:
            complaints.append(error)

    with rig_of(*NODES) as rig:
        threads = [threading.Thread(target=work, args=(i,), daemon=True) for i in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(SECONDS)
        hanging = [thread for thread in threads if thread.is_alive()]
        assert not hanging

    if complaints:
        raise complaints[0]


def test_a_wide_fan_over_all_lanes_is_put_together_again() -> None:
    @node("Range", category="t")
    def numbers(count: int) -> list[int]:
        return list(range(count))

    @node("Square", category="t", lane="io")
    def square(value: int) -> int:
        return value * value

    @node("Later", category="t")
    async def later(value: int) -> int:
        await asyncio.sleep(0)
        return value + 1

    document = {
        "1": entry("Range", count=300),
        "2": entry("Square", value=["1", 0]),
        "3": entry("Later", value=["2", 0]),
    }
    with rig_of(numbers, square, later) as rig:
        result = rig.run(document, targets=["3"]).require()

    assert result["3"] == (Many(tuple(i * i + 1 for i in range(300))),)

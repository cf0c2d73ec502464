"""Memory: what is let go when, what happens when it runs out, gradients."""

import gc
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from executor_support import entry, rig_of
from torch import Tensor

from nodegraph.cache import Cache
from nodegraph.events import NodeFailed, NodeFinished, NodeStarted, Retried
from nodegraph.memory import Measurement, ModelManager
from nodegraph.node import node
from nodegraph.types import PortType

TENSOR = PortType("TENSOR", Tensor)


class Thing:
    """Something of which a test can see whether it is still there."""


@node("Number", category="t")
def number(value: int = 1) -> int:
    return value


# -- letting go ----------------------------------------------------------------------------------


def test_a_value_is_let_go_when_its_last_reader_is_done() -> None:
    alive: dict[str, list[bool]] = {}
    made: dict[str, weakref.ref[Thing]] = {}

    @node("Make", category="t", cached=False)
    def make(name: str) -> Any:
        thing = Thing()
        made[name] = weakref.ref(thing)
        return thing

    @node("Use", category="t", cached=False)
    def use(thing: Any, name: str) -> int:
        return 1

    @node("Look", category="t", cached=False)
    def look(after: int, name: str) -> int:
        gc.collect()
        alive[name] = [made[each]() is not None for each in ("a", "b")]
        return after

    document = {
        "a": entry("Make", name="a"),
        "b": entry("Make", name="b"),
        "1": entry("Use", thing=["a", 0], name="first"),
        "2": entry("Use", thing=["b", 0], name="second"),
        "3": entry("Look", after=["1", 0], name="after one"),
        "4": entry("Use", thing=["a", 0], name=["n", 0]),
        "n": entry("Text", after=["3", 0]),
        "5": entry("Look", after=["4", 0], name="after both"),
    }

    @node("Text", category="t", cached=False)
    def text(after: int) -> str:
        return "third"

    with rig_of(make, use, look, text) as rig:
        rig.run(document, targets=["2", "3", "5"]).require()
        gc.collect()
        assert made["a"]() is None
        assert made["b"]() is None

    assert alive["after one"] == [True, False], "b's reader was done, a has another one"
    assert alive["after both"] == [False, False]


def test_a_target_s_value_stays_with_the_result_alone() -> None:
    made: list[weakref.ref[Thing]] = []

    @node("Make", category="t", cached=False)
    def make() -> Any:
        thing = Thing()
        made.append(weakref.ref(thing))
        return thing

    with rig_of(make) as rig:
        result = rig.run({"1": entry("Make")}, targets=["1"]).require()
        assert result["1"][0] is made[0]()
        del result
        gc.collect()
        assert made[0]() is None


# -- running out ---------------------------------------------------------------------------------


class Exhausted:
    """A node that runs out of memory the first times it is called."""

    def __init__(self, failures: int, error: Exception) -> None:
        self.left = failures
        self.error = error
        self.held: list[weakref.ref[Thing]] = []

    def node(self) -> Any:
        @node("Big", category="t")
        def big(value: int = 0) -> int:
            thing = Thing()
            self.held.append(weakref.ref(thing))
            if self.left > 0:
                self.left -= 1
                raise type(self.error)(*self.error.args)
            return value

        return big


@pytest.mark.parametrize("models", [None, "manager"])
def test_after_running_out_of_memory_a_node_is_tried_once_more(models: str | None) -> None:
    exhausted = Exhausted(1, MemoryError("no room\nfor that"))
    manager = None if models is None else ModelManager()
    with rig_of(exhausted.node(), number, models=manager) as rig:
        rig.run({"0": entry("Number", value=123)}, targets=["0"])
        held_before = rig.cache.stats().bytes
        result = rig.run({"1": entry("Big", value=5)}, targets=["1"]).require()

    assert result["1"] == (5,)
    [retried] = rig.of(Retried)
    assert (retried.node, retried.reason) == ("1", "no room")
    assert retried.freed == held_before > 0
    assert len(rig.of(NodeStarted)) == 1
    assert [account.status for account in result.accounts] == ["ran"]


def test_the_first_attempt_s_memory_is_free_before_the_second() -> None:
    alive: list[bool] = []
    exhausted = Exhausted(1, MemoryError("no"))
    big = exhausted.node()

    @node("Look", category="t")
    def look() -> int:
        gc.collect()
        if exhausted.held:
            alive.append(exhausted.held[0]() is not None)
        return big(0)  # type: ignore[no-any-return]

    with rig_of(look) as rig:
        rig.run({"1": entry("Look")}, targets=["1"]).require()

    assert alive == [False]


def test_a_second_lack_of_memory_is_a_failure() -> None:
    exhausted = Exhausted(2, MemoryError("no room"))
    with rig_of(exhausted.node(), models=ModelManager()) as rig:
        result = rig.run({"1": entry("Big")}, targets=["1"])

    assert "MemoryError: no room" in str(result.errors["1"])
    assert (len(rig.of(Retried)), len(rig.of(NodeFailed))) == (1, 1)


def test_torch_s_errors_count_as_lack_of_memory_too() -> None:
    exhausted = Exhausted(1, torch.OutOfMemoryError("CUDA out of memory"))
    with rig_of(exhausted.node(), models=ModelManager()) as rig:
        rig.run({"1": entry("Big")}, targets=["1"]).require()

    assert [event.reason for event in rig.of(Retried)] == ["CUDA out of memory"]


@pytest.mark.parametrize("models", [None, "manager"])
def test_other_errors_are_not_tried_again(models: str | None) -> None:
    exhausted = Exhausted(1, ValueError("something else"))
    manager = None if models is None else ModelManager()
    with rig_of(exhausted.node(), models=manager) as rig:
        result = rig.run({"1": entry("Big")}, targets=["1"])

    assert rig.of(Retried) == []
    assert "something else" in str(result.errors["1"])


def test_only_the_memory_that_ran_out_is_freed() -> None:
    freed: list[str | None] = []

    class Noting(Cache):
        def free(self, wanted: int | None = None, *, device: str | None = None) -> int:
            freed.append(device)
            return 10

    class Manager:
        """As much of a model manager as a run touches."""

        def recover(self, error: BaseException) -> int | None:
            return 100

        @contextmanager
        def measure(self, device: str) -> Iterator[Measurement]:
            measurement = Measurement()
            yield measurement
            measurement.peak_bytes = 4096

    exhausted = Exhausted(1, RuntimeError("CUDA out of memory"))
    host = Exhausted(1, MemoryError("host"))
    for each, expected in ((exhausted, ["cuda:0"]), (host, ["cuda:0", "cpu"])):
        freed.clear()
        options: dict[str, Any] = {"models": Manager(), "device": "cuda:0"}
        with rig_of(each.node(), cache=Noting(memory_bytes=1000), **options) as rig:
            result = rig.run({"1": entry("Big")}, targets=["1"]).require()
        assert freed == expected
        assert [event.freed for event in rig.of(Retried)] == [100 + 10 * len(expected)]
        assert result.accounts[0].peak_bytes == 4096
        assert rig.of(NodeFinished)[0].peak_bytes == 4096


# -- gradients -----------------------------------------------------------------------------------


def test_nodes_run_without_gradients_and_a_node_that_wants_them_can_have_them() -> None:
    seen: list[bool] = []

    @node("Plain", category="t")
    def plain(after: int = 0) -> Tensor:
        weight = torch.ones(2, requires_grad=True)
        seen.append((weight * 2).requires_grad)
        assert not torch.is_inference_mode_enabled()
        return (weight * 2).detach()

    @node("Train", category="t")
    def train() -> int:
        with torch.enable_grad():
            weight = torch.ones(2, requires_grad=True)
            (weight * 3).sum().backward()
        seen.append(bool((weight.grad == 3).all()))
        torch.set_grad_enabled(True)  # and forgets to set it back
        return 1

    @node("Wait", category="t")
    async def wait(after: int) -> int:
        seen.append(torch.is_grad_enabled())
        return 1

    document = {
        "1": entry("Train"),
        "2": entry("Plain", after=["1", 0]),
        "3": entry("Wait", after=["1", 0]),
    }
    with rig_of(TENSOR, plain, train, wait) as rig:
        result = rig.run(document, targets=["2", "3"]).require()

    assert sorted(seen) == [False, False, True]
    assert seen[0] is True
    assert not result["2"][0].is_inference()
    assert torch.is_grad_enabled(), "the caller's own thread is left as it is"


def test_the_account_says_how_large_the_outputs_are() -> None:
    @node("Zeros", category="t")
    def zeros(count: int) -> Tensor:
        return torch.zeros(count)

    with rig_of(TENSOR, zeros) as rig:
        result = rig.run({"1": entry("Zeros", count=1000)}, targets=["1"]).require()

    assert 4000 <= result.accounts[0].bytes_out < 5000
    assert rig.of(NodeFinished)[0].bytes_out == result.accounts[0].bytes_out

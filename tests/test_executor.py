"""The executor's everyday work: a plan in, events and a result out."""

import threading
from typing import Annotated, Any, NamedTuple

import pytest
from executor_support import SECONDS, Rig, entry, rig_of, wait_for, within
from hypothesis import given, settings
from hypothesis import strategies as st

from nodegraph.cache import Cache
from nodegraph.context import CancelToken, Context
from nodegraph.errors import RunFailed
from nodegraph.events import (
    Event,
    Executed,
    NodeFinished,
    NodesCached,
    NodeStarted,
    Preview,
    Progress,
    RunFinished,
    RunStarted,
    Warned,
)
from nodegraph.executor import Executor
from nodegraph.node import Number, node
from nodegraph.outputs import Shown
from nodegraph.tasks import Account


class Division(NamedTuple):
    quotient: int
    remainder: int


class Counted(NamedTuple):
    value: int
    shown: Shown


@node("Number", category="t")
def number(value: int = 1) -> int:
    return value


@node("Add", category="t")
def add(a: int, b: int = 1) -> int:
    return a + b


@node("Divide", category="t")
def divide(a: int, b: Annotated[int, Number(min=1)]) -> Division:
    return Division(a // b, a % b)


@node("Show", category="t")
def show(value: Any) -> Shown:
    return Shown(values={"value": [value]})


@node("Count", category="t")
def count(value: int) -> Counted:
    return Counted(value, Shown(values={"value": [value]}))


@node("Steps", category="t")
def steps(count: int, *, context: Context) -> int:
    for i in range(count):
        context.progress(i + 1, count, f"step {i + 1}")
        context.preview(i * 10)
    context.warn("slow")
    return count


@node("Describe", category="t")
def describe(a: int = 0, b: int = 5, *, context: Context) -> Any:
    return {
        "node": context.node,
        "device": context.device,
        "precision": context.precision,
        "links": {name: link.as_json() for name, link in context.links.items()},
        "prompt": context.prompt,
        "workflow": context.workflow,
        "extra": dict(context.extra),
    }


NODES = (number, add, divide, show, count, steps, describe)
DIAMOND = {
    "1": entry("Number", value=7),
    "2": entry("Add", a=["1", 0], b=1),
    "3": entry("Add", a=["1", 0], b=2),
    "4": entry("Divide", a=["3", 0], b=["2", 0]),
    "5": entry("Show", value=["4", "remainder"]),
}


def test_a_graph_gives_the_values_its_functions_give() -> None:
    with rig_of(*NODES) as rig:
        result = rig.run(DIAMOND, targets=["4", "5"]).require()

    assert result["4"] == (1, 1)
    assert result["5"] == ()
    assert result.shown["5"].values == {"value": [1]}
    assert (result.errors, result.skipped, result.cancelled) == ({}, {}, False)


def test_only_what_the_targets_need_is_run() -> None:
    with rig_of(*NODES) as rig:
        rig.run(DIAMOND, targets=["2"]).require()

    assert {event.node for event in rig.of(NodeStarted)} == {"1", "2"}


def test_events_tell_the_run_in_order() -> None:
    with rig_of(*NODES) as rig:
        rig.run({"1": entry("Number"), "2": entry("Count", value=["1", 0])})

    assert [type(event) for event in rig.events] == [
        RunStarted,
        NodesCached,
        NodeStarted,
        NodeFinished,
        NodeStarted,
        Executed,
        NodeFinished,
        RunFinished,
    ]
    assert rig.of(RunStarted)[0].nodes == ("1", "2")
    assert rig.of(NodesCached)[0].nodes == ()
    assert [event.node for event in rig.of(NodeFinished)] == ["1", "2"]
    assert [event.class_type for event in rig.of(NodeFinished)] == ["Number", "Count"]
    assert rig.of(Executed)[0].shown == Shown(values={"value": [1]})
    assert not rig.of(Executed)[0].cached
    assert rig.of(RunFinished)[0].failed == ()
    assert [event.at for event in rig.events] == sorted(event.at for event in rig.events)


def test_what_a_node_says_while_it_runs_becomes_events_of_that_node() -> None:
    with rig_of(*NODES) as rig:
        rig.run({"s": entry("Steps", count=2)}, targets=["s"])

    seen = [(e.value, e.total, e.text) for e in rig.of(Progress, "s")]
    assert seen == [(1, 2, "step 1"), (2, 2, "step 2")]
    assert [event.value for event in rig.of(Preview, "s")] == [0, 10]
    assert [event.message for event in rig.of(Warned, "s")] == ["slow"]


def test_a_node_sees_where_it_is() -> None:
    document = {"1": entry("Number"), "2": entry("Describe", a=["1", 0], b=3)}
    with rig_of(*NODES, device="cpu", precision="bf16") as rig:
        result = rig.run(document, targets=["2"], workflow={"id": "w"}, extra={"user": "me"})

    assert result["2"] == (
        {
            "node": "2",
            "device": "cpu",
            "precision": "bf16",
            "links": {"a": ["^1", 0]},
            "prompt": document,
            "workflow": {"id": "w"},
            "extra": {"user": "me"},
        },
    )


def test_every_node_of_a_run_has_one_account() -> None:
    with rig_of(*NODES) as rig:
        result = rig.run(DIAMOND)
        again = rig.run(DIAMOND, targets=["5", "2"])

    assert [account.node for account in result.accounts] == ["1", "3", "2", "4", "5"]
    assert {account.status for account in result.accounts} == {"ran"}
    assert all(account.seconds >= 0 and account.bytes_out > 0 for account in result.accounts)
    assert all(account.peak_bytes is None for account in result.accounts)
    assert sorted(account.node for account in again.accounts) == ["2", "5"]
    assert {account.status for account in again.accounts} == {"cached"}
    assert again.accounts[0] == Account("2", "Add", "cached")


def test_a_wrong_value_over_a_link_is_the_error_of_the_node_that_gets_it() -> None:
    document = {
        "1": entry("Number", value=0),
        "2": entry("Divide", a=3, b=["1", 0]),
        "3": entry("Show", value=["2", 0]),
    }
    with rig_of(*NODES) as rig:
        result = rig.run(document)

    error = result.errors["2"]
    assert (type(error).__name__, error.input) == ("BadValue", "b")  # type: ignore[attr-defined]
    assert "node 2 (Divide): b arrived over a link: 0 is below the smallest value, 1" in str(error)
    assert result.skipped == {"3": "2"}


def test_what_require_raises_says_what_failed_and_has_the_rest() -> None:
    document = {
        "1": entry("Number", value=0),
        "2": entry("Divide", a=3, b=["1", 0]),
        "3": entry("Show", value=["1", 0]),
    }
    with rig_of(*NODES) as rig:
        result = rig.run(document, targets=["2", "3"])

    with pytest.raises(RunFailed, match=r"node 2 \(Divide\)") as error:
        result.require()
    assert error.value.result.shown["3"].values == {"value": [0]}


def test_a_chain_of_ten_thousand_nodes_runs() -> None:
    document: dict[str, Any] = {"0": entry("Number", value=0)}
    for i in range(1, 10_000):
        document[str(i)] = entry("Add", a=[str(i - 1), 0], b=i)

    with rig_of(*NODES) as rig:
        result = rig.run(document, targets=["9999"]).require()

    assert result["9999"] == (sum(range(10_000)),)


# -- lanes ---------------------------------------------------------------------------------------


def test_saving_overlaps_with_computing() -> None:
    computing, saving = threading.Event(), threading.Event()

    @node("Compute", category="t")
    def compute() -> int:
        computing.set()
        wait_for(saving)  # which begins only if it does not wait for us
        return 1

    @node("Save", category="t", lane="io")
    def save() -> Shown:
        saving.set()
        wait_for(computing)
        return Shown(values={"thread": [threading.current_thread().name]})

    with rig_of(compute, save) as rig:
        result = rig.run({"1": entry("Compute"), "2": entry("Save")}, targets=["1", "2"]).require()

    assert result["1"] == (1,)
    assert [event.lane for event in rig.of(NodeStarted, "1")] == ["compute"]
    assert [event.lane for event in rig.of(NodeStarted, "2")] == ["io"]
    assert result.shown["2"].values["thread"][0].startswith("nodegraph-io")


def test_a_device_does_one_thing_at_a_time() -> None:
    running: list[int] = []
    most: list[int] = []

    @node("Compute", category="t")
    def compute(value: int) -> int:
        running.append(value)
        most.append(len(running))
        running.remove(value)
        return value

    document = {str(i): entry("Compute", value=i) for i in range(50)}
    with rig_of(compute) as rig:
        rig.run(document, targets=list(document)).require()

    assert max(most) == 1


def test_runs_from_several_threads_share_the_lanes() -> None:
    with rig_of(*NODES) as rig:
        plans = [
            rig.plan(
                {
                    "1": entry("Number", value=value),
                    "2": entry("Add", a=["1", 0], b=value),
                    "3": entry("Add", a=["2", 0], b=1),
                },
                ["3"],
            )
            for value in range(20)
        ]
        found: dict[int, Any] = {}

        def run(value: int) -> None:
            for _ in range(5):
                found[value] = rig.executor.run(plans[value]).require()["3"]

        threads = [threading.Thread(target=run, args=(value,), daemon=True) for value in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(SECONDS)

    assert found == {value: (2 * value + 1,) for value in range(20)}


# -- the end -------------------------------------------------------------------------------------


def test_a_closed_executor_runs_nothing() -> None:
    rig = Rig(*NODES)
    plan = rig.plan(DIAMOND)
    rig.close()
    rig.close()

    with pytest.raises(RuntimeError, match="the executor is closed"):
        rig.executor.run(plan)


def test_closing_waits_for_runs_in_flight() -> None:
    started, go_on = threading.Event(), threading.Event()

    @node("Wait", category="t")
    def wait() -> int:
        started.set()
        wait_for(go_on)
        return 5

    @node("Next", category="t")
    def after(a: int) -> int:
        return a + 1

    rig = Rig(wait, after)
    results: list[Any] = []
    document = {"1": entry("Wait"), "2": entry("Next", a=["1", 0])}
    runner = threading.Thread(
        target=lambda: results.append(rig.run(document, targets=["2"])), daemon=True
    )
    closer = threading.Thread(target=rig.close, daemon=True)

    runner.start()
    wait_for(started)
    closer.start()
    go_on.set()
    runner.join(SECONDS)
    closer.join(SECONDS)

    assert not closer.is_alive()
    assert results[0]["2"] == (6,)


def test_a_node_that_would_wait_for_its_own_run_is_refused() -> None:
    @node("Nested", category="t")
    def nested() -> int:
        with pytest.raises(RuntimeError, match="cannot run a plan"):
            rig.executor.run(plan)
        with pytest.raises(RuntimeError, match="cannot close the executor"):
            rig.executor.close()
        return 1

    with rig_of(nested) as rig:
        plan = rig.plan({"1": entry("Nested")}, ["1"])
        assert within(lambda: rig.executor.run(plan))["1"] == (1,)


def test_a_callback_that_would_wait_for_its_own_run_is_refused() -> None:
    complaints: list[str] = []

    def callback(event: Event) -> None:
        try:
            rig.executor.run(plan)
        except RuntimeError as error:
            complaints.append(str(error))

    with rig_of(*NODES) as rig:
        plan = rig.plan({"1": entry("Number")}, ["1"])
        within(lambda: rig.executor.run(plan, emit=callback))
        assert within(lambda: rig.executor.run(plan))["1"] == (1,)

    assert len(complaints) == 5  # started, cached, node started, node finished, finished


def test_a_callback_that_raises_ends_the_run_with_its_own_error() -> None:
    class Trouble(Exception): ...

    def callback(event: Event) -> None:
        if isinstance(event, NodeFinished):
            raise Trouble

    token = CancelToken()
    with rig_of(*NODES) as rig:
        with pytest.raises(Trouble):
            rig.run(DIAMOND, emit=callback, cancel=token)
        result = rig.run(DIAMOND)

    assert token.cancelled
    assert result.shown["5"].values == {"value": [1]}


def test_a_defect_of_the_cache_ends_the_run_instead_of_hanging_it() -> None:
    class Broken(Cache):
        def put(self, *args: Any, **options: Any) -> Any:
            raise OSError("the cache is on fire")

        def get(self, key: str, codecs: Any = ()) -> Any:
            if broken:
                raise OSError("no getting either")
            return None

    broken = False
    with rig_of(*NODES, cache=Broken(memory_bytes=1)) as rig:
        result = rig.run({"1": entry("Number")}, targets=["1"])
        broken = True
        with pytest.raises(OSError, match="no getting either"):
            rig.run({"1": entry("Number")}, targets=["1"])

    assert "the cache is on fire" in str(result.errors["1"])


# -- against a simple evaluator ------------------------------------------------------------------


@st.composite
def graphs(draw: st.DrawFn) -> dict[str, Any]:
    """A random graph of numbers: sums, quotients and remainders of what came before."""
    document: dict[str, Any] = {}
    slots: list[list[Any]] = []
    for index in range(draw(st.integers(1, 12))):
        id = str(draw(st.sampled_from([index, 100 - index, f"n{index}"])))
        operand = st.integers(-5, 5)
        if slots:
            operand = operand | st.sampled_from(slots)
        kind = draw(st.sampled_from(["Number", "Add", "Divide"]))
        if kind == "Number":
            document[id] = entry("Number", value=draw(operand))
        elif kind == "Add":
            document[id] = entry("Add", a=draw(operand), b=draw(operand))
        else:
            document[id] = entry("Divide", a=draw(operand), b=draw(st.integers(1, 4)))
        slots.append([id, 0])
        if kind == "Divide":
            slots.append([id, "remainder"])
    return document


def evaluate(document: dict[str, Any], id: str) -> tuple[Any, ...]:
    """The outputs of a node, by the definition."""

    def value(given: Any) -> Any:
        if not isinstance(given, list):
            return given
        source, slot = given
        return evaluate(document, source)[1 if slot == "remainder" else 0]

    inputs = {name: value(given) for name, given in document[id]["inputs"].items()}
    functions: dict[str, Any] = {"Number": number, "Add": add, "Divide": divide}
    result = functions[document[id]["class_type"]](**inputs)
    return tuple(result) if isinstance(result, tuple) else (result,)


@settings(max_examples=60, deadline=None)
@given(st.lists(graphs(), min_size=1, max_size=3))
def test_results_are_those_of_a_simple_evaluator_whatever_ran_before(
    documents: list[dict[str, Any]],
) -> None:
    with rig_of(*NODES) as rig:
        for document in [*documents, *documents]:
            result = rig.run(document, targets=list(document)).require()
            assert {id: result[id] for id in document} == {
                id: evaluate(document, id) for id in document
            }


def test_an_executor_can_be_used_without_with() -> None:
    rig = Rig(*NODES)
    with Executor(rig.registry, cache=Cache(memory_bytes=1000)) as executor:
        assert executor.run(rig.plan(DIAMOND)).shown["5"].values == {"value": [1]}
    rig.close()

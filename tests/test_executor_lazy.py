"""Lazy inputs: not computed unless asked for."""

from typing import Annotated, Any

from executor_support import entry, rig_of

from nodegraph.events import NodesCached, NodeStarted
from nodegraph.node import LAZY, node

ran: list[str] = []


@node("Number", category="t")
def number(value: int) -> int:
    ran.append(f"number {value}")
    return value


@node("Fail", category="t")
def fail() -> int:
    raise ValueError("never ask me")


def wanted(which: bool, one: Any, two: Any) -> list[str]:
    return ["one" if which else "two"]


@node("Switch", category="t", needs=wanted)
def switch(which: bool, one: Annotated[Any, LAZY], two: Annotated[Any, LAZY] = None) -> Any:
    return one if which else two


@node("Positive", category="t")
def positive(value: int) -> bool:
    return value > 0


NODES = (number, fail, switch, positive)


def test_only_the_branch_that_is_asked_for_is_run() -> None:
    ran.clear()
    document = {
        "1": entry("Number", value=1),
        "2": entry("Number", value=2),
        "3": entry("Switch", which=True, one=["1", 0], two=["2", 0]),
    }
    with rig_of(*NODES) as rig:
        result = rig.run(document, targets=["3"]).require()

    assert result["3"] == (1,)
    assert ran == ["number 1"]
    assert "2" not in {event.node for event in rig.of(NodeStarted)}


def test_what_may_be_asked_for_later_is_not_said_to_need_no_run() -> None:
    document = {
        "1": entry("Number", value=1),
        "2": entry("Number", value=2),
        "3": entry("Switch", which=True, one=["1", 0], two=["2", 0]),
        "4": entry("Number", value=4),
    }
    with rig_of(*NODES) as rig:
        rig.run(document, targets=["3"]).require()
        assert rig.of(NodesCached)[0].nodes == ()
        rig.run(document, targets=["3"]).require()

    assert rig.of(NodesCached)[0].nodes == ("1", "2", "3")


def test_the_condition_may_come_over_a_link() -> None:
    document = {
        "n": entry("Number", value=-5),
        "c": entry("Positive", value=["n", 0]),
        "1": entry("Fail"),
        "2": entry("Number", value=2),
        "3": entry("Switch", which=["c", 0], one=["1", 0], two=["2", 0]),
    }
    with rig_of(*NODES) as rig:
        result = rig.run(document, targets=["3"]).require()

    assert result["3"] == (2,)


def test_an_input_nobody_asked_for_is_its_default_or_none() -> None:
    seen: list[Any] = []

    @node("Look", category="t", needs=lambda: [])
    def look(required: Annotated[int, LAZY], given: Annotated[int, LAZY] = 7) -> int:
        seen.append((required, given))
        return 0

    document = {
        "1": entry("Number", value=1),
        "2": entry("Look", required=["1", 0], given=["1", 0]),
        "3": entry("Look", required=3, given=4),
    }
    with rig_of(look, *NODES) as rig:
        rig.run(document, targets=["2", "3"]).require()

    assert seen == [(None, 7), (3, 4)]


def test_inputs_may_be_asked_for_one_after_the_other() -> None:
    def needs(a: Any, b: Any, c: Any) -> str | None:
        return "a" if a is None else "b" if b is None else "c" if c is None else None

    @node("Steps", category="t", needs=needs)
    def steps(a: Annotated[int, LAZY], b: Annotated[int, LAZY], c: Annotated[int, LAZY]) -> int:
        return a + b + c

    ran.clear()
    document = {
        "1": entry("Number", value=1),
        "2": entry("Number", value=2),
        "3": entry("Number", value=3),
        "4": entry("Steps", a=["3", 0], b=["2", 0], c=["1", 0]),
    }
    with rig_of(steps, *NODES) as rig:
        result = rig.run(document, targets=["4"]).require()

    assert result["4"] == (6,)
    assert ran == ["number 3", "number 2", "number 1"]
    assert len(rig.of(NodeStarted, "4")) == 1


def test_an_asked_for_input_that_fails_takes_the_node_with_it() -> None:
    document = {
        "1": entry("Fail"),
        "2": entry("Number", value=2),
        "3": entry("Switch", which=True, one=["1", 0], two=["2", 0]),
        "4": entry("Switch", which=False, one=["1", 0], two=["2", 0]),
        "5": entry("Switch", which=True, one=["1", 0]),
    }
    with rig_of(*NODES) as rig:
        result = rig.run(document, targets=["3", "4", "5"])

    assert result.skipped == {"3": "1", "5": "1"}
    assert result["4"] == (2,)


def test_an_input_whose_value_was_let_go_is_made_again_when_asked_for() -> None:
    ran.clear()

    @node("Keep", category="t", cached=False)
    def keep(value: int) -> int:
        ran.append("keep")
        return value

    @node("After", category="t", needs=lambda first, again: ["again"])
    def after(first: int, again: Annotated[int, LAZY]) -> int:
        return first + again

    document = {
        "1": entry("Keep", value=5),
        "2": entry("Positive", value=["1", 0]),
        "3": entry("Switch", which=["2", 0], one=0),
        "4": entry("After", first=["3", 0], again=["1", 0]),
    }
    with rig_of(keep, after, *NODES) as rig:
        result = rig.run(document, targets=["4"]).require()

    assert result["4"] == (5,)
    assert ran == ["keep", "keep"]
    assert [account.node for account in result.accounts].count("1") == 1

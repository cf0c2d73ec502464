"""`@node`: a function marked, and what the mark and the signature make of it."""

from collections.abc import Callable
from typing import Annotated, Any, NamedTuple

import pytest

from nodegraph.context import Context
from nodegraph.errors import DeclarationError
from nodegraph.node import LAZY, NodeType, declare, node
from nodegraph.outputs import Shown


class Image: ...


class Saved(NamedTuple):
    image: Image
    shown: Shown


def declared(function: Callable[..., Any]) -> NodeType:
    mark = function.__node__  # type: ignore[attr-defined]
    return declare(function, mark, {Image: "IMAGE"})


def test_a_marked_function_stays_the_function_it_is() -> None:
    @node("Twice", category="maths")
    def twice(a: int) -> int:
        return 2 * a

    assert twice(4) == 8


def test_a_node_type_has_what_the_mark_says() -> None:
    @node(
        "Twice",
        category="maths",
        display_name="Double",
        version=3,
        lane="io",
        cached=False,
        deprecated=True,
        experimental=True,
    )
    def twice(a: int, *, context: Context) -> int:
        """Two times the number.

        Not more.
        """
        return 2 * a

    kind = declared(twice)

    assert (kind.name, kind.category, kind.display_name) == ("Twice", "maths", "Double")
    assert (kind.version, kind.lane, kind.cached) == (3, "io", False)
    assert (kind.deprecated, kind.experimental, kind.output_node) == (True, True, False)
    assert kind.description == "Two times the number.\n\nNot more."
    assert kind.module == __name__
    assert kind.context_name == "context"
    assert list(kind.by_name) == ["a"]


def test_the_name_is_shown_where_no_other_is_given() -> None:
    @node("Twice", category="maths")
    def twice(a: int) -> int:
        return 2 * a

    kind = declared(twice)

    assert kind.display_name == "Twice"
    assert (kind.description, kind.version, kind.lane, kind.cached) == ("", 1, "compute", True)


def test_a_node_that_shows_something_is_an_output_node() -> None:
    @node("Show", category="t")
    def show(image: Image) -> Shown: ...

    @node("Save", category="t")
    def save(image: Image) -> Saved: ...

    @node("Log", category="t", output=True)
    def log(image: Image) -> None: ...

    @node("Plain", category="t")
    def plain(image: Image) -> Image: ...

    found = [declared(function).output_node for function in (show, save, log, plain)]

    assert found == [True, True, True, False]
    assert [port.type for port in declared(save).outputs] == ["IMAGE"]


def test_a_coroutine_is_an_async_node() -> None:
    @node("Wait", category="t")
    async def wait(a: int) -> int:
        return a

    @node("Go", category="t")
    def go(a: int) -> int:
        return a

    assert declared(wait).is_async
    assert not declared(go).is_async


def test_an_alias_has_the_identity_of_the_first_and_a_name_of_its_own() -> None:
    @node("First", category="t")
    def first(a: int) -> int:
        return a

    kind = declared(first)
    alias = kind.renamed("Second", "The second")

    assert (alias.name, alias.display_name) == ("Second", "The second")
    assert alias.identity == kind.identity
    assert alias.function is kind.function


def test_functions_made_by_one_factory_are_different_nodes() -> None:
    def adder(amount: int) -> Callable[[int], int]:
        @node(f"Add{amount}", category="t")
        def add(a: int) -> int:
            return a + amount

        return add

    assert declared(adder(1)).identity != declared(adder(2)).identity


def test_a_hook_gets_the_inputs_it_has_parameters_for() -> None:
    @node("Load", category="t", fingerprint=lambda b, a: f"{a}/{b}", check=lambda **rest: str(rest))
    def load(a: int, b: int, c: int = 0) -> int:
        return a

    kind = declared(load)

    assert kind.call_hook("fingerprint", {"a": 1, "b": 2, "c": 3}) == "1/2"
    assert kind.call_hook("check", {"a": 1, "c": 3}) == "{'a': 1, 'b': None, 'c': 3}"


def test_a_hook_that_asks_for_an_input_that_is_none_is_refused() -> None:
    @node("Load", category="t", fingerprint=lambda path: "")
    def load(name: str) -> int:
        return 0

    with pytest.raises(DeclarationError, match="node Load: its fingerprint hook asks for path"):
        declared(load)


def test_a_hook_that_takes_inputs_by_position_is_refused() -> None:
    def check(a: int, /) -> str | None: ...

    @node("Load", category="t", check=check)
    def load(a: int) -> int:
        return 0

    with pytest.raises(DeclarationError, match="its check hook takes a by position"):
        declared(load)


def test_lazy_inputs_need_a_hook_that_asks_for_them() -> None:
    @node("Switch", category="t")
    def switch(which: bool, one: Annotated[Image, LAZY]) -> Image:
        return one

    with pytest.raises(DeclarationError, match="node Switch: parameter one is lazy, but no"):
        declared(switch)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"lane": "gpu"}, "node Twice: there is no lane 'gpu'; it is compute or io"),
        ({"version": "2"}, "node Twice: version '2' is not a whole number"),
        ({"version": True}, "node Twice: version True is not a whole number"),
    ],
)
def test_a_wrong_mark_is_refused(options: dict[str, Any], complaint: str) -> None:
    @node("Twice", category="maths", **options)
    def twice(a: int) -> int:
        return 2 * a

    with pytest.raises(DeclarationError, match=complaint):
        declared(twice)


def test_a_node_has_a_name() -> None:
    @node("", category="maths")
    def twice(a: int) -> int:
        return 2 * a

    with pytest.raises(DeclarationError, match="a node's name is a text, not ''"):
        declared(twice)

"""A function's signature as ports, and what is said about a wrong one."""

from collections.abc import Callable, Iterator
from typing import Annotated, Any, Literal, NamedTuple

import pytest

from nodegraph.context import Context
from nodegraph.errors import DeclarationError
from nodegraph.expansion import Expansion
from nodegraph.outputs import Shown
from nodegraph.ports import (
    LAZY,
    OPTIONAL,
    REQUIRED,
    SOCKET,
    ChoiceOf,
    FileOf,
    Mark,
    Number,
    Port,
    Seed,
    Text,
    Tip,
)
from nodegraph.signature import Signature, read_signature


class Image: ...


class Mask: ...


class Two(NamedTuple):
    image: Image
    coverage: Annotated[Mask, Tip("where it is")]


class Listed(NamedTuple):
    images: list[Image]
    shown: Shown


class Bundle(NamedTuple):
    """A NamedTuple that is itself a port type."""

    image: Image


KNOWN = {Image: "IMAGE", Mask: "MASK", Bundle: "BUNDLE"}


def read(function: Callable[..., Any]) -> Signature:
    return read_signature(function, "Test", KNOWN)


def port_of(hint: Any, *default: Any) -> Port:
    def function(a: Any) -> None: ...

    function.__annotations__["a"] = hint
    function.__defaults__ = default
    return read(function).inputs[0]


# -- what can be declared ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hint", "expected"),
    [
        (int, Port("a", "INT")),
        (float, Port("a", "FLOAT")),
        (str, Port("a", "STRING")),
        (bool, Port("a", "BOOLEAN")),
        (Any, Port("a", "*")),
        (Image, Port("a", "IMAGE")),
        (Image | Mask, Port("a", "IMAGE,MASK")),
        (Image | Any, Port("a", "*")),
        (list[Image], Port("a", "IMAGE", is_list=True)),
        (Literal["x", "y"], Port("a", "COMBO", widget=("x", "y"))),
        (list[Literal["x"]], Port("a", "COMBO", widget=("x",), is_list=True)),
        (Annotated[int, Number(1, 9, step=2)], Port("a", "INT", widget=Number(1, 9, 2))),
        (Annotated[int | float, Number(1)], Port("a", "INT,FLOAT", widget=Number(1))),
        (list[Annotated[int, Number(1)]], Port("a", "INT", widget=Number(1), is_list=True)),
        (Annotated[int, Seed()], Port("a", "INT", widget=Seed(0, 2**64 - 1))),
        (Annotated[str, Text(multiline=True)], Port("a", "STRING", widget=Text(True))),
        (Annotated[str, ChoiceOf("samplers")], Port("a", "COMBO", widget=ChoiceOf("samplers"))),
        (
            Annotated[str, FileOf("vae", ("none",))],
            Port("a", "COMBO", widget=FileOf("vae", ("none",))),
        ),
        (Annotated[Image, LAZY, Tip("help")], Port("a", "IMAGE", tooltip="help", lazy=True)),
        (Annotated[int, SOCKET], Port("a", "INT", socket=True)),
    ],
)
def test_a_parameter_becomes_the_port_its_annotation_says(hint: Any, expected: Port) -> None:
    assert port_of(hint) == expected
    assert port_of(hint).required


@pytest.mark.parametrize(
    ("hint", "default", "optional"),
    [
        (Image | None, None, True),
        (Annotated[Image, LAZY] | None, None, True),
        (Annotated[int, OPTIONAL], 3, True),
        (int, 3, False),
        (float, 3, False),
        (Any, {"a": [1]}, False),
        (Any, None, False),
        (list[int], [1, 2], False),
        (Annotated[int | float, Number(0)], 2.5, False),
        (Annotated[str, ChoiceOf("later")], "anything", False),
    ],
)
def test_a_default_makes_a_port_that_may_be_left_out(
    hint: Any, default: Any, optional: bool
) -> None:
    port = port_of(hint, default)

    assert (port.default, port.optional, port.required) == (default, optional, False)


def test_ports_keep_the_order_of_the_parameters_and_the_context_is_none() -> None:
    def function(b: int, a: Image, *, c: str = "", context: Context) -> None: ...

    signature = read(function)

    assert [port.name for port in signature.inputs] == ["b", "a", "c"]
    assert signature.context_name == "context"
    assert signature.inputs[0].default is REQUIRED
    assert repr(REQUIRED) == "REQUIRED"


@pytest.mark.parametrize(
    ("hint", "outputs", "shows", "unpack"),
    [
        (None, (), False, False),
        (Shown, (), True, False),
        (Shown | Expansion, (), True, False),
        (Expansion, (), False, False),
        (Image, (Port("IMAGE", "IMAGE"),), False, False),
        (Image | Expansion, (Port("IMAGE", "IMAGE"),), False, False),
        (list[Image], (Port("IMAGE", "IMAGE", is_list=True),), False, False),
        (Any, (Port("*", "*"),), False, False),
        (Annotated[Mask, Tip("m")], (Port("MASK", "MASK", tooltip="m"),), False, False),
        (Bundle, (Port("BUNDLE", "BUNDLE"),), False, False),
        (
            Two,
            (Port("IMAGE", "IMAGE"), Port("coverage", "MASK", tooltip="where it is")),
            False,
            True,
        ),
        (Listed, (Port("images", "IMAGE", is_list=True),), True, True),
    ],
)
def test_the_return_annotation_becomes_the_outputs(
    hint: Any, outputs: tuple[Port, ...], shows: bool, unpack: bool
) -> None:
    def function() -> None: ...

    function.__annotations__["return"] = hint

    signature = read(function)

    assert signature.outputs == outputs
    assert (signature.shows, signature.unpack) == (shows, unpack)


# -- what cannot ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hint", "default", "complaint"),
    [
        (object, (), "object is not a port type; register a PortType"),
        (dict[str, int], (), "dict is not a port type"),
        (list, (), "say what the list holds"),
        (Literal[1, 2], (), "the choices of a Literal are strings"),
        (Literal["x"] | int, (), "a Literal cannot be one of several types"),
        (Annotated[int, Number(), Seed()], (), "has 2 widgets"),
        (Annotated[Literal["x"], Text()], (), "has 2 widgets"),
        (Annotated[int, "help"], (), "'help' says nothing about a port"),
        (Annotated[int, Mark("lasy")], (), "no mark called lasy"),
        (Annotated[str, Number()], (), "Number is for int and float, not STRING"),
        (Annotated[float, Seed()], (), "Seed is for int, not FLOAT"),
        (Annotated[Image, Text()], (), "Text is for str, not IMAGE"),
        (Annotated[int, FileOf("vae")], (), "FileOf is for str, not INT"),
        (Annotated[str, FileOf("vae"), LAZY], (), "cannot be lazy"),
        (Annotated[list[int], LAZY], (), "a list port cannot be lazy"),
        (Annotated[int, Number(5, 4)], (), "min 5 is above max 4"),
        (Annotated[int, Seed(5, 4)], (), "min 5 is above max 4"),
        (Annotated[int, Number(0.5)], (), "min 0.5 is no whole number"),
        (Annotated[int, Number(step=0)], (), "step 0 is not above zero"),
        (Annotated[float, Number(step=-0.1)], (), "step -0.1 is not above zero"),
        (Annotated[float, Number(max=float("nan"))], (), "max nan is not a number"),
        (Annotated[float, Number(max="9")], (), "max '9' is not a number"),
        (Annotated[float, Number(step=False)], (), "step False is not a number"),
        (Annotated[int, Number(1, 9)], (0,), "the default 0 is outside 1 to 9"),
        (Annotated[int, Seed()], (-1,), "the default -1 is outside 0 to"),
        (Annotated[int, OPTIONAL], (), "marked OPTIONAL, so it needs a default"),
        (Image | None, (), "may be None, so its default has to be None"),
        (int | None, (3,), "may be None, so its default has to be None"),
        (int, ("3",), "the default '3' is not of type INT"),
        (int, (True,), "the default True is not of type INT"),
        (int, (2.0,), "the default 2.0 is not of type INT"),
        (int, (None,), "the default None is not of type INT"),
        (bool, (1,), "the default 1 is not of type BOOLEAN"),
        (float, (float("inf"),), "the default inf is not a finite number"),
        (Image, (Image,), "is not of type IMAGE"),
        (Any, (Image,), "could not stand in a document"),
        (Any, (float("nan"),), "could not stand in a document"),
        (list[int], (1,), "the default 1 is not a list"),
        (list[int], (["1"],), "the default '1' is not of type INT"),
        (Literal["x", "y"], ("z",), "the default 'z' is not among the choices"),
        (Annotated[str, ChoiceOf("samplers")], (1,), "the default 1 is not of type COMBO"),
    ],
)
def test_a_wrong_parameter_is_named_with_what_is_wrong(
    hint: Any, default: tuple[Any, ...], complaint: str
) -> None:
    with pytest.raises(DeclarationError, match="node Test: parameter a") as error:
        port_of(hint, *default)

    assert complaint in str(error.value)


def test_a_context_that_could_be_given_by_position_is_refused() -> None:
    def function(context: Context) -> None: ...

    with pytest.raises(DeclarationError, match="parameter context: the context is keyword-only"):
        read(function)


def test_a_node_has_one_context() -> None:
    def function(*, one: Context, two: Context) -> None: ...

    with pytest.raises(DeclarationError, match="parameter two: one is the context already"):
        read(function)


def test_ports_are_named_one_by_one() -> None:
    def positional(*images: Image) -> None: ...
    def keywords(**images: Image) -> None: ...

    for function in (positional, keywords):
        with pytest.raises(DeclarationError, match="parameter images: ports are named one by one"):
            read(function)


def test_an_input_that_cannot_be_passed_by_name_is_refused() -> None:
    def function(a: int, /) -> None: ...

    with pytest.raises(DeclarationError, match="parameter a: inputs are passed by name"):
        read(function)


def test_a_parameter_without_annotation_is_named() -> None:
    def function(a: int, b) -> None: ...  # type: ignore[no-untyped-def]  # noqa: ANN001

    with pytest.raises(DeclarationError, match="parameter b has no annotation"):
        read(function)


def test_an_annotation_that_cannot_be_read_is_named() -> None:
    def function(a: int, b: "Imgae") -> None: ...  # type: ignore[name-defined]  # noqa: F821

    with pytest.raises(DeclarationError, match="parameter b: cannot be read: name 'Imgae'"):
        read(function)


def test_an_output_annotation_that_cannot_be_read_is_named() -> None:
    def function() -> "Image.Nested": ...  # type: ignore[name-defined]

    with pytest.raises(DeclarationError, match="the return annotation: cannot be read"):
        read(function)


def missing_return():  # type: ignore[no-untyped-def]  # noqa: ANN201
    """No return annotation."""


def several() -> tuple[Image, Mask]:
    raise AssertionError


def optional() -> Image | None: ...


def generator() -> Iterator[int]:
    yield 1


class Twice(NamedTuple):
    image: Image
    IMAGE: Image


class Shows(NamedTuple):
    one: Shown
    two: Shown


def twice() -> Twice:
    raise AssertionError


def shows() -> Shows:
    raise AssertionError


@pytest.mark.parametrize(
    ("function", "complaint"),
    [
        (missing_return, "it has no return annotation"),
        (several, "return a NamedTuple for several outputs"),
        (optional, "the return annotation: NoneType is not a port type"),
        (generator, "it yields"),
        (twice, "two outputs have the same name: IMAGE, IMAGE"),
        (shows, "several Shown"),
    ],
)
def test_a_wrong_output_is_refused(function: Callable[..., Any], complaint: str) -> None:
    with pytest.raises(DeclarationError, match=complaint):
        read(function)

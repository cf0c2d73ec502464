"""Literal values against ports."""

import math
from collections.abc import Callable
from typing import Any

import pytest
from executor_support import OneFolder, registry_of
from hypothesis import given
from hypothesis import strategies as st

from nodegraph.literals import INT_MAX, INT_MIN, Literals, Problem, short
from nodegraph.ports import ChoiceOf, FileOf, Number, Port, Seed
from nodegraph.registry import Extension, Registry

LITERALS = Literals(registry_of(Extension("samplers", {"euler": 1, "dpm\\2": 2, "2": 3})))
INT = Port("a", "INT", widget=Number(1, 100))
FLOAT = Port("a", "FLOAT")
COMBO = Port("a", "COMBO", widget=ChoiceOf("samplers"))


def problem_of(port: Port, value: Any) -> Problem:
    with pytest.raises(Problem) as error:
        LITERALS.convert(port, value)
    return error.value


@pytest.mark.parametrize(
    ("port", "value", "expected"),
    [
        (INT, 20, 20),
        (INT, 20.0, 20),
        (INT, "20", 20),
        (INT, "2e1", 20),
        (Port("a", "INT", widget=Seed()), 2**64 - 1, 2**64 - 1),
        (FLOAT, 2, 2.0),
        (FLOAT, "2.5", 2.5),
        (Port("a", "BOOLEAN"), True, True),
        (Port("a", "BOOLEAN"), 0, False),
        (Port("a", "BOOLEAN"), "True", True),
        (Port("a", "STRING"), "a", "a"),
        (Port("a", "STRING"), 3, "3"),
        (Port("a", "STRING"), 0.5, "0.5"),
        (COMBO, "euler", "euler"),
        (COMBO, 2, "2"),
        (COMBO, "dpm/2", "dpm\\2"),
        (Port("a", "INT,FLOAT"), 2.5, 2.5),
        (Port("a", "INT,FLOAT"), 2.0, 2.0),
        (Port("a", "FLOAT,INT"), 2, 2),
        (Port("a", "INT,STRING"), "5", "5"),
        (Port("a", "BOOLEAN,INT"), 7, 7),
        (Port("a", "MODEL,INT"), 7, 7),
        (Port("a", "*"), {"a": [1, None, "x", True, 0.5]}, {"a": [1, None, "x", True, 0.5]}),
        (Port("a", "INT", is_list=True), [1, 2.0], [1, 2]),
        (Port("a", "INT", is_list=True), 3, [3]),
    ],
)
def test_a_value_is_brought_to_the_port_s_type(port: Port, value: Any, expected: Any) -> None:
    converted = LITERALS.convert(port, value)

    assert converted == expected
    assert type(converted) is type(expected)


@pytest.mark.parametrize(
    ("port", "value", "type", "details"),
    [
        (INT, 2.9, "invalid_input_type", "2.9 is not a whole number"),
        (INT, True, "invalid_input_type", "True is not a whole number"),
        (INT, "many", "invalid_input_type", "'many' is not a whole number"),
        (INT, None, "invalid_input_type", "None is not a whole number"),
        (INT, math.nan, "invalid_input_type", "nan is not a whole number"),
        (INT, math.inf, "invalid_input_type", "inf is not a whole number"),
        (INT, "inf", "invalid_input_type", "'inf' is not a whole number"),
        (INT, "1e999", "invalid_input_type", "inf is not a whole number"),
        (INT, [1], "invalid_input_type", "[1] is not a whole number"),
        (INT, 0, "value_smaller_than_min", "0 is below the smallest value, 1"),
        (INT, 101, "value_bigger_than_max", "101 is above the largest value, 100"),
        (Port("a", "INT"), 2**64, "invalid_input_type", "a whole number that fits 64 bits"),
        (Port("a", "INT"), "9" * 5000, "invalid_input_type", "is not a whole number"),
        (FLOAT, math.nan, "invalid_input_type", "nan is not a finite number"),
        (FLOAT, -math.inf, "invalid_input_type", "-inf is not a finite number"),
        (FLOAT, "nan", "invalid_input_type", "nan is not a finite number"),
        (FLOAT, False, "invalid_input_type", "False is not a number"),
        (FLOAT, "x", "invalid_input_type", "'x' is not a number"),
        (FLOAT, {}, "invalid_input_type", "{} is not a number"),
        (Port("a", "BOOLEAN"), 2, "invalid_input_type", "2 is not true or false"),
        (Port("a", "BOOLEAN"), "yes", "invalid_input_type", "'yes' is not true or false"),
        (Port("a", "STRING"), None, "invalid_input_type", "None is not text"),
        (Port("a", "STRING"), True, "invalid_input_type", "True is not text"),
        (Port("a", "STRING"), math.nan, "invalid_input_type", "nan is not a finite number"),
        (COMBO, "eular", "value_not_in_list", "did you mean 'euler'?"),
        (COMBO, "zzz", "value_not_in_list", "a: 'zzz' is not among euler, dpm\\2, 2"),
        (COMBO, True, "invalid_input_type", "True is not one of the choices, as text"),
        (COMBO, "x" * 100_000, "value_not_in_list", "... is not among"),
        (Port("a", "COMBO", widget=()), "a", "value_not_in_list", "the choices: there are none"),
        (Port("a", "MODEL"), 3, "invalid_input_type", "takes a link to an output of type MODEL"),
        (Port("a", "INT,BOOLEAN"), "x", "invalid_input_type", "'x' is not a whole number"),
        (Port("a", "*"), [math.nan], "invalid_input_type", "nan is not a finite number"),
        (Port("a", "*"), {"a": 2**64}, "invalid_input_type", "fits 64 bits"),
        (Port("a", "*"), {1: 2}, "invalid_input_type", "something JSON can carry"),
        (Port("a", "*"), [object()], "invalid_input_type", "something JSON can carry"),
        (Port("a", "INT", is_list=True), [1, "x"], "invalid_input_type", "'x' is not a whole"),
    ],
)
def test_a_value_that_does_not_fit_is_named(
    port: Port, value: Any, type: str, details: str
) -> None:
    problem = problem_of(port, value)

    assert problem.type == type
    assert details in problem.details
    assert len(problem.details) < 400


@pytest.mark.parametrize(
    ("port", "details"),
    [
        (Port("a", "INT"), "<int too large to show> is not a whole number that fits 64 bits"),
        (Port("a", "STRING"), "is not a number that fits 64 bits"),
        (FLOAT, "is not a number that fits 64 bits"),
        (COMBO, "is not among"),
        (Port("a", "*"), "is not a number that fits 64 bits"),
    ],
)
def test_a_number_of_thousands_of_digits_is_named_without_them(port: Port, details: str) -> None:
    assert details in problem_of(port, 10**5000).details


def test_the_message_is_the_ecosystem_s() -> None:
    assert problem_of(INT, 2.9).message == "Failed to convert an input value to a INT value"
    assert problem_of(INT, 0).message == "Value 0 smaller than min of 1"
    assert problem_of(INT, 101).message == "Value 101 bigger than max of 100"
    assert problem_of(COMBO, "zzz").message == "Value not in list"


def test_of_many_choices_only_the_number_is_told() -> None:
    port = Port("a", "COMBO", widget=tuple(f"choice{i}" for i in range(21)))

    assert "is not among 21 choices" in problem_of(port, "x").details


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def test_a_value_may_nest_but_not_without_end() -> None:
    port = Port("a", "*")

    assert LITERALS.convert(port, nested(64)) == nested(64)
    assert "nested more than 64 levels" in problem_of(port, nested(65)).details
    assert "not a whole number" in problem_of(INT, nested(100_000)).details


def test_a_file_name_has_to_be_one(tmp_path: Any) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.txt").write_text("a")
    literals = Literals(Registry(OneFolder(tmp_path)))  # type: ignore[arg-type]
    port = Port("a", "COMBO", widget=FileOf("texts", ("none",)))

    assert literals.convert(port, "sub/a.txt") == "sub/a.txt"
    assert literals.convert(port, "sub\\a.txt") == "sub/a.txt"
    assert literals.convert(port, "none") == "none"
    with pytest.raises(Problem, match=r"a: 'b\.txt' is not among the texts") as error:
        literals.convert(port, "b.txt")
    assert error.value.type == "value_not_in_list"
    assert LITERALS.convert(port, "anything") == "anything", "without folders nobody can tell"


PORTS = st.sampled_from(
    [INT, FLOAT, COMBO, *(Port("a", name) for name in ("INT", "BOOLEAN", "STRING", "*", "MODEL"))]
)
ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner),
)


@given(PORTS, st.booleans(), ANY)
def test_any_value_is_converted_or_is_a_problem(port: Port, is_list: bool, value: Any) -> None:
    listed = Port(port.name, port.type, widget=port.widget, is_list=is_list)
    try:
        converted = LITERALS.convert(listed, value)
    except Problem:
        return
    assert LITERALS.convert(listed, converted) == converted


@given(st.integers())
def test_whole_numbers_are_those_of_64_bits(value: int) -> None:
    port = Port("a", "INT")
    if INT_MIN <= value <= INT_MAX:
        assert LITERALS.convert(port, value) == value
    else:
        assert "64 bits" in problem_of(port, value).details


def endless() -> list[Any]:
    value: list[Any] = []
    for _ in range(100_000):
        value = [value]
    return value


@pytest.mark.parametrize("make", [lambda: 10**5000, endless, lambda: "x" * 500])
def test_a_value_is_shown_in_few_words(make: Callable[[], Any]) -> None:
    assert len(short(make())) <= 80

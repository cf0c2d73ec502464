import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodegraph.cli.pointing import WIDTH, Positions, Span, snippet

TEXT = """{
  "1": {"class_type": "Count",
        "inputs": {"value": 3, "word": "a \\" b"}},
  "2": {
    "inputs": {"left": ["1", 0]},
    "class_type": "Add"
  }
}
"""


def found(text: str, *where: Any, **more: Any) -> str | None:
    span = Positions(text).find(*where, **more)
    return None if span is None else text[span.start : span.end]


@pytest.mark.parametrize(
    ("node", "input", "key", "expected"),
    [
        ("1", "value", "", "3"),
        ("1", "word", "", r'"a \" b"'),
        ("2", "left", "", '["1", 0]'),
        ("1", "gone", "", '"inputs"'),
        ("2", None, "class_type", '"Add"'),
        ("1", None, "", '"1"'),
        ("2", None, "gone", '"2"'),
        ("3", "value", "", None),
    ],
)
def test_an_input_a_key_or_a_node_is_found(
    node: str, input: str | None, key: str, expected: str | None
) -> None:
    assert found(TEXT, node, input, key=key) == expected


def test_a_document_inside_a_request_is_found() -> None:
    assert found('{"client_id": "x", "prompt": ' + TEXT + "}", "1", "value") == "3"


@pytest.mark.parametrize("text", ["", "[1]", "3", '{"1": ', '{"1" 3}', "\x89PNG", '{"1": 5}', "{}"])
def test_in_a_text_that_is_no_graph_no_input_is_found(text: str) -> None:
    assert found(text, "1", "value") in (None, '"1"')


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)


@given(
    document=st.dictionaries(
        st.text(max_size=3).filter(lambda id: id != "prompt"),
        st.fixed_dictionaries({"inputs": st.dictionaries(st.text(max_size=3), json_values)}),
        max_size=4,
    ),
    indent=st.sampled_from([None, 0, 2]),
    ascii=st.booleans(),
)
def test_every_input_is_found_as_it_was_written(document: Any, indent: Any, ascii: bool) -> None:
    text = json.dumps(document, indent=indent, ensure_ascii=ascii)

    for node, entry in document.items():
        for input, value in entry["inputs"].items():
            at = found(text, node, input)
            assert at is not None
            assert json.loads(at) == value


def test_a_snippet_shows_the_line_and_marks_the_place() -> None:
    span = Positions(TEXT).find("1", "value")
    assert span is not None

    assert snippet(TEXT, span) == (
        3,
        29,
        ["  |", '3 |         "inputs": {"value": 3, "word": "a \\" b"}},', f"  | {' ' * 28}^"],
    )


def test_a_place_that_spans_lines_is_marked_to_the_end_of_its_first() -> None:
    text = '{\n  "1": [\n    2\n  ]\n}'

    assert snippet(text, Span(9, 20))[2] == ["  |", '2 |   "1": [', "  |        ^"]


def test_of_a_long_line_only_what_is_around_the_place_is_shown() -> None:
    text = "a" * 500 + "BBB" + "c" * 500

    line, column, (_, shown, marks) = snippet(text, Span(500, 503))

    assert (line, column) == (1, 501)
    assert len(shown) == len("1 | ") + WIDTH
    assert shown[marks.index("^") :][: marks.count("^")] == "BBB"


def test_tabs_and_line_ends_do_not_shift_the_mark() -> None:
    assert snippet("\r\n\tab\r\n", Span(3, 5)) == (2, 2, ["  |", "2 |  ab", "  |  ^^"])


@pytest.mark.parametrize("text", ["", "x\n"])
def test_the_end_of_a_text_can_be_pointed_at(text: str) -> None:
    _, column, lines = snippet(text, Span(len(text), len(text) + 1))

    assert column == 1
    assert lines[-1].endswith("| ^")

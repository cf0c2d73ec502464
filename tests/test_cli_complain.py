import json
from typing import Any

import pytest

from nodegraph import errors
from nodegraph.cli.complain import (
    Complaints,
    Exit,
    MissingPackage,
    describe,
    exit_code,
    headline,
    notes_of,
    printable,
    traceback_of,
)
from nodegraph.errors import Fault
from nodegraph.graph import parse
from nodegraph.names import UnsafeName

TEXT = '{\n  "5": {\n    "class_type": "KSampler",\n    "inputs": {"steps": "abc"}\n  }\n}\n'


def told(fault: Fault, text: str = TEXT, **more: Any) -> list[str]:
    (said,) = Complaints("graph.json", text, **more).all([fault])
    return said.plain.split("\n")


def fault(type: str = "invalid_input_type", input: str | None = "steps", **more: Any) -> Fault:
    return Fault(type, "A kind", "what is wrong", "5", input, "KSampler", **more)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.Cancelled("x"), 130),
        (errors.InvalidGraph([], {}), 3),
        (errors.DocumentError("x"), 3),
        (errors.SettingsError("x"), 5),
        (errors.PluginError("x"), 5),
        (errors.FileMissing("x"), 5),
        (UnsafeName("x"), 5),
        (MissingPackage("x"), 5),
        (errors.RunFailed("x", None), 4),  # type: ignore[arg-type]
        (errors.NodeGraphError("x"), 4),
        (errors.DeclarationError("x"), 1),
        (ValueError("x"), 1),
        (KeyError("x"), 1),
    ],
)
def test_each_kind_of_failure_has_its_exit_code(error: Exception, code: int) -> None:
    assert exit_code(error) == code


def test_a_fault_points_at_its_place_in_the_file() -> None:
    assert told(fault()) == [
        "error[invalid_input_type]: what is wrong",
        "  --> graph.json:4:25: node 5 (KSampler), input steps",
        "  |",
        '4 |     "inputs": {"steps": "abc"}',
        "  |                         ^^^^^",
        "",
    ]


def test_an_unknown_node_type_is_pointed_at() -> None:
    assert told(fault("missing_node_type", None))[1] == "  --> graph.json:3:19: node 5 (KSampler)"


def test_a_file_that_is_no_json_is_named() -> None:
    assert told(fault(), text="") == [
        "error[invalid_input_type]: what is wrong",
        "  --> graph.json: node 5 (KSampler), input steps",
        "",
    ]


def test_a_fault_of_the_whole_graph_names_the_file() -> None:
    whole = Fault("prompt_no_outputs", "No outputs", "nothing is saved")

    assert told(whole) == ["error[prompt_no_outputs]: nothing is saved", "  --> graph.json", ""]


def test_what_the_command_line_said_is_pointed_at_there() -> None:
    lines = told(fault(extra={"option": "--set 5.steps=abc"}))

    assert lines[1] == "  --> --set 5.steps=abc: node 5 (KSampler), input steps"


def test_notes_stand_below_a_fault() -> None:
    lines = told(fault(), notes=lambda fault: ["looked in /a", f"about {fault.input}"])

    assert lines[-3:] == ["   = looked in /a", "   = about steps", ""]


def test_a_warning_is_called_one_and_looks_like_one() -> None:
    (said,) = Complaints("graph.json").all([fault()], "warning")

    assert said.plain.startswith("warning[invalid_input_type]: ")
    assert [(span.start, span.end, span.style) for span in said.spans] == [
        (0, len("warning[invalid_input_type]"), "bold yellow")
    ]
    assert [span.style for span in headline("error", "x").spans] == ["bold red"]


def test_broken_json_is_shown_where_it_breaks() -> None:
    with pytest.raises(errors.DocumentError) as caught:
        parse('{\n  "1": x\n}', source="graph.json")

    assert describe(caught.value).plain.split("\n") == [
        "error: graph.json is not JSON: line 2, column 8: Expecting value",
        "  |",
        '2 |   "1": x',
        "  |        ^",
    ]


def test_notes_of_an_error_and_of_its_causes_are_told() -> None:
    cause = ValueError("b")
    cause.add_note("looked in:\n  /a\n  /b")
    error = errors.NodeGraphError("c")
    error.__cause__ = cause

    assert notes_of(error) == ["looked in: /a /b"]
    assert describe(error).plain == "error: c\n   = looked in: /a /b"


def test_a_traceback_names_the_causes() -> None:
    try:
        try:
            raise ValueError("the cause")
        except ValueError as cause:
            raise KeyError("the effect") from cause
    except KeyError as error:
        text = traceback_of(error)

    assert text.index("the cause") < text.index("the effect")
    assert text.count("Traceback") == 2


def test_nothing_from_a_graph_steers_the_terminal() -> None:
    evil = "\x1b]0;owned\x07 \x9b31m \r\b\x7f"

    assert printable(evil) == r"\x1b]0;owned\x07 \x9b31m \x0d\x08\x7f"
    assert printable("tab\tline\nläuft → 猫") == "tab\tline\nläuft → 猫"
    said = told(Fault("x", "x", evil, f"5{evil}", class_type="[/bold]"), text=json.dumps({}))
    assert "\x1b" not in "".join(said)
    assert "[/bold]" in said[1]


def test_exit_codes_are_what_the_documentation_says() -> None:
    codes = {code.name: code.value for code in Exit}

    assert codes == {
        "OK": 0,
        "INTERNAL": 1,
        "USAGE": 2,
        "GRAPH": 3,
        "NODE": 4,
        "SETTINGS": 5,
        "DIFFERENT": 6,
        "CANCELLED": 130,
    }

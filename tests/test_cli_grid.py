from pathlib import Path
from typing import Any

import pytest
from command_line import GRAPH, CommandLine


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NODEGRAPH_DEVICE", "cpu")
    return CommandLine(tmp_path)


def statuses(cell: dict[str, Any]) -> dict[str, str]:
    return {node["node"]: node["status"] for node in cell["nodes"]}


def test_a_grid_runs_every_combination_and_computes_what_they_share_once(
    call: CommandLine,
) -> None:
    grid = ["--grid", "1.value=1,2", "--grid", "Add.right=10,20"]

    answer = call.answer("run", call.file(), *grid)

    cells = answer["cells"]
    assert [cell["values"] for cell in cells] == [
        {"1.value": "1", "Add.right": "10"},
        {"1.value": "1", "Add.right": "20"},
        {"1.value": "2", "Add.right": "10"},
        {"1.value": "2", "Add.right": "20"},
    ]
    assert [Path(file).read_text() for cell in cells for file in cell["files"]] == [
        "11",
        "21",
        "12",
        "22",
    ]
    assert statuses(cells[0]) == {"1": "ran", "2": "ran", "3": "ran"}
    assert statuses(cells[1]) == {"1": "cached", "2": "ran", "3": "ran"}
    assert statuses(cells[2]) == {"1": "ran", "2": "ran", "3": "ran"}
    assert answer["status"] == "success"


def test_files_are_listed_under_their_cell_and_the_whole_is_summed_up(call: CommandLine) -> None:
    result = call("run", call.file(), "--grid", "1.value=1,2", "--set", "3.prefix=n")

    lines = result.stdout.splitlines()
    assert lines[0].startswith("1.value=1: done in ")
    assert lines[1] == "  output/n_00001_.txt"
    assert lines[2].startswith("1.value=2: done in ")
    assert lines[3] == "  output/n_00002_.txt"
    assert lines[4].startswith("2 of 2 cells in ")
    assert lines[4].endswith(" s: 6 ran, 0 from the cache")
    assert len(lines) == 5
    assert result.stderr == ""


def test_quiet_lists_the_files_alone(call: CommandLine) -> None:
    result = call("run", call.file(), "--grid", "1.value=1,2", "-q")

    assert result.stdout == "output/saved_00001_.txt\noutput/saved_00002_.txt\n"


def test_a_grid_of_texts_takes_a_json_list_where_they_have_commas(call: CommandLine) -> None:
    answer = call.answer("run", call.file(), "--grid", '3.prefix=["a,b", 7]')

    assert [cell["files"] for cell in answer["cells"]] == [
        ["output/a,b_00001_.txt"],
        ["output/7_00001_.txt"],
    ]


def test_all_cells_are_checked_before_the_first_runs_each_fault_told_once(
    call: CommandLine,
) -> None:
    graph = {**GRAPH, "4": {"class_type": "Save", "inputs": {"value": ["9", 0]}}}
    grid = ["--grid", "1.value=1,x,y", "--grid", "Add.right=2,3"]

    result = call("run", call.file(graph), *grid, code=3)

    places = [line for line in result.stderr.splitlines() if line.startswith("  --> ")]
    assert places == [
        "  --> graph.json:33:16: node 4 (Save), input value",
        "  --> --grid 1.value=x: node 1 (Count), input value",
        "  --> --grid 1.value=y: node 1 (Count), input value",
    ]
    assert "3 faults in graph.json\nnothing was run; --keep-going runs" in result.stderr
    assert not Path("output").exists()


def test_a_grid_goes_on_with_the_sound_cells_if_asked(call: CommandLine) -> None:
    grid = ["--grid", "1.value=x,2", "--keep-going"]

    answer = call.answer("run", call.file(), *grid, code=3)
    text = call("run", "graph.json", *grid, code=3)

    assert [cell["status"] for cell in answer["cells"]] == ["invalid", "success"]
    assert list(answer["cells"][0]["node_errors"]) == ["1"]
    assert text.stdout.startswith("1.value=x: has faults\n1.value=2: done in")
    assert "1 of 2 cells in " in text.stdout


def test_a_grid_without_a_sound_cell_runs_nothing(call: CommandLine) -> None:
    answer = call.answer("run", call.file(), "--grid", "1.value=x", "--keep-going", code=3)

    assert answer["status"] == "invalid"
    assert list(answer["node_errors"]) == ["1"]


def test_an_axis_that_fits_no_node_is_a_fault_of_the_option(call: CommandLine) -> None:
    result = call("run", call.file(), "--grid", "Cuont.value=1,2", code=3)

    assert "the graph has no node 'Cuont'; did you mean 'Count'?\n  --> --grid" in result.stderr


def test_a_cell_that_fails_does_not_stop_the_others(call: CommandLine) -> None:
    graph = {
        **GRAPH,
        "4": {"class_type": "Fail", "inputs": {"value": ["1", 0]}},
        "5": {"class_type": "Show", "inputs": {"value": ["4", 0]}},
    }

    answer = call.answer("run", call.file(graph), "--grid", "1.value=1,2", code=4)
    result = call("run", "graph.json", "--grid", "1.value=3,4", code=4)

    assert answer["status"] == "error"
    assert [cell["status"] for cell in answer["cells"]] == ["error", "error"]
    assert [len(cell["files"]) for cell in answer["cells"]] == [1, 1]
    assert "error: node 4 (Fail) failed: ValueError: 3 is too much" in result.stderr
    assert "error: node 4 (Fail) failed: ValueError: 4 is too much" in result.stderr


def test_targets_and_values_hold_for_every_cell(call: CommandLine) -> None:
    options = ["--targets", "2", "--set", "2.right=5"]

    answer = call.answer("run", call.file(), "--grid", "1.value=1,2", *options)

    assert [statuses(cell).keys() for cell in answer["cells"]] == [{"1", "2"}, {"1", "2"}]
    assert not Path("output").exists()


def test_the_command_line_sets_an_input_for_all_cells_and_the_grid_sets_it_last(
    call: CommandLine,
) -> None:
    grid = ["--grid", "1.value=1,2", "--set", "1.value=50"]

    answer = call.answer("run", call.file(), *grid)

    assert [Path(*cell["files"]).read_text() for cell in answer["cells"]] == ["11", "12"]

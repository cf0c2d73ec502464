import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import small_nodes
from command_line import GRAPH, CommandLine
from editor_files import EditorFile

from nodegraph import Engine
from nodegraph.cli.session import Session

FAILING: dict[str, Any] = {
    **GRAPH,
    "4": {"class_type": "Fail", "inputs": {"value": ["1", 0]}},
    "5": {"class_type": "Add", "inputs": {"left": ["4", 0]}},
    "6": {"class_type": "Save", "inputs": {"value": ["5", 0]}},
}
HALF: dict[str, Any] = {
    **GRAPH,
    "4": {"class_type": "Cuont", "inputs": {}},
    "5": {"class_type": "Save", "inputs": {"value": ["4", 0]}},
}


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NODEGRAPH_DEVICE", "cpu")
    return CommandLine(tmp_path)


# -- run ---------------------------------------------------------------------------------------


def test_a_run_lists_costs_on_standard_output_and_the_files_it_wrote(call: CommandLine) -> None:
    result = call("run", call.file())

    lines = result.stdout.splitlines()
    assert lines[0].split() == ["node", "type", "status", "seconds", "output"]
    assert [line.split()[:3] for line in lines[1:4]] == [
        ["1", "Count", "ran"],
        ["2", "Add", "ran"],
        ["3", "Save", "ran"],
    ]
    assert lines[4] == "output/saved_00001_.txt"
    assert lines[5].startswith("done in ")
    assert lines[5].endswith(" s: 3 ran, 0 from the cache")
    assert [line.partition(":")[0] for line in result.stderr.splitlines()] == [
        "1 Count",
        "2 Add",
        "3 Save",
    ]
    assert (call.folder / "output" / "saved_00001_.txt").read_text() == "13"


def test_a_second_run_takes_everything_from_the_cache_and_lists_the_files_again(
    call: CommandLine,
) -> None:
    graph = call.file()
    call("run", graph)

    answer = call.answer("run", graph)

    assert [node["status"] for node in answer["nodes"]] == ["cached"]
    assert answer["files"] == ["output/saved_00001_.txt"]


def test_values_are_set_by_id_title_or_type_and_read_as_their_inputs_ask(call: CommandLine) -> None:
    sets = ["--set", "How many.value=5", "--set", "Add.right=7", "--set", "3.prefix=2024"]

    answer = call.answer("run", call.file(), *sets, "--out", "there")

    assert answer["files"] == ["there/2024_00001_.txt"]
    assert Path("there/2024_00001_.txt").read_text() == "12"


def test_the_json_answer_is_complete(call: CommandLine) -> None:
    answer = call.answer("run", call.file())

    assert isinstance(answer.pop("seconds"), float)
    nodes = answer.pop("nodes")
    assert [node["node"] for node in nodes] == ["1", "2", "3"]
    assert set(nodes[0]) == {
        "node",
        "class_type",
        "status",
        "seconds",
        "bytes_out",
        "peak_bytes",
        "not_stored",
    }
    file = {"filename": "saved_00001_.txt", "subfolder": "", "type": "output"}
    assert answer == {
        "status": "success",
        "files": ["output/saved_00001_.txt"],
        "outputs": {"3": {"texts": [file]}},
        "failed": {},
        "skipped": {},
        "errors": [],
        "node_errors": {},
        "warnings": [],
    }


def test_quiet_prints_the_files_alone(call: CommandLine) -> None:
    result = call("run", call.file(), "-q")

    assert (result.stdout, result.stderr) == ("output/saved_00001_.txt\n", "")


def test_targets_by_id_title_or_type_run_no_more_than_they_need(call: CommandLine) -> None:
    answer = call.answer("run", call.file(FAILING), "--targets", "How many,Add", code=3)
    assert answer["errors"][0]["details"] == "'Add' may be any of nodes 2, 5; write the id"

    answer = call.answer("run", call.file(FAILING), "--targets", "How many", "--targets", "2")
    assert [node["node"] for node in answer["nodes"]] == ["1", "2"]


def test_a_failed_node_is_told_with_its_notes_and_the_others_files_are_kept(
    call: CommandLine,
) -> None:
    result = call("run", call.file(FAILING), code=4)

    assert "error: node 4 (Fail) failed: ValueError: 3 is too much\n   = try less\n" in (
        result.stderr
    )
    assert "   = skipped, because node 4 failed: 5, 6\n" in result.stderr
    assert "4 Fail: failed after " in result.stderr
    assert "output/saved_00001_.txt\nfailed in " in result.stdout
    assert result.stdout.endswith("3 ran, 0 from the cache, 1 failed, 2 skipped\n")
    assert "Traceback" not in result.output


def test_a_failed_node_in_the_json_answer(call: CommandLine) -> None:
    answer = call.answer("run", call.file(FAILING), code=4)

    assert answer["status"] == "error"
    assert answer["failed"] == {
        "4": {
            "type": "NodeFailed",
            "message": "node 4 (Fail) failed: ValueError: 3 is too much",
            "notes": ["try less"],
            "class_type": "Fail",
            "input": None,
        }
    }
    assert answer["skipped"] == {"5": "4", "6": "4"}
    assert answer["files"] == ["output/saved_00001_.txt"]


def test_with_debug_a_failed_node_shows_its_traceback(call: CommandLine) -> None:
    result = call("run", call.file(FAILING), "--debug", code=4)

    assert "small_nodes.py" in result.stderr
    assert "ValueError: 3 is too much" in result.stderr


def test_a_warning_of_a_node_goes_to_standard_error(call: CommandLine) -> None:
    graph = {**GRAPH, "2": {"class_type": "Warn", "inputs": {"value": ["1", 0]}}}

    result = call("run", call.file(graph), "-q")

    assert result.stderr == "warning: node 2 Warn: 3 is doubtful\n"


def test_a_graph_with_faults_is_not_run_at_all(call: CommandLine) -> None:
    result = call("run", call.file(HALF), code=3)

    assert result.stdout == ""
    assert result.stderr.splitlines() == [
        "error[missing_node_type]: no node type is named 'Cuont'; did you mean Count?",
        "  --> graph.json:31:19: node 4 (Cuont)",
        "   |",
        '31 |     "class_type": "Cuont",',
        "   |                   ^^^^^^^",
        "",
        "1 fault in graph.json",
        "nothing was run; --keep-going runs what has no fault: 3",
    ]
    assert not Path("output").exists()


def test_keep_going_runs_what_has_no_fault_and_still_exits_with_3(call: CommandLine) -> None:
    result = call("run", call.file(HALF), "--keep-going", code=3)

    assert "1 fault in graph.json\ngoing on with 3\n" in result.stderr
    assert Path("output/saved_00001_.txt").read_text() == "13"


def test_keep_going_in_the_json_answer(call: CommandLine) -> None:
    answer = call.answer("run", call.file(HALF), "--keep-going", code=3)

    assert answer["status"] == "error"
    assert answer["files"] == ["output/saved_00001_.txt"]
    assert [error["type"] for error in answer["node_errors"]["4"]["errors"]] == [
        "missing_node_type"
    ]


def test_a_node_that_fails_outweighs_a_fault_when_going_on(call: CommandLine) -> None:
    both = {**HALF, "6": {"class_type": "Fail", "inputs": {"value": 1}}}
    both["7"] = {"class_type": "Show", "inputs": {"value": ["6", 0]}}

    call("run", call.file(both), "--keep-going", code=4)


def test_all_faults_of_options_and_graph_are_listed_at_once_each_at_its_place(
    call: CommandLine,
) -> None:
    graph = {**HALF, "6": {"class_type": "Save", "inputs": {"value": ["7", 0]}}}
    options = ["--set", "1.valu=3", "--set", "x.y=1", "--set", "2.right=z", "--targets", "3,9,6"]

    result = call("run", call.file(graph), *options, code=3)

    places = [line for line in result.stderr.splitlines() if line.startswith("  --> ")]
    assert places == [
        "  --> graph.json:31:19: node 4 (Cuont)",  # a warning: nobody wants it
        "  --> --set 1.valu=3: node 1 (Count), input valu",
        "  --> --set x.y=1",
        "  --> --targets 9",
        "  --> --set 2.right=z: node 2 (Add), input right",
        "  --> graph.json:46:16: node 6 (Save), input value",
    ]
    assert "5 faults in graph.json" in result.stderr
    assert "keep-going" not in result.stderr  # what is asked has to be right


def test_faults_in_the_json_answer_name_the_option(call: CommandLine) -> None:
    options = ["--set", "2.right=z", "--targets", "9"]

    answer = call.answer("run", call.file(), *options, code=3)

    assert answer["status"] == "invalid"
    assert answer["errors"][0]["extra_info"] == {"target": "9", "option": "--targets 9"}
    (error,) = call.answer("run", call.file(), *options[:2], code=3)["node_errors"]["2"]["errors"]
    assert error["extra_info"]["option"] == "--set 2.right=z"
    assert error["extra_info"]["input_name"] == "right"


def test_a_missing_model_names_the_folders_and_the_nearest_name(call: CommandLine) -> None:
    for folder in ("home/models/checkpoints", "mine/checkpoints/sd"):
        (call.folder / folder).mkdir(parents=True)
    (call.folder / "mine/checkpoints/sd/dreams.safetensors").write_text("model")
    graph = {
        "1": {"class_type": "Read", "inputs": {"name": "sd\\draems.safetensors"}},
        "2": {"class_type": "Save", "inputs": {"value": ["1", 0]}},
    }

    result = call("run", call.file(graph), "--models", "mine", "--models", "home", code=3)
    right = call("run", "graph.json", "--models", "mine", "--set", r"1.name=sd\dreams.safetensors")

    assert "nearest: 'sd/dreams.safetensors'" in result.stderr
    assert f"   = looked in {call.folder}/mine/checkpoints\n" in result.stderr
    assert f"   = looked in {call.folder}/home/checkpoints (there is no such folder)\n" in (
        result.stderr
    )
    assert f"   = looked in {call.folder}/home/models/checkpoints\n" in result.stderr
    assert "done in" in right.stdout  # a backslash is a separator of folders here


def test_an_unknown_input_in_the_file_is_a_warning_and_in_strict_mode_a_fault(
    call: CommandLine,
) -> None:
    graph = call.file({**GRAPH, "1": {"class_type": "Count", "inputs": {"valve": 1}}})

    lax, strict = call("run", graph), call("run", graph, "--strict", code=3)

    assert lax.stderr.startswith("warning[unknown_input]: Count has no input named 'valve'")
    assert strict.stderr.startswith("error[unknown_input]: Count has no input named 'valve'")
    assert call.answer("run", graph)["warnings"] == [
        "node 1 (Count), input valve: Count has no input named 'valve'; it is ignored"
    ]


def test_an_editors_file_travels_with_the_run_unless_values_make_it_untrue(
    call: CommandLine,
) -> None:
    file = EditorFile().node(1, "Extra", gives="STRING").node(2, "Save", ["editor"])
    graph = call.file(file.link(1, 0, 2, "value", "STRING").data)

    (own,) = call.answer("run", graph, "--allow-ckpt")["files"]
    (changed,) = call.answer("run", graph, "--set", "2.prefix=changed")["files"]
    (cell,) = call.answer("run", graph, "--grid", "2.prefix=cell")["cells"][0]["files"]

    assert Path(own).read_text() == "{'allow_ckpt': True} ['links', 'nodes', 'version']"
    assert Path(changed).read_text() == Path(cell).read_text() == "{} None"


def test_without_allow_ckpt_nodes_see_nothing_extra(call: CommandLine) -> None:
    graph = {
        "1": {"class_type": "Extra", "inputs": {}},
        "2": {"class_type": "Show", "inputs": {"value": ["1", 0]}},
    }

    answer = call.answer("run", call.file(graph))

    assert answer["outputs"] == {"2": {"text": ["{} None"]}}


def test_verify_takes_nothing_that_would_change_the_picture(call: CommandLine) -> None:
    for option in (("--set", "1.value=2"), ("--grid", "1.value=2"), ("--targets", "3")):
        result = call("run", call.file(), "--verify", *option, code=2)
        assert "--verify makes a picture as it was" in result.stderr


# -- what is wrong before anything runs --------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "graph.json is not JSON: line 1, column 1: Expecting value"),
        ("[]", "graph.json is JSON, but no graph: a graph is an object of nodes by id"),
        ("3", "graph.json is JSON, but no graph: a graph is an object of nodes by id"),
        ("{}", "graph.json is an empty graph: it has no nodes"),
        ("[" * 100_000, "graph.json is nested too deep"),
    ],
)
@pytest.mark.parametrize("command", ["run", "validate"])
def test_plain_mistakes_are_answered_before_the_nodes_are_imported(
    call: CommandLine, command: str, content: str, message: str
) -> None:
    def modules() -> tuple[ModuleType, ...]:
        raise AssertionError("the nodes were imported")

    call = CommandLine(call.folder, modules)
    result = call(command, call.file(content), code=3)
    answer = call.answer(command, "graph.json", code=3)

    assert result.stderr.startswith(f"error: {message}\n")
    assert answer == {"status": "error", "error": {"type": "DocumentError", "message": message}}


def test_a_file_that_is_not_there_is_told_with_the_nearest_name(call: CommandLine) -> None:
    call.file(name="text_to_image.json")

    near = call("validate", "text_to_imgae.json", code=3)
    far = call("validate", "x.json", code=3)
    gone = call("validate", "folder/x.json", code=3)
    picture = call("run", "x.png", code=3)

    assert near.stderr == (
        "error: there is no file text_to_imgae.json; did you mean text_to_image.json?\n"
    )
    assert far.stderr == "error: there is no file x.json\n"
    assert gone.stderr == "error: there is no file folder/x.json: there is no folder folder\n"
    assert picture.stderr == "error: there is no file x.png\n"


def test_a_folder_is_no_graph(call: CommandLine) -> None:
    (call.folder / "g.json").mkdir()

    assert "g.json is a folder" in call("run", "g.json", code=3).stderr


def test_a_malformed_option_is_answered_in_json_too(call: CommandLine) -> None:
    answer = call.answer("run", call.file(), "--set", "x", code=2)

    assert answer["error"]["type"] == "UsageError"
    assert answer["error"]["message"].startswith("--set x: expected NODE.INPUT=VALUE")


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--precision", "fp8"], 2, "'fp8' is not one of 'auto', 'fp32', 'bf16', 'fp16'"),
        (["--models", "nowhere"], 2, "Directory 'nowhere' does not exist"),
        (["--input", "graph.json"], 2, "Directory 'graph.json' is a file"),
        (["--output", "graph.json"], 2, "Directory 'graph.json' is a file"),
        (["--sed", "1.x=2"], 2, "No such option"),
        (["--device", "gpu"], 5, "--device: device is auto, cpu, cuda or cuda:N, not 'gpu'"),
        (["--config", "nowhere.yaml"], 5, "nowhere.yaml cannot be read"),
    ],
)
def test_a_wrong_option_or_setting_is_told(
    call: CommandLine, options: list[str], code: int, message: str
) -> None:
    assert message in call("run", call.file(), *options, code=code).stderr


def test_a_wrong_setting_names_where_it_was_set(
    call: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    (call.folder / "nodegraph.yaml").write_text("precison: fp16\n")
    graph = call.file()
    assert "nodegraph.yaml:1: there is no setting 'precison'" in call("run", graph, code=5).stderr

    (call.folder / "nodegraph.yaml").write_text("strict: maybe\n")
    answer = call.answer("run", graph, code=5)
    assert answer["error"]["type"] == "SettingsError"

    (call.folder / "nodegraph.yaml").unlink()
    monkeypatch.setenv("NODEGRAPH_PRECISION", "fp8")
    assert "NODEGRAPH_PRECISION: precision is one of" in call("run", graph, code=5).stderr


def test_options_go_before_the_environment_and_that_before_the_file(
    call: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    (call.folder / "nodegraph.yaml").write_text("output: from-file\n")
    graph = call.file()
    assert call.answer("run", graph)["files"] == ["from-file/saved_00001_.txt"]

    monkeypatch.setenv("NODEGRAPH_OUTPUT", "from-env")
    assert call.answer("run", graph)["files"] == ["from-env/saved_00001_.txt"]
    files = call.answer("run", graph, "--output", "from-option")["files"]
    assert files == ["from-option/saved_00001_.txt"]


def test_the_homes_models_come_after_the_users_own(call: CommandLine) -> None:
    for folder, text in (("home/models", "home"), ("models", "own")):
        (call.folder / folder / "checkpoints").mkdir(parents=True)
        (call.folder / folder / "checkpoints" / "a.safetensors").write_text(text)
    (call.folder / "home/models/checkpoints/b.safetensors").write_text("home")
    graph = {
        "1": {"class_type": "Read", "inputs": {"name": "a.safetensors"}},
        "2": {"class_type": "Show", "inputs": {"value": ["1", 0]}},
    }

    own = call.answer("run", call.file(graph))
    home = call.answer("run", "graph.json", "--set", "1.name=b.safetensors")

    assert own["outputs"]["2"] == {"text": ["own"]}
    assert home["outputs"]["2"] == {"text": ["home"]}


def test_a_broken_plugin_is_a_warning_and_the_rest_runs(call: CommandLine) -> None:
    (call.folder / "home/plugins/broken").mkdir(parents=True)
    manifest = 'name: broken\nversion: "1"\nmodules: [gone]\n'
    (call.folder / "home/plugins/broken/plugin.yaml").write_text(manifest)

    result = call("run", call.file(), "-q")

    assert result.stderr.startswith("warning: ")
    assert "broken" in result.stderr
    assert result.stdout == "output/saved_00001_.txt\n"


def test_a_package_that_is_not_installed_is_told_as_that(call: CommandLine) -> None:
    def modules() -> tuple[ModuleType, ...]:
        import no_such_package.inner  # type: ignore[import-not-found]

        return (no_such_package,)

    result = CommandLine(call.folder, modules)("run", call.file(), code=5)

    assert result.stderr.startswith(
        "error: the Python package no_such_package is not installed: `make` installs what"
    )


def test_a_module_missing_from_nodegraph_itself_is_a_defect(call: CommandLine) -> None:
    def modules() -> tuple[ModuleType, ...]:
        raise ModuleNotFoundError("No module named 'nodes.gone'", name="nodes.gone")

    result = CommandLine(call.folder, modules)("run", call.file(), code=1)

    assert result.stderr == (
        "defect of nodegraph: ModuleNotFoundError: No module named 'nodes.gone'\n"
        "   = run again with --debug for the traceback, and please report it\n"
    )


def test_a_defect_has_its_traceback_with_debug(
    call: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr(Engine, "read", broken)
    plain = call("run", call.file(), code=1)
    debug = call("run", call.file(), "--debug", code=1)

    assert "Traceback" not in plain.stderr
    assert "Traceback" in debug.stderr
    assert debug.stderr.endswith("defect of nodegraph: ZeroDivisionError: oh\n")


def test_ctrl_c_outside_of_a_run_is_a_cancel(
    call: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Engine, "read", interrupted)

    assert call("run", call.file(), code=130).stderr == "error: cancelled\n"
    assert call.answer("run", "graph.json", code=130)["status"] == "cancelled"


def test_a_reader_that_went_away_is_nobodys_fault(
    call: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: object) -> None:
        raise BrokenPipeError

    monkeypatch.setattr(Session, "answer", gone)

    assert "defect" not in call("run", call.file(), "--json", code=1).stderr


# -- validate ----------------------------------------------------------------------------------


def test_validate_says_what_would_run(call: CommandLine) -> None:
    assert call("validate", call.file()).stdout == "graph.json: no faults; 3 nodes would run\n"
    one = call("validate", "graph.json", "--targets", "How many")
    assert one.stdout == "graph.json: no faults; 1 node would run\n"
    assert not Path("output").exists()


def test_validate_lists_every_fault(call: CommandLine) -> None:
    result = call("validate", call.file(HALF), "--set", "2.right=x", code=3)
    answer = call.answer("validate", "graph.json", "--set", "2.right=x", code=3)

    assert result.stdout == ""
    assert result.stderr.endswith("2 faults in graph.json\n")
    assert answer["status"] == "invalid"
    assert set(answer["node_errors"]) == {"2", "4"}
    assert answer["node_errors"]["4"]["dependent_outputs"] == ["5"]


def test_validate_in_json_where_nothing_is_wrong(call: CommandLine) -> None:
    answer = call.answer("validate", call.file())

    assert answer == {"status": "valid", "errors": [], "node_errors": {}, "warnings": []}


def test_validate_tells_doubts_about_an_editors_file(call: CommandLine) -> None:
    values = [5, "", 0.5, False, "up", 1, 2, 3]
    file = EditorFile().node(1, "Count", values, gives="INT").node(2, "Show")
    graph = call.file(file.link(1, 0, 2, "value", "INT").data)

    result = call("validate", graph)

    assert result.stderr.startswith("warning[conversion]: node 1 (Count): ")
    assert "  --> graph.json\n" in result.stderr
    call("validate", graph, "--strict", code=3)


# -- nodes -------------------------------------------------------------------------------------


def test_nodes_lists_them_by_category_with_what_they_do(call: CommandLine) -> None:
    lines = call("nodes").stdout.splitlines()

    assert lines[0].split() == ["category", "node", "what", "it", "does"]
    assert ["small", "Add", "The", "sum", "[of", "two]."] in [line.split() for line in lines]
    assert len(lines) == 1 + sum(hasattr(v, "__node__") for v in vars(small_nodes).values())


def test_nodes_shows_one_in_full(call: CommandLine) -> None:
    lines = call("nodes", "Count").stdout.splitlines()

    assert lines[:2] == ["Count (small), version 1, from small_nodes", "A number."]
    rows = [" ".join(line.split()) for line in lines]
    assert "value INT 1 0 to 100" in rows
    assert 'mode COMBO "up" up, down' in rows
    assert "flag BOOLEAN false" in rows


def test_nodes_in_json_is_the_catalogue(call: CommandLine) -> None:
    whole, one = call.answer("nodes"), call.answer("nodes", "Add")

    assert one == {"Add": whole["Add"]}
    assert whole["Add"]["output"] == ["INT"]


def test_nodes_of_an_unknown_name_suggests_the_nearest(call: CommandLine) -> None:
    assert "named 'Cuont'; did you mean Count?" in call("nodes", "Cuont", code=2).stderr
    assert "named 'Zzzz'; `nodes` lists all" in call("nodes", "Zzzz", code=2).stderr


def test_a_name_with_brackets_is_printed_as_it_is(call: CommandLine) -> None:
    graph = {f"[/{id}]": entry for id, entry in GRAPH.items()}
    graph["[/2]"] = {"class_type": "Add", "inputs": {"left": ["[/1]", 0], "right": 1}}
    graph["[/3]"] = {"class_type": "Save", "inputs": {"value": ["[/2]", 0], "prefix": "[b]"}}

    result = call("run", call.file(graph))

    assert "[/1]  Count  ran" in result.stdout
    assert "output/[b]_00001_.txt" in result.stdout


def test_json_is_one_document_even_with_warnings_and_bars(call: CommandLine) -> None:
    graph = {**GRAPH, "2": {"class_type": "Warn", "inputs": {"value": ["1", 0], "odd": 1}}}

    result = call("run", call.file(graph), "--json")

    assert json.loads(result.stdout)["status"] == "success"
    assert "warning: node 2 Warn: 3 is doubtful\n" in result.stderr
    assert "warning[unknown_input]" in result.stderr

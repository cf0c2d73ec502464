import json
import logging
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import small_nodes
from editor_files import EditorFile

from nodegraph import CancelToken, Engine, Settings, node
from nodegraph.engine import _device
from nodegraph.errors import DocumentError, InvalidGraph, NodeGraphError, SettingsError
from nodegraph.events import Event, Progress, RunFinished, RunStarted
from nodegraph.folders import Folders
from nodegraph.graph import Graph
from nodegraph.plan import Plan

GRAPH: dict[str, Any] = {
    "1": {"class_type": "Count", "inputs": {"value": 3}, "_meta": {"title": "How many"}},
    "2": {"class_type": "Add", "inputs": {"left": ["1", 0], "right": 10}},
    "3": {"class_type": "Save", "inputs": {"value": ["2", 0]}},
}
BRANCHES = {
    **GRAPH,
    "4": {"class_type": "Fail", "inputs": {"value": ["1", 0]}},
    "5": {"class_type": "Save", "inputs": {"value": ["4", 0]}},
}
SLOW = {"1": {"class_type": "Slow", "inputs": {}}, "2": {"class_type": "Show", "inputs": {}}}
SLOW["2"]["inputs"] = {"value": ["1", 0]}


def settings(folder: Path, **changes: Any) -> Settings:
    values: dict[str, Any] = {
        "models": (folder / "models",),
        "input": folder / "input",
        "output": folder / "output",
        "temp": folder / "temp",
        "cache": folder / "cache",
        "device": "cpu",
        **changes,
    }
    return Settings(**values)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with Engine([small_nodes], settings(tmp_path)) as engine:
        yield engine


def test_a_run_gives_the_outputs_of_its_targets_and_the_files(
    engine: Engine, tmp_path: Path
) -> None:
    result = engine.run(GRAPH, {"How many.value": 5}, targets=["2", "Save"]).require()

    assert result["2"] == (15,)
    assert engine.files(result) == [tmp_path / "output" / "saved_00001_.txt"]
    assert engine.files(result)[0].read_text() == "15"


def test_a_loaded_graph_runs_as_it_was_loaded(engine: Engine) -> None:
    graph = engine.load(GRAPH, {"2.right": 1}, targets=["Add"])

    assert engine.run(graph).require()["2"] == (4,)
    assert [step.id for step in engine.plan(graph).steps] == ["1", "2"]


@pytest.mark.parametrize("given", [{"values": {"1.value": 2}}, {"targets": ["1"]}])
def test_a_loaded_graph_takes_no_other_values_or_targets(engine: Engine, given: Any) -> None:
    with pytest.raises(NodeGraphError, match="give them to load"):
        engine.run(engine.load(GRAPH), **given)


def test_events_are_streamed(engine: Engine) -> None:
    events: list[Event] = []

    engine.run(SLOW, {"1.steps": 3}, emit=events.append)

    assert isinstance(events[0], RunStarted)
    assert isinstance(events[-1], RunFinished)
    progress = [(e.value, e.total) for e in events if isinstance(e, Progress)]
    assert progress == [(1, 3), (2, 3), (3, 3)]


def test_a_failed_branch_does_not_take_away_the_others(engine: Engine) -> None:
    result = engine.run(BRANCHES)

    assert [path.read_text() for path in engine.files(result)] == ["13"]
    assert set(result.errors) == {"4"}
    with pytest.raises(NodeGraphError, match="3 is too much"):
        result.require()


def test_all_that_is_wrong_is_listed_at_once(engine: Engine) -> None:
    values = {"How much.value": 1, "1.valu": 1, "2.right": "x"}

    with pytest.raises(InvalidGraph) as caught:
        engine.load(GRAPH, values, targets=["3", "Savee"])

    assert [(fault.type, fault.node) for fault in caught.value.faults] == [
        ("missing_node", None),
        ("unknown_input", "1"),
        ("missing_target", None),
        ("invalid_input_type", "2"),
    ]
    assert [fault.extra.get("set_as") for fault in caught.value.faults] == [
        "How much.value",
        "1.valu",
        None,
        "2.right",
    ]
    assert caught.value.faults[2].details == "the graph has no node 'Savee'; did you mean 'Save'?"


def test_the_sound_part_of_a_graph_is_given_beside_its_faults(engine: Engine) -> None:
    broken = {**BRANCHES, "4": {"class_type": "Fial", "inputs": {}}}

    checked = engine.check_document(engine.read(broken))

    assert [fault.type for fault in checked.faults] == ["missing_node_type"]
    assert checked.graph is not None
    assert engine.run(checked.graph).require().shown.keys() == {"3"}


def test_a_wrong_name_in_what_is_asked_leaves_nothing_to_run(engine: Engine) -> None:
    assert engine.check_document(engine.read(GRAPH), {"nobody.value": 1}).graph is None
    assert engine.check_document(engine.read(GRAPH), targets=["3", "nobody"]).graph is None


def editor_file(*more: Any) -> EditorFile:
    """A Count, with `more` values than it has widgets, and an Extra that is shown."""
    file = EditorFile().node(1, "Count", [5, "", 0.5, False, "up", *more], gives="INT")
    return file.node(2, "Extra", gives="STRING").node(3, "Show").link(2, 0, 3, "value", "STRING")


def test_a_run_of_an_editors_file_passes_that_on_to_the_nodes(
    engine: Engine, tmp_path: Path
) -> None:
    path = tmp_path / "workflow.json"
    path.write_text(json.dumps(editor_file().data))

    def shown(*given: Any, **more: Any) -> Any:
        return engine.run(path, *given, **more).require().shown["3"].values["text"]

    own = "['links', 'nodes', 'version']"
    assert shown(extra={"allow_ckpt": True}) == [f"{{'allow_ckpt': True}} {own}"]
    assert shown(targets=["3"]) == [f"{{}} {own}"]
    assert shown(workflow={"mine": 1}) == ["{} ['mine']"]
    assert shown({"1.value": 6}) == ["{} None"]  # of which the editor's file knows nothing
    assert shown({"1.value": 6}, workflow={"mine": 1}) == ["{} ['mine']"]


def test_doubts_about_an_editors_file_are_warnings_and_in_strict_mode_faults(
    tmp_path: Path,
) -> None:
    file = editor_file(1, 2, 3).data

    with Engine([small_nodes], settings(tmp_path)) as engine:
        graph = engine.load(file)
        checked = engine.check_document(engine.read(file))
    with Engine([small_nodes], settings(tmp_path, strict=True)) as engine:
        strict = engine.check_document(engine.read(file))

    (doubt,) = graph.warnings
    assert doubt.type == "conversion"
    assert doubt.details.startswith("node 1 (Count): ")
    assert (checked.warnings, checked.faults) == ((doubt,), ())
    assert (strict.warnings, strict.faults) == ((), (doubt,))


def test_a_run_logs_what_is_doubtful(engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    doubtful = {**GRAPH, "1": {"class_type": "Count", "inputs": {"value": 3, "colour": "red"}}}

    with caplog.at_level(logging.WARNING):
        engine.run(doubtful).require()

    assert [record.getMessage() for record in caplog.records] == [
        "node 1 (Count), input colour: Count has no input named 'colour'; it is ignored"
    ]


def test_a_cancelled_run_stops_at_its_next_step(engine: Engine) -> None:
    token = CancelToken()

    def at_the_third(event: Event) -> None:
        if isinstance(event, Progress) and event.value == 3:
            token.cancel()

    result = engine.run(SLOW, emit=at_the_third, cancel=token)

    assert result.cancelled
    assert result.outputs == {}


def in_flight(engine: Engine) -> tuple[threading.Thread, list[bool]]:
    """A thread that runs SLOW and is at it; and where it puts whether it was cancelled."""
    begun, ended = threading.Event(), list[bool]()

    def work() -> None:
        result = engine.run(SLOW, {"1.steps": 100}, emit=lambda event: begun.set())
        ended.append(result.cancelled)

    thread = threading.Thread(target=work)
    thread.start()
    assert begun.wait(10)
    return thread, ended


def test_closing_waits_for_what_is_in_flight(tmp_path: Path) -> None:
    with Engine([small_nodes], settings(tmp_path)) as engine:
        thread, ended = in_flight(engine)

    thread.join(10)
    assert ended == [False]


def test_an_exception_in_the_with_block_cancels_what_is_in_flight(tmp_path: Path) -> None:
    flights: list[tuple[threading.Thread, list[bool]]] = []

    def broken() -> None:
        with Engine([small_nodes], settings(tmp_path)) as engine:
            flights.append(in_flight(engine))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        broken()

    ((thread, ended),) = flights
    thread.join(10)
    assert ended == [True]


def test_closing_waits_for_a_run_that_is_still_being_planned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planning, go_on, closed = threading.Event(), threading.Event(), threading.Event()
    engine, results = Engine([small_nodes], settings(tmp_path)), list[Any]()
    plan = engine.plan

    def slowly(graph: Graph) -> Plan:
        planning.set()
        assert go_on.wait(10)
        return plan(graph)

    monkeypatch.setattr(engine, "plan", slowly)
    run = threading.Thread(target=lambda: results.append(engine.run(GRAPH)))
    run.start()
    assert planning.wait(10)
    close = threading.Thread(target=lambda: (engine.close(), closed.set()))
    close.start()

    assert not closed.wait(0.2)
    go_on.set()
    run.join(10)
    close.join(10)

    assert closed.is_set()
    assert results[0].require().shown.keys() == {"3"}


def test_emit_cannot_close_the_engine_it_is_called_by(engine: Engine) -> None:
    with pytest.raises(NodeGraphError, match="emit cannot close the engine"):
        engine.run(GRAPH, emit=lambda event: engine.close())


def test_what_emit_raises_ends_the_run_and_the_engine_goes_on(engine: Engine) -> None:
    def refuse(event: Event) -> None:
        if isinstance(event, Progress):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        engine.run(SLOW, emit=refuse)

    assert engine.run(GRAPH, targets=["2"]).require()["2"] == (13,)


def test_a_closed_engine_leaves_no_threads_and_refuses_to_run(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    engine = Engine([small_nodes], settings(tmp_path))
    graph = engine.load(GRAPH)
    engine.run(graph).require()

    engine.close()
    engine.close()

    assert set(threading.enumerate()) == before
    with pytest.raises(NodeGraphError, match="this engine is closed; open another"):
        engine.run(graph)


def test_a_result_on_disk_outlives_the_engine(tmp_path: Path) -> None:
    for expected in ("ran", "cached"):
        with Engine([small_nodes], settings(tmp_path)) as engine:
            result = engine.run(GRAPH).require()
        assert result.accounts[-1].status == expected
    assert engine.files(result) == [tmp_path / "output" / "saved_00001_.txt"]


def test_folders_may_be_others_than_the_settings_say(tmp_path: Path) -> None:
    folders = Folders((), tmp_path / "i", tmp_path / "elsewhere", tmp_path / "t")

    with Engine([small_nodes], settings(tmp_path), folders=folders) as engine:
        result = engine.run(GRAPH).require()

    assert engine.files(result) == [tmp_path / "elsewhere" / "saved_00001_.txt"]
    assert engine.files(result)[0].is_file()


def test_a_plugin_that_cannot_be_loaded_is_named_and_the_rest_is_there(tmp_path: Path) -> None:
    (tmp_path / "plugins" / "broken").mkdir(parents=True)
    manifest = 'name: broken\nversion: "1"\nmodules: [gone]\n'
    (tmp_path / "plugins" / "broken" / "plugin.yaml").write_text(manifest)

    with Engine([small_nodes], settings(tmp_path, plugins=(tmp_path / "plugins",))) as engine:
        (error,) = engine.plugin_errors
        assert "broken" in str(error)
        assert engine.run(GRAPH, targets=["2"]).require()["2"] == (13,)


def test_a_document_larger_than_the_settings_allow_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "graph.json"
    path.write_text(json.dumps(GRAPH))

    with (
        Engine([small_nodes], settings(tmp_path, max_document_bytes=20)) as engine,
        pytest.raises(DocumentError, match="a graph may have 20"),
    ):
        engine.load(path)


@pytest.mark.parametrize(
    ("cuda_devices", "name", "device"),
    [
        (0, "auto", "cpu"),
        (0, "cpu", "cpu"),
        (2, "auto", "cuda:0"),
        (2, "cuda", "cuda:0"),
        (2, "cuda:1", "cuda:1"),
        (2, "cpu", "cpu"),
    ],
)
def test_the_device_is_what_the_setting_means_here(
    monkeypatch: pytest.MonkeyPatch, cuda_devices: int, name: str, device: str
) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda_devices > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: cuda_devices)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)

    assert _device(name) == device


@pytest.mark.parametrize(("cuda_devices", "name"), [(0, "cuda"), (0, "cuda:0"), (2, "cuda:5")])
def test_a_device_that_is_not_there_is_a_wrong_setting(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cuda_devices: int, name: str
) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda_devices > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: cuda_devices)

    with pytest.raises(SettingsError, match=r"CUDA device.*use cpu"):
        Engine([small_nodes], settings(tmp_path, device=name))


def test_trouble_with_the_cache_is_logged_and_the_run_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")

    with caplog.at_level(logging.WARNING), Engine([small_nodes], settings(tmp_path)) as engine:
        engine.run(GRAPH).require()

    assert any("cache" in record.getMessage() for record in caplog.records)


def test_a_module_that_declares_something_wrong_is_refused(tmp_path: Path) -> None:
    @node("Broken", category="small")
    def broken(value) -> int:  # type: ignore[no-untyped-def]  # noqa: ANN001
        return 1

    module = ModuleType(__name__)
    module.broken = broken  # type: ignore[attr-defined]
    with pytest.raises(NodeGraphError, match="value"):
        Engine([module], settings(tmp_path))


def test_an_engine_on_the_cpu_starts_without_torch(tmp_path: Path) -> None:
    import subprocess

    code = (
        "import sys, small_nodes\n"
        "from pathlib import Path\n"
        "from nodegraph import Engine, Settings\n"
        "with Engine([small_nodes], Settings(device='cpu', cache=Path(sys.argv[1]))) as engine:\n"
        "    assert engine.run({'1': {'class_type': 'Count', 'inputs': {'value': 4}}},\n"
        "                      targets=['1']).require()['1'] == (4,)\n"
        "print('torch' in sys.modules)\n"
    )
    paths = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]
    found = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        env={"PYTHONPATH": ":".join(paths)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (found.stdout, found.stderr) == ("False\n", "")

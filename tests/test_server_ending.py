"""How a server begins and ends, and what ends a job but not the server."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from server_process import HOME, SMALL, ServerProcess, serving, until

HANGS: dict[str, Any] = {
    "1": {"class_type": "Hang", "inputs": {}},
    "2": {"class_type": "Show", "inputs": {"value": ["1", 0]}},
}
WAITS: dict[str, Any] = {
    "1": {"class_type": "Wait", "inputs": {"gate": "open"}},
    "2": {"class_type": "Write", "inputs": {"value": ["1", 0]}},
}
QUICK: dict[str, Any] = {"1": {"class_type": "Show", "inputs": {"value": 1}}}


def failing(name: str) -> dict[str, Any]:
    return {
        "1": {"class_type": name, "inputs": {}},
        "2": {"class_type": "Show", "inputs": {"value": ["1", 0]}},
    }


def last(entry: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    kind, data = entry["status"]["messages"][-1]
    return kind, data


def at_work(server: ServerProcess, id: str) -> bool:
    events = server.get(f"/jobs/{id}/events")["events"]
    return any(event["type"] == "executing" for event in events)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_job_that_runs_may_finish_before_the_server_ends(tmp_path: Path, number: int) -> None:
    with serving(tmp_path, settings={"shutdown_seconds": "60"}) as server:
        id = server.submit(WAITS)
        waiting = server.submit(WAITS)
        until(lambda: at_work(server, id))
        server.process.send_signal(number)
        until(lambda: refused(server))
        assert len(server.get("/queue")["queue_running"]) == 1  # it still answers
        (tmp_path / "gates").mkdir()
        (tmp_path / "gates" / "open").touch()
        assert server.gone() == 0

    assert len(list((tmp_path / "output").glob("*.png"))) == 1
    with serving(tmp_path) as server:
        assert server.get(f"/history/{id}")[id]["status"]["status_str"] == "success"
        assert server.ended(waiting)["status"]["status_str"] == "success"
    assert "Traceback" not in server.said()


def refused(server: ServerProcess) -> bool:
    """Whether the server takes no more jobs."""
    return server.request("POST", "/prompt", {"prompt": QUICK}).status == 503


def test_a_job_that_does_not_finish_in_time_runs_at_the_next_start(tmp_path: Path) -> None:
    settings = {"shutdown_seconds": "0.2"}
    with serving(tmp_path, settings=settings) as server:
        id = server.submit(WAITS)
        until(lambda: at_work(server, id))
        assert server.end() == 0
    (tmp_path / "gates").mkdir()
    (tmp_path / "gates" / "open").touch()

    with serving(tmp_path) as server:
        assert server.ended(id)["status"]["status_str"] == "success"


def test_a_node_that_cannot_be_stopped_does_not_keep_the_server(tmp_path: Path) -> None:
    with serving(tmp_path, settings={"shutdown_seconds": "0.2"}) as server:
        id = server.submit(HANGS)
        until(lambda: at_work(server, id))
        begin = time.monotonic()
        assert server.end() == 0
        assert time.monotonic() - begin < 30
    with serving(tmp_path, settings={"node_timeout": "0.5", "stop_grace": "0.1"}) as server:
        assert last(server.ended(id))[1]["exception_type"] == "NodeTimeout"


def test_a_second_signal_ends_the_server_at_once(tmp_path: Path) -> None:
    with serving(tmp_path, settings={"shutdown_seconds": "600"}) as server:
        id = server.submit(WAITS)
        until(lambda: at_work(server, id))
        server.process.send_signal(signal.SIGTERM)
        until(lambda: refused(server))
        assert server.end(signal.SIGTERM) == 130


def test_a_node_that_hangs_past_its_limit_ends_its_job_alone(tmp_path: Path) -> None:
    with serving(tmp_path, settings={"node_timeout": "0.5", "stop_grace": "0.1"}) as server:
        hung = server.submit(HANGS)
        others = [server.submit(QUICK) for _ in range(3)]
        kind, error = last(server.ended(hung))

        assert kind == "execution_error"
        assert (error["node_id"], error["node_type"]) == ("1", "Hang")
        assert error["exception_type"] == "NodeTimeout"
        assert "node 1 (Hang) gave no sign of life for 0.5 s" in error["exception_message"]
        for id in others:
            assert server.ended(id)["status"]["status_str"] == "success"


def test_a_hung_node_that_is_cancelled_is_left_behind(tmp_path: Path) -> None:
    with serving(tmp_path, settings={"stop_grace": "0.1"}) as server:
        hung, quick = server.submit(HANGS), server.submit(QUICK)
        until(lambda: at_work(server, hung))
        server.post("/interrupt", {"prompt_id": hung})

        assert last(server.ended(hung))[0] == "execution_interrupted"
        assert server.ended(quick)["status"]["status_str"] == "success"


@pytest.mark.parametrize(
    ("name", "kind"),
    [("OutOfMemory", "MemoryError"), ("Exit", "SystemExit"), ("Fail", "TypeError")],
)
def test_what_a_node_raises_ends_its_job_alone(tmp_path: Path, name: str, kind: str) -> None:
    graph = failing(name)
    if name == "Fail":
        graph["1"]["inputs"] = {"value": 7}
        kind = "ValueError"
    with serving(tmp_path) as server:
        failed = server.ended(server.submit(graph))
        fine = server.ended(server.submit(QUICK))

    assert last(failed)[1]["exception_type"] == kind
    assert fine["status"]["status_str"] == "success"


def test_a_deadline_ends_a_job_that_runs_and_one_that_waits(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        runs = server.submit(WAITS, deadline=0.5)
        waits = server.submit(WAITS, deadline=0.3)
        for id in (runs, waits):
            assert last(server.ended(id))[1]["exception_type"] == "DeadlineExceeded"
        assert server.ended(server.submit(QUICK))["status"]["status_str"] == "success"


def test_several_jobs_run_at_the_same_time_if_the_settings_say_so(tmp_path: Path) -> None:
    """One waits on the compute lane; another, which saves, goes on meanwhile."""
    saves = {"1": {"class_type": "Write", "inputs": {"value": "x"}}}
    with serving(tmp_path, "--jobs", "2") as server:
        waits = server.submit(WAITS)
        until(lambda: at_work(server, waits))

        assert server.ended(server.submit(saves))["status"]["status_str"] == "success"
        assert len(server.get("/queue")["queue_running"]) == 1


def test_a_port_that_is_taken_is_said_in_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = command(tmp_path, "serve", "--port", port)

    assert done.returncode == 5
    [line] = done.stderr.strip().splitlines()
    assert line.startswith(f"error: the server cannot listen on 127.0.0.1 port {port}: ")
    assert line.endswith("give another --port")


def test_a_second_server_on_the_same_journal_is_refused(tmp_path: Path) -> None:
    with serving(tmp_path):
        done = command(tmp_path, "serve", "--port", "0")

    assert done.returncode == 5
    [line] = done.stderr.strip().splitlines()
    assert line.startswith("error: another server uses the folder state: ")


def test_nodes_that_cannot_be_loaded_end_the_server_with_the_reason(tmp_path: Path) -> None:
    program = SMALL.replace("import server_nodes", "import torch_that_is_not_there")
    done = command(tmp_path, "serve", "--port", "0", program=program)

    assert done.returncode == 5
    assert "the Python package torch_that_is_not_there is not installed" in done.stderr


def test_a_wrong_setting_is_said_before_anything_starts(tmp_path: Path) -> None:
    (tmp_path / "nodegraph.yaml").write_text("port: 8188\nmax_queu: 3\n")

    done = command(tmp_path, "serve")

    assert done.returncode == 5
    assert (
        "nodegraph.yaml:2: there is no setting 'max_queu'; did you mean max_queue?" in done.stderr
    )


def test_the_server_answers_before_torch_is_imported(tmp_path: Path) -> None:
    program = SMALL.replace("import server_nodes, small_nodes", SLOW_IMPORT)
    with serving(tmp_path, program=program, ready=False) as server:
        health = server.get("/healthz")
        queue = server.get("/queue")
        (tmp_path / "go").touch()
        accepted = server.submit(QUICK)  # waits for the nodes

        assert health == {"status": "loading"}
        assert queue == {"queue_running": [], "queue_pending": []}
        assert server.ended(accepted)["status"]["status_str"] == "success"
        assert server.get("/healthz") == {"status": "ok"}


SLOW_IMPORT = """import pathlib, time
    assert 'torch' not in sys.modules
    while not pathlib.Path('go').exists(): time.sleep(0.01)
    import server_nodes, small_nodes"""


def command(
    folder: Path, *arguments: str, program: str = SMALL
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=folder,
        env={"PYTHONPATH": f"{HOME / 'tests'}:{HOME}", "NODEGRAPH_DEVICE": "cpu"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

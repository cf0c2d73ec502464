"""The queue: what runs and waits, in which order; pause, cancel, clear, interrupt, free."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from server_listener import (
    busy,
    faultless,
    fresh,
    listening,
    node,
    open_gate,
    pending_ids,
    running_ids,
    saving,
    shape_of,
)
from server_process import ServerProcess, serving, until

EMPTY: dict[str, Any] = {"queue_running": [], "queue_pending": []}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with serving(tmp_path_factory.mktemp("queue"), settings={"stop_grace": "0.5"}) as server:
        yield server
        faultless(server)


@pytest.fixture
def server(whole: ServerProcess) -> Iterator[ServerProcess]:
    yield whole
    until(lambda: whole.get("/queue") == EMPTY)
    assert whole.get("/queue/state")["paused"] is False


def writing(value: int | str) -> dict[str, Any]:
    """A graph that notes in a log that it runs."""
    return {"1": node("Write", value=value, prefix="order")}


def order(server: ServerProcess) -> list[str]:
    """The values of the graphs that have run, in the order in which they did."""
    log = server.folder / "ran.log"
    return [line.split(" ", 1)[1] for line in log.read_text().splitlines()]


# -- the list --------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/queue", "/api/queue"])
def test_the_queue_lists_what_runs_and_what_waits(server: ServerProcess, path: str) -> None:
    assert server.get(path) == EMPTY
    graph, more = saving(), {"client_id": "me", "extra_data": {"mine": [1, None]}}
    with busy(server) as running:
        id = server.submit(graph, **more)

        found = server.get(path)

        [item] = found["queue_running"]
        assert item[1] == running
        assert item[2]["1"]["class_type"] == "Wait"
        assert item[4] == ["2"]
        [item] = found["queue_pending"]
        assert type(item[0]) is int
        assert item[1:] == [id, graph, {"mine": [1, None], "client_id": "me"}, ["2"]]
    server.ended(id)


def test_an_ended_job_is_in_the_history_and_no_longer_in_the_queue(server: ServerProcess) -> None:
    ids = [server.submit(saving()) for _ in range(20)]
    for id in ids:
        while True:  # a poller that combines both never loses sight of a job
            queued = server.get("/queue")
            if id in server.get(f"/history/{id}"):
                break
            assert any(item[1] == id for items in queued.values() for item in items), id


def test_jobs_run_in_the_order_of_the_list(server: ServerProcess) -> None:
    places: list[dict[str, Any]] = [
        {},
        {"number": 5},
        {"number": -1},
        {"front": True},
        {},
        {"number": 1e9},
        {"number": 2.5},
        {"number": 5},
        {"front": True, "number": 7},
        {"number": -1},
    ]
    values = {}
    with busy(server):
        for index, place in enumerate(places):
            value = f"place {index} {fresh()}"
            values[server.submit(writing(value), **place)] = value
        listed = pending_ids(server)
        numbers = [item[0] for item in server.get("/queue")["queue_pending"]]
    for id in values:
        server.ended(id)

    assert numbers == sorted(numbers)
    assert order(server)[-len(places) :] == [values[id] for id in listed]
    indices = [values[id].split()[1] for id in listed]
    assert indices[0] == "8"
    assert indices[1] == "3"
    assert indices.index("2") < indices.index("9") < indices.index("6") < indices.index("1")
    assert indices.index("1") < indices.index("7")
    assert indices.index("0") < indices.index("4") < indices.index("5")


def test_two_jobs_of_the_same_number_are_no_trouble(server: ServerProcess) -> None:
    with busy(server):
        ids = [server.submit(saving(), number=1) for _ in range(5)]
        assert pending_ids(server) == ids
    for id in ids:
        assert server.ended(id)["status"]["completed"]


# -- cancel, delete, clear -------------------------------------------------------------------------


def test_some_that_wait_are_deleted(server: ServerProcess) -> None:
    with busy(server) as running:
        ids = [server.submit(writing(f"delete {n} {fresh()}")) for n in range(4)]

        server.post("/queue", {"delete": [ids[0], "nobody", ids[2], running]})

        assert pending_ids(server) == [ids[1], ids[3]]
    assert server.ended(running)["status"]["completed"], "what runs is not deleted"
    for id in ids:
        completed = server.ended(id)["status"]["completed"]
        assert completed is (id in (ids[1], ids[3]))
    assert sum("delete" in line for line in order(server)) == 2


def test_all_that_wait_are_cleared(server: ServerProcess) -> None:
    with busy(server) as running:
        ids = [server.submit(saving()) for _ in range(5)]

        server.post("/api/queue", {"clear": True})

        assert pending_ids(server) == []
        assert running_ids(server) == [running]
    statuses = {server.get(f"/jobs/{id}")["status"] for id in ids}
    assert statuses == {"cancelled"}


@pytest.mark.parametrize("body", [{}, {"delete": []}, {"clear": False}, {"delete": ["nobody"]}])
def test_to_delete_nothing_is_no_error(server: ServerProcess, body: dict[str, Any]) -> None:
    with busy(server):
        id = server.submit(saving())
        answer = server.request("POST", "/queue", body)
        assert (answer.status, answer.body) == (200, b"")
        assert pending_ids(server) == [id]
    server.ended(id)


@pytest.mark.parametrize(
    "body",
    [b"", b"{", [], None, {"clear": 1}, {"clear": "true"}, {"delete": "x"}, {"delete": [1]}, 5],
)
def test_a_malformed_request_changes_nothing(server: ServerProcess, body: Any) -> None:
    with busy(server):
        id = server.submit(saving())
        shape_of(server.request("POST", "/queue", body if body != b"" else b" "), 400)
        assert pending_ids(server) == [id]
    server.ended(id)


# -- interrupt -------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [b"", b"{}", {}, {"prompt_id": None}, {"prompt_id": ""}])
def test_without_an_id_what_runs_is_stopped(server: ServerProcess, body: Any) -> None:
    with busy(server) as running:
        waits = server.submit(saving())
        answer = server.request("POST", "/interrupt", body)
        assert (answer.status, answer.body) == (200, b"")
        entry = server.ended(running)
        assert entry["status"]["status_str"] == "error"
        assert entry["status"]["completed"] is False
        assert entry["status"]["messages"][-1][0] == "execution_interrupted"
        assert server.ended(waits)["status"]["completed"]


def test_only_the_job_that_is_named_is_stopped(server: ServerProcess) -> None:
    with busy(server) as running:
        waits = server.submit(saving())
        for id in (waits, "nobody"):
            answer = server.request("POST", "/api/interrupt", {"prompt_id": id})
            assert (answer.status, answer.body) == (200, b"")
        assert running_ids(server) == [running]
        assert pending_ids(server) == [waits]
        server.post("/interrupt", {"prompt_id": running})
        assert not server.ended(running)["status"]["completed"]
    assert server.ended(waits)["status"]["completed"]


def test_to_interrupt_nothing_is_no_error_and_stops_nothing_later(server: ServerProcess) -> None:
    server.post("/interrupt")

    assert server.ended(server.submit(saving()))["status"]["completed"]


@pytest.mark.parametrize("body", [b"{", [], {"prompt_id": 5}, {"prompt_id": ["x"]}])
def test_a_malformed_interrupt_stops_nothing(server: ServerProcess, body: Any) -> None:
    with busy(server) as running:
        shape_of(server.request("POST", "/interrupt", body), 400)
        assert running_ids(server) == [running]
    assert server.ended(running)["status"]["completed"]


def test_what_cannot_be_stopped_is_left_behind(server: ServerProcess) -> None:
    graph = {"1": node("Hang", seconds=60.0), "2": node("Show", value=["1", 0])}
    id = server.submit(graph)
    until(lambda: id in running_ids(server))
    server.post("/interrupt")

    assert server.ended(id)["status"]["messages"][-1][0] == "execution_interrupted"
    assert server.ended(server.submit(saving()))["status"]["completed"]


# -- pause -----------------------------------------------------------------------------------------


def test_a_paused_queue_finishes_what_runs_and_begins_nothing(server: ServerProcess) -> None:
    assert server.get("/queue/state") == {"paused": False, "running": 0, "pending": 0}
    with busy(server) as running:
        waits = server.submit(saving())
        assert server.post("/queue/pause") == {"paused": True}
        assert server.get("/queue/state") == {"paused": True, "running": 1, "pending": 1}
    assert server.ended(running)["status"]["completed"]
    later = server.submit(saving())
    assert server.post("/queue/pause") == {"paused": True}
    assert running_ids(server) == []
    assert pending_ids(server) == [waits, later]

    assert server.post("/queue/resume") == {"paused": False}

    assert server.ended(waits)["status"]["completed"]
    assert server.ended(later)["status"]["completed"]
    assert server.post("/queue/resume") == {"paused": False}


def test_after_a_crash_the_queue_is_what_it_was(tmp_path: Path) -> None:
    """Paused, in the same order, and what was deleted stays deleted."""
    with serving(tmp_path) as server:
        server.post("/queue/pause")
        first = server.post("/prompt", {"prompt": saving(), "front": True})
        assert first["number"] < 0, "the very first job may be sent to the front"
        ids = [server.submit(saving(), number=number) for number in (5, None, -3, 2.5, None, 5)]
        server.submit(saving(), front=True)
        server.post("/queue", {"delete": [ids[1]]})
        server.post(f"/jobs/{pending_ids(server)[-1]}/move", {"number": -2})
        before = server.get("/queue")
        server.kill()

    with serving(tmp_path) as server:
        assert server.get("/queue/state") == {"paused": True, "running": 0, "pending": 7}
        assert server.get("/queue") == before
        server.post("/queue/resume")
        order = [item[1] for item in before["queue_pending"]]
        for id in order:
            server.ended(id)
        jobs = server.get("/jobs?status=completed")["jobs"]
        begun = sorted(jobs, key=lambda job: (job["execution_start_time"], order.index(job["id"])))
        assert [job["id"] for job in begun] == order
        assert server.get(f"/jobs/{ids[1]}")["status"] == "cancelled"
        server.kill()

    with serving(tmp_path) as server:
        assert server.get("/queue/state") == {"paused": False, "running": 0, "pending": 0}


# -- several at once -------------------------------------------------------------------------------


def test_several_jobs_run_at_once_if_the_settings_say_so(tmp_path: Path) -> None:
    settings = {"jobs": "3", "io_workers": "5"}
    with serving(tmp_path, settings=settings) as server, listening(server) as me:
        graphs = [{"1": node("WriteAndWait", gate=f"gate-{n}")} for n in range(5)]
        ids = [server.submit(graph, client_id="me") for graph in graphs]
        until(lambda: running_ids(server) == ids[:3])
        assert pending_ids(server) == ids[3:]

        server.post("/interrupt", {"prompt_id": ids[1]})
        until(lambda: set(running_ids(server)) == {ids[0], ids[2], ids[3]})
        open_gate(server, "gate-3")
        until(lambda: set(running_ids(server)) == {ids[0], ids[2], ids[4]})
        server.post("/interrupt")

        for n, id in enumerate(ids):
            last = me.ended(id)[-2]["type"]
            assert last == ("execution_success" if n == 3 else "execution_interrupted")
        assert server.get("/queue") == EMPTY


def test_nothing_is_lost_when_many_submit_and_cancel_at_once(server: ServerProcess) -> None:
    def one(n: int) -> tuple[str, bool]:
        id = server.submit(writing(f"many {n}"))
        if n % 3:
            return id, False
        return id, bool(server.post(f"/jobs/{id}/cancel")["cancelled"])

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(one, range(60)))

    for id, cancelled in answers:
        entry = server.ended(id)
        if not cancelled:
            assert entry["status"]["completed"], entry
    values = [line for line in order(server) if line.startswith("many")]
    assert len(values) == len(set(values))


# -- free ------------------------------------------------------------------------------------------


def cached(server: ServerProcess, id: str) -> list[str]:
    messages = dict(server.ended(id)["status"]["messages"])
    found: list[str] = messages["execution_cached"]["nodes"]
    return found


def test_memory_is_freed_on_demand(tmp_path: Path) -> None:
    graph = {"1": node("Add", left=5), "2": node("Show", value=["1", 0])}
    with serving(tmp_path, settings={"disk_cache_bytes": "0"}) as server:
        assert cached(server, server.submit(graph)) == []
        assert cached(server, server.submit(graph)) == ["1", "2"]
        for body in (b"", {}, {"unload_models": True}, {"free_memory": False}):
            answer = server.request("POST", "/free", body)
            assert (answer.status, answer.body) == (200, b"")
        assert cached(server, server.submit(graph)) == ["1", "2"], "results are no models"

        server.post("/api/free", {"unload_models": True, "free_memory": True})

        assert cached(server, server.submit(graph)) == []


@pytest.mark.parametrize("body", [b"{", [], {"free_memory": 1}, {"unload_models": "yes"}])
def test_a_malformed_request_to_free_is_refused(server: ServerProcess, body: Any) -> None:
    shape_of(server.request("POST", "/free", body), 400)

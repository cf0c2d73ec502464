"""The same submission again is the same job; a full queue takes no more."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from server_listener import (
    busy,
    faultless,
    fresh,
    node,
    pending_ids,
    refused,
    saving,
    shape_of,
    two_branches,
)
from server_process import ServerProcess, serving

LIMITS = {"max_queue": "3"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with serving(tmp_path_factory.mktemp("again"), settings=LIMITS) as server:
        yield server
        faultless(server)


# -- the same id again -----------------------------------------------------------------------------


def ran(server: ServerProcess) -> int:
    log = server.folder / "ran.log"
    return len(log.read_text().splitlines()) if log.exists() else 0


def test_the_same_submission_again_is_the_same_job(server: ServerProcess) -> None:
    graph, id = {"1": node("Write", value=fresh())}, str(uuid.uuid4())
    before = ran(server)

    first = server.post("/prompt", {"prompt": graph, "prompt_id": id})
    again = server.post(
        "/prompt", {"prompt": graph, "prompt_id": id, "number": 9, "client_id": "x"}
    )
    server.ended(id)
    late = server.post("/prompt", {"prompt": graph, "prompt_id": id, "front": True})

    assert first == again == late
    assert ran(server) == before + 1
    assert server.get("/queue") == {"queue_running": [], "queue_pending": []}


def test_the_same_submission_from_many_sides_at_once_is_one_job(server: ServerProcess) -> None:
    body = {"prompt": {"1": node("Write", value=fresh())}, "prompt_id": str(uuid.uuid4())}
    before = ran(server)

    with ThreadPoolExecutor(12) as threads:
        answers = list(threads.map(lambda _: server.post("/prompt", body), range(24)))

    assert all(answer == answers[0] for answer in answers)
    server.ended(body["prompt_id"])
    assert ran(server) == before + 1


def test_another_graph_of_the_same_id_is_refused(server: ServerProcess) -> None:
    id = server.submit(saving(), prompt_id=str(uuid.uuid4()))

    for changed in ({"prompt": saving()}, {"prompt": two_branches()}):
        answer = refused(server, {**changed, "prompt_id": id}, 409)
        assert "another graph" in answer["error"]["details"]
    server.ended(id)


def test_other_targets_of_the_same_graph_and_id_are_another_job(server: ServerProcess) -> None:
    graph, id = two_branches(), str(uuid.uuid4())
    server.submit(graph, prompt_id=id, partial_execution_targets=["2"])

    refused(server, {"prompt": graph, "prompt_id": id, "partial_execution_targets": ["4"]}, 409)
    server.ended(id)


def test_after_a_restart_the_same_submission_is_still_the_same_job(tmp_path: Path) -> None:
    done, waits = str(uuid.uuid4()), str(uuid.uuid4())
    graph, other = {"1": node("Write", value=1)}, {"1": node("Write", value=2)}
    with serving(tmp_path) as server:
        server.ended(server.submit(graph, prompt_id=done))
        server.post("/queue/pause")
        server.submit(other, prompt_id=waits)

    with serving(tmp_path) as server:
        assert server.submit(graph, prompt_id=done) == done
        assert server.submit(other, prompt_id=waits) == waits
        assert pending_ids(server) == [waits]
        server.post("/queue/resume")
        server.ended(waits)
        assert len(server.get("/history")) == 2
        assert ran(server) == 2


# -- a full queue ----------------------------------------------------------------------------------


def test_a_full_queue_takes_no_more_until_there_is_room(server: ServerProcess) -> None:
    graphs = [saving() for _ in range(4)]
    with busy(server):
        ids = [server.submit(graph) for graph in graphs[:3]]
        answer = server.request("POST", "/prompt", {"prompt": graphs[3]})

        assert shape_of(answer, 429)["error"]["type"] == "queue_full"
        assert "max_queue" in answer.json["error"]["details"]
        assert int(answer.headers["Retry-After"]) > 0
        assert len(pending_ids(server)) == 3
        known = server.submit(graphs[0], prompt_id=ids[0])
        assert known == ids[0], "what is in the queue already needs no room"
        server.post("/queue", {"delete": [ids[1]]})
        ids.append(server.submit(graphs[3]))
    for id in ids:
        assert server.ended(id)["status"]["completed"] is (id != ids[1])


def test_a_retry_needs_room_as_well(server: ServerProcess) -> None:
    old = server.submit(saving())
    server.ended(old)
    with busy(server):
        ids = [server.submit(saving()) for _ in range(3)]
        answer = server.request("POST", f"/jobs/{old}/retry")
        assert shape_of(answer, 429)["error"]["type"] == "queue_full"
    for id in ids:
        server.ended(id)


def test_many_at_once_do_not_pass_the_limit(server: ServerProcess) -> None:
    with busy(server):
        with ThreadPoolExecutor(10) as threads:
            answers = list(
                threads.map(
                    lambda _: server.request("POST", "/prompt", {"prompt": saving()}), range(20)
                )
            )
        statuses = sorted(answer.status for answer in answers)
        assert statuses == [200] * 3 + [429] * 17
        assert len(pending_ids(server)) == 3
    for answer in answers:
        if answer.status == 200:
            server.ended(answer.json["prompt_id"])

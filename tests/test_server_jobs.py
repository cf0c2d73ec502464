"""/jobs: every job in whatever state, by page; one in full; cancel, move, retry."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from server_listener import (
    busy,
    faultless,
    fresh,
    node,
    open_gate,
    pending_ids,
    running_ids,
    saving,
    shape_of,
    waiting,
)
from server_process import ServerProcess, serving, until

FIELDS = {
    *("id", "status", "priority", "create_time", "execution_start_time", "execution_end_time"),
    *("execution_error", "outputs_count", "previewable_outputs_count", "preview_output"),
    *("workflow_id", "attempts", "retry_of", "deadline"),
}
FAILING = {"1": node("Fail", value=3), "2": node("Show", value=["1", 0])}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with serving(tmp_path_factory.mktemp("jobs")) as server:
        yield server
        faultless(server)


@pytest.fixture
def jobs(server: ServerProcess) -> Iterator[dict[str, str]]:
    """The ids of one job of each status, of which there were no others, in the order they came."""
    server.post("/history", {"clear": True})
    ids = {
        "completed": server.submit({"1": node("Write", value=fresh(), copies=2)}),
        "failed": server.submit(FAILING),
    }
    for id in ids.values():
        server.ended(id)
    with busy(server) as running:
        ids["in_progress"] = running
        ids["pending"] = server.submit(saving())
        ids["cancelled"] = server.submit(saving())
        server.post(f"/jobs/{ids['cancelled']}/cancel")
        server.ended(ids["cancelled"])
        yield ids
    server.ended(ids["pending"])


def listed(server: ServerProcess, query: str = "") -> list[str]:
    return [job["id"] for job in server.get(f"/jobs{query}")["jobs"]]


# -- the list --------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/jobs", "/api/jobs"])
def test_jobs_of_every_status_are_listed(
    server: ServerProcess, jobs: dict[str, str], path: str
) -> None:
    now = time.time() * 1000

    found = server.get(path)

    assert set(found) == {"jobs", "pagination"}
    assert found["pagination"] == {"offset": 0, "limit": None, "total": 5, "has_more": False}
    by_status = {job["status"]: job for job in found["jobs"]}
    assert {status: job["id"] for status, job in by_status.items()} == jobs
    for job in found["jobs"]:
        assert set(job) == FIELDS
        assert type(job["priority"]) is int
        assert now - 600_000 < job["create_time"] <= now + 1
        assert job["attempts"] == (0 if job["status"] in ("pending", "cancelled") else 1)
        assert job["workflow_id"] is job["retry_of"] is job["deadline"] is None


def test_times_are_told_as_far_as_they_are_known(
    server: ServerProcess, jobs: dict[str, str]
) -> None:
    times = {
        job["status"]: (
            job["create_time"],
            job["execution_start_time"],
            job["execution_end_time"],
        )
        for job in server.get("/jobs")["jobs"]
    }

    for status in ("completed", "failed"):
        assert all(type(each) is int for each in times[status])
        assert times[status] == tuple(sorted(times[status]))
    assert times["in_progress"][0] <= times["in_progress"][1]
    assert times["in_progress"][2] is None
    assert times["pending"][1:] == (None, None)
    assert times["cancelled"][1] is None
    assert times["cancelled"][2] >= times["cancelled"][0]


def test_outputs_are_counted_and_the_first_is_shown(
    server: ServerProcess, jobs: dict[str, str]
) -> None:
    by_status = {job["status"]: job for job in server.get("/jobs")["jobs"]}

    done = by_status.pop("completed")
    assert (done["outputs_count"], done["previewable_outputs_count"]) == (2, 2)
    preview = done["preview_output"]
    assert preview["filename"].startswith("written_")
    assert {key: preview[key] for key in ("subfolder", "type", "nodeId", "mediaType")} == {
        "subfolder": "",
        "type": "output",
        "nodeId": "1",
        "mediaType": "images",
    }
    for job in by_status.values():
        assert (job["outputs_count"], job["preview_output"]) == (0, None)
    assert by_status["failed"]["execution_error"]["exception_type"] == "ValueError"
    assert by_status["cancelled"]["execution_error"] is None


@pytest.mark.parametrize(
    "statuses",
    [
        *(["pending"], ["in_progress"], ["completed"], ["failed"], ["cancelled"]),
        ["pending", "in_progress"],
        ["completed", "failed", "cancelled"],
    ],
)
def test_jobs_are_chosen_by_status(
    server: ServerProcess, jobs: dict[str, str], statuses: list[str]
) -> None:
    found = server.get(f"/jobs?status={','.join(statuses)}")

    assert {job["id"] for job in found["jobs"]} == {jobs[status] for status in statuses}
    assert found["pagination"]["total"] == len(statuses)


def test_the_list_is_given_by_page_newest_first(
    server: ServerProcess, jobs: dict[str, str]
) -> None:
    newest = list(jobs.values())[::-1]

    assert listed(server) == listed(server, "?sort_order=desc") == newest
    assert listed(server, "?sort_order=asc") == newest[::-1]
    pages = [server.get(f"/jobs?limit=2&offset={offset}") for offset in (0, 2, 4, 6)]
    assert [[job["id"] for job in page["jobs"]] for page in pages] == [
        newest[:2],
        newest[2:4],
        newest[4:],
        [],
    ]
    assert [page["pagination"]["has_more"] for page in pages] == [True, True, False, False]
    assert pages[1]["pagination"] == {"offset": 2, "limit": 2, "total": 5, "has_more": True}


def test_jobs_are_sorted_by_how_long_they_took(server: ServerProcess) -> None:
    server.post("/history", {"clear": True})
    quick = server.submit(saving())
    slow = server.submit({"1": node("Slow", steps=20), "2": node("Show", value=["1", 0])})
    last = server.submit(saving())
    for id in (quick, slow, last):
        server.ended(id)

    assert listed(server, "?sort_by=execution_duration")[0] == slow
    assert listed(server, "?sort_by=execution_duration&sort_order=asc")[-1] == slow
    assert listed(server, "?sort_by=created_at") == [last, slow, quick]


def test_jobs_are_found_by_text_and_by_workflow(server: ServerProcess) -> None:
    def of(workflow: Any) -> dict[str, Any]:
        return {"extra_data": {"extra_pnginfo": {"workflow": workflow}}}

    one = server.submit({"1": node("Show", value="marmot")}, **of({"id": "w-1", "nodes": []}))
    two = server.submit({"1": node("Show", value="Marmot too")}, **of({"id": "w-2"}))
    for id in (one, two):
        server.ended(id)

    assert listed(server, "?q=marmot") == [two, one]
    assert listed(server, "?workflow_id=w-1") == [one]
    assert listed(server, "?workflow_id=w-2&q=too") == [two]
    assert listed(server, "?workflow_id=w-9") == []
    assert server.get(f"/jobs/{one}")["workflow_id"] == "w-1"


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("status=done", "status"),
        ("status=completed,done", "status"),
        ("status=COMPLETED", "status"),
        ("sort_by=name", "sort_by"),
        ("sort_order=up", "sort_order"),
        ("limit=0", "limit"),
        ("limit=-1", "limit"),
        ("limit=many", "limit"),
        ("offset=-1", "offset"),
        ("offset=1.5", "offset"),
        ("limit=99999999999999999999", "limit"),
    ],
)
def test_a_query_that_makes_no_sense_is_refused(
    server: ServerProcess, query: str, name: str
) -> None:
    assert name in shape_of(server.request("GET", f"/jobs?{query}"), 400)["error"]["message"]


# -- one job ---------------------------------------------------------------------------------------


def test_a_job_is_given_in_full(server: ServerProcess) -> None:
    graph = {"1": node("Show", value="in full")}
    id = server.submit(graph, client_id="me")
    entry = server.ended(id)

    job = server.get(f"/jobs/{id}")

    [summary] = [each for each in server.get("/jobs")["jobs"] if each["id"] == id]
    assert job == {
        **summary,
        "outputs": {"1": {"text": ["in full"]}},
        "execution_status": entry["status"],
        "workflow": {"prompt": graph, "extra_data": {"client_id": "me"}},
    }


def test_a_job_that_has_not_ended_has_no_status_yet(
    server: ServerProcess, jobs: dict[str, str]
) -> None:
    for status in ("pending", "in_progress"):
        job = server.get(f"/api/jobs/{jobs[status]}")
        assert job["status"] == status
        assert job["execution_status"] is None
        assert job["outputs"] == {}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/jobs/nobody"),
        ("GET", "/jobs/nobody/events"),
        ("POST", "/jobs/nobody/cancel"),
        ("POST", "/jobs/nobody/retry"),
        ("GET", "/jobs/a%2Fb"),
        ("GET", "/jobs/%00"),
    ],
)
def test_nobodys_job_is_not_found(server: ServerProcess, method: str, path: str) -> None:
    answer = shape_of(server.request(method, path, b"" if method == "POST" else None), 404)

    assert answer["error"]["message"] == "Job not found"


# -- cancel ----------------------------------------------------------------------------------------


def test_a_job_is_cancelled_in_whatever_state(server: ServerProcess, jobs: dict[str, str]) -> None:
    for status, id in jobs.items():
        found = server.post(f"/jobs/{id}/cancel")
        assert found == {"cancelled": status in ("pending", "in_progress")}
    for status in ("pending", "in_progress"):
        server.ended(jobs[status])
        assert server.get(f"/jobs/{jobs[status]}")["status"] == "cancelled"


def test_many_are_cancelled_at_once(server: ServerProcess, jobs: dict[str, str]) -> None:
    assert server.post("/jobs/cancel", {"job_ids": []}) == {"cancelled": False}
    assert server.post("/jobs/cancel", {"job_ids": ["nobody"]}) == {"cancelled": False}
    assert server.post("/api/jobs/cancel", {"job_ids": list(jobs.values())}) == {"cancelled": True}
    until(lambda: not any(server.get("/queue").values()))


@pytest.mark.parametrize("body", [b"{", [], {"job_ids": "x"}, {"job_ids": [1]}, {"job_ids": {}}])
def test_a_malformed_list_to_cancel_is_refused(server: ServerProcess, body: Any) -> None:
    shape_of(server.request("POST", "/jobs/cancel", body), 400)


# -- move ------------------------------------------------------------------------------------------


def test_a_job_that_waits_is_given_another_place(server: ServerProcess) -> None:
    with busy(server):
        one, two, three = (server.submit(saving(), number=n) for n in (1, 2, 3))

        answer = server.post(f"/jobs/{one}/move", {"number": 2.5})
        assert answer == {"prompt_id": one, "number": 2.5}
        assert pending_ids(server) == [two, one, three]
        answer = server.post(f"/api/jobs/{three}/move", {"front": True})
        assert answer["prompt_id"] == three
        assert answer["number"] < 0
        assert pending_ids(server) == [three, two, one]
        server.post(f"/jobs/{two}/move", {"front": True})
        assert pending_ids(server) == [two, three, one]
        assert server.get(f"/jobs/{one}")["priority"] == 2.5
        items = server.get("/queue")["queue_pending"]
        assert [item[0] for item in items] == sorted(item[0] for item in items)
        asked = "?status=pending&sort_by=priority&sort_order=asc"
        assert listed(server, asked) == [two, three, one]
        assert listed(server, f"{asked}&limit=1&offset=1") == [three]
    for id in (one, two, three):
        assert server.ended(id)["status"]["completed"]


def test_only_what_waits_can_be_moved(server: ServerProcess, jobs: dict[str, str]) -> None:
    for status in ("in_progress", "completed", "failed", "cancelled"):
        answer = server.request("POST", f"/jobs/{jobs[status]}/move", {"front": True})
        assert shape_of(answer, 409)["error"]["type"] == "not_pending"
    shape_of(server.request("POST", "/jobs/nobody/move", {"front": True}), 404)


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"{", [], {}, {"number": None}, {"number": "1"}, {"number": True}),
        *({"front": "yes"}, {"front": False}, {"number": float("nan")}, {"number": 1e300}),
    ],
)
def test_a_place_must_be_one(server: ServerProcess, body: Any) -> None:
    with busy(server):
        id = server.submit(saving())
        shape_of(server.request("POST", f"/jobs/{id}/move", body), 400)
    server.ended(id)


def test_a_moved_job_keeps_its_deadline(server: ServerProcess) -> None:
    with busy(server):
        id = server.submit(saving(), deadline=0.3)
        server.post(f"/jobs/{id}/move", {"front": True})
        entry = server.ended(id)

    assert entry["status"]["messages"][-1][1]["exception_type"] == "DeadlineExceeded"


# -- retry -----------------------------------------------------------------------------------------


def test_a_job_that_has_ended_is_tried_again_as_a_new_one(server: ServerProcess) -> None:
    gate = f"retry-{fresh()}"
    graph = waiting(gate)
    old = server.submit(graph, client_id="me", extra_data={"mine": 1}, number=4)
    until(lambda: old in running_ids(server))
    server.post("/interrupt")
    server.ended(old)
    open_gate(server, gate)

    answer = server.post(f"/jobs/{old}/retry")

    assert set(answer) == {"prompt_id", "number", "node_errors"}
    new = answer["prompt_id"]
    assert new != old
    entry = server.ended(new)
    assert entry["status"]["completed"]
    assert entry["prompt"][2:] == [graph, {"mine": 1, "client_id": "me"}, ["2"]]
    assert server.get(f"/jobs/{new}")["retry_of"] == old
    assert server.get(f"/jobs/{old}")["status"] == "cancelled"
    again = server.post(f"/api/jobs/{new}/retry")["prompt_id"]
    assert server.ended(again)["status"]["completed"]


def test_a_deadline_is_tried_again_as_well(server: ServerProcess) -> None:
    old = server.submit(saving(), deadline=50)
    server.ended(old)

    new = server.post(f"/jobs/{old}/retry")["prompt_id"]

    server.ended(new)
    first, second = (server.get(f"/jobs/{id}") for id in (old, new))
    left = second["deadline"] - second["create_time"]
    assert abs(left - (first["deadline"] - first["create_time"])) < 2000


def test_what_has_not_ended_is_not_tried_again(server: ServerProcess, jobs: dict[str, str]) -> None:
    for status in ("pending", "in_progress"):
        answer = server.request("POST", f"/jobs/{jobs[status]}/retry")
        assert shape_of(answer, 409)["error"]["type"] == "not_ended"

"""POST /prompt: what comes with a graph, field by field; the length of the queue."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from server_listener import (
    busy,
    faultless,
    fresh,
    node,
    refused,
    running_ids,
    saving,
    two_branches,
    waiting,
)
from server_process import ServerProcess, serving, until

A_UUID = "7d0f4a52-93be-4c1c-9a0e-2f5b8e6d1c37"
LIMITS = {"max_queue": "3"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with serving(tmp_path_factory.mktemp("prompt"), settings=LIMITS) as server:
        yield server
        faultless(server)


def text_of(server: ServerProcess, name: str) -> str:
    return (server.folder / "output" / name).read_text()


# -- what a graph comes with -----------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/prompt", "/api/prompt"])
def test_a_graph_becomes_a_job(server: ServerProcess, path: str) -> None:
    answer = server.post(path, {"prompt": saving(41, "a_job")})

    assert set(answer) == {"prompt_id", "number", "node_errors"}
    assert str(uuid.UUID(answer["prompt_id"])) == answer["prompt_id"]
    assert type(answer["number"]) is int
    assert answer["node_errors"] == {}
    entry = server.ended(answer["prompt_id"])
    assert entry["status"]["status_str"] == "success"
    [file] = entry["outputs"]["2"]["texts"]
    assert text_of(server, file["filename"]) == "41"


@pytest.mark.parametrize("id", [A_UUID, "my-job", "a/b?c#d%2f", "x" * 200, "{'};--"])
def test_a_jobs_own_id_is_kept(server: ServerProcess, id: str) -> None:
    assert server.submit(saving(), prompt_id=id) == id

    quoted = "".join(f"%{byte:02X}" for byte in id.encode())
    found = until(lambda: server.get(f"/history/{quoted}"))
    assert found[id]["prompt"][1] == id
    assert server.get(f"/jobs/{quoted}")["id"] == id


@pytest.mark.parametrize("id", ["", "a b", "x" * 201, 5, True, ["a"], {}, "\u00fc", "a\n", "\0"])
def test_an_id_that_cannot_be_one_is_refused(server: ServerProcess, id: Any) -> None:
    answer = refused(server, {"prompt": saving(), "prompt_id": id})

    assert answer["error"]["type"] == "invalid_prompt_id"
    assert "200 letters" in answer["error"]["details"]


def test_no_id_and_null_are_the_same(server: ServerProcess) -> None:
    nothing = {"prompt_id": None, "client_id": None, "number": None, "front": None}
    more = {"extra_data": None, "partial_execution_targets": None, "deadline": None}

    id = server.submit(saving(), **nothing, **more)

    assert server.ended(id)["status"]["completed"]


@pytest.mark.parametrize("number", [0, -3, 7, 2.5, -(2**53), 2**53])
def test_the_place_in_the_queue_is_answered(server: ServerProcess, number: float) -> None:
    answer = server.post("/prompt", {"prompt": saving(), "number": number})

    assert answer["number"] == number
    assert type(answer["number"]) is type(number)
    assert server.ended(answer["prompt_id"])["prompt"][0] == number


def test_without_a_number_places_follow_each_other(server: ServerProcess) -> None:
    one, two = (server.post("/prompt", {"prompt": saving()})["number"] for _ in range(2))

    assert two == one + 1


@pytest.mark.parametrize("number", ["5", True, [1], {}, 2**53 + 2, float("nan"), 10**400, 1e999])
def test_what_is_no_place_in_the_queue_is_refused(server: ServerProcess, number: Any) -> None:
    assert "number" in refused(server, {"prompt": saving(), "number": number})["error"]["message"]


@pytest.mark.parametrize(
    "extra", [{"extra_data": None}, {"extra_data": {}}, {}, {"extra_data": {"extra_pnginfo": 3}}]
)
def test_a_job_without_a_client_does_not_end_the_worker(
    server: ServerProcess, extra: dict[str, Any]
) -> None:
    first = server.submit(saving(), **extra)
    second = server.submit(saving())

    assert server.ended(first)["status"]["completed"]
    assert server.ended(second)["status"]["completed"]


@pytest.mark.parametrize("extra", [5, [], "text", True, [{"client_id": "a"}]])
def test_extra_data_that_is_no_object_is_refused(server: ServerProcess, extra: Any) -> None:
    answer = refused(server, {"prompt": saving(), "extra_data": extra})

    assert answer["error"]["message"] == "extra_data has the wrong type"
    assert server.ended(server.submit(saving()))["status"]["completed"]


def test_the_client_stands_in_extra_data_wherever_it_was_given(server: ServerProcess) -> None:
    above = server.submit(saving(), client_id="one")
    inside = server.submit(saving(), extra_data={"client_id": "two", "mine": [1]})

    assert server.ended(above)["prompt"][3] == {"client_id": "one"}
    assert server.ended(inside)["prompt"][3] == {"client_id": "two", "mine": [1]}


@pytest.mark.parametrize("client", [5, ["a"], {}, True])
def test_a_client_that_is_no_text_is_refused(server: ServerProcess, client: Any) -> None:
    refused(server, {"prompt": saving(), "client_id": client})
    refused(server, {"prompt": saving(), "extra_data": {"client_id": client}})


def test_secrets_of_other_services_are_not_kept(server: ServerProcess) -> None:
    secrets = {"api_key_comfy_org": "sesame-1", "auth_token_comfy_org": "sesame-2"}

    id = server.submit(saving(), extra_data={**secrets, "kept": "tulip"})

    assert server.ended(id)["prompt"][3] == {"kept": "tulip"}
    journal = b"".join(file.read_bytes() for file in (server.folder / "state").glob("jobs*"))
    assert b"tulip" in journal
    assert b"sesame" not in journal


def test_the_editors_form_reaches_the_nodes(server: ServerProcess) -> None:
    info = {"extra_pnginfo": {"workflow": {"nodes": [], "id": "w-1", "extra": {}}}}
    graph = {"1": node("Extra"), "2": node("Save", value=["1", 0], prefix="editors_form")}

    id = server.submit(graph, extra_data=info)

    [file] = server.ended(id)["outputs"]["2"]["texts"]
    assert text_of(server, file["filename"]) == "{} ['extra', 'id', 'nodes']"
    assert server.get(f"/jobs/{id}")["workflow_id"] == "w-1"


# -- targets ---------------------------------------------------------------------------------------


def test_only_wanted_outputs_are_made(server: ServerProcess) -> None:
    id = server.submit(two_branches(), partial_execution_targets=["4"])

    entry = server.ended(id)
    assert set(entry["outputs"]) == {"4"}
    assert entry["prompt"][4] == ["4"]


def test_any_node_can_be_wanted(server: ServerProcess) -> None:
    entry = server.ended(server.submit(two_branches(), partial_execution_targets=["1", "3"]))

    assert entry["status"]["completed"]
    assert entry["outputs"] == {}
    assert entry["prompt"][4] == ["1", "3"]


def test_a_wanted_node_must_be_there(server: ServerProcess) -> None:
    answer = refused(server, {"prompt": two_branches(), "partial_execution_targets": ["4", "99"]})

    assert answer["error"]["type"] == "missing_target"
    assert "'99'" in answer["error"]["details"]


@pytest.mark.parametrize("targets", ["4", 4, {"4": 1}, [4], [["4"]], [None]])
def test_wanted_nodes_are_a_list_of_ids(server: ServerProcess, targets: Any) -> None:
    answer = refused(server, {"prompt": two_branches(), "partial_execution_targets": targets})

    assert "partial_execution_targets" in answer["error"]["message"]


def test_to_want_nothing_is_refused(server: ServerProcess) -> None:
    answer = refused(server, {"prompt": two_branches(), "partial_execution_targets": []})

    assert answer["error"]["type"] == "prompt_no_outputs"


# -- deadlines -------------------------------------------------------------------------------------


def test_a_job_that_runs_past_its_deadline_fails(server: ServerProcess) -> None:
    id = server.submit(waiting("never-opened"), deadline=0.3)

    entry = server.ended(id)
    assert entry["status"]["status_str"] == "error"
    [kind, data] = entry["status"]["messages"][-1]
    assert kind == "execution_error"
    assert data["exception_type"] == "DeadlineExceeded"
    assert data["node_id"] == "1"
    assert running_ids(server) == []


def test_a_job_whose_deadline_comes_before_its_turn_is_not_begun(server: ServerProcess) -> None:
    with busy(server):
        id = server.submit(saving(prefix="too_late"), deadline=0.2)
        entry = server.ended(id)

    assert [kind for kind, _ in entry["status"]["messages"]] == ["execution_error"]
    assert "deadline" in entry["status"]["messages"][0][1]["exception_message"]
    assert not list((server.folder / "output").glob("too_late*"))


def test_a_job_that_ends_in_time_is_not_touched_by_its_deadline(server: ServerProcess) -> None:
    id = server.submit(saving(), deadline=60)

    assert server.ended(id)["status"]["completed"]
    assert 50_000 < server.get(f"/jobs/{id}")["deadline"] - time.time() * 1000 < 61_000


@pytest.mark.parametrize("deadline", [0, -1, "5", True, float("nan"), 1e300, [1]])
def test_a_deadline_is_seconds_from_now(server: ServerProcess, deadline: Any) -> None:
    assert (
        "deadline"
        in refused(server, {"prompt": saving(), "deadline": deadline})["error"]["message"]
    )


def test_the_length_of_the_queue_counts_what_runs_and_what_waits(server: ServerProcess) -> None:
    def remaining() -> Any:
        return server.get("/prompt")

    assert remaining() == {"exec_info": {"queue_remaining": 0}}
    with busy(server):
        ids = [server.submit(saving()) for _ in range(2)]
        assert remaining() == {"exec_info": {"queue_remaining": 3}}
    for id in ids:
        server.ended(id)
    assert remaining() == {"exec_info": {"queue_remaining": 0}}


def test_a_very_deep_graph_is_no_trouble(server: ServerProcess) -> None:
    graph = {"0": node("Add", left=fresh())}
    graph |= {str(i): node("Add", left=[str(i - 1), 0], right=1) for i in range(1, 1200)}
    graph["end"] = node("Show", value=["1199", 0])

    entry = server.ended(server.submit(graph))

    assert entry["outputs"]["end"] == {"text": [str(graph["0"]["inputs"]["left"] + 1199)]}

"""The history: what has ended, by page, by text; what is forgotten and what is kept."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from server_listener import busy, faultless, fresh, node, saving, shape_of
from server_process import ServerProcess, serving, until


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with serving(tmp_path_factory.mktemp("history")) as server:
        yield server
        faultless(server)


@pytest.fixture
def seven(server: ServerProcess) -> list[str]:
    """The ids of seven jobs, of which there were no others."""
    server.post("/history", {"clear": True})
    ids = [server.submit({"1": node("Show", value=f"number {n}")}) for n in range(7)]
    for id in ids:
        server.ended(id)
    return ids


FAILING = {
    "1": node("Fail", value=3),
    "2": node("Show", value=["1", 0]),
    "3": node("Show", value="fine"),
}


# -- an entry --------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/history", "/api/history"])
def test_an_entry_has_all_that_clients_look_for(server: ServerProcess, path: str) -> None:
    prefix = f"entry-{fresh()}"
    graph = {"1": node("Write", value=1, copies=2, prefix=prefix), "2": node("Show", value="hello")}
    id = server.submit(graph, client_id="me", number=3)
    server.ended(id)

    entry = server.get(f"{path}/{id}")

    assert set(entry) == {id}
    assert set(entry[id]) == {"prompt", "outputs", "status", "meta"}
    assert entry[id]["prompt"] == [3, id, graph, {"client_id": "me"}, ["1", "2"]]
    assert entry[id]["outputs"] == {
        "1": {
            "images": [
                {"filename": f"{prefix}_{n:05}_.png", "subfolder": "", "type": "output"}
                for n in (1, 2)
            ]
        },
        "2": {"text": ["hello"]},
    }
    assert entry[id]["meta"] == {
        of: {"node_id": of, "display_node": of, "parent_node": None, "real_node_id": of}
        for of in ("1", "2")
    }
    status = entry[id]["status"]
    assert (status["status_str"], status["completed"]) == ("success", True)
    assert [kind for kind, _ in status["messages"]] == [
        "execution_start",
        "execution_cached",
        "execution_success",
    ]
    assert all(data["prompt_id"] == id for _, data in status["messages"])
    assert all(type(data["timestamp"]) is int for _, data in status["messages"])
    assert server.get(path)[id] == entry[id]


def test_a_failed_job_has_its_error_and_what_was_made(server: ServerProcess) -> None:
    entry = server.ended(server.submit(FAILING))

    assert entry["status"]["status_str"] == "error"
    assert entry["status"]["completed"] is False
    kind, data = entry["status"]["messages"][-1]
    assert kind == "execution_error"
    assert (data["node_id"], data["node_type"]) == ("1", "Fail")
    assert data["exception_type"] == "ValueError"
    assert entry["outputs"] == {"3": {"text": ["fine"]}}


def test_an_interrupted_job_is_an_error_that_says_so(server: ServerProcess) -> None:
    with busy(server) as id:
        server.post("/interrupt")
        entry = server.ended(id)

    assert (entry["status"]["status_str"], entry["status"]["completed"]) == ("error", False)
    assert [kind for kind, _ in entry["status"]["messages"]] == [
        "execution_start",
        "execution_cached",
        "execution_interrupted",
    ]


def test_there_is_no_entry_before_the_end_nor_of_nobody(server: ServerProcess) -> None:
    with busy(server) as running:
        waits = server.submit(saving())
        for id in (running, waits, "nobody", "a%2F..%2Fb", "%00", "\u00fc".encode().hex()):
            assert server.get(f"/history/{id}") == {}
        assert running not in server.get("/history")
    server.ended(waits)


def test_what_was_cancelled_before_its_turn_has_an_entry_but_is_not_listed(
    server: ServerProcess,
) -> None:
    with busy(server):
        id = server.submit(saving())
        server.post("/queue", {"delete": [id]})
        entry = server.ended(id)

    assert entry["status"]["status_str"] == "error"
    assert [kind for kind, _ in entry["status"]["messages"]] == ["execution_interrupted"]
    assert id not in server.get("/history")


# -- pages -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ("", range(7)),
        ("?max_items=3", (4, 5, 6)),
        ("?max_items=1", (6,)),
        ("?max_items=0", ()),
        ("?max_items=100", range(7)),
        ("?offset=0", range(7)),
        ("?offset=5", (5, 6)),
        ("?offset=7", ()),
        ("?max_items=3&offset=0", (0, 1, 2)),
        ("?max_items=3&offset=2", (2, 3, 4)),
        ("?max_items=3&offset=6", (6,)),
        ("?max_items=&offset=", range(7)),
        ("?unknown=1", range(7)),
    ],
)
def test_the_history_is_given_by_page_oldest_first(
    server: ServerProcess, seven: list[str], query: str, numbers: Any
) -> None:
    assert list(server.get(f"/history{query}")) == [seven[n] for n in numbers]


@pytest.mark.parametrize("name", ["max_items", "offset"])
@pytest.mark.parametrize("value", ["x", "-1", "1.5", "1e3", "%00", "9" * 40, "0x1", "\u0663"])
def test_what_is_no_whole_number_is_refused(server: ServerProcess, name: str, value: str) -> None:
    quoted = "".join(f"%{byte:02X}" for byte in value.encode()) if value[0] != "%" else value
    answer = shape_of(server.request("GET", f"/history?{name}={quoted}"), 400)

    assert name in answer["error"]["message"]


def test_the_order_is_that_of_submission(server: ServerProcess) -> None:
    server.post("/history", {"clear": True})
    with busy(server) as first:
        late = server.submit(saving(), number=9)
        early = server.submit(saving(), number=-9)
    for id in (late, early):
        server.ended(id)

    assert list(server.get("/history")) == [first, late, early]


# -- search ----------------------------------------------------------------------------------------


def test_jobs_are_found_by_what_stands_in_their_graph_or_results(server: ServerProcess) -> None:
    server.post("/history", {"clear": True})
    texts = ["A Blue bird", 'quoted "text" \\', "100% _sure_", "\u00fcber \N{CAT FACE}", "bird"]
    ids = [server.submit({"1": node("Show", value=text)}) for text in texts]
    saved = server.submit({"1": node("Save", value=7, prefix="quetzal")})
    for id in (*ids, saved):
        server.ended(id)

    def found(text: str) -> list[str]:
        query = "".join(f"%{byte:02X}" for byte in text.encode())
        return list(server.get(f"/history?q={query}"))

    assert found("blue BIRD") == [ids[0]]
    assert found("bird") == [ids[0], ids[4]]
    assert found('"text" \\') == [ids[1]]
    assert found("100% _s") == [ids[2]]
    assert found("100_") == []
    assert found("\u00fcber \N{CAT FACE}") == [ids[3]]
    assert found("quetzal_00001_.txt") == [saved]
    assert found(ids[2]) == [ids[2]]
    assert found("nothing like this") == []
    assert len(found("")) == 6


# -- what is forgotten -----------------------------------------------------------------------------


def test_some_are_forgotten_and_their_files_stay(server: ServerProcess) -> None:
    ids = [server.submit(saving(prefix="kept")) for _ in range(3)]
    files = [server.ended(id)["outputs"]["2"]["texts"][0]["filename"] for id in ids]

    answer = server.request("POST", "/history", {"delete": [ids[0], ids[2], "nobody"]})

    assert (answer.status, answer.body) == (200, b"")
    assert server.get(f"/history/{ids[0]}") == server.get(f"/history/{ids[2]}") == {}
    assert ids[1] in server.get("/history")
    assert server.request("GET", f"/jobs/{ids[0]}").status == 404
    assert server.request("GET", f"/jobs/{ids[0]}/events").status == 404
    assert all((server.folder / "output" / file).exists() for file in files)


def test_all_are_forgotten_except_what_runs_and_waits(server: ServerProcess) -> None:
    done = server.submit(saving())
    server.ended(done)
    with busy(server) as running:
        waits = server.submit(saving())

        server.post("/api/history", {"clear": True})
        server.post("/history", {"delete": [running, waits]})

        assert server.get("/history") == {}
        assert server.get("/jobs")["pagination"]["total"] == 2
    until(lambda: set(server.get("/history")) == {running, waits})


def test_an_id_that_was_forgotten_can_be_used_again(server: ServerProcess) -> None:
    server.ended(server.submit(saving(1), prompt_id="again"))
    server.post("/history", {"delete": ["again"]})

    server.submit(saving(2), prompt_id="again")

    assert server.ended("again")["prompt"][2]["1"]["inputs"] == {"left": 2}


@pytest.mark.parametrize(
    "body", [b" ", b"{", [], {"clear": 1}, {"delete": "x"}, {"delete": [5]}, {"delete": {}}, 5]
)
def test_a_malformed_request_forgets_nothing(server: ServerProcess, body: Any) -> None:
    id = server.submit(saving())
    server.ended(id)

    shape_of(server.request("POST", "/history", body), 400)

    assert id in server.get("/history")


def test_the_history_is_kept_across_a_crash(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        for graph in (saving(), FAILING):
            server.ended(server.submit(graph, client_id="me"))
        before, jobs = server.get("/history"), server.get("/jobs")
        server.kill()

    with serving(tmp_path) as server:
        assert server.get("/history") == before
        assert server.get("/jobs") == jobs


def test_only_so_many_and_so_much_are_remembered(tmp_path: Path) -> None:
    settings = {"history_jobs": "4", "history_bytes": "100K"}
    with serving(tmp_path, settings=settings) as server:
        ids = [server.submit(saving()) for _ in range(6)]
        until(lambda: list(server.get("/history")) == ids[2:])

        text = "x" * 20_000  # which the graph, the result and its message have
        ids = [server.submit({"1": node("Show", value=f"{text}{n}")}) for n in range(4)]
        server.ended(ids[-1])
        until(lambda: list(server.get("/history")) == ids[-1:])


def test_nothing_older_than_the_settings_say_is_remembered(tmp_path: Path) -> None:
    with serving(tmp_path, settings={"history_days": "0.00001"}) as server:  # 0.9 s
        old = server.submit(saving())
        server.ended(old)
        until(lambda: old not in {server.submit(saving())} | set(server.get("/history")))

"""kill -9 at random moments: nothing that was accepted is lost, nothing is written twice."""

from __future__ import annotations

import http.client
import json
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from server_process import ServerProcess, serving, start, until

JOBS = 12
KILLS = 3
GONE = (OSError, http.client.HTTPException, json.JSONDecodeError)


def graph(number: int) -> dict[str, Any]:
    """Two nodes that take a moment, then two that write: one picture, and three in a folder."""
    steps = {"value": number, "count": 3, "seconds": 0.02}
    return {
        "1": {"class_type": "Steps", "inputs": steps},
        "2": {"class_type": "Write", "inputs": {"value": ["1", 0], "prefix": "one"}},
        "3": {
            "class_type": "Write",
            "inputs": {"value": ["1", 0], "prefix": f"sub/j{number}_%date:ss%", "copies": 3},
        },
    }


def submit_all(server: ServerProcess, ids: list[str], accepted: dict[str, Any]) -> None:
    """Submit the jobs that are not known to be accepted, until the server is gone."""
    for number, id in enumerate(ids):
        if id in accepted:
            continue
        with suppress(*GONE, AssertionError):
            accepted[id] = server.post("/prompt", {"prompt": graph(number), "prompt_id": id})
            continue
        return


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*.png"))


def shown(entry: Mapping[str, Any], folder: Path) -> list[Path]:
    """The files of a job, as its history names them."""
    items = [item for output in entry["outputs"].values() for item in output["images"]]
    return [folder / item["subfolder"] / item["filename"] for item in items]


def check(server: ServerProcess, ids: list[str], output: Path) -> None:
    """What must hold once everything has ended."""
    entries = server.get("/history")
    assert set(entries) == set(ids)
    assert {entry["status"]["status_str"] for entry in entries.values()} == {"success"}
    named = [path for entry in entries.values() for path in shown(entry, output)]
    assert Counter(named).most_common(1)[0][1] == 1, "two jobs name one file"
    assert sorted(named) == files(output), "a copy that no job knows of, or a file that is gone"
    assert len(named) == 4 * len(ids)
    for path in named:
        Image.open(path).load()
    begun = [entry["status"]["messages"][0][1]["timestamp"] for entry in entries.values()]
    assert begun == sorted(begun), "jobs ran in another order than they were submitted"


def crash_often(folder: Path, seed: int, *, jobs: int = JOBS, kills: int = KILLS) -> None:
    dice = random.Random(seed)
    ids = [f"job-{number:03}" for number in range(jobs)]
    accepted: dict[str, Any] = {}
    options = ["--jobs", "1"]
    for _ in range(kills):
        server = start(folder, *options)
        client = threading.Thread(target=submit_all, args=(server, ids, accepted))
        client.start()
        time.sleep(dice.uniform(0, 0.7))
        server.kill()
        client.join()
    with serving(folder, *options) as server:
        # What was accepted is there without being submitted again, in its order.
        waiting = [item[1] for item in server.get("/queue")["queue_pending"]]
        known = {*waiting, *(item[1] for item in server.get("/queue")["queue_running"])}
        assert waiting == sorted(waiting)
        assert set(accepted) <= known | set(server.get("/history"))
        submit_all(server, ids, accepted)
        assert set(accepted) == set(ids)
        until(lambda: server.get("/prompt")["exec_info"]["queue_remaining"] == 0)
        check(server, ids, folder / "output")
    assert "Traceback" not in server.said()


@pytest.mark.parametrize("seed", range(6))
def test_after_a_crash_at_any_moment_every_accepted_job_runs_and_no_file_is_written_twice(
    tmp_path: Path, seed: int
) -> None:
    crash_often(tmp_path, seed)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", range(100, 200))
def test_a_hundred_more_crashes(tmp_path: Path, seed: int) -> None:
    crash_often(tmp_path, seed, jobs=20, kills=5)


def test_finished_nodes_come_from_the_disk_cache_after_a_crash(tmp_path: Path) -> None:
    slow = {"class_type": "Steps", "inputs": {"value": 4, "count": 1, "seconds": 0.2}}
    document = {
        "1": slow,
        "2": {"class_type": "Wait", "inputs": {"gate": "open", "value": ["1", 0]}},
        "3": {"class_type": "Write", "inputs": {"value": ["2", 0]}},
    }
    with serving(tmp_path) as server:
        id = server.submit(document)
        until(lambda: "2" in running(server, id))
        until(lambda: list((tmp_path / "cache" / "results").rglob("*.safetensors")))
        server.kill()
    (tmp_path / "gates").mkdir()
    (tmp_path / "gates" / "open").touch()

    with serving(tmp_path) as server:
        entry = server.ended(id)
        messages = dict(entry["status"]["messages"])

    assert entry["status"]["status_str"] == "success"
    assert messages["execution_cached"]["nodes"] == ["1"]


def running(server: ServerProcess, id: str) -> str:
    """The nodes that a job has begun, as text."""
    events = server.get(f"/jobs/{id}/events")["events"]
    return " ".join(str(e["data"].get("node")) for e in events if e["type"] == "executing")


def test_a_crash_between_two_pictures_of_one_node_leaves_no_copy(tmp_path: Path) -> None:
    """The names are in the journal before the first is written: the second try takes the same."""
    document = {
        "1": {"class_type": "WriteAndWait", "inputs": {"gate": "second", "copies": 3}},
    }
    with serving(tmp_path) as server:
        id = server.submit(document)
        until(lambda: files(tmp_path / "output"))
        server.kill()
    assert len(files(tmp_path / "output")) == 1
    (tmp_path / "gates").mkdir()
    (tmp_path / "gates" / "second").touch()

    with serving(tmp_path) as server:
        entry = server.ended(id)

    names = [path.name for path in files(tmp_path / "output")]
    assert names == ["careful_00001_.png", "careful_00002_.png", "careful_00003_.png"]
    assert [path.name for path in shown(entry, tmp_path / "output")] == names
    assert [name for name in os.listdir(tmp_path / "output") if name.startswith(".")] == []


def test_a_file_somebody_else_put_there_meanwhile_is_left_alone(tmp_path: Path) -> None:
    document = {"1": {"class_type": "WriteAndWait", "inputs": {"gate": "second", "copies": 2}}}
    with serving(tmp_path) as server:
        id = server.submit(document)
        [first] = until(lambda: files(tmp_path / "output"))
        server.kill()
    first.write_bytes(b"mine")
    (tmp_path / "gates").mkdir()
    (tmp_path / "gates" / "second").touch()

    with serving(tmp_path) as server:
        entry = server.ended(id)

    assert first.read_bytes() == b"mine"
    assert first not in shown(entry, tmp_path / "output")
    assert len(files(tmp_path / "output")) == 3


def test_what_had_ended_keeps_its_history_and_outputs(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        entries = {id: server.ended(id) for id in (server.submit(graph(n)) for n in range(3))}
        server.kill()

    with serving(tmp_path) as server:
        assert server.get("/history") == entries
        assert server.get("/queue") == {"queue_running": [], "queue_pending": []}


def test_a_job_that_takes_the_server_with_it_is_given_up_after_three_times(tmp_path: Path) -> None:
    document = {
        "1": {"class_type": "Die", "inputs": {}},
        "2": {"class_type": "Show", "inputs": {"value": ["1", 0]}},
    }
    with serving(tmp_path) as server:
        id = server.submit(document)
        server.gone()
    for _ in range(2):
        start(tmp_path, ready=False).gone()

    with serving(tmp_path) as server:
        entry = server.ended(id)

    _, error = entry["status"]["messages"][-1]
    assert error["exception_type"] == "ServerEnded"
    assert "the server ended 3 times while this job ran" in error["exception_message"]

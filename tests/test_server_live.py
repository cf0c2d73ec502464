"""Pictures over the websocket: previews for those who ask, results that are sent as they are."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from server_listener import (
    FLAGS,
    faultless,
    fresh,
    listening,
    metadata,
    node,
    types,
)
from server_process import ServerProcess, serving

JPEG, PNG = 1, 2


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with serving(tmp_path_factory.mktemp("live")) as server:
        yield server
        faultless(server)


@contextmanager
def showing(server: ServerProcess, client: str, **extra: Any) -> Iterator[str]:
    """A job of this client that shows pictures until the block is left."""
    graph = {
        "1": node("Steps", value=fresh(), count=1_000_000, seconds=0.01),
        "2": node("Show", value=["1", 0]),
    }
    id = server.submit(graph, client_id=client, extra_data=extra)
    try:
        yield id
    finally:
        server.post(f"/jobs/{id}/cancel")
        server.ended(id)


def opened(data: bytes, format: str) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    assert image.format == format
    image.load()
    return image


# -- previews --------------------------------------------------------------------------------------


def test_who_announces_it_gets_previews_with_what_they_are_of(server: ServerProcess) -> None:
    with (
        listening(server, "flagged", **FLAGS) as flagged,
        listening(server, "flagged") as plain,
        showing(server, "flagged") as id,
    ):
        flagged.wait(lambda: len(flagged.frames) >= 3)
        plain.settle()
        assert plain.frames == []

    for frame in flagged.frames:
        kind, about, picture = metadata(frame)
        assert kind == 4
        assert about == {
            "node_id": "1",
            "prompt_id": id,
            "display_node_id": "1",
            "parent_node_id": None,
            "real_node_id": "1",
            "image_type": "image/jpeg",
        }
        assert opened(picture, "JPEG").size == (512, 512)


def test_previews_come_while_their_node_runs(server: ServerProcess) -> None:
    with listening(server, "between", **FLAGS) as me, showing(server, "between"):
        me.wait(lambda: len(me.frames) >= 2)

    begin = next(n for n, m in enumerate(me.received) if kind_of(m) == "executing")
    end = next(n for n, m in enumerate(me.received) if kind_of(m) == "execution_interrupted")
    places = [n for n, m in enumerate(me.received) if isinstance(m, bytes)]
    assert begin < min(places)
    assert max(places) < end


def kind_of(message: Any) -> str:
    return message["type"] if isinstance(message, dict) else ""


@pytest.mark.parametrize("method", ["auto", "latent2rgb", "taesd"])
def test_a_job_can_ask_for_previews_of_the_plain_kind(server: ServerProcess, method: str) -> None:
    with (
        listening(server, "asking") as me,
        listening(server, "asking", **FLAGS) as flagged,
        showing(server, "asking", preview_method=method),
    ):
        me.wait(lambda: len(me.frames) >= 2)
        flagged.wait(lambda: flagged.frames)

    for frame in me.frames:
        assert struct.unpack(">II", frame[:8]) == (1, JPEG)
        assert opened(frame[8:], "JPEG").size == (512, 512)
    assert {metadata(frame)[0] for frame in flagged.frames} == {4}


def test_a_job_that_does_not_ask_gets_none_next_to_one_that_does(server: ServerProcess) -> None:
    with listening(server, "both") as me:
        with showing(server, "both", preview_method="auto"):
            me.wait(lambda: me.frames)
        me.settle()
        before, heard = len(me.frames), len(me.messages)
        with showing(server, "both"):
            me.wait(lambda: sum(m["type"] == "progress" for m in me.messages[heard:]) > 50)
        me.settle()

        assert len(me.frames) == before


@pytest.mark.parametrize("method", ["none", "default", "nonsense", 5, None, ["auto"]])
def test_other_words_ask_for_nothing(server: ServerProcess, method: Any) -> None:
    with (
        listening(server, "other") as me,
        listening(server, "watcher", **FLAGS) as watcher,
        showing(server, "other", preview_method=method) as id,
    ):
        me.wait(lambda: sum(m["type"] == "progress" for m in me.messages) > 20)
        watcher.command("subscribe", prompt_id=id)
        if method != "none":
            watcher.wait(lambda: watcher.frames)  # those who announced it get them all the same
        watcher.settle()
        me.settle()

    assert me.frames == []
    assert (watcher.frames == []) is (method == "none")


def test_nobody_sees_the_previews_of_others(server: ServerProcess) -> None:
    with (
        listening(server, "mine", **FLAGS) as me,
        listening(server, "stranger", **FLAGS) as stranger,
        showing(server, "mine"),
    ):
        me.wait(lambda: me.frames)
        stranger.settle()
        assert stranger.frames == []


def test_who_announces_it_in_the_middle_gets_previews_from_then_on(server: ServerProcess) -> None:
    with listening(server, "later") as me, showing(server, "later"):
        me.until(lambda m: m["type"] == "progress")
        assert me.frames == []
        me.announce(**FLAGS)
        me.wait(lambda: me.frames)
        me.announce(supports_preview_metadata=False)
        before, heard = len(me.frames), len(me.messages)
        me.wait(lambda: sum(m["type"] == "progress" for m in me.messages[heard:]) > 40)
        assert len(me.frames) == before


def test_the_settings_can_turn_previews_off_but_not_what_is_sent(tmp_path: Path) -> None:
    with (
        serving(tmp_path, settings={"previews": "none"}) as server,
        listening(server, "me", **FLAGS) as me,
    ):
        with showing(server, "me", preview_method="latent2rgb"):
            me.wait(lambda: sum(m["type"] == "progress" for m in me.messages) > 50)
        me.settle()
        assert me.frames == []

        id = server.submit(sending(1), client_id="me", extra_data={"preview_method": "none"})
        me.ended(id)
        assert len(me.frames) == 1


def test_previews_are_no_larger_than_the_settings_say(tmp_path: Path) -> None:
    with (
        serving(tmp_path, settings={"preview_size": "16"}) as server,
        listening(server, "me", **FLAGS) as me,
    ):
        graph = {"1": node("ShowLarge", width=640, height=320, gate="large")}
        id = server.submit(graph, client_id="me", partial_execution_targets=["1"])
        me.wait(lambda: me.frames)
        server.post("/interrupt", {"prompt_id": id})

        assert opened(metadata(me.frames[0])[2], "JPEG").size == (16, 8)


# -- results that are sent -------------------------------------------------------------------------


def sending(*values: int) -> dict[str, Any]:
    return {str(n): node("SendPicture", value=value) for n, value in enumerate(values, 1)}


def test_pictures_that_a_node_sends_come_in_their_place(server: ServerProcess) -> None:
    with listening(server, "sent") as me:
        id = server.submit(sending(10, 20), client_id="sent")
        me.ended(id)

    told = [each if isinstance(each, bytes) else label(each) for each in me.received]
    for number, value in (("1", 10), ("2", 20)):
        at = told.index(f"executing {number}")
        frame = told[at + 1]
        assert isinstance(frame, bytes)
        assert struct.unpack(">II", frame[:8]) == (1, PNG)
        assert opened(frame[8:], "PNG").getpixel((0, 0)) == (value, 0, 0)
        assert told[at + 2] == "progress_state"
    assert len(me.frames) == 2


def label(message: dict[str, Any]) -> str:
    return types([message])[0]


def test_they_go_to_every_socket_of_the_owner_and_to_nobody_else(server: ServerProcess) -> None:
    with (
        listening(server, "twice") as one,
        listening(server, "twice", **FLAGS) as two,
        listening(server, "stranger", **FLAGS) as stranger,
    ):
        id = server.submit(sending(1, 2, 3), client_id="twice")
        one.ended(id)
        two.ended(id)
        stranger.settle()

    assert one.frames == two.frames
    assert len(one.frames) == 3
    assert stranger.frames == []


def test_who_connects_after_submitting_gets_them_too(server: ServerProcess) -> None:
    id = server.submit(sending(5, 6), client_id="late-sent")
    server.ended(id)

    with listening(server, "late-sent") as me:
        me.ended(id)

    told = ["picture" if isinstance(m, bytes) else label(m) for m in me.received]
    assert [each for each in told if each not in ("status", "progress_state")] == [
        "execution_start",
        "execution_cached",
        *("executing 1", "picture", "executing 2", "picture"),
        "execution_success",
        "executing",
    ]


def test_very_large_results_arrive_whole(server: ServerProcess) -> None:
    graph = {"1": node("SendLarge", megabytes=12, pictures=3)}
    with listening(server, "large") as me:
        id = server.submit(graph, client_id="large")
        me.ended(id)
        assert me.closed is None

    assert [(frame[8], len(frame)) for frame in me.frames] == [
        (n, (12 << 20) + 8) for n in range(3)
    ]

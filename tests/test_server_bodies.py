"""Bodies of POST /prompt that are no request: refused as JSON, never a failure."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator

import pytest
from server_listener import faultless, node, refused, saving, shape_of
from server_process import WAIT, ServerProcess, serving

LIMITS = {"max_document_bytes": "300K"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with serving(tmp_path_factory.mktemp("bodies"), settings=LIMITS) as server:
        yield server
        faultless(server)


GOOD = json.dumps({"prompt": saving(5, "good")}).encode()
BODIES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "invalid_json"),
    "blank": (b" \n\t ", "invalid_json"),
    "text": (b"hello", "invalid_json"),
    "html": (b"<html>", "invalid_json"),
    "cut off": (GOOD[:-1], "invalid_json"),
    "more after it": (GOOD + b"x", "invalid_json"),
    "a form": (b"prompt=%7B%7D&x=1", "invalid_json"),
    "not UTF-8": (b'{"prompt": "\xff"}', "invalid_json"),
    "UTF-16": (GOOD.decode().encode("utf-16"), "invalid_json"),
    "NUL": (b"\0\0\0\0", "invalid_json"),
    "single quotes": (b"{'prompt': {}}", "invalid_json"),
    "a comma too many": (b'{"prompt": {},}', "invalid_json"),
    "brackets without end": (b"[" * 200_000, "invalid_json"),
    "very deep": (b'{"prompt":' + b"[" * 90_000 + b"]" * 90_000 + b"}", "invalid_json"),
    "deep": (b'{"prompt":' + b'{"a":' * 101 + b"1" + b"}" * 102, "invalid_json"),
    "a number of 5,000 digits": (b'{"prompt":{},"number":' + b"9" * 5000 + b"}", "invalid_json"),
    "a list": (b"[]", "bad_request"),
    "null": (b"null", "bad_request"),
    "a number": (b"1e9999", "bad_request"),
    "NaN": (b"NaN", "bad_request"),
    "a text": (b'"prompt"', "bad_request"),
    "true": (b"true", "bad_request"),
    "an object": (b"{}", "no_prompt"),
    "prompt: null": (b'{"prompt": null}', "no_prompt"),
    "prompt: list": (b'{"prompt": []}', "bad_request"),
    "prompt: text": (b'{"prompt": "graph.json"}', "bad_request"),
    "prompt: number": (b'{"prompt": 0}', "bad_request"),
    "prompt: false": (b'{"prompt": false}', "bad_request"),
    "front: 1": (b'{"prompt": {}, "front": 1}', "bad_request"),
    "front: text": (b'{"prompt": {}, "front": "true"}', "bad_request"),
}


@pytest.mark.parametrize("path", ["/prompt", "/api/prompt", "/validate"])
@pytest.mark.parametrize("case", BODIES)
def test_a_malformed_body_is_refused_as_json(server: ServerProcess, path: str, case: str) -> None:
    body, kind = BODIES[case]

    answer = shape_of(server.request("POST", path, body, {"Accept": "text/html"}), 400)

    assert answer["error"]["type"] == kind
    assert answer["node_errors"] == {}


@pytest.mark.parametrize(
    "kind", ["application/json", "text/plain", "text/html", "application/x-www-form-urlencoded", ""]
)
def test_a_body_is_json_whatever_it_is_called(server: ServerProcess, kind: str) -> None:
    answer = server.request("POST", "/prompt", GOOD, {"Content-Type": kind})

    assert answer.status == 200


def test_a_byte_order_mark_is_no_harm(server: ServerProcess) -> None:
    assert server.request("POST", "/prompt", b"\xef\xbb\xbf" + GOOD).status == 200


def test_of_a_field_given_twice_the_last_counts(server: ServerProcess) -> None:
    body = b'{"prompt": 5, ' + GOOD[1:]

    assert server.request("POST", "/prompt", body).status == 200


def test_texts_that_are_no_unicode_come_back_as_they_were(server: ServerProcess) -> None:
    body = b'{"prompt": {"1": {"class_type": "Show", "inputs": {"value": "\\ud800 \\u0000"}}}}'

    id = server.request("POST", "/prompt", body).json["prompt_id"]

    entry = server.ended(id)
    assert entry["prompt"][2]["1"]["inputs"] == {"value": "\ud800 \0"}
    assert entry["outputs"] == {"1": {"text": ["\ud800 \0"]}}


def test_names_and_values_of_any_script_are_no_trouble(server: ServerProcess) -> None:
    graph = {"\N{CAT FACE} 1": node("Show", value="\N{HIRAGANA LETTER A}\u202e'\"\\")}

    entry = server.ended(server.submit(graph))

    assert entry["outputs"] == {"\N{CAT FACE} 1": {"text": ["\N{HIRAGANA LETTER A}\u202e'\"\\"]}}


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_a_body_that_is_not_packed_as_it_says_is_refused(
    server: ServerProcess, coding: str
) -> None:
    answer = refused(server, b"this is not packed", **{"Content-Encoding": coding})

    assert answer["error"]["message"] == "The body cannot be read"


def test_a_packed_body_is_unpacked_up_to_the_limit(server: ServerProcess) -> None:
    import gzip

    packed = {"Content-Encoding": "gzip"}

    assert server.request("POST", "/prompt", gzip.compress(GOOD), packed).status == 200
    refused(server, gzip.compress(GOOD + b" " * 3_000_000), 413, **packed)


def test_a_body_that_is_too_large_is_refused_before_it_is_sent(server: ServerProcess) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=WAIT)
    connection.putrequest("POST", "/prompt")
    connection.putheader("Content-Length", str(10**12))
    connection.endheaders()

    response = connection.getresponse()

    assert response.status == 413
    assert json.loads(response.read())["error"]["type"] == "too_large"
    connection.close()


def test_a_body_that_grows_too_large_is_refused(server: ServerProcess) -> None:
    answer = refused(server, GOOD[:-1] + b" " * 400_000 + b"}", 413)

    assert answer["error"]["type"] == "too_large"
    assert "307,200 bytes" in answer["error"]["details"]


def test_a_body_in_chunks_is_read_and_has_the_same_limit(server: ServerProcess) -> None:
    def sent(parts: list[bytes]) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=WAIT)
        connection.request("POST", "/prompt", iter(parts), encode_chunked=True)
        status = connection.getresponse().status
        connection.close()
        return status

    assert sent([GOOD[:10], GOOD[10:]]) == 200
    assert sent([b" " * 100_000] * 4) == 413


def test_a_client_that_goes_in_the_middle_of_a_body_is_no_trouble(server: ServerProcess) -> None:
    head = b"POST /prompt HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n"
    for part in (head, head + b'{"prompt": '):
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.sendall(part)

    assert server.ended(server.submit(saving()))["status"]["completed"]

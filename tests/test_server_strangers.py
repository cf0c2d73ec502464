"""Pages of others, and strangers on the network, against the whole server: every route, and the
websocket.
"""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from server_process import Answer, ServerProcess, serving, until
from server_routes import CHANGING, OPEN, PLACES, READING
from server_wire import UPGRADE, answers, assert_calm, assert_safe, connected, metric, received

TOKEN = "a-token-that-nobody-knows-0123456789"
Headers = dict[str, str]
Asker = Any


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """On loopback, without a token."""
    with serving(tmp_path_factory.mktemp("local")) as server:
        yield server
        untouched(server)
        assert_calm(server)


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """On loopback, with a token."""
    with serving(tmp_path_factory.mktemp("known"), settings={"token": TOKEN}) as server:
        server.headers = {"Authorization": f"Bearer {TOKEN}"}
        yield server
        untouched(server)
        assert_calm(server)


@pytest.fixture(scope="module")
def open_(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """Beyond loopback, with a token that it made."""
    with serving(tmp_path_factory.mktemp("open"), "--host", "0.0.0.0") as server:
        yield server
        token = told(server, r"Authorization: Bearer (\S+)")
        server.headers = {"Authorization": f"Bearer {token}"}
        untouched(server)
        assert_calm(server)


def untouched(server: ServerProcess) -> None:
    """Nothing that the routes could have changed was changed."""
    assert server.get("/queue/state") == {"paused": False, "running": 0, "pending": 0}
    assert server.get("/settings") == {}
    assert server.get("/v2/userdata") == []
    assert server.get("/jobs")["jobs"] == []


def told(server: ServerProcess, pattern: str) -> str:
    """What the server printed."""
    return str(until(lambda: re.search(pattern, server.said()))[1])


def ask(server: ServerProcess, method: str, path: str, headers: Headers) -> Answer:
    """A request with these headers and no others; a Host of None is left out."""
    sent = {"Host": f"127.0.0.1:{server.port}", "Content-Length": "2", **headers}
    lines = [f"{name}: {value}\r\n" for name, value in sent.items()]
    with connected(server) as connection:
        head = f"{method} {path} HTTP/1.1\r\n{''.join(lines)}Connection: close\r\n\r\n"
        connection.sendall(head.encode() + b"{}")
        (answer,) = answers(received(connection))
    assert_safe(answer)
    return answer


def upgrade(server: ServerProcess, headers: Headers, path: str = "/ws") -> int:
    """The status of a request for a websocket."""
    sent = {"Host": f"127.0.0.1:{server.port}", **headers}
    lines = "".join(f"{name}: {value}\r\n" for name, value in sent.items())
    with connected(server) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\n{lines}".encode() + UPGRADE + b"\r\n")
        first = connection.recv(12)
    return int(first.split(b" ")[1])


# -- names of other hosts ------------------------------------------------------------------------

# They may all resolve to 127.0.0.1.
OTHERS = (
    "evil.com",
    "evil.com:{port}",
    "localhost.evil.example",
    "localhost.evil.example:{port}",
    "127.0.0.1.nip.io:{port}",
    "127.0.0.1.evil.example",
    "localhost.localdomain",
    "foo.localhost:{port}",
    "localhost:80@evil.com",
    "localhost,evil.com",
    "localhost evil.com",
    "0x7f000001",
    "2130706433",
    "017700000001",
    "127.1",
    "192.168.1.7:{port}",
    "0.0.0.0:{port}",
    "[::ffff:192.168.1.7]",
    "[fe80::1]",
    "",
)


@pytest.mark.parametrize("host", OTHERS)
@pytest.mark.parametrize("which", ["local", "known"])
def test_no_route_answers_under_another_name(
    request: pytest.FixtureRequest, which: str, host: str
) -> None:
    server: ServerProcess = request.getfixturevalue(which)
    headers = {**server.headers, "Host": host.format(port=server.port)}
    origin = {"Origin": f"http://{headers['Host']}", "Sec-Fetch-Site": "same-origin"}

    places = PLACES if host == OTHERS[0] else PLACES[::9]
    for method, path in places:
        for more in ({}, origin):
            answer = ask(server, method, path, headers | more)
            assert answer.status in (400, 403), (method, path, answer)
    assert upgrade(server, headers) in (400, 403)
    assert upgrade(server, headers | origin) in (400, 403)


# -- pages of others -----------------------------------------------------------------------------

PAGES: dict[str, Headers] = {
    "another site": {"Origin": "http://evil.example"},
    "another site over https": {"Origin": "https://evil.example"},
    "null": {"Origin": "null"},
    "empty": {"Origin": ""},
    "another port of this host": {"Origin": "http://127.0.0.1:3000"},
    "this host by another name": {"Origin": "http://localhost:{port}"},
    "this host and more": {"Origin": "http://127.0.0.1:{port}.evil.example"},
    "this host as a user": {"Origin": "http://127.0.0.1:{port}@evil.example"},
    "two at once": {"Origin": "http://127.0.0.1:{port} http://evil.example"},
    "a file": {"Origin": "file://"},
    "an extension": {"Origin": "chrome-extension://abcdefgh"},
    "cross-site": {"Sec-Fetch-Site": "cross-site"},
    "same-site": {"Sec-Fetch-Site": "same-site"},
    "cross-site from here": {
        "Origin": "http://127.0.0.1:{port}",
        "Sec-Fetch-Site": "cross-site",
    },
    "a word of tomorrow": {"Sec-Fetch-Site": "same-planet"},
}


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("which", ["local", "known"])
def test_a_page_of_others_changes_nothing_and_hears_nothing(
    request: pytest.FixtureRequest, which: str, page: str
) -> None:
    server: ServerProcess = request.getfixturevalue(which)
    headers = {name: value.format(port=server.port) for name, value in PAGES[page].items()}

    kinds = ("text/plain", "application/json", "multipart/form-data; boundary=b")
    for (method, path), kind in zip(CHANGING, itertools.cycle(kinds), strict=False):
        for sent in ({}, {"Content-Type": kind}):
            answer = ask(server, method, path, {**server.headers, **headers, **sent})
            assert answer.status == 403, (method, path, answer)
            assert "access-control-allow-origin" not in str(answer.headers).lower(), answer
    for path in ("/ws", "/api/ws", "/ws?clientId=x"):
        assert upgrade(server, {**server.headers, **headers}, path) == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
@pytest.mark.parametrize("mode", ["no-cors", "cors", "navigate"])
def test_a_page_of_others_embeds_and_reads_nothing(
    local: ServerProcess, site: str, mode: str
) -> None:
    """Pictures by <img>, previews, JSON as a script."""
    for path in READING:
        if path in OPEN:
            continue
        headers = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": mode, "Sec-Fetch-Dest": "image"}
        answer = ask(local, "GET", f"{path}?filename=x.png&preview=webp", headers)
        assert answer.status == 403, (path, answer)


def test_no_answer_lets_another_page_read_it(local: ServerProcess) -> None:
    for method, path in PLACES:
        for origin in ("http://evil.example", "null", "http://127.0.0.1:3000"):
            asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}
            for answer in (ask(local, method, path, {"Origin": origin}), preflight(local, asked)):
                found = {name.lower() for name in answer.headers}
                assert not any(name.startswith("access-control-") for name in found), answer
                assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"


def preflight(server: ServerProcess, headers: Headers) -> Answer:
    answer = ask(server, "OPTIONS", "/prompt", headers)
    assert answer.status in (403, 404, 405), answer
    return answer


def test_the_servers_own_page_and_programs_may_do_all_that(local: ServerProcess) -> None:
    """Else the tests above would be about nothing."""
    own = {"Origin": f"http://127.0.0.1:{local.port}", "Sec-Fetch-Site": "same-origin"}
    for headers in ({}, own):
        for method, path in CHANGING:
            assert ask(local, method, path, headers).status != 403, (method, path)
        assert upgrade(local, headers) == 101
    local.post("/queue/resume")
    local.request("DELETE", "/userdata/x")
    (local.folder / "state/user/default/settings.json").unlink()


# -- the token -----------------------------------------------------------------------------------


@pytest.mark.parametrize("which", ["known", "open_"])
def test_without_the_token_nothing_is_answered_but_whether_it_is_there(
    request: pytest.FixtureRequest, which: str
) -> None:
    server: ServerProcess = request.getfixturevalue(which)
    for method, path in PLACES:
        for asked in {path, path.removeprefix("/api")} - {""}:
            answer = ask(server, method, asked, {})
            if path in OPEN:
                assert answer.status in (200, 400), (asked, answer)
                assert b"version" not in answer.body
            else:
                assert answer.status == 401, (method, asked, answer)
                assert "Bearer" in answer.headers["WWW-Authenticate"]
    assert ask(server, "GET", "/no/such/route", {}).status == 401
    assert upgrade(server, {}) == 401
    assert metric_of(server) == 0


def metric_of(server: ServerProcess) -> float:
    """How many websockets there are; with the token, if the server is asked for it."""
    before = server.headers
    if not before:
        server.headers = {"Authorization": "Bearer " + told(server, r"Authorization: Bearer (\S+)")}
    try:
        return metric(server, "nodegraph_websockets")
    finally:
        server.headers = before


@pytest.mark.parametrize(
    "target", ["/healthz/", "//healthz", "/healthz/../queue", "/healthz%2f..%2fqueue", "/login/x"]
)
def test_what_only_looks_like_an_open_route_is_closed(known: ServerProcess, target: str) -> None:
    assert ask(known, "GET", target, {}).status == 401
    assert ask(known, "POST", target, {}).status == 401


def test_the_token_is_taken_from_no_url(known: ServerProcess) -> None:
    for name in ("token", "access_token", "code", "api_key", "auth"):
        assert ask(known, "GET", f"/queue?{name}={TOKEN}", {}).status == 401
    assert ask(known, "GET", f"/login?code={TOKEN}", {}).status == 403


def test_wrong_tokens_are_refused_and_then_not_even_looked_at(tmp_path: Path) -> None:
    wrong = ["", "x", TOKEN[:-1], TOKEN + "x", TOKEN.upper(), f"{TOKEN}\0", "null", "undefined"]
    with serving(tmp_path, settings={"token": TOKEN}) as server:
        tried = [f"Bearer {each}" for each in wrong] * 3
        statuses = [
            ask(server, "GET", "/queue", {"Authorization": each}).status
            for each in tried
            if "\0" not in each
        ]

        assert set(statuses) == {401, 429}
        assert statuses == sorted(statuses)
        assert statuses.count(401) <= 12
        late = ask(server, "GET", "/queue", {"Authorization": f"Bearer {TOKEN}x"})
        assert int(late.headers["Retry-After"]) > 0
        assert upgrade(server, {"Authorization": "Bearer x"}) == 429
        assert server.request("GET", "/healthz").status == 200


# -- the link and the cookie ---------------------------------------------------------------------


def test_the_link_lets_one_browser_in_whose_cookie_no_other_page_can_use(tmp_path: Path) -> None:
    with serving(tmp_path, "--host", "0.0.0.0") as server:
        link = told(server, r"http://\S+?(/login\?code=\S+)")

        opened = ask(server, "GET", link, {})
        assert opened.status == 303
        cookie = opened.headers["Set-Cookie"]
        pair, *flags = [part.strip() for part in cookie.split(";")]
        assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(flags)
        assert ask(server, "GET", link, {}).status == 403

        mine: Headers = {"Cookie": pair}
        own = {**mine, "Origin": f"http://127.0.0.1:{server.port}"}
        assert ask(server, "GET", "/queue", mine).status == 200
        for method, path in CHANGING:
            # A browser names the page, a program has the token: who does neither is refused.
            assert ask(server, method, path, mine).status == 403, (method, path)
            for page, headers in PAGES.items():
                sent = {name: value.format(port=server.port) for name, value in headers.items()}
                assert ask(server, method, path, {**mine, **sent}).status == 403, (path, page)
            assert ask(server, method, path, own).status not in (401, 403), (method, path)
        assert upgrade(server, mine) == 403
        assert upgrade(server, {**mine, "Origin": "null"}) == 403
        assert upgrade(server, own) == 101
        for forged in (pair[:-2], pair + "x", pair.split("=")[0] + "=x", "x=" + pair):
            assert ask(server, "GET", "/queue", {"Cookie": forged}).status in (401, 429), forged


def test_a_client_with_the_token_does_everything(known: ServerProcess) -> None:
    async def work() -> list[str]:
        async with (
            aiohttp.ClientSession(headers=known.headers) as session,
            session.ws_connect(known.ws) as ws,
        ):
            graph = {"1": {"class_type": "Show", "inputs": {"value": 1}}}
            await ws.send_json({"type": "validate", "id": 1, "data": {"prompt": graph}})
            return [(await ws.receive_json())["type"] for _ in range(2)]

    assert asyncio.run(work()) == ["status", "reply"]

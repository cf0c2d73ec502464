"""Which Host a request may have: the server's own names, and none that a stranger can make up."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from aiohttp.test_utils import make_mocked_request
from guarded_server import TOKEN, Guarded, guarded
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from nodegraph.errors import SettingsError
from nodegraph.server.access import Access
from nodegraph.server.answers import Refused
from nodegraph.server.hosts import parse_host, parse_origin
from nodegraph.settings import Settings

STRANGERS = [
    "evil.example",
    "app.localhost",
    "localhost.evil.example",
    "evil-localhost",
    "localhost@evil.example",
    "evil.example@localhost",
    "user:password@localhost",
    "localhost:password@evil.example",
    "localhost/evil.example",
    "localhost#evil.example",
    "localhost?evil.example",
    "localhost\\evil.example",
    "localhost, evil.example",
    "localhost evil.example",
    "http://localhost",
    "//localhost",
    "localhost..",
    ".localhost",
    "local_host",
    "localhost%2eevil.example",
    "localhost:99999",
    "localhost:8x",
    "localhost:80:80",
    "localhost:-1",
    "localhost:８０",
    "ｌocalhost",
    "loсalhost",  # with a Cyrillic letter
    "[::1",
    "::1",
    "::1]",
    "[127.0.0.1]",
    "[::1%25lo]",
    "[::1]evil.example",
    "[]",
    "[::2]",
    "[fe80::1]",
    "127.0.0.1.",
    "127.1",
    "127.000.000.001",
    "0x7f.0.0.1",
    "2130706433",
    "126.0.0.1",
    "0.0.0.0",
    "192.168.1.2",
    "*",
    "\udcff",
    "a" * 300,
]


@pytest.fixture(scope="module")
def server() -> Iterator[Guarded]:
    with guarded() as server:
        yield server


def allowed(name: str, **settings: Any) -> bool:
    """Whether a server with these settings answers to this name."""
    access = Access(Settings(**settings))
    request = make_mocked_request("GET", "/", {"Host": name})
    try:
        access.check(request, open=True)
    except Refused as refused:
        return refused.type != "host_not_allowed"
    return True


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "localhost:8188",
        "localhost:",
        "LOCALHOST:1",
        "localhost.",
        "localhost.:8188",
        "127.0.0.1",
        "127.0.0.1:65535",
        "127.1.2.3",
        "[::1]",
        "[::1]:8188",
        "[0:0:0:0:0:0:0:1]",
        "[::ffff:127.0.0.1]:80",
    ],
)
def test_a_server_answers_to_the_names_of_this_machine(server: Guarded, host: str) -> None:
    assert server.ask(host=host).status == 200


@pytest.mark.parametrize("host", STRANGERS, ids=ascii)
def test_it_answers_to_no_other_name_and_to_no_malformed_one(server: Guarded, host: str) -> None:
    for path in ("/thing", "/healthz"):
        answer = server.ask(path, host=host)

        assert answer.status == 403
        assert answer.error["type"] == "host_not_allowed"


def test_the_refusal_names_the_setting(server: Guarded) -> None:
    details = server.ask(host="evil.example").error["details"]

    assert "'evil.example'" in details
    assert "allowed_hosts" in details


def test_a_request_needs_a_host(server: Guarded) -> None:
    assert server.ask(host="").status == 403
    assert server.ask(host=None).status in (400, 403)
    assert server.send(b"GET /thing HTTP/1.0\r\n\r\n").status == 403


def test_a_request_has_one_host(server: Guarded) -> None:
    answer = server.ask("/thing", ("Host", "evil.example"))

    assert answer.status in (400, 403)  # aiohttp refuses it before we do
    assert b"true" not in answer.body


def test_two_hosts_are_refused_where_aiohttp_lets_them_pass() -> None:
    headers = CIMultiDict([("Host", "localhost"), ("Host", "localhost")])

    with pytest.raises(Refused, match="has 2"):
        Access(Settings()).check(make_mocked_request("GET", "/", headers), open=True)


@pytest.mark.parametrize(
    "target",
    [
        "http://evil.example/thing",
        "http://evil.example:80/thing",
        "http://localhost@evil.example/thing",
        "http://evil.example@localhost/thing",
        "http://localhost:81/thing",
        "http:///thing",
        "evil.example:80",
    ],
)
def test_the_request_line_names_no_other_host(server: Guarded, target: str) -> None:
    answer = server.ask(target)

    assert answer.status in (400, 403, 404)
    assert b"true" not in answer.body


def test_the_host_of_the_request_line_does_not_stand_in_for_the_header(server: Guarded) -> None:
    assert server.ask("http://localhost/thing", host="evil.example").status == 403
    assert server.ask("http://localhost/thing", host="localhost").status == 200


def test_no_name_is_ever_resolved(server: Guarded, monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(*args: object, **kwargs: object) -> None:
        raise AssertionError("resolved")

    for name in ("getaddrinfo", "gethostbyname", "gethostbyname_ex", "gethostbyaddr", "getfqdn"):
        monkeypatch.setattr(socket, name, resolve)

    assert server.ask(host="rebound.example").status == 403
    assert server.ask(host="localhost").status == 200


def test_names_can_be_allowed() -> None:
    settings = {"allowed_hosts": ("Studio.Example", "10.0.0.5", "fd00::5", "other:81")}

    for host in ("studio.example", "STUDIO.example.:9", "10.0.0.5:1", "[fd00::5]", "other:82"):
        assert allowed(host, **settings)
    for host in ("sub.studio.example", "example", "10.0.0.6", "[fd00::6]"):
        assert not allowed(host, **settings)


def test_the_host_that_is_listened_on_and_the_public_one_are_names_of_the_server() -> None:
    assert allowed("studio.example:8188", host="studio.example")
    assert allowed("art.example", public_url="https://art.example")
    assert allowed("art.example:8443", public_url="https://art.example:8443")
    assert not allowed("studio.example")


@pytest.mark.parametrize("listen", ["0.0.0.0", "::", "192.168.1.2", "studio.example"])
def test_beyond_loopback_any_address_is_a_name_since_none_can_be_rebound(listen: str) -> None:
    for host in ("192.168.1.2:8188", "0.0.0.0", "[fd00::1]:8188", "localhost"):
        assert allowed(host, host=listen)
    for host in ("evil.example", "127.1", "0x7f.1"):
        assert not allowed(host, host=listen)


@pytest.mark.parametrize("listen", ["localhost", "127.0.0.1", "127.8.8.8", "::1", "LOCALHOST"])
def test_on_loopback_there_is_no_token(listen: str) -> None:
    assert Access(Settings(host=listen)).token is None
    assert Access(Settings(host=listen, public_url="http://localhost:9")).token is None


@pytest.mark.parametrize(
    "listen", ["0.0.0.0", "::", "192.168.1.2", "fd00::1", "studio", "127.0.0.1,0.0.0.0", "127.1"]
)
def test_beyond_loopback_there_is_a_token_which_nobody_can_guess(listen: str) -> None:
    tokens = {Access(Settings(host=listen)).token for _ in range(2)}

    assert len(tokens) == 2
    assert all(token is not None and len(token) >= 40 for token in tokens)


def test_behind_a_proxy_there_is_a_token_too() -> None:
    assert Access(Settings(public_url="https://art.example")).token is not None


def test_the_token_of_the_settings_is_the_token() -> None:
    assert Access(Settings(token=TOKEN)).token == TOKEN
    assert Access(Settings(token=TOKEN, host="0.0.0.0")).token == TOKEN


@pytest.mark.parametrize("name", ["*", "*.example", "http://a.example", "a b", "a/b", "", "bücher"])
def test_a_name_that_is_none_is_a_mistake_in_the_settings(name: str) -> None:
    with pytest.raises(SettingsError, match="allowed_hosts"):
        Access(Settings(allowed_hosts=(name,)))


def test_a_public_url_that_is_none_is_a_mistake_in_the_settings() -> None:
    with pytest.raises(SettingsError, match="public_url"):
        Access(Settings(public_url="https://exa mple"))


LOOPBACK = r"(localhost\.?|127\.[0-9]+\.[0-9]+\.[0-9]+|\[[0-9a-f:]*1\])(:[0-9]{0,5})?"
NAME = st.sampled_from(["localhost", "[::1]", "127.0.0.1", "localhost:80"])
NOISE = st.one_of(st.text(max_size=3), st.text("@:/\\#?.[]%,; \t0a-", max_size=3))


@given(NOISE, NAME, NOISE)
def test_nothing_around_a_name_of_this_machine_is_taken_for_it(
    before: str, name: str, after: str
) -> None:
    host = parse_host(before + name + after)

    if host is not None and host.loopback:
        assert re.fullmatch(LOOPBACK, before + name + after, re.IGNORECASE | re.ASCII)


@given(st.text())
def test_any_text_is_a_host_and_an_origin_or_none(text: str) -> None:
    assert parse_host(text) is None or text.isascii()
    assert parse_origin(text) is None or "://" in text
    assert parse_origin(f"http://{text}") is None or parse_host(text) is not None

"""One-time links: a browser that opens one is let in, and nobody who opens it after that."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from guarded_server import BROWSER, TOKEN, Answer, Guarded, Headers, guarded

from nodegraph.server.links import ALIVE, LIFE
from nodegraph.server.throttle import BURST

TAB: Headers = [("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "document")]


@pytest.fixture
def server() -> Iterator[Guarded]:
    with guarded(token=TOKEN) as server:
        yield server


def link(server: Guarded) -> str:
    """A new link, without the address."""
    url = urlsplit(server.access.new_link("http://localhost:8188"))
    return f"{url.path}?{url.query}"


def is_in(server: Guarded, answer: Answer) -> bool:
    return server.ask("/thing", ("Cookie", answer.cookie)).status == 200


def test_a_link_is_the_address_and_a_code(server: Guarded) -> None:
    one, other = (server.access.new_link("https://art.example/") for _ in range(2))

    assert one.startswith("https://art.example/login?code=")
    assert one != other
    assert len(one.partition("=")[2]) >= 32
    assert TOKEN not in one


def test_who_opens_it_gets_a_cookie_and_goes_on_to_the_first_page(server: Guarded) -> None:
    answer = server.ask(link(server), ("User-Agent", BROWSER), ("Sec-Fetch-Site", "none"), *TAB)

    assert answer.status == 303
    assert answer.headers["location"] == "/"
    assert answer.headers["cache-control"] == "no-store"
    name_and_value, *attributes = answer.headers["set-cookie"].split("; ")
    assert name_and_value.startswith("nodegraph_8188=")
    assert set(attributes) == {"HttpOnly", "Max-Age=2592000", "Path=/", "SameSite=Strict"}
    assert is_in(server, answer)


def test_under_https_the_cookie_is_never_sent_without_it() -> None:
    with guarded(public_url="https://art.example") as server:
        answer = server.ask(link(server), host="art.example")

        assert "Secure" in answer.headers["set-cookie"].split("; ")


def test_servers_on_two_ports_do_not_take_each_others_cookie_away() -> None:
    with guarded(token=TOKEN, port=8189) as server:
        assert server.ask(link(server)).cookie.startswith("nodegraph_8189=")


def test_a_link_works_once(server: Guarded) -> None:
    path = link(server)

    assert server.ask(path).status == 303
    answer = server.ask(path)
    assert answer.status == 403
    assert answer.error["type"] == "bad_link"
    assert "set-cookie" not in answer.headers


def test_a_link_works_for_fifteen_minutes(server: Guarded) -> None:
    paths = [link(server), link(server)]

    server.clock.now += LIFE - 1
    assert server.ask(paths[0]).status == 303
    server.clock.now += 1
    assert server.ask(paths[1]).status == 403


def test_of_many_links_the_latest_work(server: Guarded) -> None:
    paths = [link(server) for _ in range(ALIVE + 2)]

    statuses = [server.ask(path).status for path in paths]

    assert statuses == [403, 403] + [303] * ALIVE


def test_links_end_with_the_server_that_made_them(server: Guarded) -> None:
    path = link(server)

    with guarded(token=TOKEN) as again:
        assert again.ask(path).status == 403


@pytest.mark.parametrize("query", ["", "?", "?code=", "?other=1"])
def test_a_link_without_its_code_is_told_so(server: Guarded, query: str) -> None:
    answer = server.ask(f"/login{query}")

    assert answer.status == 400
    assert "whole link" in answer.error["details"]


@pytest.mark.parametrize(
    "code", ["wrong", "a" * 5000, "%00", "%ff", "%ED%A0%80", "%F0%9F%90%88", TOKEN, "a&code=b"]
)
def test_a_wrong_code_lets_nobody_in(server: Guarded, code: str) -> None:
    link(server)

    assert server.ask(f"/login?code={code}").status == 403


def test_wrong_codes_are_counted_and_a_right_one_works_all_the_same(server: Guarded) -> None:
    statuses = [server.ask(f"/login?code=wrong{n}").status for n in range(BURST + 1)]

    assert statuses == [403] * BURST + [429]
    assert server.ask("/thing", ("Authorization", f"Bearer {TOKEN}")).status == 429
    # Codes cannot be guessed, and a tab with an old cookie must not keep its user out.
    assert server.ask(link(server)).status == 303


@pytest.mark.parametrize(
    "headers",
    [
        [("Sec-Purpose", "prefetch;prerender"), *TAB],
        [("Purpose", "prefetch")],
        [("X-Moz", "prefetch")],
        [("Sec-Fetch-Dest", "image"), ("Sec-Fetch-Mode", "no-cors")],
        [("Sec-Fetch-Dest", "iframe"), ("Sec-Fetch-Mode", "navigate")],
        [("Sec-Fetch-Dest", "empty"), ("Sec-Fetch-Mode", "cors")],
    ],
    ids=str,
)
def test_a_link_that_is_fetched_but_not_opened_is_not_used_up(
    server: Guarded, headers: Headers
) -> None:
    path = link(server)

    for _ in range(BURST + 1):
        answer = server.ask(path, *headers)
        assert answer.status == 403
        assert "set-cookie" not in answer.headers
    assert server.ask(path, *TAB).status == 303


def test_asking_for_the_headers_alone_does_not_use_it_up(server: Guarded) -> None:
    path = link(server)

    answer = server.ask(path, method="HEAD")

    assert answer.status == 200
    assert "set-cookie" not in answer.headers
    assert server.ask(path).status == 303


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_only_opening_it_does(server: Guarded, method: str) -> None:
    path = link(server)

    assert server.ask(path, method=method).status in (401, 405)
    assert server.ask(path).status == 303


def test_a_browser_that_is_in_already_goes_on_and_uses_nothing_up(server: Guarded) -> None:
    first, second = link(server), link(server)
    cookie = ("Cookie", server.ask(first).cookie)

    for path in (first, second, "/login"):
        assert server.ask(path, cookie).status == 303
    assert server.ask(second).status == 303


@pytest.mark.parametrize(
    "headers",
    [
        [("Sec-Fetch-Site", "cross-site"), *TAB],
        [("Sec-Fetch-Site", "same-site"), *TAB],
        [("Accept", "text/html,application/xhtml+xml")],
    ],
    ids=str,
)
def test_from_a_page_of_another_site_a_page_of_ours_leads_on(
    server: Guarded, headers: Headers
) -> None:
    """A redirect would not do: a cookie that is SameSite=Strict is not sent after it."""
    answer = server.ask(link(server), *headers)

    assert answer.status == 200
    assert '<meta http-equiv="refresh" content="0;url=/">' in answer.body.decode()
    assert "sandbox" not in answer.headers["content-security-policy"]  # it would not lead on
    assert answer.headers["cache-control"] == "no-store"
    assert is_in(server, answer)


def test_a_link_on_another_site_to_the_first_page_leads_a_browser_in(server: Guarded) -> None:
    """Its cookie is held back at first, and sent once our own page leads on."""
    cookie = ("Cookie", server.ask(link(server)).cookie)

    first = server.ask("/", ("Sec-Fetch-Site", "cross-site"), *TAB)
    second = server.ask("/", ("Sec-Fetch-Site", "same-origin"), *TAB, cookie)
    without = server.ask("/", ("Sec-Fetch-Site", "same-origin"), *TAB)

    assert first.status == 200
    assert b'http-equiv="refresh"' in first.body
    assert second.body == b"<p>page"
    assert without.status == 401  # and no round without an end


def test_the_host_is_looked_at_here_too(server: Guarded) -> None:
    path = link(server)

    assert server.ask(path, host="evil.example").status == 403
    assert server.ask(path).status == 303


def test_where_there_is_no_token_links_lead_to_the_first_page() -> None:
    with guarded() as server:
        assert server.access.new_link("http://localhost:8188") == "http://localhost:8188/"
        answer = server.ask("/login?code=anything")
        assert (answer.status, answer.headers["location"]) == (303, "/")
        assert "set-cookie" not in answer.headers

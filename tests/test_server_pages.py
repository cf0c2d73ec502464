"""Which pages may use the server: what browsers say about the page behind a request."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from guarded_server import BROWSER, UPGRADE, Guarded, Headers, guarded

from nodegraph.errors import SettingsError
from nodegraph.server.access import Access
from nodegraph.settings import Settings

GUEST = "https://art.example:8443"
DOCUMENT = [("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "document")]

OTHER_PAGES: list[Headers] = [
    [("Origin", "https://evil.example")],
    [("Origin", "http://localhost:3000")],
    [("Origin", "https://localhost:80")],
    [("Origin", "http://localhost.evil.example")],
    [("Origin", "http://app.localhost")],
    [("Origin", "http://127.0.0.1")],
    [("Origin", "null")],
    [("Origin", "")],
    [("Origin", "localhost")],
    [("Origin", "//localhost")],
    [("Origin", "http://")],
    [("Origin", "http://localhost/")],
    [("Origin", "http://localhost/path")],
    [("Origin", "http://localhost:80:80")],
    [("Origin", "http://localhost@evil.example")],
    [("Origin", "http://user@localhost")],
    [("Origin", "http://localhost http://localhost")],
    [("Origin", "http://localhost, http://localhost")],
    [("Origin", "file://localhost")],
    [("Origin", "chrome-extension://localhost")],
    [("Origin", "tauri://localhost:80")],
    [("Origin", "null"), ("Sec-Fetch-Site", "none")],
    [("Origin", "http://localhost"), ("Origin", "http://localhost")],
    [("Origin", "http://localhost"), ("Origin", "https://evil.example")],
    [("Sec-Fetch-Site", "cross-site")],
    [("Sec-Fetch-Site", "same-site")],
    [("Sec-Fetch-Site", "")],
    [("Sec-Fetch-Site", "SAME-ORIGIN")],
    [("Sec-Fetch-Site", "same-origin"), ("Sec-Fetch-Site", "cross-site")],
    [("Sec-Fetch-Site", "cross-site"), *DOCUMENT],
    [("Origin", "http://localhost"), ("Sec-Fetch-Site", "cross-site")],
    [("Origin", "http://localhost"), ("Sec-Fetch-Site", "same-site")],
]
OWN_PAGES: list[Headers] = [
    [],
    [("Origin", "http://localhost")],
    [("Origin", "http://localhost:80")],
    [("Origin", "http://localhost"), ("Sec-Fetch-Site", "same-origin")],
    [("Sec-Fetch-Site", "same-origin")],
    [("Sec-Fetch-Site", "none")],
]


@pytest.fixture(scope="module")
def server() -> Iterator[Guarded]:
    with guarded() as server:
        yield server


@pytest.fixture(scope="module")
def hosting() -> Iterator[Guarded]:
    """A server that lets a page of another site in."""
    with guarded(allowed_origins=(GUEST, "tauri://app/", "http://localhost:3000")) as server:
        yield server


@pytest.mark.parametrize("headers", OTHER_PAGES, ids=str)
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "PROPFIND"])
def test_another_page_changes_nothing(server: Guarded, method: str, headers: Headers) -> None:
    answer = server.ask("/thing", *headers, method=method)

    assert answer.status == 403
    assert answer.error["type"] == "cross_site"


@pytest.mark.parametrize("headers", OTHER_PAGES, ids=str)
def test_another_page_opens_no_websocket(server: Guarded, headers: Headers) -> None:
    answer = server.connect(*headers)

    assert answer.status == 403
    assert answer.error["type"] == "cross_site"


@pytest.mark.parametrize("headers", OWN_PAGES, ids=str)
def test_our_own_page_and_programs_may(server: Guarded, headers: Headers) -> None:
    assert server.post(*headers).status == 200
    assert server.connect(*headers).status == 101


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("localhost:8188", "http://localhost:8188"),
        ("LOCALHOST:8188", "http://localhost:8188"),
        ("localhost.:8188", "http://localhost.:8188"),
        ("127.0.0.1:8188", "http://127.0.0.1:8188"),
        ("[::1]:8188", "http://[::1]:8188"),
        ("localhost", "http://localhost"),
        ("localhost:80", "http://localhost"),
        ("localhost", "https://localhost"),  # TLS ends at a proxy: the scheme is not known
        ("localhost:443", "https://localhost"),
    ],
)
def test_a_page_is_ours_if_its_host_and_port_are_those_of_the_request(
    server: Guarded, host: str, origin: str
) -> None:
    assert server.post(("Origin", origin), host=host).status == 200
    assert server.connect(("Origin", origin), host=host).status == 101


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("localhost:8188", "http://localhost"),
        ("localhost:8188", "http://localhost:8189"),
        ("localhost:443", "http://localhost"),
        ("localhost:80", "https://localhost"),
        ("localhost:8188", "http://127.0.0.1:8188"),
        ("127.0.0.1:8188", "http://[::1]:8188"),
    ],
)
def test_and_is_another_where_one_of_them_differs(server: Guarded, host: str, origin: str) -> None:
    assert server.post(("Origin", origin), host=host).status == 403
    assert server.connect(("Origin", origin), host=host).status == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site", "", "nonsense"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_another_page_reads_nothing(server: Guarded, method: str, site: str) -> None:
    for path in ("/thing", "/", "/picture", "/nowhere"):
        answer = server.ask(path, ("Sec-Fetch-Site", site), method=method)

        assert answer.status == 403


def test_a_link_on_another_page_leads_to_the_first_page_and_no_further(server: Guarded) -> None:
    cross = ("Sec-Fetch-Site", "cross-site")

    assert server.ask("/", cross, *DOCUMENT).status == 200
    assert server.ask("/?a=b", cross, *DOCUMENT).status == 200
    for path in ("/thing", "/picture", "//", "/index.html", "/%2e"):
        assert server.ask(path, cross, *DOCUMENT).status in (200, 403, 404), path
        assert b"true" not in server.ask(path, cross, *DOCUMENT).body


@pytest.mark.parametrize(
    "headers",
    [
        [("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "iframe")],
        [("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "embed")],
        [("Sec-Fetch-Mode", "no-cors"), ("Sec-Fetch-Dest", "document")],
        [("Sec-Fetch-Mode", "navigate")],
        [("Sec-Fetch-Dest", "document")],
        [*DOCUMENT, ("Sec-Fetch-Dest", "document")],
        [*DOCUMENT, *UPGRADE],
    ],
    ids=str,
)
def test_what_is_no_tab_of_its_own_does_not_get_even_that(
    server: Guarded, headers: Headers
) -> None:
    assert server.ask("/", ("Sec-Fetch-Site", "cross-site"), *headers).status == 403


def test_a_form_of_another_page_is_not_taken_by_the_first_page(server: Guarded) -> None:
    headers = [("Sec-Fetch-Site", "cross-site"), *DOCUMENT]

    assert server.ask("/", *headers, method="POST").status == 403


def test_reading_needs_no_word_about_the_page(server: Guarded) -> None:
    assert server.ask().status == 200
    assert server.ask("/thing", ("Sec-Fetch-Site", "same-origin")).status == 200
    assert server.ask("/thing", ("Sec-Fetch-Site", "none"), *DOCUMENT).status == 200


def test_open_routes_are_for_every_page(server: Guarded) -> None:
    for headers in OTHER_PAGES:
        assert server.ask("/healthz", *headers).status == 200


def test_only_the_route_itself_is_open(server: Guarded) -> None:
    cross = ("Sec-Fetch-Site", "cross-site")

    assert server.ask("/healthz", cross, method="POST").status == 403
    for path in (
        "/healthz/",
        "/healthz/../thing",
        "//healthz",
        "/healthz%2f..%2fthing",
        "/HEALTHZ",
    ):
        assert server.ask(path, cross).status == 403, path
    assert server.ask("/%68ealthz", cross).status in (200, 403)


def test_a_page_that_the_settings_name_may_use_the_server(hosting: Guarded) -> None:
    for origin in (GUEST, "tauri://app", "http://localhost:3000"):
        for site in ("cross-site", "same-site"):
            headers = [("Origin", origin), ("Sec-Fetch-Site", site)]
            assert hosting.post(*headers).status == 200
            assert hosting.connect(*headers).status == 101
            assert hosting.ask("/thing", *headers).status == 200


@pytest.mark.parametrize(
    "origin",
    [
        "https://art.example",
        "http://art.example:8443",
        "https://art.example:8444",
        "https://sub.art.example:8443",
        "https://art.example:8443/",
        "https://art.example:8443.evil.example",
        "https://evil.example",
        "tauri://other",
        "null",
    ],
)
def test_and_none_that_is_like_it(hosting: Guarded, origin: str) -> None:
    assert hosting.post(("Origin", origin)).status == 403
    assert hosting.connect(("Origin", origin)).status == 403


def test_beside_a_page_that_may_there_is_no_other_origin(hosting: Guarded) -> None:
    headers = [("Origin", GUEST), ("Origin", "https://evil.example")]

    assert hosting.post(*headers).status == 403


def test_a_proxy_may_hide_the_host_where_the_public_address_is_known() -> None:
    with guarded(public_url="https://art.example:8443", token="12345678") as server:
        token = ("Authorization", "Bearer 12345678")
        own = ("Origin", "https://art.example:8443")

        assert server.post(own, token, host="127.0.0.1:8188").status == 200
        assert server.post(own, token, host="art.example").status == 200
        assert server.post(own, token, host="art.example:8443").status == 200
        other = ("Origin", "https://art.example")
        assert server.post(other, token, host="127.0.0.1:8188").status == 403


def test_a_page_under_http_is_not_the_public_one_under_https() -> None:
    with guarded(public_url="https://art.example", token="12345678") as server:
        token = ("Authorization", "Bearer 12345678")

        assert (
            server.post(("Origin", "https://art.example"), token, host="art.example").status == 200
        )
        assert (
            server.post(("Origin", "http://art.example"), token, host="art.example").status == 403
        )


def test_a_refusal_is_json_for_browsers_too(server: Guarded) -> None:
    headers = [("Accept", "text/html"), ("User-Agent", BROWSER), ("Origin", "https://evil.example")]

    for answer in (server.post(*headers), server.connect(*headers)):
        assert answer.error["message"] == "The Origin is another site"
        assert "allowed_origins" in answer.error["details"]


@pytest.mark.parametrize("origin", ["*", "null", "art.example", "https://art.example/x", "", "a b"])
def test_an_origin_that_is_none_is_a_mistake_in_the_settings(origin: str) -> None:
    with pytest.raises(SettingsError, match="allowed_origins"):
        Access(Settings(allowed_origins=(origin,)))

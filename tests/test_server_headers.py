"""The headers of every answer, and those that let pages of other sites read it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from guarded_server import Answer, Guarded, guarded

from nodegraph.server.headers import DEFAULT_CSP, PAGE_CSP

GUEST = "https://art.example"


@pytest.fixture(scope="module")
def server() -> Iterator[Guarded]:
    with guarded(allowed_origins=(GUEST,)) as server:
        yield server


@pytest.fixture(scope="module")
def answers(server: Guarded) -> dict[str, Answer]:
    """An answer of each kind."""
    return {
        "json": server.ask("/thing"),
        "page": server.ask("/"),
        "picture": server.ask("/picture"),
        "stream": server.ask("/stream"),
        "websocket": server.connect(),
        "no route": server.ask("/nowhere"),
        "wrong method": server.ask("/healthz", method="PUT"),
        "error of a handler": server.ask("/refused"),
        "refused host": server.ask(host="evil.example"),
        "refused page": server.post(("Origin", "https://evil.example")),
        "refused websocket": server.connect(("Origin", "https://evil.example")),
        "login": server.ask("/login"),
        "head": server.ask("/thing", method="HEAD"),
    }


def test_the_cases_are_what_they_are_called(answers: dict[str, Answer]) -> None:
    assert {name: answer.status for name, answer in answers.items()} == {
        "json": 200,
        "page": 200,
        "picture": 200,
        "stream": 200,
        "websocket": 101,
        "no route": 404,
        "wrong method": 405,
        "error of a handler": 400,
        "refused host": 403,
        "refused page": 403,
        "refused websocket": 403,
        "login": 303,
        "head": 200,
    }


def test_no_answer_can_be_sniffed_framed_or_embedded_elsewhere(answers: dict[str, Answer]) -> None:
    for name, answer in answers.items():
        assert answer.headers["x-content-type-options"] == "nosniff", name
        assert answer.headers["x-frame-options"] == "SAMEORIGIN", name
        assert answer.headers["cross-origin-resource-policy"] == "same-origin", name


def test_no_answer_tells_what_the_server_is_made_of(answers: dict[str, Answer]) -> None:
    for name, answer in answers.items():
        assert answer.headers["server"] == "nodegraph", name


def test_what_is_no_page_of_ours_can_run_and_load_nothing(answers: dict[str, Answer]) -> None:
    for name, answer in answers.items():
        expected = PAGE_CSP if name == "page" else DEFAULT_CSP
        assert answer.headers["content-security-policy"] == expected, name
    assert DEFAULT_CSP == "default-src 'none'; frame-ancestors 'none'; sandbox"


def test_a_page_of_ours_loads_its_own_scripts_and_pictures_and_runs_nothing_inline() -> None:
    rules = dict(rule.split(" ", 1) for rule in PAGE_CSP.split("; "))

    assert rules["script-src"] == rules["connect-src"] == rules["style-src"] == "'self'"
    assert rules["img-src"] == "'self' blob: data:"
    assert rules["default-src"] == rules["base-uri"] == rules["object-src"] == "'none'"
    assert rules["form-action"] == rules["frame-ancestors"] == "'self'"
    assert "unsafe" not in PAGE_CSP


def test_no_other_site_learns_what_was_open(answers: dict[str, Answer]) -> None:
    assert answers["json"].headers["referrer-policy"] == "no-referrer"
    # Not no-referrer: under that a form of the page would be sent with `Origin: null`.
    assert answers["page"].headers["referrer-policy"] == "same-origin"


def test_what_a_handler_chose_stays(answers: dict[str, Answer]) -> None:
    assert answers["picture"].headers["referrer-policy"] == "origin"
    assert answers["picture"].headers["vary"] == "Accept, Origin"


def test_an_error_of_a_handler_is_answered_as_json(answers: dict[str, Answer]) -> None:
    assert answers["error of a handler"].error["message"] == "This is wrong"


def cors(answer: Answer) -> dict[str, str]:
    return {name: v for name, v in answer.headers.items() if name.startswith("access-control")}


def test_a_page_that_the_settings_name_may_read_all_answers_errors_too(server: Guarded) -> None:
    for path in ("/thing", "/stream", "/refused", "/nowhere", "/healthz"):
        answer = server.ask(path, ("Origin", GUEST), ("Sec-Fetch-Site", "cross-site"))

        assert answer.headers["access-control-allow-origin"] == GUEST
        assert answer.headers["access-control-allow-credentials"] == "true"
        assert "Origin" in answer.headers["vary"]


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://art.example", "*", ""])
def test_no_other_page_gets_a_cors_header(server: Guarded, origin: str) -> None:
    preflight = ("Access-Control-Request-Method", "POST")
    refused = [
        server.ask("/thing", ("Origin", origin)),
        server.ask("/healthz", ("Origin", origin)),
        server.post(("Origin", origin)),
        server.ask("/thing", ("Origin", origin), preflight, method="OPTIONS"),
        server.ask("/thing"),
    ]

    for answer in refused:
        assert not cors(answer)
        assert answer.headers["vary"] == "Origin"  # which a cache must know all the same


def test_where_no_page_is_named_nobody_gets_one() -> None:
    with guarded() as server:
        answer = server.ask("/thing", ("Origin", "http://localhost"))

        assert not cors(answer)
        assert "vary" not in answer.headers


def test_a_preflight_is_answered_though_it_carries_no_token() -> None:
    with guarded(allowed_origins=(GUEST,), token="12345678") as server:
        answer = server.ask(
            "/thing",
            ("Origin", GUEST),
            ("Sec-Fetch-Site", "cross-site"),
            ("Access-Control-Request-Method", "DELETE"),
            ("Access-Control-Request-Headers", "authorization,x-more"),
            method="OPTIONS",
        )

        assert answer.status == 204
        assert "DELETE" in answer.headers["access-control-allow-methods"]
        assert answer.headers["access-control-allow-headers"] == "authorization,x-more"
        assert server.ask("/thing", ("Origin", GUEST), method="DELETE").status == 401


def test_a_preflight_repeats_nothing_but_names_of_headers(server: Guarded) -> None:
    answer = server.ask(
        "/thing",
        ("Origin", GUEST),
        ("Access-Control-Request-Method", "POST"),
        ("Access-Control-Request-Headers", "a; b <script>"),
        method="OPTIONS",
    )

    assert answer.headers["access-control-allow-headers"] == "Authorization, Content-Type"


def test_a_preflight_does_not_go_round_the_host(server: Guarded) -> None:
    answer = server.ask(
        "/thing",
        ("Origin", GUEST),
        ("Access-Control-Request-Method", "POST"),
        method="OPTIONS",
        host="evil.example",
    )

    assert answer.status == 403
    assert answer.error["type"] == "host_not_allowed"

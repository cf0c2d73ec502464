"""Who is let in: the token in its forms, the cookie, and the limit to wrong guesses."""

from __future__ import annotations

import urllib.request
from base64 import b64encode
from collections.abc import Iterator

import pytest
from guarded_server import BROWSER, TOKEN, Guarded, guarded
from hypothesis import given, settings
from hypothesis import strategies as st

from nodegraph.server.throttle import BURST, REFILL
from nodegraph.server.tokens import PASS_SECONDS, Passes

ORIGIN = ("Origin", "http://localhost")


def bearer(token: str) -> tuple[str, str]:
    return ("Authorization", f"Bearer {token}")


def basic(token: str, user: str = "anybody") -> tuple[str, str]:
    return ("Authorization", f"Basic {b64encode(f'{user}:{token}'.encode()).decode()}")


def log_in(server: Guarded) -> tuple[str, str]:
    """The Cookie header of a browser that opened a link."""
    code = server.access.new_link("").partition("?")[2]
    return ("Cookie", server.ask(f"/login?{code}").cookie)


@pytest.fixture
def server() -> Iterator[Guarded]:
    with guarded(token=TOKEN) as server:
        yield server


@pytest.mark.parametrize(
    "header",
    [
        bearer(TOKEN),
        ("Authorization", f"bearer {TOKEN}"),
        ("AUTHORIZATION", f"BEARER  {TOKEN}"),
        basic(TOKEN),
        basic(TOKEN, user=""),
        basic(TOKEN, user="Zoë"),
        ("Authorization", f"basic {b64encode(f'user:{TOKEN}'.encode()).decode()}"),
    ],
    ids=str,
)
def test_the_token_lets_a_program_in(server: Guarded, header: tuple[str, str]) -> None:
    assert server.ask("/thing", header).status == 200
    assert server.post(header).status == 200
    assert server.connect(header).status == 101


@pytest.mark.parametrize(
    "value",
    [
        "",
        " ",
        "Bearer",
        "Bearer ",
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
        f"Bearer {TOKEN.upper()}",
        f"Bearer x {TOKEN}",
        f"Bearer {TOKEN}, Bearer {TOKEN}",
        f"Bearer:{TOKEN}",
        f"Bearer\t{TOKEN}",
        f"Token {TOKEN}",
        TOKEN,
        "Bearer \udcff\udcfe",
        "Bearer héllo",
        "Basic",
        "Basic ",
        "Basic ====",
        "Basic not/base64!",
        "Basic \udcff",
        "Basic " + b64encode(TOKEN.encode()).decode(),
        "Basic " + b64encode(f"{TOKEN}:".encode()).decode(),
        "Basic " + b64encode(b"user:" + b"\xff" * 9).decode(),
        "Basic " + b64encode(f"user:{TOKEN}\n".encode()).decode(),
        f"Basic user:{TOKEN}",
        "Digest username=x",
        "Negotiate",
        "\udcff",
    ],
    ids=ascii,
)
def test_nothing_else_does(server: Guarded, value: str) -> None:
    header = ("Authorization", value)

    for answer in (server.ask("/thing", header), server.post(header), server.connect(header)):
        assert answer.status == 401
        assert answer.error["type"] == "unauthorized"
        assert TOKEN not in answer.body.decode()


def test_two_authorizations_are_none(server: Guarded) -> None:
    answer = server.ask("/thing", bearer(TOKEN), bearer("wrong-wrong"))

    assert answer.status in (400, 401)


def test_the_token_is_wanted_for_all_but_open_routes(server: Guarded) -> None:
    for path in ("/", "/thing", "/stream", "/picture", "/ws", "/nowhere", "/refused"):
        for method in ("GET", "HEAD", "POST", "OPTIONS", "DELETE"):
            assert server.ask(path, method=method).status == 401, (method, path)
    assert server.connect().status == 401
    assert server.ask("/healthz").status == 200


def test_the_host_is_looked_at_before_the_token(server: Guarded) -> None:
    assert server.ask("/thing", bearer(TOKEN), host="evil.example").status == 403


def test_the_page_is_looked_at_as_well(server: Guarded) -> None:
    assert server.post(basic(TOKEN), ("Origin", "https://evil.example")).status == 403
    assert server.connect(basic(TOKEN), ("Origin", "null")).status == 403


def test_a_token_may_be_any_printable_text() -> None:
    token = "!#$%&'()*+,-./:;<=>?@[]^_`{|}~:\"\\"
    with guarded(token=token) as server:
        assert server.ask("/thing", bearer(token)).status == 200
        assert server.ask("/thing", basic(token)).status == 200


# -- what is asked for ---------------------------------------------------------------------------


def test_a_program_is_told_what_it_can_send(server: Guarded) -> None:
    answer = server.ask()

    assert answer.headers["www-authenticate"] == 'Bearer realm="nodegraph", Basic realm="nodegraph"'
    assert "Authorization: Bearer <token>" in answer.error["details"]


def test_a_program_that_waits_to_be_asked_gets_in(server: Guarded) -> None:
    url = f"http://127.0.0.1:{server.port}/thing"
    passwords = urllib.request.HTTPPasswordMgrWithDefaultRealm()
    passwords.add_password(None, url, "user", TOKEN)
    opener = urllib.request.build_opener(urllib.request.HTTPBasicAuthHandler(passwords))

    with opener.open(url, timeout=60) as response:
        assert response.status == 200


def test_a_browser_asks_the_user_where_it_opens_a_page_and_not_in_the_middle_of_one(
    server: Guarded,
) -> None:
    agent, page = ("User-Agent", BROWSER), ("Accept", "text/html,*/*;q=0.8")

    asked = [
        server.ask("/", agent, page, ("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Site", "none")),
        server.ask("/", agent, page),  # browsers do not send Sec-Fetch to other machines' http
    ]
    not_asked = [
        server.ask("/thing", agent, ("Accept", "*/*"), ("Sec-Fetch-Mode", "cors")),
        server.ask("/thing", agent, page, ("Sec-Fetch-Mode", "same-origin")),
        server.ask("/thing", agent, ("Accept", "*/*")),
        server.connect(agent, ORIGIN),
    ]

    assert all("Basic" in answer.headers["www-authenticate"] for answer in asked)
    assert all(a.headers["www-authenticate"] == 'Bearer realm="nodegraph"' for a in not_asked)


# -- the cookie ----------------------------------------------------------------------------------


def test_the_cookie_lets_a_browser_in(server: Guarded) -> None:
    cookie = log_in(server)

    assert server.ask("/", cookie).status == 200
    assert server.post(cookie, ORIGIN).status == 200
    assert server.post(cookie, ("Sec-Fetch-Site", "same-origin")).status == 200
    assert server.connect(cookie, ORIGIN).status == 101


def test_with_the_cookie_what_changes_something_must_say_which_page_sent_it(
    server: Guarded,
) -> None:
    cookie = log_in(server)

    for answer in (server.post(cookie), server.connect(cookie)):
        assert answer.status == 403
        assert answer.error["type"] == "cross_site"
        assert "Origin" in answer.error["details"]


@pytest.mark.parametrize("origin", ["https://evil.example", "http://localhost:3000", "null", ""])
def test_the_cookie_is_worth_nothing_on_another_page(server: Guarded, origin: str) -> None:
    cookie = log_in(server)

    assert server.post(cookie, ("Origin", origin)).status == 403
    assert server.connect(cookie, ("Origin", origin)).status == 403


def test_the_cookie_outlives_a_restart_with_the_same_token_and_no_other(server: Guarded) -> None:
    cookie = log_in(server)

    with guarded(token=TOKEN) as again:
        assert again.ask("/", cookie).status == 200
    with guarded(token=TOKEN + "x") as other:
        assert other.ask("/", cookie).status == 401


def test_the_cookie_ends_after_thirty_days(server: Guarded) -> None:
    cookie = log_in(server)

    server.clock.now += 30 * 24 * 3600 - 1
    assert server.ask("/", cookie).status == 200
    server.clock.now += 1
    assert server.ask("/", cookie).status == 401


def test_the_cookie_does_not_tell_the_token_and_no_two_are_equal(server: Guarded) -> None:
    one, other = (log_in(server)[1] for _ in range(2))

    assert TOKEN not in one
    assert one != other


@given(st.data())
@settings(deadline=None)
def test_no_change_of_a_cookie_is_good(data: st.DataObject) -> None:
    passes = Passes(TOKEN, lambda: 1000.0)
    value = passes.issue()
    place = data.draw(st.integers(0, len(value) - 1))
    changed = value[:place] + data.draw(st.characters()) + value[place + 1 :]

    assert passes.judge(value) == "good"
    assert changed == value or passes.judge(changed) != "good"


def test_a_cookie_cannot_be_made_to_last() -> None:
    passes = Passes(TOKEN, lambda: 1000.0)
    expiry, nonce, signature = passes.issue().split(".")

    assert int(expiry) == 1000 + PASS_SECONDS
    assert passes.judge(f"{int(expiry) + 1}.{nonce}.{signature}") == "forged"


# -- wrong guesses -------------------------------------------------------------------------------


def guess(server: Guarded, times: int) -> list[int]:
    return [server.ask("/thing", bearer(f"wrong{n}")).status for n in range(times)]


def test_after_some_wrong_tokens_an_address_has_to_wait(server: Guarded) -> None:
    assert guess(server, BURST + 2) == [401] * BURST + [429, 429]

    answer = server.ask("/thing", bearer(TOKEN))  # or guessing would go on
    assert answer.status == 429
    assert answer.error["type"] == "too_many_attempts"
    assert answer.headers["retry-after"] == str(int(REFILL))

    server.clock.now += REFILL
    assert guess(server, 2) == [401, 429]
    server.clock.now += REFILL
    assert server.ask("/thing", bearer(TOKEN)).status == 200


@pytest.mark.parametrize("wrong", [basic("wrong-wrong"), ("Authorization", "Basic ~~~")], ids=str)
def test_wrong_passwords_count_as_well(server: Guarded, wrong: tuple[str, str]) -> None:
    statuses = [server.ask("/thing", wrong).status for _ in range(BURST + 1)]

    assert statuses == [401] * BURST + [429]


def test_cookies_that_somebody_else_signed_count_too(server: Guarded) -> None:
    name = log_in(server)[1].partition("=")[0]
    forged = ("Cookie", f"{name}={Passes('another-token', server.clock).issue()}")

    statuses = [server.ask("/thing", forged).status for _ in range(BURST + 1)]

    assert statuses == [401] * BURST + [429]


def test_a_browser_with_the_cookie_gets_in_all_the_while(server: Guarded) -> None:
    cookie = log_in(server)
    guess(server, BURST + 1)

    assert server.ask("/", cookie).status == 200
    assert server.ask("/", cookie, bearer("wrong")).status == 200
    assert server.post(cookie, ORIGIN).status == 200


def test_who_shows_nothing_guesses_nothing(server: Guarded) -> None:
    old = log_in(server)
    server.clock.now += PASS_SECONDS
    nothing = [old, ("Cookie", "a=b; nodegraph_8188=x"), ("Authorization", "Negotiate x")]

    for _ in range(BURST):
        for header in nothing:
            assert server.ask("/thing", header).status == 401
        assert server.ask().status == 401
    assert server.ask("/thing", bearer(TOKEN)).status == 200


def test_behind_a_proxy_each_client_is_counted_for_itself() -> None:
    with guarded(token=TOKEN, public_url="https://art.example") as server:
        one = ("X-Forwarded-For", "9.9.9.9, 192.0.2.1")
        other = ("X-Forwarded-For", "192.0.2.1, 192.0.2.2")
        for _ in range(BURST + 1):
            status = server.ask("/thing", bearer("wrong"), one).status

        assert status == 429
        assert server.ask("/thing", bearer(TOKEN), ("X-Forwarded-For", "192.0.2.1")).status == 429
        assert server.ask("/thing", bearer(TOKEN), other).status == 200


def test_without_a_proxy_nobody_can_say_to_be_another(server: Guarded) -> None:
    for number in range(BURST + 1):
        seen = ("X-Forwarded-For", f"192.0.2.{number}")
        status = server.ask("/thing", bearer("wrong"), seen).status

    assert status == 429


# -- whatever the headers are --------------------------------------------------------------------

NAMES = [
    "Host",
    "Origin",
    "Authorization",
    "Cookie",
    "Sec-Fetch-Site",
    "Sec-Fetch-Mode",
    "Sec-Fetch-Dest",
    "X-Forwarded-For",
    "Access-Control-Request-Method",
    "Access-Control-Request-Headers",
    "User-Agent",
    "Accept",
]
PIECES = [
    *("localhost", "[::1]", "http://", "null", "://", "@", ":", "..", "=", ";", ",", " ", '"'),
    *("Bearer ", "Basic ", "cross-site", "same-origin", "navigate", "document", "text/html"),
    *("nodegraph_8188=", "1.", "A" * 22, "A" * 43, "Og==", "https://art.example", "\\", "%00"),
]
VALUES = st.one_of(
    st.lists(st.sampled_from(PIECES), max_size=6).map("".join).map(str.encode),
    st.text(st.characters(exclude_characters="\r\n\0")).map(
        lambda text: text.encode("utf-8", "replace")
    ),
    st.binary(max_size=60).map(lambda raw: raw.translate(None, b"\r\n\0")),
)


@pytest.fixture(scope="module")
def busy() -> Iterator[Guarded]:
    with guarded(
        token=TOKEN, public_url="https://art.example", allowed_origins=("https://art.example",)
    ) as server:
        yield server


@given(
    st.sampled_from([b"GET", b"POST", b"OPTIONS", b"HEAD"]),
    st.sampled_from([b"/", b"/thing", b"/ws", b"/login?code=a", b"/healthz"]),
    st.lists(st.tuples(st.sampled_from(NAMES), VALUES), max_size=5),
    st.booleans(),
)
@settings(deadline=None, max_examples=400)
def test_no_header_makes_the_server_fail(
    busy: Guarded, method: bytes, path: bytes, headers: list[tuple[str, bytes]], host: bool
) -> None:
    lines = [method + b" " + path + b" HTTP/1.1", *([b"Host: localhost"] if host else [])]
    lines += [name.encode() + b": " + value for name, value in headers]

    answer = busy.send(b"\r\n".join([*lines, b"Connection: close", b"", b""]), method.decode())

    assert answer.status < 500
    assert (
        answer.status not in (200, 204)
        or path in (b"/healthz", b"/login?code=a")
        or (method == b"OPTIONS" and "access-control-allow-origin" in answer.headers)
        or b"http-equiv" in answer.body
    )

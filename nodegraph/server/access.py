"""Who may do what: the host, the page behind a request, the token, the one-time link.

hosts.py -> pages.py -> tokens.py, throttle.py       links.py -> the cookie
"""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Callable
from typing import NoReturn

from aiohttp import web

from nodegraph.settings import Settings

from .answers import Refused, bad_request, empty
from .hosts import Hosts, parse_host, public
from .links import Codes, onward, opened
from .pages import Pages, anonymous, changes
from .throttle import Throttle
from .tokens import PASS_SECONDS, Passes, challenge, same, shown


class Access:
    """The rules of one server. SettingsError for hosts and origins that are none.

    token: what clients must know; None if all who reach the server may use it. That is so only
    where nobody else can: it listens on loopback, no public_url says that a proxy passes others
    on to it, and the settings name no token.
    """

    def __init__(self, settings: Settings, *, clock: Callable[[], float] = time.time) -> None:
        self.hosts = Hosts(settings)
        self.pages = Pages(settings)
        self.token = settings.token
        if self.token is None and (self.hosts.beyond_loopback or _published(settings)):
            self.token = secrets.token_urlsafe(32)
        self._passes = None if self.token is None else Passes(self.token, clock)
        self._codes = Codes(clock)
        self._throttle = Throttle(clock)
        self._proxied = settings.public_url is not None
        self._secure = (settings.public_url or "").startswith("https:")
        # Cookies are for all ports of a host: each server has a name of its own for its cookie.
        self._cookie = f"nodegraph_{settings.port}"

    def check(self, request: web.Request, *, open: bool) -> None:
        """Refused if the request may not be answered.

        open: anybody may ask for this, if it is under a name of this server.
        """
        host = self.hosts.check(request)
        if open:
            return
        self.pages.check(request, host)
        if self._passes is None:
            return
        if self._has_pass(request):
            self._check_page_is_known(request)
        else:
            self._check_token(request)

    def new_link(self, base: str) -> str:
        """A link that lets one browser in, once, within 15 minutes. base: the server's address."""
        base = base.rstrip("/")
        return f"{base}/" if self.token is None else f"{base}/login?code={self._codes.make()}"

    def login(self, code: str, request: web.Request) -> web.Response:
        """The answer to a link: on to the first page, with the cookie.

        The code is used up only where it is opened, not where it is merely looked at. Refused
        (400, 403, 429).
        """
        if request.method != "GET":
            return empty()
        if self._passes is None or self._has_pass(request):
            return onward(request)
        if not code:
            raise bad_request("The link has no code", "open the whole link that the server printed")
        if not opened(request):
            raise Refused(403, "not_opened", "The link was not opened", "open it in a tab")
        if not self._codes.use(code):
            self._failed(request, _worn())
        answer = onward(request)
        answer.set_cookie(
            self._cookie,
            self._passes.issue(),
            max_age=PASS_SECONDS,
            path="/",
            secure=self._secure,
            httponly=True,
            samesite="Strict",
        )
        return answer

    def _has_pass(self, request: web.Request) -> bool:
        return self._judge(request) == "good"

    def _judge(self, request: web.Request) -> str:
        value = request.cookies.get(self._cookie)
        return "none" if value is None or self._passes is None else self._passes.judge(value)

    def _check_page_is_known(self, request: web.Request) -> None:
        """A browser sends the cookie for any page, so it must say for which."""
        if changes(request) and anonymous(request):
            raise Refused(
                403,
                "cross_site",
                "The request does not say which page sent it",
                "with the cookie an Origin header is needed; programs send the token instead, as "
                "`Authorization: Bearer <token>`",
            )

    def _check_token(self, request: web.Request) -> None:
        given = shown(request)
        refused = Refused(
            401,
            "unauthorized",
            "This server wants its token",
            "send it as `Authorization: Bearer <token>` or as the password of Basic; browsers "
            "open the link that the server printed",
            headers={"WWW-Authenticate": challenge(request)},
        )
        if given is None and self._judge(request) != "forged":
            raise refused  # nothing was guessed
        self._check_wait(request)
        if given is None or self.token is None or not same(given, self.token):
            self._failed(request, refused)

    def _failed(self, request: web.Request, refused: Refused) -> NoReturn:
        self._check_wait(request)
        self._throttle.failed(self._client(request))
        raise refused

    def _check_wait(self, request: web.Request) -> None:
        wait = math.ceil(self._throttle.wait(self._client(request)))
        if wait:
            raise Refused(
                429,
                "too_many_attempts",
                "Too many wrong tokens came from this address",
                f"try again in {wait} s",
                headers={"Retry-After": str(wait)},
            )

    def _client(self, request: web.Request) -> str:
        """The address of the client; behind a proxy on this machine the one that the proxy saw."""
        address = request.remote or ""
        seen = request.headers.getall("X-Forwarded-For", [])
        if self._proxied and seen and _is_loopback(address):
            return seen[-1].rpartition(",")[2].strip()[:100]
        return address


def _published(settings: Settings) -> bool:
    """Whether a proxy lets others reach a server that listens on loopback alone."""
    return settings.public_url is not None and not public(settings.public_url).host.loopback


def _is_loopback(address: str) -> bool:
    host = parse_host(f"[{address}]" if ":" in address else address)
    return host is not None and host.loopback


def _worn() -> Refused:
    details = "each link lets one browser in, within 15 minutes: ask the server for a new one"
    return Refused(403, "bad_link", "The link was used already, or is too old", details)

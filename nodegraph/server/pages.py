"""Which pages may use the server: its own, and those that the settings name.

A browser sends requests for whatever page asks it to, with the user's cookies, and from inside
the user's network. It says which page that is: in Origin (with each request that may change
something, and each websocket) and in Sec-Fetch-Site (newer browsers, to https and to this
machine). Programs that are no browsers send neither.
"""

from __future__ import annotations

from aiohttp import web

from nodegraph.errors import SettingsError
from nodegraph.settings import Settings

from .answers import Refused
from .hosts import Host, Origin, parse_origin, public

READING = ("GET", "HEAD", "OPTIONS")
OWN_SITES = ("same-origin", "none")  # none: the user typed the address, or used a bookmark


class Pages:
    """The pages of one server. SettingsError for an origin that is none."""

    def __init__(self, settings: Settings) -> None:
        self.allowed = frozenset(_given(text) for text in settings.allowed_origins)
        self._public = None if settings.public_url is None else public(settings.public_url)

    def guest(self, request: web.Request) -> bool:
        """Whether the request is from a page that allowed_origins names."""
        return _origin(request) in self.allowed

    def check(self, request: web.Request, host: Host) -> None:
        """Refused (403) if a page that may not is behind the request."""
        if self.guest(request):
            return
        if changes(request):
            self._check_origin(request, host)
        if from_elsewhere(request) and not (arriving(request) and request.path == "/"):
            raise _refused(
                "Another site asks for this",
                "the browser says that another page sent this request; programs that are no "
                "browsers send no Sec-Fetch-Site; a page of yours can be named in the setting "
                "allowed_origins",
            )

    def _check_origin(self, request: web.Request, host: Host) -> None:
        if "Origin" not in request.headers:
            return
        origin = _origin(request)
        if origin is None:
            raise _refused(
                "The Origin is null or malformed",
                "the page is in a sandbox, in a file or from nowhere: open the server's own page",
            )
        if not self._is_own(origin, host):
            raise _refused(
                "The Origin is another site",
                f"{request.headers['Origin'][:100]!a} may not use this server; if it is yours, "
                "add it to the setting allowed_origins",
            )

    def _is_own(self, origin: Origin, host: Host) -> bool:
        if self._public is not None and self._public.is_at(host):
            return origin == self._public  # and not the same host over http
        return origin.is_at(host) or origin == self._public


def changes(request: web.Request) -> bool:
    """Whether a request may change something, or opens a websocket."""
    return request.method not in READING or "Upgrade" in request.headers


def from_elsewhere(request: web.Request) -> bool:
    """Whether the browser says that another site is behind a request."""
    sites = request.headers.getall("Sec-Fetch-Site", [])
    return any(site not in OWN_SITES for site in sites)


def arriving(request: web.Request) -> bool:
    """Whether a browser says that it opens this as a page, in a tab of its own."""
    modes = request.headers.getall("Sec-Fetch-Mode", [])
    kinds = request.headers.getall("Sec-Fetch-Dest", [])
    return not changes(request) and modes == ["navigate"] and kinds == ["document"]


def anonymous(request: web.Request) -> bool:
    """Whether a request says nothing about the page behind it, as programs do."""
    return "Origin" not in request.headers and "Sec-Fetch-Site" not in request.headers


def _origin(request: web.Request) -> Origin | None:
    """The one well-formed Origin of a request."""
    texts = request.headers.getall("Origin", [])
    return parse_origin(texts[0]) if len(texts) == 1 else None


def _given(text: str) -> Origin:
    origin = parse_origin(text.removesuffix("/"))
    if origin is None:
        raise SettingsError(f"allowed_origins are pages like https://example.org, not {text!r}")
    return origin


def _refused(message: str, details: str) -> Refused:
    return Refused(403, "cross_site", message, details)

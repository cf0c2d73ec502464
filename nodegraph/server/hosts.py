"""Hosts and origins as they stand in headers, and which of them are names of this server.

A page can make its own host name resolve to 127.0.0.1 and then reach a server there as if it were
its own (DNS rebinding). Its browser still sends that name as the Host, so a server that answers
to its own names alone is safe. No name is ever resolved here.

`*.localhost` is not among the names: not every browser keeps those to itself, nothing needs them,
and allowed_hosts can name one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv6Address, ip_address

from aiohttp import web

from nodegraph.errors import SettingsError
from nodegraph.settings import Settings

from .answers import Refused

Address = IPv4Address | IPv6Address

PORTS = {"http": 80, "https": 443}
AUTHORITY = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,254})(?::([0-9]{0,5}))?")
LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
ORIGIN = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{0,30})://(.*)")


@dataclass(frozen=True)
class Host:
    """A host: a name in lower case without a last dot, or an address. port: None if not given."""

    name: str | Address
    port: int | None = None

    @property
    def loopback(self) -> bool:
        return self.name == "localhost" or _is(self.name, loopback=True)

    @property
    def literal(self) -> bool:
        """Whether it is an address."""
        return _is(self.name)


@dataclass(frozen=True)
class Origin:
    """Where a page is from. The port is never None for http and https."""

    scheme: str
    host: Host

    def is_at(self, host: Host) -> bool:
        """Whether that host is where the page is from. Its scheme is not known: if no port is
        given, it is the usual one of the page's.
        """
        usual = PORTS.get(self.scheme)
        return usual is not None and self.host == replace(host, port=host.port or usual)


def parse_host(text: str) -> Host | None:
    """A Host header; None if it is malformed."""
    match = AUTHORITY.fullmatch(text)
    if match is None or int(match[2] or 0) > 65535:
        return None
    name = _bracketed(match[1]) if match[1].startswith("[") else _name(match[1])
    return None if name is None else Host(name, int(match[2]) if match[2] else None)


def parse_origin(text: str) -> Origin | None:
    """An Origin header with one origin; None if it is `null` or malformed."""
    match = ORIGIN.fullmatch(text)
    host = parse_host(match[2]) if match else None
    if match is None or host is None:
        return None
    scheme = match[1].lower()
    return Origin(scheme, replace(host, port=host.port or PORTS.get(scheme)))


class Hosts:
    """The names of this server. SettingsError for a name that is none."""

    def __init__(self, settings: Settings) -> None:
        own = _own(settings.host)
        self.beyond_loopback = own is None or not own.loopback
        given = [_given("allowed_hosts", text) for text in settings.allowed_hosts]
        if settings.public_url is not None:
            given.append(public(settings.public_url).host)
        self._names = {host.name for host in [*given, *([own] if own else [])]}

    def check(self, request: web.Request) -> Host:
        """The request's Host. Refused (403) for a name that is not the server's own."""
        texts = request.headers.getall("Host", [])
        if len(texts) != 1:
            raise _refused(f"a request needs one Host header, and this has {len(texts)}")
        host = parse_host(texts[0])
        if host is None:
            raise _refused(f"{texts[0][:100]!a} is not a host")
        if _target(request) not in (None, host):
            raise _refused("the request line names another host than the Host header")
        if not self._allows(host):
            raise _refused(
                f"{texts[0][:100]!a} is not a name of this server; if it is, add it to the setting "
                "allowed_hosts (in nodegraph.yaml, or as NODEGRAPH_ALLOWED_HOSTS)"
            )
        return host

    def _allows(self, host: Host) -> bool:
        # A page that is under an address got there without a name, so none can be rebound.
        literal = host.literal and self.beyond_loopback
        return host.loopback or literal or host.name in self._names


def public(url: str) -> Origin:
    """The setting public_url as an origin. SettingsError."""
    origin = parse_origin(url)
    if origin is None:
        raise SettingsError(f"public_url is an address like https://example.org, not {url!r}")
    return origin


def _own(text: str) -> Host | None:
    """The setting host, which may be an address without brackets; None if it is something else."""
    address = _address(text)
    return parse_host(text) if address is None else Host(address)


def _given(setting: str, text: str) -> Host:
    host = _own(text)
    if host is None:
        hint = "" if text.isascii() else "; write it as browsers send it, with xn--"
        raise SettingsError(f"{setting} are names like server.example, not {text!r}{hint}")
    return host


def _target(request: web.Request) -> Host | None:
    """The host in the request line, where only requests to proxies usually have one.

    aiohttp takes it instead of the Host header, so it is not enough to look at that.
    """
    target = request.raw_path
    if target.startswith("/") or target == "*":
        return None
    authority = re.split("[/?#]", target.partition("://")[2], maxsplit=1)[0]
    return parse_host(authority) or Host("")


def _name(text: str) -> str | Address | None:
    address = _address(text)
    if address is not None:
        return address
    name = text.lower().removesuffix(".")
    return name if all(LABEL.fullmatch(label) for label in name.split(".")) else None


def _bracketed(text: str) -> Address | None:
    return _address(text[1:-1]) if ":" in text else None


def _address(text: str) -> Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _is(name: str | Address, *, loopback: bool = False) -> bool:
    return not isinstance(name, str) and (name.is_loopback or not loopback)


def _refused(details: str) -> Refused:
    return Refused(403, "host_not_allowed", "The Host is not one of this server's names", details)

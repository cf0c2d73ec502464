"""What clients show to be let in: the token itself, or a cookie that was signed with it.

The cookie is stateless: `expiry.nonce.signature`. It survives a restart with the same token, and
ends with it.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
import re
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Callable
from typing import Literal

from aiohttp import web

PASS_SECONDS = 30 * 24 * 3600
PASS = re.compile(r"([0-9]{1,12})\.([A-Za-z0-9_-]{22})\.([A-Za-z0-9_-]{43})")
# A token that a person made up could be guessed from a cookie; this makes each guess dear.
ROUNDS = 100_000


class Passes:
    """Signed cookies. clock: seconds since 1970."""

    def __init__(self, token: str, clock: Callable[[], float]) -> None:
        self._key = hashlib.pbkdf2_hmac("sha256", token.encode(), b"nodegraph cookie", ROUNDS)
        self._clock = clock

    def issue(self) -> str:
        """A new cookie's value, good for PASS_SECONDS."""
        signed = f"{int(self._clock()) + PASS_SECONDS}.{secrets.token_urlsafe(16)}"
        return f"{signed}.{self._signature(signed)}"

    def judge(self, value: str) -> Literal["good", "forged", "none"]:
        """Whether a cookie is one of ours. none: it is too old, or never was one."""
        match = PASS.fullmatch(value)
        if match is None:
            return "none"
        if not same(self._signature(f"{match[1]}.{match[2]}"), match[3]):
            return "forged"
        return "good" if self._clock() < int(match[1]) else "none"

    def _signature(self, text: str) -> str:
        digest = hmac.digest(self._key, text.encode(), "sha256")
        return urlsafe_b64encode(digest).rstrip(b"=").decode()


def shown(request: web.Request) -> str | None:
    """The token in Authorization: Bearer, or Basic with any user; None if there is neither.

    What cannot be read is "", which is no token.
    """
    texts = request.headers.getall("Authorization", [])
    kinds = [text.partition(" ")[0].lower() for text in texts]
    if not {"bearer", "basic"} & set(kinds):
        return None
    if len(texts) > 1:
        return ""
    value = texts[0].partition(" ")[2].strip()
    return value if kinds == ["bearer"] else _password(value)


def same(left: str, right: str) -> bool:
    """Whether two texts are equal, in a time that does not tell how far they are."""
    return hmac.compare_digest(_bytes(left), _bytes(right))


def challenge(request: web.Request) -> str:
    """What WWW-Authenticate asks for.

    A browser answers Basic by asking the user for a password. That is wanted where it opens a
    page, and not in the middle of one, whose script can say better what to do.
    """
    bearer = 'Bearer realm="nodegraph"'
    return f'{bearer}, Basic realm="nodegraph"' if _may_ask(request) else bearer


def _may_ask(request: web.Request) -> bool:
    headers = request.headers
    if "Sec-Fetch-Mode" in headers:
        return headers["Sec-Fetch-Mode"] == "navigate"
    browser = headers.get("User-Agent", "").startswith("Mozilla/")
    return not browser or "text/html" in headers.get("Accept", "")


def _password(value: str) -> str:
    try:
        decoded = binascii.a2b_base64(value, strict_mode=True)
    except ValueError:  # also for what is not ASCII
        return ""
    return decoded.partition(b":")[2].decode(errors="surrogateescape")


def _bytes(text: str) -> bytes:
    # Bytes that are not UTF-8 come as halves of characters, other halves never do.
    return text.encode(errors="backslashreplace")

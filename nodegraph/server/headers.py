"""Headers of every answer: what browsers may do with it.

What is not a page of ours can run nothing and load nothing, whatever is in it. A handler whose
answer is a page says so by setting Content-Security-Policy to PAGE_CSP.
"""

from __future__ import annotations

from types import MappingProxyType

from aiohttp import web

CSP = "Content-Security-Policy"

DEFAULT_CSP = "default-src 'none'; frame-ancestors 'none'; sandbox"
PAGE_CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "font-src 'self'; media-src 'self' blob:; connect-src 'self'; worker-src 'self'; "
    "manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'self'; "
    "object-src 'none'"
)

USUAL = MappingProxyType(
    {
        CSP: DEFAULT_CSP,
        "Cross-Origin-Resource-Policy": "same-origin",
        "Referrer-Policy": "no-referrer",
        "X-Frame-Options": "SAMEORIGIN",
    }
)


def safe_headers(response: web.StreamResponse) -> None:
    """Add what the handler did not choose itself."""
    headers = response.headers
    if headers.get(CSP) == PAGE_CSP:
        # Under no-referrer a form of our own page would be sent with `Origin: null`.
        headers.setdefault("Referrer-Policy", "same-origin")
    for name, value in USUAL.items():
        headers.setdefault(name, value)
    headers["X-Content-Type-Options"] = "nosniff"
    headers["Server"] = "nodegraph"  # and not the versions of Python and aiohttp

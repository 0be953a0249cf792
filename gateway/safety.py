"""Headers that tell a browser, and caches, how little they may do with an answer. Around hop 8.

Every response has them, whoever made it: http.py adds those that are not there.
"""

from collections.abc import Iterable, Mapping
from typing import Any

YEAR = 365 * 86_400  # seconds

ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    # What is no page runs nothing; pages have a policy of their own (api/pages.py).
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    # Caches know that an answer to `Authorization` is one client's, and do not of `X-API-Key`.
    "Cache-Control": "no-store",
}
BY_TLS = {"Strict-Transport-Security": f"max-age={YEAR}"}
"""Where the client's connection is TLS, as a proxy that is trusted says (CROFAI_TRUSTED_PROXIES)."""


def missing(headers: Iterable[tuple[bytes, bytes]], environ: Mapping[str, Any]) -> list[tuple[bytes, bytes]]:
    """What a response with these headers still needs. ProxyFix has set the scheme of `environ` by then."""
    there = {name.lower() for name, _ in headers}
    return [pair for name, pair in _WANTED[environ.get("wsgi.url_scheme") == "https"] if name not in there]


def _encoded(headers: Mapping[str, str]) -> list[tuple[bytes, tuple[bytes, bytes]]]:
    """Headers as they are written, by how they are compared."""
    return [(name.lower().encode(), (name.encode(), value.encode())) for name, value in headers.items()]


_WANTED = {False: _encoded(ALWAYS), True: _encoded(ALWAYS | BY_TLS)}
"""By whether the client's connection is TLS."""

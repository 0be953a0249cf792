"""Where clients come from, and which of them send too many wrong keys."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Any

from cachetools import TTLCache

from shared.errors import TooManyWrongKeys

MINUTE = 60.0  # seconds
MOST_ADDRESSES = 50_000  # that have sent a wrong key within a minute; of more, the oldest are forgotten
LONGEST = 64  # characters of what is no address


def client_address(environ: Mapping[str, Any]) -> str:
    """Whose address a request came from; of IPv6 the network of 64 bits, of which one client has all.

    Proxies that are trusted have put it there by then (see app.py).
    """
    text = str(environ.get("REMOTE_ADDR") or "")
    address = _parse(text)
    if isinstance(address, IPv6Address):
        return str(address.ipv4_mapped or IPv6Network((address, 64), strict=False))
    return str(address or text[:LONGEST])


def _parse(text: str) -> IPv4Address | IPv6Address | None:
    # Some proxies tell the port, too, which every connection has anew.
    host = text[1:].partition("]")[0] if text.startswith("[") else text
    for candidate in (host, host.rpartition(":")[0]):
        try:
            return ip_address(candidate)
        except ValueError:
            pass
    return None


@dataclass
class _Count:
    since: float
    wrong: int = 0


class WrongKeys:
    """Counts wrong keys by address, of which `most` within a minute are put up with. `now` is in seconds."""

    def __init__(self, most: int, now: Callable[[], float]) -> None:
        self._most = most
        self._now = now
        self._counts: TTLCache[str, _Count] = TTLCache(MOST_ADDRESSES, MINUTE, timer=now)

    def check(self, address: str) -> None:
        """Raises TooManyWrongKeys, until a minute after the first of them."""
        count = self._counts.get(address)
        if count and count.wrong >= self._most:
            raise TooManyWrongKeys().after(count.since + MINUTE - self._now())

    def note(self, address: str) -> None:
        """One more came from there. No address is that of nobody in particular, whom nothing is held against."""
        if not address:
            return
        count = self._counts.get(address)
        if count is None:
            count = self._counts[address] = _Count(self._now())
        count.wrong += 1

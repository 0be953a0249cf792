"""Hop 2, first half: an API key → who holds it."""

import logging
import threading
from collections.abc import Callable

from cachetools import TTLCache

from shared.accounts import Accounts, Holder
from shared.errors import AccountsUnreachable, InvalidKey, SetupError

log = logging.getLogger(__name__)

CACHE_SECONDS = 1.0  # how long a revoked key may still work
CACHE_KEYS = 10_000


class Keyring:
    """Looks up keys, and remembers them for a second, so that a busy client costs few queries."""

    def __init__(self, accounts: Accounts, now: Callable[[], float]) -> None:
        self._accounts = accounts
        self._known: TTLCache[str, Holder] = TTLCache(CACHE_KEYS, CACHE_SECONDS, timer=now)
        self._lock = threading.Lock()

    def holder(self, secret: object) -> Holder:
        """Whose key this is. Raises InvalidKey for anything that is not a valid key."""
        if not isinstance(secret, str) or not secret.isascii() or not secret:
            raise InvalidKey
        with self._lock:
            known = self._known.get(secret)
        if known is None:
            known = self._find(secret)
            if known is None:
                raise InvalidKey("This API key is unknown or revoked.")
            with self._lock:
                self._known[secret] = known
        return known

    def _find(self, secret: str) -> Holder | None:
        try:
            return self._accounts.find(secret)
        except SetupError as error:
            log.error("%s", error)
            raise AccountsUnreachable from error

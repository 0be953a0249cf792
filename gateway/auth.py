"""Hop 2, first half: an API key → who holds it.

The database is read and written in threads: one that is slow, or locked by another program, holds up the
requests whose keys are not known, and nobody else.
"""

import logging
import time
from collections.abc import Callable

import gevent
from cachetools import TTLCache

from gateway.addresses import WrongKeys
from gateway.threads import Threads
from shared.accounts import Accounts, Holder
from shared.errors import AccountsUnreachable, AccountSuspended, InvalidKey, SetupError

log = logging.getLogger(__name__)

FRESH = 1.0  # seconds a revoked key may still work
STALE = 600.0  # the same, while the database does not answer
MOST_KEYS = 10_000
PATIENCE = 2.0  # seconds that a key which is known waits for the database
LONGEST = 10.0  # seconds for one that has not been seen: longer than a database takes that is there
THREADS = 4
MOST_ASKING = 200  # lookups at once
MOST_WRONG = 20  # keys from one address within a minute
NOTE_INTERVAL = 30.0  # seconds between notes of which keys were used


class Keyring:
    """Looks up keys, and remembers them for a second, so that a busy client costs few queries.

    `now` is in seconds of any clock; `clock` is the time that keys expire by. Of wrong keys from one address,
    `most_wrong` within a minute are looked up.
    """

    def __init__(
        self,
        accounts: Accounts,
        now: Callable[[], float],
        *,
        clock: Callable[[], float] = time.time,
        most_wrong: int = MOST_WRONG,
    ) -> None:
        self._accounts = accounts
        self._clock = clock
        self._wrong = WrongKeys(most_wrong, now)
        self._fresh: TTLCache[str, Holder] = TTLCache(MOST_KEYS, FRESH, timer=now)
        self._stale: TTLCache[str, Holder] = TTLCache(MOST_KEYS, STALE, timer=now)
        self._used: set[str] = set()
        self._now = now
        self._down_until = float("-inf")
        self._threads = Threads(THREADS, MOST_ASKING)
        self._lookups: dict[str, gevent.Greenlet] = {}

    def holder(self, secret: object, address: str = "") -> Holder:
        """Whose key this is, which came from this address.

        Raises InvalidKey for anything that is not a valid key, TooManyWrongKeys and AccountSuspended.
        """
        try:
            known = self._holder(secret, address)
        except InvalidKey:
            self._wrong.note(address)
            raise
        if known.suspended:
            raise AccountSuspended
        self._used.add(known.key)
        return known

    def run(self) -> None:
        """Note, until killed, which keys were used."""
        while True:
            gevent.sleep(NOTE_INTERVAL)
            self.note_uses()

    def note_uses(self) -> None:
        """Write down which keys were used since the last time; if it fails, the next time does it."""
        used, self._used = self._used, set()
        try:
            self._threads.run(lambda: self._accounts.note_uses(used))
        except (SetupError, AccountsUnreachable) as error:
            self._used |= used
            log.warning("cannot note which keys were used: %s", error)

    def _holder(self, secret: object, address: str) -> Holder:
        if not isinstance(secret, str) or secret not in self._stale:
            # Whose key was right a while ago goes on, whatever others send from the same address.
            self._wrong.check(address)
        if not isinstance(secret, str) or not secret.isascii() or not secret:
            raise InvalidKey
        known = self._fresh.get(secret) or self._find(secret)
        if known.expires is not None and known.expires <= self._clock():
            raise InvalidKey
        return known

    def _find(self, secret: str) -> Holder:
        stale = self._stale.get(secret)
        if stale and self._now() < self._down_until:
            return stale
        asked = self._lookup(secret)
        asked.join(PATIENCE if stale else LONGEST)
        found: Holder | AccountsUnreachable | None = asked.get() if asked.ready() else AccountsUnreachable()
        if isinstance(found, AccountsUnreachable):
            self._down_until = self._now() + FRESH
            if stale:
                return stale
            raise found
        if found is None:
            raise InvalidKey
        return found

    def _lookup(self, secret: str) -> gevent.Greenlet:
        """Under way; those who come with the same key meanwhile wait for the same answer."""
        asked = self._lookups.get(secret)
        if asked is None:
            asked = self._lookups[secret] = gevent.spawn(self._ask, secret)
            asked.rawlink(lambda _: self._lookups.pop(secret))
        return asked

    def _ask(self, secret: str) -> Holder | AccountsUnreachable | None:
        """Ask the database, and learn from it, in a greenlet of its own: maybe nobody waits any more."""
        try:
            found = self._threads.run(lambda: self._accounts.find(secret))
        except SetupError as error:
            if self._now() >= self._down_until:
                log.error("%s", error)
            return AccountsUnreachable()
        except AccountsUnreachable as error:
            return error
        if found is None:
            self._fresh.pop(secret, None)
            self._stale.pop(secret, None)
        else:
            self._fresh[secret] = self._stale[secret] = found
        return found

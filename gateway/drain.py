"""What jobs have used goes from a Redis stream, into which their end puts it, to the ledger in SQL. After hop 6.

One gateway at a time does it. Nothing depends on that: the ledger takes each job once.
"""

import logging
from collections.abc import Callable
from typing import Any

import gevent
import msgspec
import redis

from gateway import metrics
from gateway.speeds import Speeds
from gateway.threads import Threads
from shared import redis_keys as keys
from shared.errors import AccountsUnreachable, RowRefused, SetupError
from shared.ledger import Ledger, UsageRow

log = logging.getLogger(__name__)

BATCH = 500  # entries
IDLE = 1.0  # seconds until the next look at a stream that had less than a batch: few transactions, of many rows
LONGEST = 30.0  # seconds between two tries while Redis or the database is away
TURN = 10_000  # milliseconds after which another gateway takes over from one that has died
MOST_REJECTED = 10_000  # entries that are kept for their operator

Entry = tuple[bytes, dict[bytes, bytes]]


class Drain:
    """Moves usage from Redis to SQL. `sleep` takes seconds."""

    def __init__(
        self,
        client: "redis.Redis",
        ledger: Ledger,
        gateway_id: str,
        threads: Threads,
        sleep: Callable[[float], None] = gevent.sleep,
    ) -> None:
        self._redis = client
        self._speeds = Speeds(client)
        self._ledger = ledger
        self._id = gateway_id.encode()
        self._threads = threads
        self._sleep = sleep

    def run(self) -> None:
        """Until killed."""
        wait = IDLE
        while True:
            try:
                while self.drain() == BATCH:
                    pass
                wait = IDLE
            except (redis.RedisError, SetupError, AccountsUnreachable) as error:
                if wait == IDLE:
                    log.warning("usage is not written down for now: %s", error)
                wait = min(2 * wait, LONGEST)
            self._sleep(wait)

    def drain(self) -> int:
        """Move a batch; how many entries it had. Raises redis errors, SetupError or AccountsUnreachable."""
        if not self._redis.xlen(keys.USAGE) or not self._has_turn():
            return 0
        entries: Any = self._redis.xrange(keys.USAGE, count=BATCH)
        if not entries:
            return 0
        rows, rejected = _read(entries)
        refused = self._record(rows)
        rejected += refused
        with self._redis.pipeline(transaction=True) as pipe:
            # In one step with their leaving the stream: an entry is never in neither.
            if rejected:
                pipe.lpush(keys.USAGE_REJECTED, *map(_as_json, rejected))
                pipe.ltrim(keys.USAGE_REJECTED, 0, MOST_REJECTED - 1)
            pipe.xdel(keys.USAGE, *(entry for entry, _ in entries))
            pipe.execute()
        unwritten = {entry for entry, _ in refused}
        written = [row for entry, (row, _) in rows.items() if entry not in unwritten]
        metrics.ended(written)
        self._speeds.note(written)
        for entry, _ in rejected:
            log.error("entry %s of the stream usage cannot be read: it is kept in usage:rejected", entry.decode())
        return len(entries)

    def _has_turn(self) -> bool:
        if self._redis.set(keys.USAGE_MUTEX, self._id, nx=True, px=TURN):
            return True
        if self._redis.get(keys.USAGE_MUTEX) != self._id:
            return False
        self._redis.pexpire(keys.USAGE_MUTEX, TURN)
        return True

    def _record(self, rows: dict[bytes, tuple[UsageRow, Entry]]) -> list[Entry]:
        """Write them down; those that the database refuses for what they are."""
        found = list(rows.values())
        try:
            self._threads.run(lambda: self._ledger.record([row for row, _ in found]))
        except RowRefused:
            if len(found) == 1:
                return [found[0][1]]
            return [entry for key, each in rows.items() for entry in self._record({key: each})]
        return []


def _read(entries: list[Entry]) -> tuple[dict[bytes, tuple[UsageRow, Entry]], list[Entry]]:
    """Rows by the ids of their entries, and the entries that are none."""
    rows: dict[bytes, tuple[UsageRow, Entry]] = {}
    rejected: list[Entry] = []
    for entry in entries:
        try:
            # A field that is empty is as good as missing.
            fields = {name.decode(): value.decode() for name, value in entry[1].items() if value}
            rows[entry[0]] = msgspec.convert(fields, UsageRow, strict=False), entry
        except (msgspec.ValidationError, UnicodeDecodeError):
            rejected.append(entry)
    return rows, rejected


def _as_json(entry: Entry) -> bytes:
    fields = {name.decode(errors="replace"): value.decode(errors="replace") for name, value in entry[1].items()}
    return msgspec.json.encode({"entry": entry[0].decode(), "fields": fields})

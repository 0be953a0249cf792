"""Usage goes from Redis to the ledger: once by job, whatever fails on the way, and nothing blocks the rest."""

import json
import time
from typing import Any

import gevent
import msgspec
import pytest
import redis

from gateway import drain
from gateway.drain import Drain
from gateway.threads import Threads
from shared import redis_keys as keys
from shared.errors import RowRefused, SetupError
from shared.ledger import Ledger, UsageRow

pytestmark = pytest.mark.integration


def make(client: "redis.Redis", ledger: Ledger, name: str = "gw1", **more: Any) -> Drain:
    return Drain(client, ledger, name, Threads(1, 1), **more)


def fields(job: str, **changes: Any) -> dict[str, Any]:
    """An entry, as a job's end writes it."""
    return {
        "job": job,
        "account": "acc",
        "key": "key",
        "model": "m",
        "tier": "free",
        "kind": "chat",
        "state": "succeeded",
        "prompt_tokens": "10",
        "completion_tokens": "5",
        "image_steps": "0",
        "images": "0",
        "units": "15",
        "created": "1700000000.25",
        "begun": "1700000001.5",
        "first": "1700000002",
        "ended": "1700000003.125",
    } | changes


def used(client: "redis.Redis", *entries: dict[str, Any]) -> None:
    for entry in entries:
        client.xadd(keys.USAGE, entry)


def test_what_was_used_is_moved(valkey: "redis.Redis", ledger: Ledger) -> None:
    never = fields("job_2", state="cancelled", begun="", prompt_tokens="0")
    del never["first"]
    used(valkey, fields("job_1"), never)
    assert make(valkey, ledger).drain() == 2
    assert valkey.xlen(keys.USAGE) == 0
    second, first = ledger.rows("acc")
    assert first == msgspec.convert(fields("job_1"), UsageRow, strict=False)
    assert (first.created, first.begun, first.ended, first.units) == (
        1700000000.25,
        1700000001.5,
        1700000003.125,
        15,
    )
    assert (second.job, second.state, second.begun, second.first) == ("job_2", "cancelled", None, None)
    assert make(valkey, ledger).drain() == 0


def test_more_than_a_batch_is_moved_in_several(
    valkey: "redis.Redis", ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drain, "BATCH", 4)
    used(valkey, *(fields(f"job_{number}") for number in range(10)))
    mover = make(valkey, ledger)
    assert [mover.drain() for _ in range(4)] == [4, 4, 2, 0]
    assert len(ledger.rows(None)) == 10


def test_one_gateway_at_a_time_and_another_when_it_has_died(valkey: "redis.Redis", ledger: Ledger) -> None:
    first, second = make(valkey, ledger, "gw1"), make(valkey, ledger, "gw2")
    used(valkey, fields("job_1"))
    assert (first.drain(), second.drain()) == (1, 0)
    used(valkey, fields("job_2"))
    assert (second.drain(), first.drain()) == (0, 1)
    assert 0 < valkey.pttl(keys.USAGE_MUTEX) <= drain.TURN
    used(valkey, fields("job_3"))
    valkey.delete(keys.USAGE_MUTEX)  # as it expires
    assert second.drain() == 1


def test_two_at_once_record_each_job_once(valkey: "redis.Redis", ledger: Ledger) -> None:
    class Late(Ledger):
        """Another gateway moves the same batch before this one does."""

        def record(self, rows: Any) -> None:
            ledger.record(rows)
            valkey.xtrim(keys.USAGE, maxlen=0)
            super().record(rows)

    used(valkey, fields("job_1"), fields("job_1"), fields("job_2"))
    assert make(valkey, Late(ledger._database)).drain() == 3
    assert {row.job for row in ledger.rows(None)} == {"job_1", "job_2"}
    assert valkey.xlen(keys.USAGE) == 0


def test_a_batch_whose_end_was_lost_is_moved_again(valkey: "redis.Redis", ledger: Ledger) -> None:
    used(valkey, fields("job_1"))
    [(_, values)] = valkey.xrange(keys.USAGE)
    assert make(valkey, ledger).drain() == 1
    valkey.xadd(keys.USAGE, values)  # type: ignore[arg-type]  # as though it had not left the stream
    assert make(valkey, ledger).drain() == 1
    assert len(ledger.rows(None)) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"units": "many"},
        {"units": "-1"},
        {"units": str(2**70)},
        {"created": "nan"},
        {"created": "inf"},
        {"state": "running"},
        {"kind": "audio"},
        {"job": ""},
        {"model": "a\0b"},
        {"model": b"\xff"},
        {"account": "x" * 1000},
    ],
)
def test_what_is_no_usage_is_put_aside(valkey: "redis.Redis", ledger: Ledger, changes: dict[str, Any]) -> None:
    used(valkey, fields("job_1"), fields("job_2") | changes, fields("job_3"))
    assert make(valkey, ledger).drain() == 3
    assert [row.job for row in ledger.rows(None)] == ["job_3", "job_1"]
    assert valkey.xlen(keys.USAGE) == 0
    [rejected] = valkey.lrange(keys.USAGE_REJECTED, 0, -1)
    assert json.loads(rejected)["fields"]["tier"] == "free"


def test_what_the_database_refuses_is_put_aside(valkey: "redis.Redis", ledger: Ledger) -> None:
    class Picky(Ledger):
        def record(self, rows: Any) -> None:
            if any(row.model == "bad" for row in rows):
                raise RowRefused("no")
            super().record(rows)

    used(valkey, fields("job_1"), fields("job_2", model="bad"), fields("job_3"))
    assert make(valkey, Picky(ledger._database)).drain() == 3
    assert [row.job for row in ledger.rows(None)] == ["job_3", "job_1"]
    assert valkey.llen(keys.USAGE_REJECTED) == 1


def test_the_stream_waits_while_the_database_is_away(
    valkey: "redis.Redis", ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    class Away(Ledger):
        up = False

        def record(self, rows: Any) -> None:
            if not self.up:
                raise SetupError("the database does not answer")
            super().record(rows)

    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        away.up = len(waits) >= 8
        if len(waits) == 10:
            raise gevent.GreenletExit

    away = Away(ledger._database)
    used(valkey, fields("job_1"))
    with pytest.raises(gevent.GreenletExit):
        make(valkey, away, sleep=sleep).run()
    assert waits == [2, 4, 8, 16, 30, 30, 30, 30, 1, 1]
    assert len(caplog.records) == 1
    assert len(ledger.rows(None)) == 1


def test_a_lot_is_moved_fast(valkey: "redis.Redis", ledger: Ledger) -> None:
    with valkey.pipeline(transaction=False) as pipe:
        for number in range(5000):
            pipe.xadd(keys.USAGE, fields(f"job_{number}"))
        pipe.execute()
    begun, mover = time.monotonic(), make(valkey, ledger)
    while mover.drain():
        pass
    assert time.monotonic() - begun < 20
    [total] = ledger.report(None, 0, 1e11, by=())
    assert total.requests == 5000


def test_what_is_moved_again_is_counted_once(
    valkey: "redis.Redis", ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what the database refuses is not."""
    counted: list[str] = []
    monkeypatch.setattr(drain.metrics, "ended", lambda rows: counted.extend(row.job for row in rows))
    used(valkey, fields("job_1"), fields("job_2", units="-1"))
    valkey.config_set("maxmemory", 1)  # what is put aside finds no room
    try:
        with pytest.raises(redis.RedisError):
            make(valkey, ledger).drain()
    finally:
        valkey.config_set("maxmemory", 0)
    assert counted == []
    assert make(valkey, ledger).drain() == 2
    assert counted == ["job_1"]

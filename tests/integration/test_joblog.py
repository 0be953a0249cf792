"""The job log on a real Valkey: numbers, fencing, repetition, loss."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import pytest
import redis
import redis.asyncio

from shared import redis_keys as keys
from shared.joblog import Append, JobLog, JobWriter, Start
from shared.lines import Lines
from shared.messages import Frame, decode_frames
from tests.cluster import Valkey
from tests.factories import admit, last, make_job, make_room, piece

pytestmark = pytest.mark.integration

T = TypeVar("T")


class Bench:
    """Both ends of the log, the worker's end called from synchronous code."""

    def __init__(self, server: Valkey) -> None:
        self._url = server.url
        self.log = JobLog(server.client, log_ttl=10)
        self.lines = Lines(server.client, log_ttl=10)
        self.redis = server.client

    def write(self, call: Callable[[JobWriter], Awaitable[T]], worker: str = "w1") -> T:
        async def run() -> T:
            async with redis.asyncio.Redis.from_url(self._url) as client:
                return await call(JobWriter(client, "m", worker, live_ttl=100, log_ttl=10))

        return asyncio.run(run())

    def admit(self, job_id: str = "job_1", reader: str = "r1", **changes: Any) -> None:
        """Into the queue: the model has room."""
        admit(self.lines, make_job(job_id, **changes), reader=reader)

    def begin(self, job_id: str = "job_1", most: int = 2, token: str | None = None) -> Start:
        return self.write(lambda writer: writer.begin(job_id, most, token or uuid.uuid4().hex))

    def append(self, *batch: Append) -> list[str]:
        return self.write(lambda writer: writer.append(batch))

    def texts(self, job_id: str = "job_1", after: int = 0) -> list[bytes]:
        return [bytes(chunk.payload) for chunk in self.log.read(job_id, after)]


@pytest.fixture
def bench(valkey_server: Valkey, valkey: "redis.Redis") -> Bench:
    bench = Bench(valkey_server)
    make_room(valkey)
    bench.admit()
    return bench


def two(attempt: int = 1) -> list[bytes]:
    return [piece(attempt, "a").encode(), piece(attempt, "b").encode()]


def test_chunks_are_numbered_and_read_from_a_cursor(bench: Bench) -> None:
    assert bench.begin() == Start("run", 1, 0)
    assert bench.append(Append("job_1", 1, 1, two())) == ["ok"]
    assert bench.append(Append("job_1", 1, 3, [piece(1, "c").encode()])) == ["ok"]
    assert [bytes(c.payload) for c in bench.log.read("job_1")] == [
        bytes(piece(1, text).payload) for text in ("a", "b", "c")
    ]
    assert bench.texts(after=2) == [bytes(piece(1, "c").payload)]
    assert bench.texts(after=3) == []


def test_one_message_carries_the_chunks_of_all_jobs_of_a_gateway(bench: Bench) -> None:
    bench.admit("job_2")
    bench.admit("job_3", reply_to="gw2")
    with bench.redis.pubsub() as pubsub:
        pubsub.subscribe(keys.gateway_channel("gw1"))
        assert pubsub.get_message(timeout=5)["type"] == "subscribe"
        for job_id in ("job_1", "job_2", "job_3"):
            bench.begin(job_id)
        begun = [decode_frames(pubsub.get_message(timeout=5)["data"]) for _ in range(2)]
        assert begun == [[Frame("job_1", 0, [])], [Frame("job_2", 0, [])]], "who waits learns that its job runs"
        batch = [Append(job_id, 1, 1, two()) for job_id in ("job_1", "job_2", "job_3")]
        assert bench.append(*batch) == ["ok"] * 3
        message = pubsub.get_message(timeout=5)
        assert pubsub.get_message(timeout=0.1) is None
    frames = decode_frames(message["data"])
    assert [(frame.job, frame.first, len(frame.chunks)) for frame in frames] == [("job_1", 1, 2), ("job_2", 1, 2)]


def test_an_attempt_that_is_over_writes_nothing(bench: Bench) -> None:
    bench.begin()
    assert bench.begin().attempt == 2
    assert bench.append(Append("job_1", 1, 1, two())) == ["fenced"]
    assert bench.texts() == []
    assert bench.append(Append("job_1", 2, 1, two(2))) == ["ok"]


def test_an_attempt_whose_number_was_given_again_is_over(bench: Bench) -> None:
    """Redis was killed, and forgot that the attempt had begun; another worker begins it."""
    bench.begin()
    bench.redis.hset(keys.job("job_1"), mapping={"state": "queued", "attempt": 0})
    assert bench.append(Append("job_1", 1, 1, two())) == ["fenced"]
    assert bench.write(lambda writer: writer.begin("job_1", 2, "token"), worker="w2") == Start("run", 1, 0)
    assert bench.append(Append("job_1", 1, 1, two())) == ["fenced"]
    assert bench.write(lambda writer: writer.append([Append("job_1", 1, 1, two())]), worker="w2") == ["ok"]


def test_a_repeated_append_writes_nothing_twice(bench: Bench) -> None:
    bench.begin()
    bench.append(Append("job_1", 1, 1, two()))
    assert bench.append(Append("job_1", 1, 1, two())) == ["ok"]
    assert bench.append(Append("job_1", 1, 2, [piece(1, "b").encode(), piece(1, "c").encode()])) == ["ok"]
    assert len(bench.texts()) == 3


def test_the_end_is_written_once_and_closes_the_log(bench: Bench) -> None:
    bench.begin()
    end = Append("job_1", 1, 1, [piece(1, "a").encode(), last(1).encode()], "succeeded")
    assert bench.append(end) == ["ok"]
    assert bench.append(end) == ["ok"]
    assert bench.append(Append("job_1", 1, 3, two())) == ["fenced"]
    assert bench.begin() == Start("ended", 1, 2)
    entry = bench.log.record("job_1")
    assert entry is not None
    assert entry.state == "succeeded"
    assert 0 < bench.redis.ttl(keys.log("job_1")) <= 10
    assert 0 < bench.redis.ttl(keys.job("job_1")) <= 10


def test_a_lost_tail_is_asked_for_again(bench: Bench) -> None:
    bench.begin()
    bench.append(Append("job_1", 1, 1, two()))
    bench.redis.rpop(keys.log("job_1"))
    assert bench.append(Append("job_1", 1, 3, [piece(1, "c").encode()])) == ["behind:1"]


def test_a_lost_record_is_told(bench: Bench) -> None:
    bench.begin()
    bench.redis.flushall()
    assert bench.append(Append("job_1", 1, 1, two())) == ["lost"]
    assert bench.begin() == Start("lost", 0, 0)
    assert bench.log.record("job_1") is None


def test_cancellation_is_told_to_the_writer_and_to_later_attempts(bench: Bench) -> None:
    bench.begin()
    bench.log.cancel("job_1", "m")
    assert bench.append(Append("job_1", 1, 1, two())) == ["cancelled"]
    assert bench.begin() == Start("cancelled", 2, 2)
    assert bench.append(Append("job_1", 2, 3, [last(2).encode()], "cancelled")) == ["ok"]


def test_cancelling_an_expired_job_leaves_nothing(bench: Bench) -> None:
    bench.redis.flushall()
    bench.log.cancel("job_1", "m")
    assert bench.redis.keys("*") == []
    assert bench.begin().verdict == "lost"


def test_a_start_repeated_after_another_is_over(bench: Bench) -> None:
    """Redis stayed away for longer than the lease, and another worker began in between."""
    assert bench.begin(token="a").attempt == 1
    assert bench.begin(token="b").attempt == 2
    assert bench.begin(token="a").verdict == "fenced"
    assert bench.begin(token="b") == Start("run", 2, 0)


def test_attempts_are_counted(bench: Bench) -> None:
    assert [bench.begin(most=2).verdict for _ in range(3)] == ["run", "run", "exhausted"]


def test_a_repeated_start_opens_no_second_attempt(bench: Bench) -> None:
    assert bench.begin(token="a") == bench.begin(token="a") == Start("run", 1, 0)
    assert bench.append(Append("job_1", 1, 1, two())) == ["ok"]
    assert bench.begin(token="b") == bench.begin(token="b") == Start("run", 2, 2)
    assert bench.append(Append("job_1", 1, 3, two())) == ["fenced"]
    assert bench.begin(token="c").verdict == bench.begin(token="c").verdict == "exhausted"


def test_many_chunks_in_one_call(bench: Bench) -> None:
    bench.begin()
    chunks = [piece(1, str(n)).encode() for n in range(1200)]
    assert bench.append(Append("job_1", 1, 1, chunks)) == ["ok"]
    assert [c.encode() for c in bench.log.read("job_1", most=2000)] == chunks
    pages = list(bench.log.pages("job_1"))
    assert [len(page) for page in pages] == [256, 256, 256, 256, 176]
    assert [c.encode() for page in pages for c in page] == chunks


def test_what_is_read_is_kept(bench: Bench) -> None:
    bench.begin()
    bench.append(Append("job_1", 1, 1, [last(1).encode()], "succeeded"))
    for key in (keys.job("job_1"), keys.log("job_1")):
        bench.redis.expire(key, 5)
    assert len(bench.log.read("job_1")) == 1
    assert all(bench.redis.ttl(key) > 5 for key in (keys.job("job_1"), keys.log("job_1")))


def test_the_last_reader_decides(bench: Bench) -> None:
    assert bench.log.claim("job_1", "gw2", "r2")
    bench.log.leave("job_1", "m", "r1")
    assert bench.begin().verdict == "run"
    bench.log.leave("job_1", "m", "r2")
    assert bench.begin().verdict == "cancelled"


def test_a_job_that_was_given_up_can_be_claimed_to_see_its_end_only(bench: Bench) -> None:
    assert bench.log.claim("job_1", "gw2", "r2", standing=True)
    bench.log.leave("job_1", "m", "r2")
    assert not bench.log.claim("job_1", "gw3", "r3", standing=True)
    assert bench.redis.hget(keys.job("job_1"), "reader") == b"r2"
    assert bench.log.claim("job_1", "gw3", "r3")


def test_a_job_that_is_gone_cannot_be_claimed(bench: Bench) -> None:
    assert not bench.log.claim("job_9", "gw2", "r2")
    assert bench.log.record("job_9") is None


def test_every_gateway_that_follows_gets_the_chunks(bench: Bench) -> None:
    bench.begin()
    for gateway in ("gw2", "gw3", "gw2"):
        bench.log.claim("job_1", gateway, "r")
    with bench.redis.pubsub() as pubsub:
        pubsub.subscribe("gw:gw1", "gw:gw2", "gw:gw3")
        for _ in range(3):
            assert pubsub.get_message(timeout=5)["type"] == "subscribe"
        bench.append(Append("job_1", 1, 1, two()))
        channels = [pubsub.get_message(timeout=5)["channel"] for _ in range(3)]
        assert pubsub.get_message(timeout=0.1) is None
    assert sorted(channels) == [b"gw:gw1", b"gw:gw2", b"gw:gw3"]


def test_who_leaves_later_may_come_back(bench: Bench) -> None:
    bench.log.leave_later("job_1", "m", "r1", 60)
    bench.log.sweep()
    assert bench.redis.zcard(keys.LEAVING) == 1
    bench.admit("job_2", "r2")
    for job_id, reader in (("job_1", "r1"), ("job_2", "r2")):
        bench.log.leave_later(job_id, "m", reader, -1)
    bench.log.claim("job_2", "gw2", "r3")
    bench.log.sweep()
    assert bench.begin("job_1").verdict == "ended"
    assert bench.begin("job_2").verdict == "run"


def test_a_crowd_that_left_does_not_keep_others_waiting(bench: Bench) -> None:
    for number in range(300):
        bench.log.leave_later(f"job_{number}", "m", "r1", number - 400)
    bench.log.sweep()
    assert bench.redis.zcard(keys.LEAVING) == 0
    assert bench.begin("job_1").verdict == "ended"

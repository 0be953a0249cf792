"""The lines before a model on a real Valkey: who is served next, what is reserved, and what is given back."""

import asyncio
import dataclasses
import itertools
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeVar

import msgspec
import pytest
import redis
import redis.asyncio

from gateway.line import Places
from gateway.roster import Roster
from shared import queues
from shared import redis_keys as keys
from shared.joblog import Append, JobLog, JobWriter, Start
from shared.lines import OVERDUE, Lines, Rates
from shared.messages import Chunk, EndState, Usage
from shared.registry import Registry, Report
from shared.tiers import MOST_LIMIT, Limits, Tier
from tests.cluster import Valkey
from tests.factories import admit, last, make_job, make_room, make_terms, piece

pytestmark = pytest.mark.integration

T = TypeVar("T")


class Model:
    """Model m: its lines, its queue, and a worker of one place that is always busy."""

    def __init__(self, server: Valkey) -> None:
        self._url = server.url
        self.redis = server.client
        self.lines = Lines(server.client, log_ttl=10)
        self.log = JobLog(server.client, log_ttl=10)

    def ask(self, job_id: str, account: str = "acc", tier: str = "free", **changes: float) -> None:
        verdict = admit(self.lines, make_job(job_id, account=account, tier=tier, **changes))
        assert verdict.refusal == ""

    def queue(self) -> list[str]:
        """Ids of the jobs in the queue, the first to be served first."""
        found = [message for name in queues.lists("m") for message in reversed(self.redis.lrange(name, 0, -1))]
        return [id_of(message) for message in found]

    def take(self) -> str | None:
        """The job that a worker would take now."""
        waiting = self.queue()
        if not waiting:
            return None
        for name in queues.lists("m"):
            if self.redis.rpop(name):
                break
        return waiting[0]

    def begin(self, job_id: str, tag: str = "") -> Start:
        """Open its next attempt."""
        return self._write(lambda writer: writer.begin(job_id, 9, f"token {job_id} {tag}", tag))

    def append(self, *chunks: Chunk, to: str, state: EndState | None = None, usage: Usage | None = None) -> str:
        """Write the first chunks of its first attempt."""
        append = Append(to, 1, 1, [chunk.encode() for chunk in chunks], state, usage or Usage())
        (verdict,) = self._write(lambda writer: writer.append([append]))
        return verdict

    def hand_over(self, job_id: str) -> None:
        self._write(lambda writer: writer.hand_over(job_id, 1))

    def end(self, job_id: str, usage: Usage | None = None) -> None:
        """Begin it, and end it."""
        self.begin(job_id)
        assert self.append(piece(1, "a"), last(1), to=job_id, state="succeeded", usage=usage) == "ok"

    def _write(self, call: Callable[[JobWriter], Awaitable[T]]) -> T:
        async def run() -> T:
            async with redis.asyncio.Redis.from_url(self._url) as client:
                return await call(JobWriter(client, "m", "w1", live_ttl=100, log_ttl=10))

        return asyncio.run(run())

    def serve(self, most: int = 1000) -> list[str]:
        """Take jobs and end them, one by one; their ids."""
        served: list[str] = []
        while len(served) < most and (job_id := self.take()) is not None:
            self.end(job_id)
            served.append(job_id)
        return served

    def rows(self) -> list[dict[str, str]]:
        """What the ledger is to have."""
        found = self.redis.xrange(keys.USAGE)
        return [{name.decode(): value.decode() for name, value in fields.items()} for _, fields in found]

    def counter(self, scope: str, seconds: int = 60) -> dict[str, int]:
        (name,) = self.redis.scan_iter(f"limit:{scope}:{seconds}:*")
        return {field.decode(): int(value) for field, value in self.redis.hgetall(name).items()}


@pytest.fixture
def model(valkey_server: Valkey, valkey: "redis.Redis") -> Model:
    make_room(valkey, places=1)
    return Model(valkey_server)


def id_of(message: bytes) -> str:
    return str(msgspec.json.decode(message)["properties"]["correlation_id"])


def owners(jobs: Iterable[str]) -> list[str]:
    return [job_id.split("-")[0] for job_id in jobs]


def test_a_job_goes_on_at_once_if_there_is_room(model: Model) -> None:
    model.ask("first")
    model.ask("second")
    assert model.queue() == ["first"]
    assert model.serve() == ["first", "second"]
    assert model.redis.zcard(keys.open_jobs("m")) == 0
    assert model.redis.zcard(keys.dispatched("m", "free")) == 0


def test_nothing_is_dispatched_without_a_worker(model: Model) -> None:
    model.redis.delete(keys.pool("m"))
    model.ask("first")
    assert (model.queue(), model.lines.waiting(["m", "n"])) == ([], [1, 0])
    make_room(model.redis, places=1)
    model.lines.tend(["m"], hold=60)
    assert model.queue() == ["first"]


def test_the_queue_stays_shallow(model: Model) -> None:
    make_room(model.redis, places=16)
    for number in range(100):
        model.ask(f"job-{number}")
    assert len(model.queue()) == 18, "all places, and one of eight ahead"


def test_accounts_take_turns(model: Model) -> None:
    for number in range(50):
        model.ask(f"big-{number}", "big")
    for account in "abc":
        model.ask(f"{account}-1", account)
    served = owners(model.serve())
    assert sorted(served[1:5]) == ["a", "b", "big", "c"], "within one round; one of the big one's had begun"
    assert served[5:] == ["big"] * 48


def test_many_jobs_of_few_accounts_are_shared_equally(model: Model) -> None:
    accounts = [f"acc{number}" for number in range(10)]
    for place, account in enumerate(accounts):
        for number in range(10 * (place + 1)):
            model.ask(f"{account}-{number}", account)
    served = Counter(owners(model.serve(100)))
    assert set(served.values()) <= {9, 10, 11}


def test_who_comes_back_is_not_served_for_the_time_it_was_away(model: Model) -> None:
    """One that sends its next job as soon as it is served gets its turn, and no more."""
    for number in range(30):
        model.ask(f"big-{number}", "big")
    order = []
    for number in range(10):
        model.ask(f"small-{number}", "small")
        order += owners(model.serve(2))
    assert Counter(order) == {"big": 10, "small": 10}


def test_cancelled_jobs_cost_no_turn(model: Model) -> None:
    for number in range(20):
        model.ask(f"a-{number}", "a")
    model.ask("b-1", "b")
    for number in range(1, 20):
        model.log.cancel(f"a-{number}", "m")
    model.ask("a-last", "a")
    model.ask("b-2", "b")
    assert owners(model.serve()) == ["a", "b", "a", "b"]


def test_weights_are_shares(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests import factories

    heavy = factories.TIERS["free"].model_copy(update={"id": "heavy", "weight": 3, "reserved": 0})
    light = factories.TIERS["free"].model_copy(update={"id": "light", "reserved": 0})
    monkeypatch.setattr(factories, "TIERS", {"heavy": heavy, "light": light})
    for number in range(40):
        model.ask(f"heavy-{number}", "h", "heavy")
        model.ask(f"light-{number}", "l", "light")
    served = Counter(owners(model.serve(40)))
    assert 29 <= served["heavy"] <= 31


def test_premium_goes_first_and_free_has_its_share(model: Model) -> None:
    for number in range(100):
        model.ask(f"free-{number}", tier="free")
        model.ask(f"premium-{number}", tier="premium")
    served = Counter(owners(model.serve(100)))
    assert served["free"] in (10, 11)


def test_the_reserved_share_is_no_bound(model: Model) -> None:
    for number in range(20):
        model.ask(f"free-{number}", tier="free")
    assert len(model.serve()) == 20


@pytest.mark.parametrize("way", ["cancel", "leave"])
def test_who_waits_and_leaves_ends_at_once(model: Model, way: str) -> None:
    model.ask("first")
    model.ask("second")
    if way == "cancel":
        model.log.cancel("second", "m")
    else:
        model.log.leave("second", "m", "r1")
    record = model.log.record("second")
    assert record is not None
    assert record.state == "cancelled"
    end = model.log.end("second")
    assert end is not None
    assert end.end is not None
    assert end.end.state == "cancelled"
    assert model.serve() == ["first"]
    assert [row["state"] for row in model.rows()] == ["cancelled", "succeeded"]


def test_who_waits_hears_that_it_has_ended(model: Model) -> None:
    model.ask("first")
    model.ask("second")
    with model.redis.pubsub() as pubsub:
        pubsub.subscribe("gw:gw1")
        assert pubsub.get_message(timeout=5)["type"] == "subscribe"
        model.log.cancel("second", "m")
        message = pubsub.get_message(timeout=5)
    job_id, number, chunks = msgspec.json.decode(message["data"])
    assert (job_id, number, chunks[0][3]["state"]) == ("second", 1, "cancelled")


def test_nobody_waits_beyond_its_deadline(model: Model) -> None:
    model.ask("first")
    model.ask("late", deadline=time.time() - 1)
    assert model.lines.tend(["m"], hold=60) == 1
    end = model.log.end("late")
    assert end is not None
    assert end.end is not None
    assert end.end.failure is not None
    assert end.end.failure.code == "timeout"
    assert model.serve() == ["first"]


def test_a_dispatched_job_that_no_worker_ends_is_ended(model: Model) -> None:
    model.ask("first", deadline=time.time() - OVERDUE - 1)
    assert model.take() == "first"
    model.ask("second")
    assert model.queue() == []
    assert model.lines.tend(["m"], hold=60) == 1
    assert model.queue() == ["second"]
    assert [row["state"] for row in model.rows()] == ["failed"]


def test_what_its_worker_never_ended_is_charged_for_what_was_said(model: Model) -> None:
    admit(model.lines, make_job("first", deadline=time.time() - OVERDUE - 1), make_terms(units=90, acc=Limits()))
    model.begin("first")
    used = Usage(prompt_tokens=7, completion_tokens=2, image_steps=1)
    assert model.append(piece(1, "a"), piece(1, "b"), to="first", usage=used) == "ok"
    assert model.lines.tend(["m"], hold=60) == 1
    end = model.log.end("first")
    assert end is not None
    assert end.end is not None
    assert (end.end.state, end.end.usage) == ("failed", used), "its client is told, too"
    (row,) = model.rows()
    assert [row[name] for name in ("prompt_tokens", "completion_tokens", "image_steps")] == ["7", "2", "1"]
    assert row["units"] == "9"
    assert model.counter("acc")["units"] == 9


def test_who_is_in_the_queue_and_leaves_ends_at_once(model: Model) -> None:
    """Without waiting for a worker to have room; none may ever come."""
    model.ask("first")
    model.ask("second")
    model.log.cancel("first", "m")
    assert [row["state"] for row in model.rows()] == ["cancelled"]
    assert model.queue() == ["second"], "its message is gone, and its place is another's"
    assert model.begin("first").verdict == "ended", "a worker that had taken it drops it"


def test_who_was_handed_over_and_leaves_ends_at_once(model: Model) -> None:
    model.ask("first")
    model.begin("first")
    model.append(piece(1, "a"), to="first", usage=Usage(completion_tokens=1))
    model.log.cancel("first", "m")
    assert model.rows() == [], "its worker ends it"
    model.hand_over("first")
    model.log.cancel("first", "m")
    assert [(row["state"], row["completion_tokens"]) for row in model.rows()] == [("cancelled", "1")]


def test_who_is_in_the_queue_waits_no_longer_for_a_worker_than_others(model: Model) -> None:
    """Its worker died before it had begun."""
    for job_id in ("begun", "queued"):
        make_room(model.redis, places=2)
        model.ask(job_id)
    model.begin("begun")
    model.redis.delete(keys.pool("m"))
    assert model.lines.tend(["m"], hold=20) == 0
    model.redis.hset("fair:m", "cold", str(time.time() - 25))
    model.redis.hset(keys.job("queued"), "created", str(time.time() - 25))
    model.redis.hset(keys.job("begun"), "created", str(time.time() - 25))
    assert model.lines.tend(["m"], hold=20) == 1
    assert [row["job"] for row in model.rows()] == ["queued"]
    assert model.queue() == ["begun"]


def report(registry: Registry, worker: str, **changes: Any) -> None:
    word = Report(id=worker, model="m", engine="simulated", state="ready", capacity=4, reported=time.time())
    registry.report(msgspec.structs.replace(word, **changes))


def test_a_worker_that_drains_leaves_the_others_their_places(model: Model) -> None:
    model.redis.delete(keys.pool("m"))
    registry = Registry(model.redis)
    report(registry, "leaving")
    for number in range(20):
        model.ask(f"job-{number}")
    assert [model.take() for _ in range(5)] == ["job-0", "job-1", "job-2", "job-3", None]
    report(registry, "leaving", state="draining", running=4)
    assert model.queue() == [], "it takes no more"
    assert model.lines.snapshot("m").capacity == 0
    report(registry, "other")
    assert len(model.queue()) == 4
    report(registry, "leaving", state="draining", running=1)
    for number in range(3):
        model.end(f"job-{number}")
    assert len(model.queue()) == 4
    registry.remove("leaving", "m")
    model.end("job-3")
    assert len(model.queue()) == 4


@pytest.mark.parametrize("before", ["premium", "free"])
def test_a_tier_whose_priority_changes_is_not_left_behind(
    model: Model, monkeypatch: pytest.MonkeyPatch, before: str
) -> None:
    """Each priority has a time of its own: who comes from one has no other's to wait for, and is not owed any."""
    from tests import factories

    tiers = dict(factories.TIERS)
    for number in range(60):
        model.ask(f"{before}-{number}", "old", before)
    model.serve(30)
    other = "free" if before == "premium" else "premium"
    moved = tiers[before].model_copy(update={"priority": tiers[other].priority, "reserved": 0})
    monkeypatch.setattr(factories, "TIERS", tiers | {before: moved})
    model.ask(f"{before}-last", "old", before)
    for number in range(20):
        model.ask(f"{other}-{number}", "new", other)
    served = Counter(job_id.split("-")[0] for job_id in model.serve(21)[1:])
    assert served == {before: 10, other: 10}


def test_a_share_that_is_taken_back_is_none(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests import factories

    model.redis.hset("fair:m", "credit:free", "1.5")
    tiers = dict(factories.TIERS)
    plain = tiers["free"].model_copy(update={"reserved": 0})
    monkeypatch.setattr(factories, "TIERS", tiers | {"free": plain})
    for number in range(5):
        model.ask(f"free-{number}", tier="free")
        model.ask(f"premium-{number}", tier="premium")
    assert owners(model.serve())[1:6] == ["premium"] * 5


def test_a_lone_free_job_has_its_share_of_a_large_pool_that_is_full(model: Model) -> None:
    """Where messages wait in the queue, too, premium's must not pass it there for ever."""
    make_room(model.redis, places=32)
    for number in range(60):
        model.ask(f"premium-{number}", "p", "premium")
    model.ask("free-1", "f", "free")
    served: list[str] = []
    while "free-1" not in served and len(served) < 60:
        served += model.serve(1)
        model.ask(f"premium-{60 + len(served)}", "p", "premium")
    assert len(served) <= 32 + 4 + 10, "after all that were in the queue, and a round of its share"


def test_a_job_whose_record_has_expired_is_forgotten(model: Model) -> None:
    """Nobody looked after it for long; another job keeps the lines."""
    model.ask("first")
    for job_id in ("late", "lost"):
        model.ask(job_id, deadline=time.time() + (-1 if job_id == "late" else 60))
        model.redis.delete(keys.job(job_id))
    model.ask("last")
    assert model.lines.tend(["m"], hold=60) == 0
    assert model.redis.zrange(keys.waiting("m", "free"), 0, -1) == [b"lost", b"last"]
    assert model.serve() == ["first", "last"]
    assert model.redis.zcard(keys.open_jobs("m")) == 0
    assert model.lines.waiting(["m"]) == [0]


def test_only_streams_have_a_first_chunk(model: Model) -> None:
    for job_id, streams in (("stream", True), ("whole", False), ("at once", True)):
        body = {"messages": [], "stream": streams}
        admit(model.lines, make_job(job_id, body=body))
        model.take()
        model.begin(job_id)
        if job_id != "at once":
            model.append(piece(1, "a"), to=job_id)
        model.append(piece(1, "a"), last(1), to=job_id, state="succeeded")
    assert {row["job"]: bool(row["first"]) for row in model.rows()} == {
        "stream": True,
        "whole": False,
        "at once": True,
    }


def test_what_was_used_is_told_to_whom_a_job_is_handed(model: Model) -> None:
    model.ask("first")
    assert model.begin("first").used == Usage()
    used = Usage(prompt_tokens=7, completion_tokens=1, image_steps=40)
    model.append(piece(1, "a"), to="first", usage=used)
    assert model.begin("first", "tag 2").used == used


def test_a_record_that_cannot_be_settled_is_lost_and_holds_up_no_other(model: Model) -> None:
    model.ask("first")
    model.begin("first")
    model.redis.hdel(keys.job("first"), "rates")
    assert model.append(piece(1, "a"), last(1), to="first", state="succeeded") == "lost"


def test_an_account_without_limits_may_use_more_than_any_limit(model: Model) -> None:
    """Scripts write large numbers as 1e+14, and the like."""
    most = make_terms(units=MOST_LIMIT, acc=Limits(requests_per_day=99))
    for number in range(11):
        assert admit(model.lines, make_job(f"job-{number}"), most).refusal == ""
    assert model.counter("acc", 86_400)["units"] == 11 * MOST_LIMIT


def test_jobs_wait_so_long_for_a_worker_and_no_longer(model: Model) -> None:
    model.redis.delete(keys.pool("m"))
    model.ask("first", created=time.time() - 30)
    assert model.lines.tend(["m"], hold=60) == 0
    assert model.lines.tend(["m"], hold=20) == 0, "for so long, no worker has been missed"
    model.redis.hset("fair:m", "cold", str(time.time() - 25))
    assert model.lines.tend(["m"], hold=20) == 1
    end = model.log.end("first")
    assert end is not None
    assert end.end is not None
    assert end.end.failure is not None
    assert end.end.failure.code == "model_unavailable"


def test_waiting_jobs_have_a_bound_for_each_tier(model: Model) -> None:
    model.ask("first")
    for number in range(2):
        model.ask(f"job-{number}")
    full = admit(model.lines, make_job("third"), most=2)
    assert (full.refusal, full.waiting) == ("queue", 2)
    assert model.log.record("third") is None
    assert admit(model.lines, make_job("job-1"), most=2).refusal == "", "a repeated call is no second job"
    assert admit(model.lines, make_job("fourth", tier="premium"), most=2).refusal == ""


def test_a_repeated_call_costs_nothing_more(model: Model) -> None:
    terms = make_terms(units=10, acc=Limits(units_per_minute=15, concurrent_jobs=1))
    for _ in range(2):
        assert admit(model.lines, make_job("first"), terms).refusal == ""
    assert model.counter("acc") == {"requests": 1, "units": 10, "images": 0}
    assert model.queue() == ["first"]


@pytest.mark.parametrize(
    ("limits", "refusal"),
    [
        (Limits(requests_per_minute=1), "requests"),
        (Limits(requests_per_day=1), "requests"),
        (Limits(units_per_minute=15), "units"),
        (Limits(units_per_day=19), "units"),
        (Limits(images_per_minute=3), "images"),
        (Limits(concurrent_jobs=1), "concurrent"),
        (Limits(units_per_minute=20, images_per_day=4, requests_per_minute=2, concurrent_jobs=2), ""),
    ],
)
def test_limits_hold_for_every_scope(model: Model, limits: Limits, refusal: str) -> None:
    for scopes in ({"acc": limits, "key": Limits()}, {"acc": Limits(), "key": limits}):
        model.redis.flushdb()
        terms = make_terms(units=10, images=2, **scopes)
        assert admit(model.lines, make_job("first"), terms).refusal == ""
        verdict = admit(model.lines, make_job("second"), terms)
        assert verdict.refusal == refusal
        assert (model.log.record("second") is None) == bool(refusal)
        if refusal and refusal != "concurrent":
            assert limits in (scopes[verdict.windows[verdict.at].scope],)
            assert model.counter("acc") == {"requests": 1, "units": 10, "images": 2}


def test_what_was_not_used_is_given_back(model: Model) -> None:
    terms = make_terms(units=100, acc=Limits(units_per_minute=150, concurrent_jobs=1))
    admit(model.lines, make_job("first"), terms)
    assert admit(model.lines, make_job("second"), terms).refusal == "concurrent"
    model.end("first", Usage(prompt_tokens=20, completion_tokens=30))
    for seconds in (60, 86_400):
        assert model.counter("acc", seconds) == {"requests": 1, "units": 50, "images": 0}
    assert admit(model.lines, make_job("second"), terms).refusal == ""
    assert model.counter("acc")["units"] == 150
    model.log.cancel("second", "m")
    assert model.counter("acc") == {"requests": 2, "units": 50, "images": 0}


def test_the_highest_limit_is_kept_to_the_unit(model: Model) -> None:
    limits = Limits(units_per_day=MOST_LIMIT, units_per_minute=MOST_LIMIT)
    first = make_terms(units=MOST_LIMIT - 7, acc=limits)
    admitted = admit(model.lines, make_job("first"), first)
    assert [window.units for window in admitted.windows] == [MOST_LIMIT - 7] * 2
    refused = admit(model.lines, make_job("second"), make_terms(units=8, acc=limits))
    assert (refused.refusal, refused.windows[refused.at].units) == ("units", MOST_LIMIT - 7)
    admitted = admit(model.lines, make_job("second"), make_terms(units=7, acc=limits))
    assert [window.units for window in admitted.windows] == [MOST_LIMIT] * 2
    model.end("first", Usage(prompt_tokens=3))
    assert model.counter("acc")["units"] == 10


def test_the_ledger_has_a_row_for_each_job(model: Model) -> None:
    terms = make_terms(units=100, acc=Limits())
    terms = dataclasses.replace(terms, rates=Rates(prompt=2, completion=3, step=5))
    admit(model.lines, make_job("first", created=1_700_000_000.25), terms)
    model.end("first", Usage(prompt_tokens=20, completion_tokens=30, image_steps=1))
    (row,) = model.rows()
    times = {name: float(row.pop(name)) for name in ("begun", "first", "ended")}
    assert row == {
        "job": "first",
        "account": "acc",
        "key": "key",
        "model": "m",
        "tier": "free",
        "kind": "chat",
        "state": "succeeded",
        "prompt_tokens": "20",
        "completion_tokens": "30",
        "image_steps": "1",
        "images": "0",
        "units": "135",
        "created": "1700000000.25",
    }
    assert time.time() - 5 < times["begun"] <= times["first"] <= times["ended"] < time.time() + 5


def test_a_snapshot_tells_who_waits(model: Model) -> None:
    assert model.lines.snapshot("n").tiers == []
    for job_id, account in (("a-1", "a"), ("a-2", "a"), ("a-3", "a"), ("b-1", "b")):
        model.ask(job_id, account)
    snapshot = model.lines.snapshot("m")
    (line,) = snapshot.tiers
    assert (snapshot.capacity, line.name, line.priority, line.dispatched) == (1, "free", 6, 1)
    assert {account.id: account.jobs for account in line.accounts} == {"a": ["a-2", "a-3"], "b": ["b-1"]}
    assert line.pace == 0
    model.serve()
    assert model.lines.snapshot("m").tiers[0].pace > 1


def test_a_snapshot_tells_for_how_long_there_is_no_worker(model: Model) -> None:
    model.ask("first")
    model.redis.delete(keys.pool("m"))
    assert model.lines.snapshot("m").cold == 0, "nobody has noticed it yet"
    model.redis.hset("fair:m", "cold", str(time.time() - 25))
    assert 25 <= model.lines.snapshot("m").cold < 30
    make_room(model.redis)
    assert model.lines.snapshot("m").cold == 0


def told(model: Model, ids: Iterable[str]) -> list[str]:
    """The jobs in the order in which they are told to be served."""
    places = Places(model.lines, Roster(model.redis), hold=60)
    positions: dict[int, str] = {}
    for job_id in ids:
        record = model.log.record(job_id)
        assert record is not None, job_id
        place = places.place(record)
        assert place is not None, job_id
        positions[place.position] = job_id
    assert sorted(positions) == list(range(1, len(positions) + 1))
    return [positions[number] for number in sorted(positions)]


@pytest.mark.parametrize("seed", range(12))
def test_jobs_are_served_in_the_order_that_is_told(
    model: Model, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """Accounts with lines of all lengths, who came and went, in tiers of all weights, priorities and shares."""
    from tests import factories

    dice = random.Random(seed)
    tiers = some_tiers(dice)
    monkeypatch.setattr(factories, "TIERS", tiers)
    owner = {f"acc{number}": dice.choice(list(tiers)) for number in range(8)}
    asked = itertools.count()

    def ask(count: int) -> None:
        for _ in range(count):
            account = dice.choice(list(owner))
            model.ask(f"job-{next(asked)}", account, owner[account])

    ask(80)
    model.serve(dice.randrange(60))
    ask(40)
    order = told(model, waiting_ids(model))
    begun = model.queue()
    assert model.serve() == begun + order


def some_tiers(dice: random.Random) -> dict[str, Tier]:
    """One to four, some with a reserved share of a number that has no end in binary or in decimal digits."""
    shares = [dice.choice([0, 0, 0.1, 0.25, 1 / 3, 0.07]) for _ in range(dice.randint(1, 4))]
    return {
        f"t{number}": Tier(
            id=f"t{number}",
            description="",
            priority=dice.choice([3, 6, 6]),
            weight=dice.choice([1, 3, 7]),
            reserved=share / max(1, sum(shares)),
        )
        for number, share in enumerate(shares)
    }


def test_a_free_job_among_premium_ones_is_told_when_its_share_is_due(model: Model) -> None:
    for number in range(40):
        model.ask(f"premium-{number}", tier="premium")
    model.ask("free-0", tier="free")
    assert "free-0" in told(model, waiting_ids(model))[9:12], "one of ten"


def waiting_ids(model: Model) -> list[str]:
    snapshot = model.lines.snapshot("m")
    return [job_id for line in snapshot.tiers for account in line.accounts for job_id in account.jobs]


def test_what_lasts_longest_is_told(model: Model) -> None:
    """Who comes again too early would only be refused again."""
    terms = make_terms(units=10, acc=Limits(units_per_minute=15, units_per_day=15))
    assert admit(model.lines, make_job("first"), terms).refusal == ""
    verdict = admit(model.lines, make_job("second"), terms)
    assert (verdict.refusal, verdict.windows[verdict.at].seconds) == ("units", 86_400)


def test_the_count_told_is_that_of_who_has_too_many(model: Model) -> None:
    many, one = Limits(concurrent_jobs=9), Limits(concurrent_jobs=1)
    for number in range(3):
        assert admit(model.lines, make_job(f"other-{number}"), make_terms(acc=many)).refusal == ""
    terms = make_terms(acc=many, key=one)
    assert admit(model.lines, make_job("first"), terms).running == 3
    verdict = admit(model.lines, make_job("second"), terms)
    assert (verdict.refusal, verdict.running) == ("concurrent", 1)


def test_only_dispatched_jobs_without_a_message_are_stranded(model: Model) -> None:
    make_room(model.redis, places=70)
    for number in range(80):
        model.ask(f"job_{number}", tier="free" if number % 2 else "premium")
    for number in range(10):
        message = model.redis.rpop("model.m:p6").decode()
        model.redis.hset(keys.lease("m"), f"tag {number}", f'[{message}, "", "model.m"]')
    assert model.lines.stranded("m", time.time() + 100) == []
    lost = id_of(model.redis.lpop("model.m:p3"))
    model.redis.hdel(keys.lease("m"), "tag 0")
    assert sorted(model.lines.stranded("m", time.time() + 100)) == sorted([lost, "job_1"])
    assert model.lines.stranded("m", time.time()) == []
    assert not model.lines.enqueue_again("job_1", time.time() - 60)
    assert model.lines.enqueue_again("job_1", time.time() + 1)
    assert model.lines.stranded("m", time.time() + 100) == [lost]


def test_a_job_at_a_worker_is_known_by_its_tag(model: Model) -> None:
    model.ask("first")
    model.take()
    model.begin("first", "tag 1")
    assert model.lines.stranded("m", time.time() + 100) == ["first"]
    model.redis.hset(keys.lease("m"), "tag 1", "not read")
    assert model.lines.stranded("m", time.time() + 100) == []

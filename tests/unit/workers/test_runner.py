"""The runner: every job gets exactly one end, whatever happens to it."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from shared.errors import EngineFailed, InvalidRequest
from shared.joblog import Append, Start
from shared.messages import Chunk, End, Job, Usage
from tests.factories import make_job
from workers.engines.base import Done, EngineDied, Meter, Piece, Stream
from workers.outbox import Outbox
from workers.runner import Runner

USED = Usage(prompt_tokens=7, completion_tokens=1)
"""What the engine's meter says at any time."""

Behaviour = Callable[[Job, Sequence[Chunk]], Stream]


class FakeLog:
    """Both of the writer's calls, kept in memory."""

    def __init__(self) -> None:
        self.start = Start("run", 1, 0)
        self.begun = 0
        self.written: list[Chunk] = []
        self.recorded: list[Chunk] = []
        self.handed_over: list[int] = []
        self.buried: list[str] = []
        self.verdict = "ok"
        self.used: list[Usage] = []  # of jobs without an end
        self.asked = False
        self.up = asyncio.Event()
        self.up.set()

    async def begin(self, job_id: str, most: int, token: str, tag: str) -> Start:
        self.begun += 1
        return self.start

    async def chunks(self, job_id: str) -> list[Chunk]:
        return self.recorded

    async def hand_over(self, job_id: str, attempt: int) -> None:
        self.handed_over.append(attempt)

    async def bury(self, job: Job, reason: str) -> None:
        self.buried.append(job.id)

    async def append(self, batch: Sequence[Append]) -> list[str]:
        self.asked = True
        await self.up.wait()
        for item in batch:
            self.written += [Chunk.decode(data) for data in item.chunks]
            if item.state is None:
                self.used.append(item.usage)
        return [self.verdict] * len(batch)

    @property
    def end(self) -> End:
        ends = [chunk.end for chunk in self.written if chunk.end]
        assert len(ends) == 1
        assert self.written[-1].end is ends[0]
        return ends[0]


class FakeLease:
    def __init__(self) -> None:
        self.forgotten: list[str] = []
        self.left: list[str] = []

    def forget(self, tag: str) -> None:
        self.forgotten.append(tag)

    async def hand_over(self, tag: str) -> None:
        self.left.append(tag)


class FakeEngine:
    """Does what the scenario says."""

    capacity = 4

    def __init__(self, behave: Behaviour) -> None:
        self._behave = behave
        self.started = asyncio.Event()

    def generate(self, job: Job, recorded: Sequence[Chunk], meter: Meter) -> Stream:
        meter.read = lambda: USED
        return self._behave(job, recorded)


class Bench:
    def __init__(self, behave: Behaviour) -> None:
        self.log = FakeLog()
        self.lease = FakeLease()
        self.deaths = 0
        self.done = True
        self.outbox = Outbox(self.log)  # type: ignore[arg-type]
        parts: Any = (FakeEngine(behave), self.outbox, self.log, self.lease)
        self.runner = Runner(*parts, max_attempts=2, on_death=self.die)

    def die(self) -> None:
        self.deaths += 1


async def two_words(job: Job, recorded: Sequence[Chunk]) -> Stream:
    yield Piece(payload=b'{"a":1}', tokens=[1])
    yield Piece(payload=b'{"a":2}', tokens=[2])
    yield Done(finish_reason="stop", usage=Usage(prompt_tokens=3, completion_tokens=2))


async def endless(job: Job, recorded: Sequence[Chunk]) -> Stream:
    yield Piece(payload=b"{}", tokens=[1])
    await asyncio.Event().wait()


def raises(error: Exception) -> Behaviour:
    async def behave(job: Job, recorded: Sequence[Chunk]) -> Stream:
        yield Piece(payload=b"{}", tokens=[1])
        raise error

    return behave


def play(behave: Behaviour, scenario: Callable[[Bench], Awaitable[None]]) -> Bench:
    async def limited() -> Bench:
        async with asyncio.timeout(5):
            bench = Bench(behave)
            writing = asyncio.create_task(bench.outbox.run())
            await scenario(bench)
            writing.cancel()
            return bench

    return asyncio.run(limited())


def run_one(behave: Behaviour, job: Job | None = None, start: Start | None = None, verdict: str = "ok") -> Bench:
    async def scenario(bench: Bench) -> None:
        bench.log.start = start or bench.log.start
        bench.log.verdict = verdict
        bench.done = await bench.runner.run(job or make_job(), "tag")
        assert bench.runner.running == []

    return play(behave, scenario)


def test_what_was_used_so_far_is_told_with_every_call() -> None:
    assert run_one(endless, make_job(deadline=time.time() + 0.05)).log.used == [USED]


def test_a_job_runs_to_its_end() -> None:
    log = run_one(two_words).log
    assert [bytes(chunk.payload) for chunk in log.written] == [b'{"a":1}', b'{"a":2}', b"null"]
    assert log.end.state == "succeeded"
    assert log.end.usage == Usage(prompt_tokens=3, completion_tokens=2)


def test_a_bad_request_ends_with_its_words() -> None:
    end = run_one(raises(InvalidRequest("no such thing", param="top_p"))).log.end
    assert end.failure is not None
    assert (end.state, end.failure.status, end.failure.param) == ("failed", 400, "top_p")
    assert end.usage.completion_tokens == 1


def test_a_bug_in_the_engine_ends_the_job_without_its_details() -> None:
    end = run_one(raises(RuntimeError("secret"))).log.end
    assert end.failure is not None
    assert end.failure.code == EngineFailed.code
    assert "secret" not in end.failure.message


def test_a_dead_engine_ends_the_worker_and_its_jobs_go_on_elsewhere() -> None:
    bench = run_one(raises(EngineDied("gone")))
    assert (bench.deaths, bench.done, bench.lease.left) == (1, False, ["tag"])
    assert [bytes(chunk.payload) for chunk in bench.log.written] == [b"{}"], "what was said, and no end"
    assert bench.log.handed_over == [], "it counts as an attempt that failed"


def test_who_leaves_hands_over_what_runs() -> None:
    async def scenario(bench: Bench) -> None:
        running = asyncio.create_task(bench.runner.run(make_job(), "tag"))
        while not bench.log.written:
            await asyncio.sleep(0)
        await bench.runner.hand_over()
        bench.done = await running
        assert not await bench.runner.run(make_job("job_2"), "tag2"), "begun too late"

    bench = play(endless, scenario)
    assert (bench.done, bench.lease.left, bench.log.handed_over) == (False, ["tag", "tag2"], [1, 1])


def test_an_attempt_that_is_over_leaves_the_message_alone() -> None:
    """Another worker has it now, under the same tag."""
    bench = run_one(two_words, verdict="fenced")
    assert (bench.done, bench.lease.forgotten, bench.lease.left) == (False, ["tag"], [])


def test_an_engine_that_stops_without_a_word_is_a_failure() -> None:
    async def silent(job: Job, recorded: Sequence[Chunk]) -> Stream:
        yield Piece(payload=b"{}", tokens=[1])

    assert run_one(silent).log.end.state == "failed"


def test_the_deadline_ends_a_job() -> None:
    end = run_one(endless, make_job(deadline=time.time() + 0.05)).log.end
    assert end.failure is not None
    assert (end.state, end.failure.status) == ("failed", 504)


def test_cancellation_ends_a_job() -> None:
    async def scenario(bench: Bench) -> None:
        running = asyncio.create_task(bench.runner.run(make_job(), "tag"))
        while not bench.log.written:
            await asyncio.sleep(0)
        bench.runner.cancel("another")
        bench.runner.cancel("job_1")
        await running

    assert play(endless, scenario).log.end.state == "cancelled"


def test_cancellation_ends_a_job_whose_attempt_is_being_opened() -> None:
    """The mark came after the attempt was opened, and the message before the answer that it is."""

    async def scenario(bench: Bench) -> None:
        running = asyncio.create_task(bench.runner.run(make_job(), "tag"))
        while not bench.runner.running:
            await asyncio.sleep(0)
        bench.runner.cancel("job_1")
        await running
        await bench.runner.run(make_job(), "tag2")

    log = play(two_words, scenario).log
    assert [chunk.end.state for chunk in log.written if chunk.end] == ["cancelled", "succeeded"]


def test_a_message_delivered_twice_runs_once() -> None:
    async def scenario(bench: Bench) -> None:
        await asyncio.gather(bench.runner.run(make_job(), "tag1"), bench.runner.run(make_job(), "tag2"))

    bench = play(two_words, scenario)
    assert bench.log.begun == 1
    assert (bench.lease.forgotten, bench.lease.left) == ([], [])
    assert bench.log.end.state == "succeeded"


def test_jobs_without_a_record_or_with_an_end_are_dropped() -> None:
    for verdict in ("lost", "ended"):
        assert run_one(two_words, start=Start(verdict, 1, 0)).log.written == []  # type: ignore[arg-type]


def test_a_job_cancelled_while_it_waited_is_not_started() -> None:
    log = run_one(two_words, start=Start("cancelled", 1, 0)).log
    assert (len(log.written), log.end.state) == (1, "cancelled")


def test_a_chat_that_was_seen_goes_on() -> None:
    async def scenario(bench: Bench) -> None:
        bench.log.start = Start("run", 2, 2)
        bench.log.recorded = [Chunk(1, [1, 2]), Chunk(1, [3])]
        await bench.runner.run(make_job(), "tag")

    async def behave(job: Job, recorded: Sequence[Chunk]) -> Stream:
        assert [chunk.tokens for chunk in recorded] == [[1, 2], [3]]
        yield Piece(payload=b"{}", tokens=[4])
        raise InvalidRequest("no more")

    log = play(behave, scenario).log
    assert [chunk.attempt for chunk in log.written] == [2, 2]
    assert log.end.usage.completion_tokens == 4, "all tokens of the answer are counted once"


def test_a_chat_that_was_not_seen_starts_afresh() -> None:
    assert run_one(two_words, start=Start("run", 2, 0)).log.end.state == "succeeded"


def test_an_image_always_starts_afresh() -> None:
    log = run_one(two_words, make_job(kind="image"), Start("run", 2, 3)).log
    assert log.end.state == "succeeded"


def test_too_many_attempts_end_the_job() -> None:
    log = run_one(two_words, start=Start("exhausted", 3, 0)).log
    assert (log.end.state, log.buried) == ("failed", ["job_1"])


def test_a_cancelled_job_keeps_what_earlier_attempts_have_used() -> None:
    end = run_one(two_words, start=Start("cancelled", 2, 1, Usage(prompt_tokens=7, image_steps=40))).log.end
    assert end.usage == Usage(prompt_tokens=7, image_steps=40)


def test_what_waits_for_redis_alone_is_no_work_of_the_engines() -> None:
    async def scenario(bench: Bench) -> None:
        bench.log.up.clear()
        running = asyncio.create_task(bench.runner.run(make_job(), "tag"))
        while not bench.log.asked:
            await asyncio.sleep(0)
        while bench.runner.progress is not None:
            await asyncio.sleep(0)
        assert bench.runner.running == ["job_1"]
        bench.log.up.set()
        await running

    play(two_words, scenario)


def test_progress_is_told_while_jobs_come_on() -> None:
    async def scenario(bench: Bench) -> None:
        assert bench.runner.progress is None
        running = asyncio.create_task(bench.runner.run(make_job(), "tag"))
        while not bench.log.written:
            await asyncio.sleep(0)
        assert bench.runner.progress == (0, USED.completion_tokens)
        bench.runner.cancel("job_1")
        await running
        assert bench.runner.progress is None

    play(endless, scenario)

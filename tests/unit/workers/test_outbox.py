"""The outbox: gathers while it writes, waits out an outage, and does what the log says."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from shared.joblog import Append
from shared.messages import Chunk, End
from tests.factories import piece
from workers import outbox as module
from workers.outbox import Line, Outbox


class FakeLog:
    """Takes appends as append.lua does, as long as it is up."""

    def __init__(self) -> None:
        self.calls: list[list[Append]] = []
        self.chunks: dict[str, list[bytes]] = {}
        self.verdict = "ok"
        self.up = asyncio.Event()
        self.up.set()
        self.failures = 0

    async def append(self, batch: Sequence[Append]) -> list[str]:
        self.calls.append(list(batch))
        if self.failures:
            self.failures -= 1
            raise RedisConnectionError("down")
        await self.up.wait()
        return [self._append(item) for item in batch]

    def _append(self, item: Append) -> str:
        log = self.chunks.setdefault(item.job_id, [])
        if len(log) < item.first - 1:
            return f"behind:{len(log)}"
        if self.verdict in ("ok", "cancelled"):
            log[item.first - 1 :] = item.chunks
        return self.verdict


class Stops:
    def __init__(self) -> None:
        self.verdicts: list[str] = []

    def __call__(self, verdict: str) -> None:
        self.verdicts.append(verdict)


END = End(state="succeeded")


def run(scenario: Any) -> None:
    """Run a scenario with a log and an outbox that is writing."""

    async def limited() -> None:
        async with asyncio.timeout(5):
            log = FakeLog()
            box = Outbox(log)  # type: ignore[arg-type]
            writing = asyncio.create_task(box.run())
            try:
                await scenario(log, box)
            finally:
                writing.cancel()

    asyncio.run(limited())


def put(line: Line, *texts: str) -> None:
    for text in texts:
        line.put(piece(line.attempt, text))


def test_what_is_put_during_a_call_goes_into_the_next() -> None:
    async def scenario(log: FakeLog, box: Outbox) -> None:
        log.up.clear()
        one, two = box.open("a", 1, 0, Stops()), box.open("b", 1, 0, Stops())
        put(one, "1")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        put(one, "2", "3")
        put(two, "x")
        log.up.set()
        assert await one.close(END) == "ok"
        assert await two.close(END) == "ok"
        assert len(log.calls[0]) == 1
        assert len(log.calls) <= 4
        assert len(log.chunks["a"]) == 4
        assert len(log.chunks["b"]) == 2

    run(scenario)


def test_who_waits_for_a_first_chunk_goes_first() -> None:
    async def scenario(log: FakeLog, box: Outbox) -> None:
        old = [box.open(name, 1, 0, Stops()) for name in "ab"]
        for line in old:
            put(line, "1")
            await line.flushed()
        log.up.clear()
        put(old[0], "2")
        put(new := box.open("c", 1, 0, Stops()), "1")
        put(old[1], "2")
        log.up.set()
        assert [await line.close(END) for line in (new, *old)] == ["ok"] * 3
        later = [[item.job_id for item in call] for call in log.calls[2:]]
        assert later[:2] == [["c"], ["a", "b"]]

    run(scenario)


def test_an_end_goes_with_what_was_said_last() -> None:
    async def scenario(log: FakeLog, box: Outbox) -> None:
        line = box.open("a", 1, 0, Stops())
        put(line, "1")
        line.finish(END)
        assert await line.close(End(state="failed")) == "ok"
        assert [[item.state for item in call] for call in log.calls] == [["succeeded"]], "the first end stands"

    run(scenario)


def test_the_state_goes_with_the_last_chunk_only() -> None:
    async def scenario(log: FakeLog, box: Outbox) -> None:
        line = box.open("a", 1, 0, Stops())
        for number in range(module.MOST_CHUNKS + 10):
            put(line, str(number))
        await line.close(END)
        states = [item.state for call in log.calls for item in call]
        assert states == [None, "succeeded"]
        assert len(log.chunks["a"]) == module.MOST_CHUNKS + 11

    run(scenario)


def test_an_outage_loses_nothing() -> None:
    async def scenario(log: FakeLog, box: Outbox) -> None:
        log.failures = 3
        line = box.open("a", 1, 5, Stops())
        log.chunks["a"] = [b"earlier"] * 5
        put(line, "1", "2")
        assert await line.close(END) == "ok"
        assert len(log.calls) > 3
        assert len(log.chunks["a"]) == 8

    run(scenario)


def test_a_lost_tail_is_written_again() -> None:
    async def scenario(log: FakeLog, box: Outbox) -> None:
        line = box.open("a", 1, 0, Stops())
        put(line, "1", "2", "3")
        while len(log.chunks.get("a", [])) < 3:
            await asyncio.sleep(0)
        del log.chunks["a"][1:]
        assert await line.close(END) == "ok"
        assert [Chunk.decode(data).payload for data in log.chunks["a"][:3]] == [
            piece(1, text).payload for text in "123"
        ]
        assert len(log.chunks["a"]) == 4

    run(scenario)


@pytest.mark.parametrize("verdict", ["fenced", "lost"])
def test_a_refusal_stops_the_job_for_good(verdict: str) -> None:
    async def scenario(log: FakeLog, box: Outbox) -> None:
        log.verdict = verdict
        stops = Stops()
        line = box.open("a", 1, 0, stops)
        put(line, "1")
        assert await line.closed == verdict
        put(line, "2")
        assert await line.close(END) == verdict
        assert stops.verdicts == [verdict]
        assert len(log.calls) == 1

    run(scenario)


def test_a_tail_lost_from_before_the_attempt_is_a_refusal() -> None:
    async def scenario(log: FakeLog, box: Outbox) -> None:
        stops = Stops()
        line = box.open("a", 2, 4, stops)
        put(line, "1")
        assert (await line.closed).startswith("behind")
        assert stops.verdicts == ["behind:0"]

    run(scenario)


def test_cancellation_stops_the_engine_but_the_end_is_written() -> None:
    async def scenario(log: FakeLog, box: Outbox) -> None:
        log.verdict = "cancelled"
        stops = Stops()
        line = box.open("a", 1, 0, stops)
        put(line, "1")
        while not stops.verdicts:
            await asyncio.sleep(0)
        assert await line.close(End(state="cancelled")) == "ok"
        assert len(log.chunks["a"]) == 2

    run(scenario)


def test_tokens_are_counted() -> None:
    async def scenario(log: FakeLog, box: Outbox) -> None:
        line = box.open("a", 1, 0, Stops())
        put(line, "1", "2")
        assert (line.tokens, box.tokens) == (2, 2)
        await line.close(END)

    run(scenario)

"""An inbox is bounded, in order, and knows when it lags."""

import sys

import gevent
import msgspec

from gateway.relay import Inbox
from shared.messages import Chunk, End, decode_frames
from tests.factories import piece


def chunks(*texts: str) -> list:
    return [piece(1, text) for text in texts]


def test_chunks_come_in_order_and_once() -> None:
    inbox = Inbox("j", bound=10_000)
    inbox.deliver(1, chunks("a", "b"))
    inbox.deliver(2, chunks("b", "c"))
    assert inbox.take(0) == chunks("a", "b", "c")
    assert inbox.take(3) == []
    assert not inbox.lagging


def test_chunks_before_the_cursor_are_dropped() -> None:
    inbox = Inbox("j", bound=10_000)
    inbox.deliver(1, chunks("a", "b", "c"))
    assert inbox.take(2) == chunks("c")


def test_a_gap_makes_it_lag() -> None:
    inbox = Inbox("j", bound=10_000)
    inbox.deliver(1, chunks("a"))
    inbox.deliver(3, chunks("c"))
    assert inbox.take(0) == chunks("a")
    assert inbox.lagging


def test_beyond_its_bound_it_keeps_nothing() -> None:
    inbox = Inbox("j", bound=1000)
    inbox.deliver(1, chunks("a", "b"))
    assert not inbox.lagging
    inbox.deliver(3, chunks("c", "d"))
    assert inbox.lagging
    assert inbox.take(0) == []
    inbox.deliver(5, chunks("e"))
    assert inbox.take(0) == []


def test_after_reading_the_log_it_takes_chunks_again() -> None:
    inbox = Inbox("j", bound=1000)
    inbox.lag()
    inbox.caught_up()
    inbox.deliver(8, chunks("h"))
    assert inbox.take(7) == chunks("h")


def test_waiting_ends_with_a_delivery() -> None:
    inbox = Inbox("j", bound=1000)
    waiting = gevent.spawn(inbox.wait, 0)
    gevent.sleep(0)
    assert not waiting.dead
    inbox.deliver(1, chunks("a"))
    waiting.join(5)
    assert waiting.successful()
    assert not inbox.stirred


def test_who_waits_in_vain_is_stirred() -> None:
    inbox = Inbox("j", bound=1000)
    waiting = gevent.spawn(inbox.wait, 0)
    inbox.tick()
    inbox.deliver(1, chunks("a"))
    inbox.tick()
    assert inbox.stirred
    assert not inbox.quiet, "something came meanwhile"
    inbox.tick()
    assert inbox.quiet
    inbox.tick()
    assert not inbox.quiet, "once in two ticks"
    inbox.tick()
    assert inbox.quiet
    waiting.join(5)
    assert waiting.successful()


def test_the_word_that_a_job_has_begun_is_no_chunk() -> None:
    inbox = Inbox("j", bound=1000)
    assert inbox.begun is None
    inbox.deliver(0, [])
    assert inbox.begun is not None
    assert inbox.take(0) == []


def test_what_comes_when_it_is_empty_is_taken_whatever_its_size() -> None:
    inbox = Inbox("j", bound=1000)
    inbox.deliver(1, chunks("a" * 2000))
    assert not inbox.lagging
    inbox.deliver(2, chunks("b"))
    assert inbox.lagging


def test_the_size_of_chunks_counts() -> None:
    inbox = Inbox("j", bound=5000)
    inbox.deliver(1, chunks("a"))
    inbox.deliver(2, chunks("b" * 2000))
    assert not inbox.lagging
    inbox.deliver(3, chunks("c" * 2000))
    assert inbox.lagging


def test_what_was_taken_counts_no_more() -> None:
    inbox = Inbox("j", bound=1000)
    for number in range(10):
        inbox.deliver(number + 1, chunks("a"))
        assert inbox.take(number) == chunks("a")
    assert not inbox.lagging


def test_what_waits_does_not_hold_the_message_it_came_with() -> None:
    """Which has the chunks of other jobs, too."""
    inbox = Inbox("j", bound=100_000)
    inbox.deliver(1, chunks("a"))
    message = msgspec.json.encode([["j", 2, chunks("b")]])[1:-1]
    before = sys.getrefcount(message)
    (frame,) = decode_frames(message)
    assert sys.getrefcount(message) > before
    inbox.deliver(frame.first, frame.chunks)
    del frame
    assert sys.getrefcount(message) == before
    assert inbox.take(0) == chunks("a", "b")


class Passing:
    """What goes past a reader; it is told whether it may."""

    def __init__(self, inbox: Inbox) -> None:
        self.went: list[tuple[int, list]] = []
        self.open = True
        inbox.express = self

    def __call__(self, number: int, some: list) -> bool:
        if self.open:
            self.went.append((number, some))
        return self.open


def waiting_at(inbox: Inbox, number: int) -> gevent.Greenlet:
    waiting = gevent.spawn(inbox.wait, number)
    gevent.sleep(0)
    return waiting


def test_chunks_go_past_a_reader_that_waits_for_them() -> None:
    inbox = Inbox("j", bound=1000)
    passing, waiting = Passing(inbox), waiting_at(inbox, 4)
    inbox.deliver(5, chunks("a", "b"))
    inbox.deliver(7, chunks("c"))
    assert [(number, [*some]) for number, some in passing.went] == [(6, chunks("a", "b")), (7, chunks("c"))]
    assert not waiting.dead
    assert not inbox.quiet
    inbox.stir()
    assert waiting.get(timeout=5) == 7, "it goes on behind them"
    assert inbox.take(7) == []


def test_what_the_client_does_not_take_is_the_readers_and_all_that_follows() -> None:
    inbox = Inbox("j", bound=1000)
    passing, waiting = Passing(inbox), waiting_at(inbox, 0)
    inbox.deliver(1, chunks("a"))
    passing.open = False
    inbox.deliver(2, chunks("b"))
    passing.open = True
    inbox.deliver(3, chunks("c"))
    assert waiting.get(timeout=5) == 1
    assert inbox.take(1) == chunks("b", "c")
    assert [number for number, _ in passing.went] == [1]


def test_nothing_goes_past_a_reader_that_does_not_wait_for_just_that() -> None:
    inbox = Inbox("j", bound=1000)
    passing = Passing(inbox)
    inbox.deliver(1, chunks("a"))
    assert inbox.take(0) == chunks("a"), "it is busy"
    waiting = waiting_at(inbox, 1)
    inbox.deliver(3, chunks("c"))
    assert waiting.get(timeout=5) == 1
    assert inbox.take(1) == []
    assert inbox.lagging
    assert passing.went == []


def test_the_end_and_what_fails_are_the_readers() -> None:
    inbox = Inbox("j", bound=1000)
    passing, waiting = Passing(inbox), waiting_at(inbox, 0)
    inbox.deliver(1, [Chunk(1, [], end=End(state="succeeded"))])
    assert waiting.get(timeout=5) == 0
    assert len(inbox.take(0)) == 1

    def fails(number: int, some: list) -> bool:
        raise ValueError("no JSON")

    inbox.express, waiting = fails, waiting_at(inbox, 1)
    inbox.deliver(2, chunks("a"))
    assert waiting.get(timeout=5) == 1
    assert inbox.take(1) == chunks("a")
    assert passing.went == []

"""An inbox is bounded, in order, and knows when it lags."""

import sys

import gevent
import msgspec

from gateway.relay import Inbox
from shared.messages import decode_frames
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
    waiting = gevent.spawn(inbox.wait)
    gevent.sleep(0)
    assert not waiting.dead
    inbox.deliver(1, chunks("a"))
    waiting.join(5)
    assert waiting.successful()
    assert not inbox.stirred


def test_who_waits_in_vain_is_stirred() -> None:
    inbox = Inbox("j", bound=1000)
    waiting = gevent.spawn(inbox.wait)
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

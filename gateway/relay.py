"""Hop 7: one subscriber greenlet per gateway process, and a bounded inbox per request.

A reader of an inbox is a cursor over the job's log. As long as it keeps up it is served from memory; when it
falls behind, or a message was lost, it reads on in the log from where it is. So a slow client costs no memory,
and a lost message costs milliseconds, never a token.
"""

import logging
import time
from collections import defaultdict, deque
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Any, get_args

import gevent
import msgspec
import redis
from gevent.event import Event
from redis.exceptions import RedisError

from gateway.outages import patiently
from gateway.presence import Presence
from shared import redis_keys as keys
from shared.errors import Cancelled, GatewayStopping, InvalidRequest, JobLost, Timeout
from shared.joblog import JobLog
from shared.messages import Chunk, EndState, decode_frames

log = logging.getLogger(__name__)

IDLE = 5.0  # seconds without a message after which a reader looks into the log
PAGE = 16  # chunks read at a time: a slow reader has to come back before the log expires
ENDED = get_args(EndState)
QUIET = 1.0  # seconds without a message, after which the connection is looked at
LOOK = 1.0  # seconds between looks whether the client is still there
TOGETHER = 50  # readers that look at the same moment
BESIDE = 300  # bytes that a chunk takes beside its payload, more or less
SMALL = 16_384  # bytes of chunks that may go past a reader: larger ones are for who can wait for the client
DROWSY = 4  # ticks after which a reader is woken to look around, though chunks go past it

Told = tuple[int, list[Chunk]]
"""Chunks, and the number of the last."""

Express = Callable[[int, list[Chunk]], bool]
"""Takes chunks past a reader that waits, and the number of the last; False if they are its own. No waiting."""


class Inbox:
    """Chunks of one job, as they are published. What comes when it is empty it always takes; then no more than
    `bound` bytes of memory, beyond which it only notes that it lags."""

    def __init__(self, job_id: str, bound: int) -> None:
        self.job_id = job_id
        self.lagging = False
        self.begun: float | None = None
        """Unix seconds at which a worker began the job, if that was heard."""
        self.stirred = False
        """Whether the reader is to look around, whatever has come."""
        self._bound = bound
        self._chunks: deque[tuple[int, Chunk]] = deque()
        self._size = 0
        self._ready = Event()
        self.quiet = False
        """Whether nothing came between the last two ticks."""
        self._came = True
        self.express: Express | None = None
        self._waits_after: int | None = None  # the last number that the reader has, while it waits
        self._asleep = 0  # ticks, since the reader began to wait

    def deliver(self, first: int, chunks: list[Chunk]) -> None:
        """Take published chunks, or the word that the job has begun, which has none; never blocks."""
        if not chunks:
            self.begun = time.time()
            return
        self._came, self.quiet = True, False
        size = sum([BESIDE + len(chunk.payload) for chunk in chunks])
        if size <= SMALL and self._passes(first, chunks):
            return
        if self.lagging or (self._chunks and self._size + size > self._bound):
            self.lag()
        else:
            # A payload is a view of its message, which has the chunks of other jobs, too. Here, or with a reader
            # that is writing it to a slow client, it may wait for long, and takes its own along.
            self._chunks.extend(enumerate(map(_alone, chunks), first))
            self._size += size
        self._ready.set()

    def _passes(self, first: int, chunks: list[Chunk]) -> bool:
        """Whether these have gone past the reader, which waits for just them. To wake it for each is half of what
        relaying a chunk costs."""
        last = first + len(chunks) - 1
        if self.express is None or self._waits_after != first - 1 or self._chunks or self.lagging:
            return False
        if self._asleep >= DROWSY:
            return False
        try:
            passed = chunks[-1].end is None and self.express(last, chunks)
        except Exception:
            log.exception("job %s: a chunk is not worded", self.job_id)
            return False  # the reader meets the same, where it is handled
        if passed:
            self._waits_after = last
        return passed

    def lag(self) -> None:
        """Messages were lost, or too many wait: the log has them all."""
        self.lagging = True
        self._empty()
        self._ready.set()

    def caught_up(self) -> None:
        """From now on take chunks again. Called before the log is read, so that nothing falls between."""
        self.lagging = False
        self._empty()

    def take(self, after: int) -> list[Chunk]:
        """All waiting chunks that follow number `after`; a gap makes the inbox lag."""
        self._ready.clear()
        taken: list[Chunk] = []
        while self._chunks:
            number, chunk = self._chunks.popleft()
            if number > after + len(taken) + 1:
                self.lag()
                break
            if number == after + len(taken) + 1:
                taken.append(chunk)
        self._size = 0
        return taken

    def stir(self) -> None:
        """Have the reader look around, though there may be nothing to take."""
        self.stirred = True
        self._ready.set()

    def tick(self) -> None:
        """Have the reader look around when it has read what comes next; at every other tick at once, if nothing
        has come since the last, which is to be quiet."""
        self.quiet = not self._came
        self._came = self.quiet
        self._asleep += 1
        self.stirred = True
        if self.quiet:
            self._ready.set()

    def wait(self, after: int) -> int:
        """Wait for something to take, or to be stirred, which ticks do at the latest: a timeout for each chunk
        would be a fifth of what relaying it costs. The reader has what comes up to `after`; what it has then is
        returned."""
        self._waits_after, self._asleep = after, 0
        try:
            self._ready.wait()
            return self._waits_after
        finally:
            self._waits_after = None

    def _empty(self) -> None:
        self._chunks.clear()
        self._size = 0


class Relay:
    """Receives this gateway's frames and deals them out. `run` must be running in a greenlet."""

    def __init__(
        self, client: "redis.Redis", gateway_id: str, joblog: JobLog, *, inbox_bytes: int, outage_timeout: float
    ) -> None:
        self._redis = client
        self._log = joblog
        self._channel = keys.gateway_channel(gateway_id)
        self._bound = inbox_bytes
        self._outage_timeout = outage_timeout
        self._inboxes: defaultdict[str, set[Inbox]] = defaultdict(set)
        self.listening = Event()
        self.has_listened = Event()  # at any time
        self._stopping = False

    @contextmanager
    def inbox(self, job_id: str) -> Iterator[Inbox]:
        """An inbox, open before the job is enqueued: pub/sub drops messages nobody hears."""
        inbox = Inbox(job_id, self._bound)
        self._inboxes[job_id].add(inbox)
        try:
            yield inbox
        finally:
            self._inboxes[job_id].remove(inbox)
            if not self._inboxes[job_id]:
                del self._inboxes[job_id]

    def follow(self, inbox: Inbox, deadline: float, presence: Presence, after: int = 0) -> Generator[Told]:
        """All chunks of a job that follow number `after`, in lists of what is there at the time; an empty list
        whenever there was none for a second, more or less.

        Ends after the chunk that has the job's end. Raises Timeout at the deadline (Unix seconds), Cancelled
        once the client has left, JobLost if the job's record is gone, QueueUnreachable if Redis stays away,
        GatewayStopping once `stop` says so, InvalidRequest if the job has ended with a smaller number.
        """
        with presence.watch(inbox.stir):
            yield from self._follow(inbox, deadline, presence, after)

    def _follow(self, inbox: Inbox, deadline: float, presence: Presence, cursor: int) -> Generator[Told]:
        idle = 0.0
        while True:
            cursor, chunks = self._catch_up(inbox, cursor) if inbox.lagging else _after(cursor, inbox.take(cursor))
            if chunks:
                idle = 0.0
                yield cursor, chunks
                if chunks[-1].end is not None:
                    return
            elif not inbox.lagging and inbox.stirred:
                self._look_around(inbox, deadline, presence)
                if inbox.quiet:
                    idle += LOOK
                    yield cursor, []
                if idle >= IDLE:
                    idle = 0.0
                    inbox.lag()
            elif not inbox.lagging:
                before, cursor = cursor, inbox.wait(cursor)
                idle = idle if cursor == before else 0.0

    def _look_around(self, inbox: Inbox, deadline: float, presence: Presence) -> None:
        """Whether to go on waiting: at a tick and not at every chunk, because that asks the kernel."""
        inbox.stirred = False
        if self._stopping:
            raise GatewayStopping
        if time.time() >= deadline:
            raise Timeout
        if presence.left():
            raise Cancelled

    def _catch_up(self, inbox: Inbox, cursor: int) -> Told:
        """The next page of the log; the inbox lags on while there may be more."""
        inbox.caught_up()
        chunks = self._read(inbox.job_id, cursor)
        if not chunks and self._has_ended(inbox.job_id):
            chunks = self._read(inbox.job_id, cursor)  # what came meanwhile
            if not chunks and (end := self._end(inbox.job_id)):
                self._check_number(inbox.job_id, cursor)
                # Once more: a Socket.IO client may have counted the end with the text before it, and come back
                # because it has not heard it.
                return cursor, [end]
        if chunks and chunks[-1].end is None:
            inbox.lagging = True
        return _after(cursor, chunks)

    def _read(self, job_id: str, after: int) -> list[Chunk]:
        return patiently(lambda: self._log.read(job_id, after, PAGE), self._outage_timeout)

    def _end(self, job_id: str) -> Chunk | None:
        return patiently(lambda: self._log.end(job_id), self._outage_timeout)

    def _check_number(self, job_id: str, number: int) -> None:
        """Raises InvalidRequest for a number that nobody was told. Only of a job that has ended is that certain:
        what Redis lost in a crash may be written again."""
        length = patiently(lambda: self._log.length(job_id), self._outage_timeout)
        if number > length:
            raise InvalidRequest(f"number {number}: the last event of this job has number {length}")

    def _has_ended(self, job_id: str) -> bool:
        """Raises JobLost if there is no such job any more."""
        job = patiently(lambda: self._log.record(job_id), self._outage_timeout)
        if job is None:
            raise JobLost
        return job.state in ENDED

    def stop(self, seconds: float) -> None:
        """Let readers come to their ends for so many seconds; then tell those that still wait to come again."""
        self._be_left(seconds)
        self._stopping = True
        for waiting in chain.from_iterable(list(self._inboxes.values())):
            waiting.stir()
        self._be_left(LOOK)

    def _be_left(self, seconds: float) -> None:
        """Wait until nobody reads any more, but no longer than that."""
        end = time.monotonic() + seconds
        while self._inboxes and time.monotonic() < end:
            gevent.sleep(0.05)

    def tick(self) -> None:
        """Until killed, have readers look around."""
        while True:
            gevent.sleep(LOOK / 2)
            for number, waiting in enumerate(list(chain.from_iterable(self._inboxes.values()))):
                waiting.tick()
                if number % TOGETHER == 0:
                    gevent.sleep(0)  # chunks come first

    def run(self) -> None:
        """Receive until killed, through any number of lost connections."""
        while True:
            try:
                self._listen()
            except RedisError as error:
                if self.listening.is_set():
                    log.warning("lost the connection to Redis: %s", error)
                self.listening.clear()
                gevent.sleep(0.25)

    def _listen(self) -> None:
        with self._redis.pubsub() as pubsub:  # type: ignore[no-untyped-call]
            pubsub.subscribe(self._channel)
            while True:
                self._receive(_message(pubsub))

    def _receive(self, message: dict[str, Any] | None) -> None:
        if message is None:
            return
        if message["type"] == "subscribe":
            # The first one, or one after a lost connection, in which messages may have been missed.
            if not self.listening.is_set():
                log.info("listening for chunks")
            self.listening.set()
            self.has_listened.set()
            for waiting in chain.from_iterable(list(self._inboxes.values())):
                waiting.lag()
        elif message["type"] == "message":
            self._deal(message["data"])

    def _deal(self, message: bytes) -> None:
        try:
            frames = decode_frames(message)
        except msgspec.MsgspecError as error:
            # Not from one of our workers, or from another version: their logs tell what it meant.
            log.error("a message that is no frames: %s", error)
            return
        for frame in frames:
            for inbox in self._inboxes.get(frame.job, ()):
                inbox.deliver(frame.first, frame.chunks)


def _message(pubsub: Any) -> dict[str, Any] | None:
    """The next message, or None. As `get_message` does, which asks the system before it reads whether there is
    one: a sixth of what relaying takes."""
    try:
        response = pubsub.connection.read_response(disconnect_on_error=False, push_request=True, timeout=QUIET)
    except redis.TimeoutError:
        pubsub.check_health()
        return None
    if pubsub.is_health_check_response(response):
        pubsub.health_check_response_counter -= 1
        return None
    message: dict[str, Any] | None = pubsub.handle_message(response)
    return message


def _alone(chunk: Chunk) -> Chunk:
    return Chunk(chunk.attempt, chunk.tokens, chunk.payload.copy(), chunk.end)


def _after(cursor: int, chunks: list[Chunk]) -> Told:
    return cursor + len(chunks), chunks

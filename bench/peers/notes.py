"""What is to be said of goals that were missed: what the profile shows, and what was tried."""

from collections.abc import Iterable, Iterator
from typing import Protocol

FEW = """
With few streams, what does not depend on their number weighs most. Fifty times a second the gateway wakes from
sleep, with cold caches, for 16 tokens, and each of the 16 writes wakes a client that had gone to sleep after
the one before: `perf stat` counts 600 changes of context a second, `strace` finds 78 % of the time in the
kernel in `send`. An idle gateway takes 0.75 % of a processor, for 25 looks a second at what may have happened.
Tried: a look at clients only while their readers are awake, one write in place of four layers, chunks that pass
their readers, fewer commands while nothing is to do; a token fell from 50 to about 30 µs. With more streams
that part is shared: a token costs 12 to 16 µs.
"""
HALF = """
Half of the most is too many here. The most are streams that go on; first tokens are measured of answers of 64
tokens, and 512 of those open at once are 400 requests a second beside 25,600 tokens a second: by the figures on
this page 0.8 of a core for the requests (gateway 0.86, worker 0.75, Redis 0.39 ms each) and 1.2 for the tokens
(11, 21 and 13 µs each), which is both cores, with the clients still to come. What is added is the wait for one.
Tried before, each in docs/decisions/0014-cost.md: first chunks are written first, jobs are tasks of the loop,
leases are noted together, connections without redis-py's pool; p99 fell from 88 to 7 ms at 192 streams.
"""
NOTES: dict[tuple[str, str], str] = {
    ("added time to the first token at half load, p50", "512 streams at 50 tokens/s"): HALF,
    ("added time to the first token at half load, p99", "512 streams at 50 tokens/s"): """
As above.
""",
    ("tokens per gateway CPU-second / LiteLLM's", "16 streams"): FEW,
    ("… / the bare Starlette server's own", "16 streams"): """
As above: the bare server writes its 16 tokens in one turn of its loop, before the client wakes.
""",
}
"""By the measure's name in the table, and its conditions."""


class Missed(Protocol):
    @property
    def what(self) -> str: ...

    @property
    def where(self) -> str: ...


def of(missed: Iterable[Missed]) -> Iterator[str]:
    """The notes on these, as paragraphs."""
    for goal in missed:
        if note := NOTES.get((goal.what, goal.where)):
            yield ""
            yield f"**{goal.what}, {goal.where}.** {' '.join(note.split())}"

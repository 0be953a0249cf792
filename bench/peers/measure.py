"""What is measured of one contender, in one round. Times are in seconds, memory in bytes, if no name says more."""

import itertools
import random
from collections.abc import Iterator
from contextlib import suppress

from bench.peers.contenders import LONGEST, Contender
from bench.peers.load import PATIENCE, Readers, Silent, percentile, readers, saturate

RAMP = 500.0  # streams opened a second, at most
SHORT = 64  # tokens of an answer whose beginning is measured
SOON = 10.0  # seconds in which streams begin at a system that can serve them
KEPT = 0.95  # of the pace: below it, streams are held up
COUNTS = (4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)

Figures = dict[str, float]


def streams(contender: Contender, count: int, pace: float, seconds: float, patience: float = PATIENCE) -> Figures:
    """So many streams that go on; those that have not begun in time count as none."""
    empty = contender.memory()
    with readers(contender.url) as load:
        load.open(contender.asking(stream=True, max_tokens=LONGEST), [1 / RAMP] * count)
        with suppress(Silent):
            load.begin(patience)
        load.read(1)
        cpu, commands = contender.cpu(), contender.commands()
        tokens = load.read(seconds, keep=True)
        spent = {name: after - cpu[name] for name, after in contender.cpu().items()}
        asked = contender.commands() - commands
        held = contender.memory()
        gaps = [abs(gap - 1 / pace) for gap in _gaps(load)]
        firsts = [each.first - each.asked for each in load.streams if each.first]
    if not gaps:
        return {"begun": float(len(firsts))}
    found = {
        "begun": float(len(firsts)),
        "tokens_per_second": tokens / seconds,
        "of_the_pace": tokens / seconds / (count * pace),
        "tokens_per_gateway_cpu_second": tokens / max(spent["gateway"], 0.01),
        "jitter_p50_ms": 1000 * percentile(gaps, 0.5),
        "jitter_p99_ms": 1000 * percentile(gaps, 0.99),
        "ttft_p50_ms": 1000 * percentile(firsts, 0.5),
        "gateway_kib_per_stream": max(held - empty, 0) / count / 1024,
        "gateway_mib": held / 2**20,
        "redis_commands_per_token": asked / tokens,
    }
    return found | {f"{name}_us_per_token": 1e6 * used / tokens for name, used in spent.items()}


def _gaps(load: Readers) -> Iterator[float]:
    for stream in load.streams:
        for earlier, later in itertools.pairwise(stream.arrivals):
            yield later - earlier


def whole(contender: Contender, clients: int, words: int, seconds: float) -> Figures:
    """Whole answers at saturation."""
    before = contender.cpu()
    done = saturate(contender.url, contender.asking(max_tokens=words), clients, seconds)
    spent = {name: after - before[name] for name, after in contender.cpu().items()}
    found = {
        "requests_per_second": done.answers / done.seconds,
        "requests_per_gateway_cpu_second": done.answers / max(spent["gateway"], 0.01),
        "latency_p50_ms": 1000 * percentile(done.latencies, 0.5),
        "latency_p99_ms": 1000 * percentile(done.latencies, 0.99),
    }
    return found | {f"{name}_us_per_request": 1e6 * used / done.answers for name, used in spent.items()}


def capacity(contender: Contender, pace: float, seconds: float) -> int:
    """The most streams, of those that are tried, which it serves at their pace."""
    kept = 0
    for count in COUNTS:
        if streams(contender, count, pace, seconds, SOON).get("of_the_pace", 0.0) < KEPT:
            break
        kept = count
    return kept


def first_tokens(contender: Contender, open_streams: int, pace: float, requests: int, seed: int) -> list[float]:
    """Until the first token, of requests that come at random times, so that this many streams are open at once on
    average."""
    chance = random.Random(seed)
    lasts = SHORT / pace
    with readers(contender.url) as load:
        asking = contender.asking(stream=True, max_tokens=SHORT)
        load.open(asking, (chance.expovariate(open_streams / lasts) for _ in range(requests)))
        load.finish()
        # The first ones came to a system that had nothing to do.
        return [each.first - each.asked for each in load.streams[requests // 5 :]]

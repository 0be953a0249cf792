"""Valkey is killed while a hundred streams are open, and starts again: all of them go on."""

import argparse
import random
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace

from bench.failover.stage import Outcome, asked, judged, stage, under_way
from tests.chaos.questions import echo
from tests.chaos.subject import SIMULATED
from tests.chaos.system import System
from tests.conftest import simulated_model

STREAMS = 100
PACE = 10  # tokens per second of each
WORDS = 150
DOWN = 5.0  # seconds


def killed(args: argparse.Namespace) -> Iterator[list[Outcome]]:
    """The worker's process must live on, and load its model once."""
    dice = random.Random(args.seed)
    models = {SIMULATED.model: simulated_model(tokens_per_second=PACE, capacity=STREAMS)}
    with stage(replace(SIMULATED, models=models, workers=1, lease=args.lease)) as system:
        for _ in range(args.outages):
            yield _outage(system, dice.randint(5, 50))


def _outage(system: System, pieces: int) -> list[Outcome]:
    questions = [echo(system.model, [f"s{stream}w{place}" for place in range(WORDS)]) for stream in range(STREAMS)]
    with ExitStack() as open_streams:
        opened = [open_streams.enter_context(asked(system, question)) for question in questions]
        for stream in opened:
            under_way(stream, pieces)
        struck = time.perf_counter()
        system.valkey.stop()
        time.sleep(DOWN)
        system.valkey.start()
    pairs = zip(questions, opened, strict=True)
    outcomes = [judged(system, question, stream, struck, attempts=1) for question, stream in pairs]
    for outcome in outcomes:
        outcome.wrong.extend(_worker_faults(system))
    return outcomes


def _worker_faults(system: System) -> list[str]:
    (place,) = system.workers
    loads = place.process.log.read_text().count("is ready")
    return (
        [] if place.process.alive and loads == 1 else [f"the worker loaded its model {loads} times, or has died"]
    )

"""The gateway that a client reads from is killed, and then the one it goes to: it loses and repeats nothing.

A third one is there, because one that was killed may take longer to start than an answer lasts.
"""

import argparse
import random
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from bench.failover.stage import PATIENCE, Outcome, log_faults, pauses, stage
from tests.chaos.audit import differences
from tests.chaos.client import Client
from tests.chaos.http_clients import EventsClient
from tests.chaos.ledger import Entry
from tests.chaos.questions import echo
from tests.chaos.schedule import Kind, Request
from tests.chaos.socket_client import SocketClient
from tests.chaos.subject import SIMULATED
from tests.chaos.system import System
from tests.cluster import connects, wait_for

WORDS = 150  # six seconds of them


def events(args: argparse.Namespace) -> Iterator[list[Outcome]]:
    """Server-sent events, taken up again with Last-Event-ID."""
    return _killed(args, "events", EventsClient)


def sockets(args: argparse.Namespace) -> Iterator[list[Outcome]]:
    """Socket.IO, taken up again with `resume`."""
    return _killed(args, "socket", SocketClient)


def _killed(args: argparse.Namespace, kind: Kind, client: type[Client]) -> Iterator[list[Outcome]]:
    dice = random.Random(args.seed)
    with stage(replace(SIMULATED, gateways=3, workers=1, lease=args.lease)) as system:
        for number in range(args.tries):
            question = echo(system.model, [f"r{number}w{place}" for place in range(WORDS)])
            request = Request(number=number, kind=kind, question=question, gateway=0, premium=True)
            entry = Entry(request, time.monotonic())
            yield [_struck_twice(system, client(system.urls, system.keys[True], entry, PATIENCE), dice)]


def _struck_twice(system: System, client: Client, dice: random.Random) -> Outcome:
    entry, strikes = client.entry, []
    reading = threading.Thread(target=client.run, daemon=True)
    reading.start()
    for number in range(2):
        _more(entry, dice.randint(15, 45))
        strikes.append(entry.now())
        system.gateways[number].process.kill()
    reading.join(PATIENCE)
    _restart(system)
    question = entry.request.question
    wrong = [*entry.faults, *differences(question, entry.text, entry.usage, entry.finish_reason)]
    if entry.end != "answered":
        wrong.append(f"ended with {entry.end!r}; its history: {entry.history}")
    wrong += log_faults(system, question, entry.jobs[-1], attempts=1)
    return Outcome(pauses(entry.times, strikes), wrong)


def _restart(system: System) -> None:
    """Have those that were killed back for the next try."""
    dead = [number for number, place in enumerate(system.gateways) if not place.process.alive]
    for number in dead:
        system.gateways[number].start()
    for number in dead:
        port = int(system.urls[number].rsplit(":", 1)[1])
        wait_for(partial(connects, port), PATIENCE, "a gateway to listen again", system.gateways[number].process)


def _more(entry: Entry, pieces: int) -> None:
    """Wait until so many more have come."""
    wanted = len(entry.times) + pieces
    wait_for(lambda: len(entry.times) >= wanted, PATIENCE, f"{wanted} pieces of an answer", every=0.005)

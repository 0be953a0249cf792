"""One run: clients ask, faults strike, and then everything is looked at."""

import itertools
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from tests.chaos.audit import Audit, Violation
from tests.chaos.client import Client
from tests.chaos.faults import Striker
from tests.chaos.http_clients import EventsClient, JsonClient, PollClient
from tests.chaos.ledger import Ledger
from tests.chaos.report import results
from tests.chaos.schedule import Kind, Request, Schedule, Strike
from tests.chaos.socket_client import SocketClient
from tests.chaos.system import System, system

CLIENTS: dict[Kind, type[Client]] = {
    "events": EventsClient,
    "json": JsonClient,
    "poll": PollClient,
    "socket": SocketClient,
}


def run(schedule: Schedule, folder: Path) -> dict[str, Any]:
    """Carry out a schedule on a system of its own in `folder`; what came of it, violations among it."""
    with system(folder, schedule.subject) as running:
        questions = schedule.subject.learn(running.urls[0], running.keys[True])
        running.forget_jobs()  # what was asked to learn is no part of the run
        requests = map(partial(schedule.request, questions=questions), itertools.count(1))
        ledger = Ledger()
        watching = threading.Event()
        watch = threading.Thread(target=_watch, args=(running, ledger, watching), daemon=True)
        watch.start()
        _play(schedule, requests, running, ledger)
        watching.set()
        watch.join(10)
        audit = Audit(running, ledger)
        audit.wait_for_rest()
        violations = audit.violations()
        violations += [Violation(what) for what in running.leave()]
        lives = {place.name: place.lives for place in running.places}
        return results(schedule, ledger, violations, audit.orphans, lives)


def _play(schedule: Schedule, requests: Iterator[Request], running: System, ledger: Ledger) -> None:
    """Ask and strike until the time is over, and wait for the answers."""
    striker = Striker(running, ledger.began)
    at_once = schedule.subject.clients
    with ThreadPoolExecutor(at_once) as clients, ThreadPoolExecutor(len(schedule.strikes) or 1) as strikes:
        asking = [clients.submit(_ask, schedule, requests, running, ledger) for _ in range(at_once)]
        striking = []
        for strike in schedule.strikes:
            time.sleep(max(0.0, strike.at - ledger.now()))
            striking.append(strikes.submit(_strike, striker, strike, ledger))
        for done in (*striking, *asking):
            done.result(schedule.duration + 2 * schedule.subject.patience)


def _ask(schedule: Schedule, requests: Iterator[Request], running: System, ledger: Ledger) -> None:
    """One client after the other, until the time is over."""
    while ledger.now() < schedule.duration:
        request = next(requests)
        entry = ledger.open(request)
        key, patience = running.keys[request.premium], schedule.subject.patience
        client = CLIENTS[request.kind](running.urls, key, entry, patience)
        try:
            client.run()
        except Exception as error:
            entry.wrong(f"what it got cannot be read: {error!r}")


def _strike(striker: Striker, strike: Strike, ledger: Ledger) -> None:
    try:
        striker.strike(strike)
    except Exception as error:
        ledger.trouble(f"{strike}: {error!r}")


def _watch(running: System, ledger: Ledger, stop: threading.Event) -> None:
    """Note the gateways' memory, and what ends by itself."""
    while not stop.wait(0.5):
        for what in running.revive():
            ledger.trouble(what)
        for place in running.gateways:
            try:
                ledger.memory.append((ledger.now(), f"{place.name} life {place.lives}", place.process.rss()))
            except psutil.Error:
                continue

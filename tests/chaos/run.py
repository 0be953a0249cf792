"""One run: clients ask, faults strike, and then everything is looked at."""

import itertools
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil

from tests.chaos.audit import Audit, Violation
from tests.chaos.client import PATIENCE, Client
from tests.chaos.faults import Striker
from tests.chaos.http_clients import EventsClient, JsonClient, PollClient
from tests.chaos.ledger import Ledger
from tests.chaos.report import results
from tests.chaos.schedule import Kind, Schedule, Strike
from tests.chaos.socket_client import SocketClient
from tests.chaos.system import System, system

CLIENTS: dict[Kind, type[Client]] = {
    "events": EventsClient,
    "json": JsonClient,
    "poll": PollClient,
    "socket": SocketClient,
}
AT_ONCE = 24  # clients


def run(schedule: Schedule, folder: Path) -> dict[str, Any]:
    """Carry out a schedule on a system of its own in `folder`; what came of it, violations among it."""
    with system(folder) as running:
        ledger = Ledger()
        watching = threading.Event()
        watch = threading.Thread(target=_watch, args=(running, ledger, watching), daemon=True)
        watch.start()
        _play(schedule, running, ledger)
        watching.set()
        watch.join(10)
        audit = Audit(running, ledger)
        audit.wait_for_rest()
        violations = audit.violations()
        violations += [Violation(what) for what in running.leave()]
        lives = {place.name: place.lives for place in running.places}
        return results(schedule, ledger, violations, audit.orphans, lives)


def _play(schedule: Schedule, running: System, ledger: Ledger) -> None:
    """Ask and strike until the time is over, and wait for the answers."""
    numbers = itertools.count(1)
    striker = Striker(running, ledger.began)
    with ThreadPoolExecutor(AT_ONCE) as clients, ThreadPoolExecutor(len(schedule.strikes) or 1) as strikes:
        asking = [clients.submit(_ask, schedule, running, ledger, numbers) for _ in range(AT_ONCE)]
        striking = []
        for strike in schedule.strikes:
            time.sleep(max(0.0, strike.at - ledger.now()))
            striking.append(strikes.submit(_strike, striker, strike, ledger))
        for done in (*striking, *asking):
            done.result(schedule.duration + 2 * PATIENCE)


def _ask(schedule: Schedule, running: System, ledger: Ledger, numbers: "itertools.count[int]") -> None:
    """One client after the other, until the time is over."""
    while ledger.now() < schedule.duration:
        request = schedule.request(next(numbers))
        entry = ledger.open(request)
        client = CLIENTS[request.kind](running.urls, running.keys[request.premium], entry)
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

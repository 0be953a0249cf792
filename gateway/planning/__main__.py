"""`python -m gateway.planning`: a plan from the ledger, for a gateway that has others to serve meanwhile.

Wish in on stdin, and Made or Failed out on stdout, as JSON. It is not for people: they have `crofai plan`.
"""

import os
import signal
import sys
import time
from pathlib import Path

import msgspec

from gateway.planning import report
from gateway.planning.demand import Usage, UsageError
from gateway.planning.planner import PlanError, plan
from gateway.planning.pools import Goal
from gateway.planning.recorded import recorded
from gateway.planning.wish import LONGEST, Failed, Made, Wish
from shared.catalog import load_catalog
from shared.errors import SetupError
from shared.ledger import Ledger
from shared.tiers import load_tiers

NICE = 10  # who waits for a plan can wait longer than who waits for an answer
GRACE = 10  # seconds after which a gateway that should have ended us is taken for gone
MOST_JOBS = 300_000
AT_ONCE = 2000  # rows


def main() -> None:
    os.nice(NICE)
    signal.alarm(int(LONGEST) + GRACE)
    wish = msgspec.json.decode(sys.stdin.buffer.read(), type=Wish)
    sys.stdout.buffer.write(msgspec.json.encode(_told(wish)))


def _told(wish: Wish) -> Made | Failed:
    try:
        return _made(wish)
    except TooMuch as error:
        return Failed(why="much", message=str(error))
    except UsageError as error:
        return Failed(why="used", message=str(error))
    except PlanError as error:
        return Failed(why="gpus", message=str(error))
    except SetupError as error:
        return Failed(why="machine", message=str(error))


class TooMuch(SetupError):
    """There are more jobs in that time than are planned from."""


def _made(wish: Wish) -> Made:
    used = _used(wish.url, time.time() - wish.seconds)
    if not used:
        raise UsageError("there is no usage in that time to plan from")
    catalog = load_catalog(_path(wish.models_file))
    tiers = load_tiers(_path(wish.tiers_file), catalog.models)
    week, unplanned = recorded(used, wish.running, catalog, tiers, wish.gpus)
    goal = Goal(wish.share, wish.within)
    made = plan(week.pools, week.arrivals, goal, wish.gpus, week.begin, week.end, by_hours=wish.by_hour)
    return Made(plan=report.as_json(made), unplanned=unplanned)


def _path(name: str | None) -> Path | None:
    return None if name is None else Path(name)


def _used(url: str, since: float) -> Usage:
    found, ledger, after, count = Usage(), Ledger(url), None, 0
    try:
        while rows := ledger.rows(None, since, after=after, limit=AT_ONCE):
            found.add(map(msgspec.structs.asdict, rows))
            after, count = rows[-1].job, count + len(rows)
            if count > MOST_JOBS:
                raise TooMuch(f"there are more than {MOST_JOBS} jobs in that time: look back less far")
    finally:
        ledger.close()
    return found


if __name__ == "__main__":
    main()

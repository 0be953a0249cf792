"""`python watchdog.py`: ends what `crofai up` leaves running if it is killed.

It reads from its standard input, a line each: `+N` process group N has started, `-N` it has ended. When the
input ends, which it does however its writer ends, the groups that are left get SIGTERM, then SIGKILL. A group
holds a child and all that it started itself, such as vLLM's engine, which the child's own death would not end.
"""

import os
import signal
import sys
import time

GRACE = 3.0  # seconds from SIGTERM to SIGKILL: nobody is left to take what a drain would finish
POLL = 0.05


def main() -> None:
    # What stops the writer from a terminal must not stop its watchdog first.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups: set[int] = set()
    for line in sys.stdin:
        group = int(line[1:])
        groups.add(group) if line[0] == "+" else groups.discard(group)
    end(groups)


def end(groups: set[int]) -> None:
    send(groups, signal.SIGTERM)
    deadline = time.monotonic() + GRACE
    while (groups := send(groups, 0)) and time.monotonic() < deadline:
        time.sleep(POLL)
    send(groups, signal.SIGKILL)


def send(groups: set[int], number: int) -> set[int]:
    """Send a signal to each group; those that still have a process."""
    alive = set()
    for group in groups:
        try:
            os.killpg(group, number)
            alive.add(group)
        except ProcessLookupError:
            pass
        except PermissionError:  # macOS: only zombies are left
            pass
    return alive


if __name__ == "__main__":
    main()

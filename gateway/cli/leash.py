"""`python leash.py PARENT COMMAND...`: become COMMAND, and get SIGTERM when the process PARENT dies.

Done here, after the fork and in a process of its own, because code between fork and exec of a process that has
threads may hang. Linux only; elsewhere watchdog.py does the same, a moment later.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(parent: int, command: list[str]) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != parent:
            # It died before the line above could take effect.
            sys.exit(1)
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])

"""Which `crofai up` runs on a data folder: a locked file, so that nothing is left to clean up after a crash."""

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from gateway.cli.failures import CommandFailed

MOMENT = 0.5  # seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """A running `crofai up`, and where it can be reached."""

    pid: int
    url: str
    redis_url: str


class Claim:
    """The right to run on a data folder."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file

    def publish(self, url: str, redis_url: str) -> None:
        """Let other commands find this instance."""
        self._file.truncate(0)
        self._file.write(json.dumps(asdict(Instance(pid=os.getpid(), url=url, redis_url=redis_url))))
        self._file.flush()


@contextlib.contextmanager
def claim(data_dir: Path) -> Iterator[Claim]:
    """Be the instance of this data folder. Raises CommandFailed if another one is."""
    with _file(data_dir).open("a+") as file:
        if not _lock_soon(file):
            other = _read(file)
            who = f"process {other.pid}, {other.url}" if other else "it is just starting"
            raise CommandFailed(
                f"crofai already runs on {data_dir.absolute()} ({who}). Stop it, or set CROFAI_DATA_DIR."
            )
        # The Redis URL may hold a password.
        _file(data_dir).chmod(0o600)
        file.truncate(0)
        yield Claim(file)


def _lock_soon(file: IO[str]) -> bool:
    """Commands that look whether an instance runs hold the lock for a moment."""
    deadline = time.monotonic() + MOMENT
    while not (locked := _lock(file)) and time.monotonic() < deadline:
        time.sleep(0.02)
    return locked


def running(data_dir: Path) -> Instance | None:
    """The instance that runs on this data folder, if one does."""
    try:
        with _file(data_dir).open("r+") as file:
            return None if _lock(file) else _read(file)
    except OSError:
        return None


def _file(data_dir: Path) -> Path:
    return data_dir / "up.lock"


def _lock(file: IO[str]) -> bool:
    """Take the lock, which the system drops when the file is closed or the process ends, however it ends."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read(file: IO[str]) -> Instance | None:
    file.seek(0)
    try:
        return Instance(**json.loads(file.read()))
    except (ValueError, TypeError):
        return None

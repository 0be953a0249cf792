"""Kombu's Redis transport with a lease in place of its visibility timeout. Hops 3 and 4.

Three things differ from kombu 5.7, whose own behaviour loses or doubles work when Redis restarts:

* A lost connection restores nothing. The engine goes on with its jobs; who else may have them is decided by
  the lease alone, which the worker extends from its engine's loop (workers/lease.py).
* An acknowledgement never raises into the worker's event loop. It is handed to `release`, which removes the
  message from the lease when Redis can be reached.
* Priority queues have names that people can read: `model.llama3:p6`.
"""

import logging
from collections.abc import Callable
from typing import Any

from kombu.transport import redis as kombu_redis
from kombu.transport import virtual

log = logging.getLogger(__name__)


class LeasedQoS(kombu_redis.QoS):
    """Bookkeeping of delivered messages: acknowledging one gives back its lease."""

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
    """A channel whose consumers hold leases. `release` is set through the transport options."""

    QoS = LeasedQoS
    do_restore = False
    release: Callable[[str], None]
    from_transport_options = (*kombu_redis.Channel.from_transport_options, "release")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.release = self._never_consumes
        super().__init__(*args, **kwargs)

    @staticmethod
    def _never_consumes(delivery_tag: str) -> None:
        log.error("message %s was acknowledged on a channel that holds no lease", delivery_tag)


class LeasedTransport(kombu_redis.Transport):
    """Named in Celery's `broker_transport`; takes redis:// and rediss:// URLs."""

    Channel = LeasedChannel

"""Hop 3: a job becomes a Celery message for its model's queue, which has a list for each step of priority."""

import base64
import ssl
import uuid
from typing import Any, Protocol

import msgspec
from celery import Celery

from shared import redis_keys as keys
from shared.messages import Job
from shared.settings import Settings

TASK = "crofai.run"

PRIORITY_STEPS = [0, 3, 6, 9]
"""Kombu keeps one list a step, for the priorities from there to the next; 0 is served first."""


class LeaseKeeper(Protocol):
    """What becomes of delivered messages, by their delivery tags. May be called in any thread; never raises."""

    def adopt(self, tag: str, message: bytes) -> None:
        """A message was delivered: note its lease as soon as it can be, and extend it from now on."""

    def release(self, tag: str) -> None:
        """It was acknowledged: it needs no lease any more."""


def make_celery(settings: Settings, *, model: str | None = None, keeper: LeaseKeeper | None = None) -> Celery:
    """A Celery application on our leased transport (shared/transport.py).

    A worker names the `model` whose queue it consumes, and the keeper of its leases. A producer gives neither.
    """
    app = Celery("crofai", set_as_current=False)
    options: dict[str, Any] = {
        "visibility_timeout": settings.lease,
        "unacked_restore_interval": max(1.0, settings.lease / 10),
        "unacked_restore_throttle": 1,
        "unacked_mutex_expire": 2,  # of a worker killed in mid-sweep, whose place another takes
        "priority_steps": PRIORITY_STEPS,
        "sep": keys.PRIORITY_SEPARATOR,
        "socket_timeout": 5,
        "socket_connect_timeout": 5,
        "socket_keepalive": True,
        "health_check_interval": 10,
    }
    if model is not None:
        options |= {
            "unacked_key": keys.lease(model),
            "unacked_index_key": keys.lease_index(model),
            "unacked_mutex_key": keys.lease_mutex(model),
        }
    if keeper is not None:
        options |= {"adopt": keeper.adopt, "release": keeper.release}
    app.conf.update(
        broker_url=settings.redis_url,
        broker_transport="shared.transport:LeasedTransport",
        broker_transport_options=options,
        broker_use_ssl=_tls(settings.redis_url),
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        task_acks_late=True,
        task_acks_on_failure_or_timeout=True,
        task_ignore_result=True,
        task_serializer="json",
        accept_content=["json"],
        task_default_delivery_mode="transient",
        worker_prefetch_multiplier=1,
        worker_enable_remote_control=False,
        worker_send_task_events=False,
        worker_hijack_root_logger=False,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        enable_utc=True,
    )
    return app


def _tls(url: str) -> dict[str, Any] | None:
    """Celery's own options for rediss://, which it takes for redis:// unless a transport is named so.

    Where the URL has options of its own, those are taken in place of these, and the same is checked.
    """
    return {"ssl_cert_reqs": ssl.CERT_REQUIRED} if url.startswith("rediss://") else None


class Envelope:
    """Writes jobs as the messages that Celery's workers take: of its protocol 2, as kombu has them in Redis.

    Scripts put them into a queue. A producer would be one more round trip, and would choose too early who is next.
    """

    def __init__(self, app: Celery) -> None:
        task = app.amqp.as_task_v2(_ANY, TASK, argsrepr="", kwargsrepr="", ignore_result=True)
        self._headers, self._embed = task.headers, task.body[2]

    def message(self, job: Job, priority: int) -> str:
        """The message of a job, new at each call."""
        body = msgspec.json.encode(([job.encode()], {}, self._embed))
        message = {
            "body": base64.b64encode(body).decode(),
            "content-encoding": "utf-8",
            "content-type": "application/json",
            "headers": self._headers | {"id": job.id, "root_id": job.id},
            "properties": {
                "correlation_id": job.id,
                "reply_to": "",
                "delivery_mode": 1,
                "delivery_info": {"exchange": "", "routing_key": keys.queue(job.model)},
                "priority": priority,
                "body_encoding": "base64",
                "delivery_tag": uuid.uuid4().hex,
            },
        }
        return msgspec.json.encode(message).decode()


def renewed(message: bytes) -> bytes:
    """The same message with another tag: whoever still has the first shares no lease with it."""
    fields = msgspec.json.decode(message)
    fields["properties"]["delivery_tag"] = uuid.uuid4().hex
    return msgspec.json.encode(fields)


def list_of(model: str, priority: int) -> str:
    """The key of the list that a message of this priority belongs into."""
    step = max(step for step in PRIORITY_STEPS if step <= priority)
    return keys.queue(model) + (f"{keys.PRIORITY_SEPARATOR}{step}" if step else "")


def lists(model: str) -> list[str]:
    """Keys of the lists that hold a model's messages, the first to be served first."""
    return [list_of(model, step) for step in PRIORITY_STEPS]


_ANY = "job"
"""Stands in the headers of all messages until one has its own id."""

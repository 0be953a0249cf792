"""Hop 3: a job becomes a Celery message in its model's queue, ahead of or behind others by its tier."""

from typing import Any, Protocol

from celery import Celery

from shared import redis_keys as keys
from shared.messages import Job
from shared.settings import Settings

TASK = "crofai.run"

# Kombu keeps one list a step; 0 is served first. 0 and 9 are left for the operator's own uses.
PRIORITY_STEPS = [0, 3, 6, 9]
PRIORITIES = {"premium": 3, "free": 6}


class LeaseKeeper(Protocol):
    """What becomes of delivered messages, by their delivery tags. May be called in any thread; never raises."""

    def hold(self, tag: str) -> None:
        """A message was delivered: extend its lease from now on."""

    def adopt(self, tag: str, message: str) -> None:
        """Its lease could not be noted: do it as soon as it can."""

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
        options |= {"hold": keeper.hold, "adopt": keeper.adopt, "release": keeper.release}
    app.conf.update(
        broker_url=settings.redis_url,
        broker_transport="shared.transport:LeasedTransport",
        broker_transport_options=options,
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


def prepare(app: Celery) -> None:
    """Do what would delay the first job: Celery imports and looks up much when it first sends one.

    Raises kombu.exceptions.OperationalError when Redis does not answer.
    """
    with app.producer_pool.acquire(block=True, timeout=5) as producer:
        producer.connection.ensure_connection(max_retries=1, timeout=5)
        _ = app.amqp.queues, app.amqp.send_task_message, producer.channel


def enqueue(app: Celery, job: Job) -> None:
    """Put a job in its model's queue.

    Raises kombu.exceptions.OperationalError when Redis does not answer. It is not retried here: a publish
    whose reply was lost may have been done.
    """
    app.send_task(
        TASK,
        args=[job.encode()],
        queue=keys.queue(job.model),
        priority=PRIORITIES[job.tier],
        task_id=job.id,
        ignore_result=True,
        retry=False,
        argsrepr="",
        kwargsrepr="",
    )


def lists(model: str) -> list[str]:
    """Keys of the lists that hold a model's messages, the first to be served first."""
    name = keys.queue(model)
    return [name if step == 0 else f"{name}{keys.PRIORITY_SEPARATOR}{step}" for step in PRIORITY_STEPS]

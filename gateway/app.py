"""The gateway, wired together. Nothing is decided here."""

import logging
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import gevent
from flask import Flask, Response, request
from werkzeug.middleware.proxy_fix import ProxyFix

from gateway import admin_key, orphans, redis_pool
from gateway.admission import Admission
from gateway.api import errors
from gateway.api.admin import AdminDesk, admin_api
from gateway.api.dead_letters import dead_letters_api
from gateway.api.health import health_api
from gateway.api.jobs import jobs_api
from gateway.api.keys import KeyDesk, keys_api
from gateway.api.messages import error_body_here, messages_api
from gateway.api.models import models_api
from gateway.api.not_offered import not_offered_api
from gateway.api.openai import openai_api
from gateway.api.openapi import openapi_api
from gateway.api.pages import error_page, pages_api
from gateway.api.plan import PlanDesk, plan_api
from gateway.api.pools import pools_api
from gateway.api.requests import Desk
from gateway.api.seed import seed_api
from gateway.api.status import status_api
from gateway.api.usage import usage_api
from gateway.auth import Keyring
from gateway.canary import Canaries
from gateway.drain import Drain
from gateway.engineio import make_socketio
from gateway.idempotency import Idempotency
from gateway.limits import HEADERS
from gateway.pools import Pools
from gateway.recovery import Recovery
from gateway.relay import Relay
from gateway.retries import Retries
from gateway.roster import Roster
from gateway.scrapes import Gauges
from gateway.site import Site
from gateway.sockets import StreamNamespace
from gateway.speeds import Speeds
from gateway.threads import Threads
from gateway.turns import Turn
from gateway.uptime import Uptime
from shared.accounts import Accounts
from shared.admin_keys import AdminKeys
from shared.catalog import load_catalog
from shared.dead_letters import DeadLetters
from shared.joblog import JobLog
from shared.ledger import Ledger
from shared.lines import Lines
from shared.queues import Envelope, make_celery
from shared.settings import Settings
from shared.sql import Database
from shared.tiers import load_tiers

log = logging.getLogger(__name__)

EXPOSED = ", ".join(
    ["X-Job-Id", "X-Request-Id", "request-id", "Retry-After", "Server-Timing", errors.SHOULD_RETRY]
    + [f"x-ratelimit-{said}-{what}" for said in ("limit", "remaining", "reset") for what in HEADERS.values()]
)
"""What pages of other origins may read of a response, beside what they always may."""


LEAVE = 10.0  # seconds for clients to be told


@dataclass(frozen=True)
class Gateway:
    """A WSGI application with Socket.IO inside, and what runs beside it."""

    app: Flask
    relay: Relay
    admission: Admission
    recovery: Recovery
    keyring: Keyring
    drain: Drain
    canaries: Canaries
    namespaces: list[StreamNamespace]
    gauges: Gauges
    models: list[str]

    def start(self) -> None:
        """Listen for this gateway's chunks. Waits a moment for the first connection, so that none is missed."""
        tend = partial(self.admission.tend, self.models)
        parts = (self.relay.run, self.relay.tick, self.admission.run, tend, self.recovery.run)
        for run in (*parts, self.keyring.run, self.drain.run, self.canaries.run):
            gevent.spawn(_for_ever, run)
        self.relay.listening.wait(5)

    def leave(self, seconds: float) -> None:
        """End at once what Socket.IO clients can take up elsewhere, and other answers after so many seconds."""
        parts = [*(namespace.leave for namespace in self.namespaces), self.relay.stop]
        gevent.joinall([gevent.spawn(part, seconds) for part in parts], timeout=seconds + LEAVE)

    def settle(self) -> None:
        """Once nothing is open any more: write down what is still to be."""
        self.admission.settle()
        self.keyring.note_uses()


def _for_ever(run: Callable[[], None]) -> None:
    """A gateway without one of its parts only looks alive."""
    while True:
        try:
            run()
        except Exception:
            log.exception("a part of the gateway has failed, and starts again")
        gevent.sleep(1)


def create_gateway(settings: Settings) -> Gateway:
    """Build a gateway. Raises SetupError for a catalogue or database that cannot be used."""
    gateway_id = uuid.uuid4().hex[:12]
    catalog = load_catalog(settings.models_file)
    tiers = load_tiers(settings.tiers_file, catalog.models)
    client = redis_pool.connect(settings.redis_url)
    joblog, lines = JobLog(client, log_ttl=settings.log_ttl), Lines(client, log_ttl=settings.log_ttl)
    roster = Roster(client)
    relay = Relay(
        client,
        gateway_id,
        joblog,
        inbox_bytes=settings.inbox_bytes,
        outage_timeout=settings.outage_timeout,
    )
    database = Database(settings.sql_url)
    database.migrate()
    accounts, ledger = Accounts(database), Ledger(database)
    admin_key.provide(AdminKeys(database), settings, tiers)
    orphans.tell(accounts, tiers)
    keyring = Keyring(accounts, time.monotonic, most_wrong=settings.most_wrong_keys)
    envelope = Envelope(make_celery(settings))
    admission = Admission(settings, gateway_id, joblog, lines, roster, tiers, envelope, relay)
    recovery = Recovery(settings, client, lines, catalog.models)
    drain = Drain(client, ledger, gateway_id, Threads(1, 1))
    app = Flask("gateway", static_folder=None)
    app.url_map.merge_slashes = False  # to be sent elsewhere, by a page, is no help to a program
    app.config["MAX_CONTENT_LENGTH"] = settings.max_body_bytes
    site = Site(settings, tiers)
    errors.install(app, error_body_here, error_page(site))
    app.register_blueprint(pages_api(site))
    app.register_blueprint(openapi_api(settings.job_timeout, tiers))
    speeds, pools = Speeds(client), Pools(client, lines, roster, catalog.models)
    app.register_blueprint(models_api(catalog, lines, roster, speeds))
    app.register_blueprint(status_api(catalog, pools, speeds, Uptime(client)))
    app.register_blueprint(health_api(client, relay.has_listened.is_set))
    app.register_blueprint(jobs_api(keyring, admission))
    desk = Desk(catalog, tiers, keyring, Idempotency(settings, client, admission), settings.job_timeout)
    app.register_blueprint(seed_api(desk))
    app.register_blueprint(openai_api(desk))
    app.register_blueprint(admin_api(AdminDesk(keyring, accounts, Threads(2, 50), catalog, tiers)))
    app.register_blueprint(keys_api(KeyDesk(keyring, accounts, Threads(2, 50), catalog, tiers, lines)))
    retries = Retries(settings, DeadLetters(client, Turn().give_way), lines, catalog, tiers, envelope)
    app.register_blueprint(dead_letters_api(keyring, retries))
    app.register_blueprint(plan_api(keyring, PlanDesk(settings, pools)))
    app.register_blueprint(pools_api(keyring, pools, ledger, Threads(1, 10)))
    app.register_blueprint(usage_api(keyring, ledger, Threads(2, 50)))
    app.register_blueprint(not_offered_api(catalog, keyring))
    app.register_blueprint(messages_api(desk))
    _allow_origins(app, settings)
    socketio = make_socketio(app, settings)
    namespaces = [StreamNamespace(name, socketio, catalog, tiers, keyring, admission) for name in ("/", "/stream")]
    for namespace in namespaces:
        socketio.on_namespace(namespace)
    if settings.trusted_proxies:
        # Outermost, as Socket.IO's requests never reach Flask.
        trusted = settings.trusted_proxies
        app.wsgi_app = ProxyFix(  # type: ignore[method-assign]
            app.wsgi_app, x_for=trusted, x_proto=trusted, x_host=0, x_port=0, x_prefix=0
        )
    canaries = Canaries(client, admission, roster, tiers, catalog.models.values(), settings.canary_interval)
    gauges, models = Gauges(client, pools, canaries), list(catalog.models)
    return Gateway(app, relay, admission, recovery, keyring, drain, canaries, namespaces, gauges, models)


def _allow_origins(app: Flask, settings: Settings) -> None:
    """Let browsers on the configured origins call the API. Keys travel in headers, never in cookies."""
    origins = settings.origins

    @app.after_request
    def allow(response: Response) -> Response:
        response.headers.add("Vary", "Origin")  # without one, too: a cache may keep that for whoever asks next
        origin = request.headers.get("Origin")
        if origin and (origins == ["*"] or origin in origins):
            response.headers["Access-Control-Allow-Origin"] = "*" if origins == ["*"] else origin
            # SDKs send headers of their own; which ones, a browser asks beforehand.
            asked = request.headers.get("Access-Control-Request-Headers")
            response.headers["Access-Control-Allow-Headers"] = asked or "Authorization, Content-Type, X-API-Key"
            response.headers["Access-Control-Max-Age"] = "600"
            response.headers["Access-Control-Allow-Methods"] = "GET, POST, PATCH, DELETE, OPTIONS"
            response.headers["Access-Control-Expose-Headers"] = EXPOSED
        return response

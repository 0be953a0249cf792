"""The running system: its parts are started in order, followed until all are ready, and stopped in order."""

import asyncio
import signal
import sys
import time
from pathlib import Path

from gateway.admin_key import is_valid
from gateway.cli import api, readiness, services, valkey
from gateway.cli.banner import banner
from gateway.cli.console import Console, discard
from gateway.cli.demo import demo_key
from gateway.cli.instance import Claim
from gateway.cli.supervisor import Child, Supervisor
from gateway.secret_file import admin_key_file
from shared.accounts import Accounts
from shared.admin_keys import AdminKeys
from shared.errors import SetupError
from shared.registry import Registry
from shared.settings import Settings
from shared.tiers import Tiers


class Stack:
    """Valkey, a gateway, and a worker for each pool."""

    def __init__(
        self,
        settings: Settings,
        pools: list[services.Pool],
        tiers: Tiers,
        port: int,
        console: Console,
        claim: Claim,
    ) -> None:
        self._settings = settings
        self._tiers = tiers
        self._pools = pools
        self._port = port
        self._console = console
        self._claim = claim
        self._url = api.address(settings.host, port)
        self._seconds: dict[str, float] = {}
        self._valkey: list[Child] = []
        self._gateway: list[Child] = []
        self._workers: dict[Child, str] = {}

    async def run(self) -> None:
        """Run until SIGINT, SIGTERM or SIGHUP. Raises CommandFailed if a part cannot be started."""
        self._supervisor = Supervisor(self._console, self._settings.data_dir / "logs")
        self._told_to_stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, self._on_signal)
        told = asyncio.create_task(self._be_told())
        serving = asyncio.create_task(self._serve())
        endings: list[asyncio.Future[None]] = [self._supervisor.failed, serving]
        try:
            await asyncio.wait([told, *endings], return_when=asyncio.FIRST_COMPLETED)
            for ending in endings:
                if ending.done():
                    ending.result()
        finally:
            self._told_to_stop.set()
            serving.cancel()
            await asyncio.wait({serving, told})
            await self._stop()

    async def _serve(self) -> None:
        """Start everything, tell the user once all is ready, and follow the workers from then on."""
        begun = time.monotonic()
        accounts = Accounts(self._settings.sql_url)
        accounts.migrate()
        key = demo_key(accounts, self._settings.data_dir, self._tiers)
        accounts.close()
        redis_url = await self._start_valkey()
        self._claim.publish(self._url, redis_url)
        gateway = await self._supervisor.start(services.gateway_service(self._settings, redis_url, self._port))
        self._gateway.append(gateway)
        for number, pool in enumerate(self._pools):
            service = services.worker_service(pool, self._settings, redis_url, number)
            child = await self._supervisor.start(service)
            self._workers[child] = pool.model.id
        workers = readiness.Workers(self._workers, Registry(valkey.connect(redis_url)), self._console)
        watching = asyncio.create_task(workers.watch())
        try:
            await readiness.gateway_ready(gateway, self._url)
            self._took("gateway", gateway.started)
            await workers.ready()
            self._seconds |= workers.seconds
            show(banner(self._url, key, self._admins(), self._pools, self._seconds, time.monotonic() - begun))
            await watching
        finally:
            watching.cancel()

    def _admins(self) -> Path | None:
        """Where the admin's key is, if that is good for something. If it is not, the gateway has told why."""
        file = admin_key_file(self._settings.data_dir)
        admins = AdminKeys(self._settings.sql_url)
        try:
            return file if is_valid(admins, file) else None
        except SetupError:
            return None  # the database has just gone; that keeps nothing from running
        finally:
            admins.close()

    async def _start_valkey(self) -> str:
        """The URL of the Redis server: the operator's, which must answer, or our own, started now."""
        if "redis_url" in self._settings.model_fields_set:
            valkey.demand(valkey.connect(self._settings.redis_url))
            return self._settings.redis_url
        server = valkey.EmbeddedValkey(self._settings.data_dir)
        server.settle_port(self._console)
        child = await self._supervisor.start(server.service())
        self._valkey.append(child)
        await readiness.valkey_ready(child, valkey.connect(server.url))
        self._took("Valkey", child.started)
        return server.url

    def _took(self, name: str, started: float) -> None:
        self._seconds[name] = time.time() - started

    async def _stop(self) -> None:
        """The workers first, which finish their jobs, then what they need for that."""
        if self._workers:
            deadline = self._settings.drain_timeout
            self._console.say(f"stopping: jobs may finish in {deadline:.0f} s; Ctrl-C again ends them now")
        await self._supervisor.stop(*self._workers)
        await self._supervisor.stop(*self._gateway)
        await self._supervisor.stop(*self._valkey)
        self._supervisor.close()
        self._console.say("stopped")

    async def _be_told(self) -> None:
        await self._told_to_stop.wait()

    def _on_signal(self) -> None:
        if self._told_to_stop.is_set():
            self._supervisor.kill()
        self._told_to_stop.set()


def show(text: str) -> None:
    """Print, though nobody may be there to read it."""
    try:
        print(text, flush=True)
    except OSError:
        # `head`, say, has seen enough; that is no reason to stop.
        discard(sys.stdout)

"""Child processes that are kept running: started again when they end, stopped in order, never left behind.

Each child leads a process group of its own, so that Ctrl-C in a terminal reaches only this process, and so that
a kill reaches what the child itself has started. leash.py and watchdog.py see to the case that this process is
killed. Everything here runs on one asyncio loop.
"""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gateway.cli import leash, watchdog
from gateway.cli.console import Console, LogFile
from gateway.cli.failures import CommandFailed

MOST_DELAY = 30.0  # seconds before a child that keeps ending is started again
STEADY = 60.0  # seconds after which a child's earlier ends are forgotten
MOST_FAILED_STARTS = 3
TAIL = 15  # lines shown of a child that cannot be started


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """What to run. Variables: `environment` overrides ours, and ours override `defaults`.

    `stop_timeout` is in seconds, from SIGTERM to SIGKILL.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    defaults: Mapping[str, str] = field(default_factory=dict)
    stop_timeout: float = 10


class Supervisor:
    """Keeps children running. `failed` is set to an error when one cannot be started at all."""

    def __init__(self, console: Console, logs: Path, *, first_delay: float = 1.0) -> None:
        self.console = console
        self._logs = logs
        self.first_delay = first_delay
        self.children: list[Child] = []
        self._watchdog = subprocess.Popen(
            [sys.executable, "-I", "-S", watchdog.__file__], stdin=subprocess.PIPE, start_new_session=True
        )
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def watchdog_pid(self) -> int:
        return self._watchdog.pid

    async def start(self, service: Service) -> "Child":
        """Start a child and keep it running."""
        child = Child(self, service, LogFile(self._logs, service.name, self.console.say))
        await child.spawn()
        self.children.append(child)
        return child

    async def stop(self, *children: "Child") -> None:
        """Stop these children, all at the same time."""
        await asyncio.gather(*(child.stop() for child in children))

    def kill(self) -> None:
        """End all children at once, without asking."""
        for child in self.children:
            child.kill()

    def close(self) -> None:
        """Let the watchdog go; its groups have ended, or it ends them."""
        if not self.failed.cancel():
            # Marks it as seen; what fails while all is stopped is no news.
            self.failed.exception()
        with contextlib.suppress(OSError):
            if self._watchdog.stdin:
                self._watchdog.stdin.close()
        self._watchdog.wait(watchdog.GRACE + 5)

    def tell_watchdog(self, sign: str, group: int) -> None:
        # Without its watchdog a child still has its leash.
        with contextlib.suppress(OSError):
            if self._watchdog.stdin:
                os.write(self._watchdog.stdin.fileno(), f"{sign}{group}\n".encode())


class Child:
    """One service and the process that runs it now. `started` is in Unix seconds."""

    def __init__(self, supervisor: Supervisor, service: Service, log: LogFile) -> None:
        self.service = service
        self.started = 0.0
        self.running = False
        self.ready = False
        self.pid = 0
        self.last_lines: deque[str] = deque(maxlen=TAIL)
        self._supervisor = supervisor
        self._log = log
        self._was_ready = False
        self._failed_starts = 0
        self._delay = supervisor.first_delay
        self._stopping = asyncio.Event()
        self._process: asyncio.subprocess.Process
        self._output: asyncio.ReadTransport
        self._keeper: asyncio.Task[None]

    def mark_ready(self) -> None:
        """The process that runs now does its work: from now on an end of it is an accident."""
        self.ready = self._was_ready = True
        self._failed_starts = 0

    async def spawn(self) -> None:
        """Start the first process, and keep one running from now on."""
        reader = await self._start_process()
        self._keeper = asyncio.create_task(self._keep(reader), name=self.service.name)
        self._keeper.add_done_callback(self._pass_on_failure)

    async def stop(self) -> None:
        """SIGTERM, and SIGKILL if that does not end it in time; what it started itself is ended, too."""
        self._stopping.set()
        self._terminate()
        done, _ = await asyncio.wait([self._keeper], timeout=self.service.stop_timeout)
        if not done:
            self._say(f"has not stopped in {self.service.stop_timeout:.0f} s: killed")
            self._kill_group()
            await asyncio.wait([self._keeper], timeout=10)

    def kill(self) -> None:
        """End the process and all that it started, at once and for good."""
        self._stopping.set()
        if self._process.returncode is None:
            self._kill_group()

    async def _keep(self, reader: asyncio.StreamReader) -> None:
        """Run process after process until told to stop."""
        while True:
            await self._run(reader)
            if self._stopping.is_set() or not self._try_again():
                break
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._delay):
                    await self._stopping.wait()
                    break
            self._delay = min(self._delay * 2, MOST_DELAY)
            reader = await self._start_process()
            if self._stopping.is_set():
                # stop() came while it was being started, and found the one before.
                self._terminate()
        self._log.close()

    async def _run(self, reader: asyncio.StreamReader) -> None:
        """Follow the process to its end, and end what it leaves behind."""
        reading = asyncio.create_task(self._read(reader))
        await self._process.wait()
        self.running = self.ready = False
        self._kill_group()
        self._supervisor.tell_watchdog("-", self.pid)
        # Only a process that has left the group could hold the pipe open now.
        await asyncio.wait([reading], timeout=2)
        reading.cancel()
        self._output.close()

    def _try_again(self) -> bool:
        """Judge an end nobody asked for: False if there is no use in starting again."""
        lasted = time.time() - self.started
        how = _describe(self._process.returncode)
        if not self._was_ready:
            self._failed_starts += 1
            if self._failed_starts == MOST_FAILED_STARTS:
                self._give_up(how)
                return False
        if lasted >= STEADY:
            self._delay = self._supervisor.first_delay
        self._say(f"{how} after {lasted:.1f} s; starting it again in {self._delay:.0f} s")
        return True

    def _give_up(self, how: str) -> None:
        lines = "\n".join(f"    {line}" for line in self.last_lines)
        text = f"{self.service.name} cannot be started: {how}, {MOST_FAILED_STARTS} times in a row"
        if not self._supervisor.failed.done():
            self._supervisor.failed.set_exception(CommandFailed(f"{text}. Its last lines:\n{lines}"))

    def _pass_on_failure(self, keeper: "asyncio.Task[None]") -> None:
        error = None if keeper.cancelled() else keeper.exception()
        if error and not self._supervisor.failed.done():
            self._supervisor.failed.set_exception(error)

    def _kill_group(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    def _terminate(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()

    async def _start_process(self) -> asyncio.StreamReader:
        # A pipe of our own: asyncio's would hold up wait() until the last grandchild has closed it.
        reading, writing = os.pipe()
        try:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-S", leash.__file__, str(os.getpid()), *self.service.command),
                env={**self.service.defaults, **os.environ, **self.service.environment},
                stdin=subprocess.DEVNULL,
                stdout=writing,
                stderr=writing,
                start_new_session=True,
            )
        finally:
            os.close(writing)
        self.started = time.time()
        self.running = True
        self.pid = self._process.pid
        self._supervisor.tell_watchdog("+", self.pid)
        reader = asyncio.StreamReader()
        self._output, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(reading, "rb", 0)
        )
        return reader

    async def _read(self, reader: asyncio.StreamReader) -> None:
        """Pass the process's lines on. Of a progress bar, which overwrites its line, the last state counts."""
        rest = b""
        while data := await reader.read(65536):
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                self._pass_on(line)
            if len(rest) > 65536:
                self._pass_on(rest)
                rest = b""
        if rest:
            self._pass_on(rest)

    def _pass_on(self, line: bytes) -> None:
        text = line.rstrip(b"\r").rpartition(b"\r")[2].decode(errors="replace")
        self.last_lines.append(text)
        self._log.write(text)
        if text:
            self._supervisor.console.line(self.service.name, text)

    def _say(self, text: str) -> None:
        self._supervisor.console.say(f"{self.service.name} {text}")


def _describe(status: int | None) -> str:
    if status is None or status >= 0:
        return f"ended with status {status}"
    name = signal.Signals(-status).name
    return f"was killed by {name}" + (" (is there too little memory?)" if name == "SIGKILL" else "")

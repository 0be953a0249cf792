"""The supervisor with small children: they are kept running, stopped in time, and never left behind."""

import asyncio
import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from gateway.cli.console import Console
from gateway.cli.failures import CommandFailed
from gateway.cli.supervisor import MOST_FAILED_STARTS, Child, Service, Supervisor
from tests.cluster import wait_for

pytestmark = pytest.mark.integration

STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("up", flush=True)
time.sleep(60)
"""
PARENT = f"""
import subprocess, sys, time
print(subprocess.Popen([sys.executable, "-c", {STUBBORN!r}]).pid, flush=True)
"""


class Bench:
    """A supervisor, and what it says."""

    def __init__(self, folder: Path) -> None:
        self.out = io.StringIO()
        self.folder = folder
        self.supervisor = Supervisor(Console(self.out), folder, first_delay=0.05)

    async def start(self, code: str, *, stop_timeout: float = 5) -> Child:
        command = [sys.executable, "-c", code]
        return await self.supervisor.start(Service(name="child", command=command, stop_timeout=stop_timeout))

    async def said(self, text: str, times: int = 1) -> None:
        """Wait until a text was said this often."""
        async with asyncio.timeout(20):
            while self.out.getvalue().count(text) < times:
                await asyncio.sleep(0.01)


@pytest.fixture
def run(tmp_path: Path) -> Callable[[Callable[[Bench], Awaitable[None]]], None]:
    async def within(test: Callable[[Bench], Awaitable[None]]) -> None:
        bench = Bench(tmp_path)
        try:
            await test(bench)
        finally:
            bench.supervisor.kill()
            await bench.supervisor.stop(*bench.supervisor.children)
            bench.supervisor.close()

    return lambda test: asyncio.run(within(test))


Run = Callable[[Callable[[Bench], Awaitable[None]]], None]


def test_lines_go_to_the_terminal_and_to_a_file(run: Run) -> None:
    async def test(bench: Bench) -> None:
        child = await bench.start(
            r"import sys, time; print('one'); print('10%\r20%', file=sys.stderr); time.sleep(9)"
        )
        await bench.said("20%")
        assert "10%" not in bench.out.getvalue()
        await bench.supervisor.stop(child)
        assert set((bench.folder / "child.log").read_text().split()) == {"one", "20%"}

    run(test)


def test_lines_go_to_the_terminal_even_if_no_file_takes_them(run: Run) -> None:
    async def test(bench: Bench) -> None:
        (bench.folder / "child.log").symlink_to("/nowhere/child.log")
        child = await bench.start("for n in range(9): print('line', n)\nimport time; time.sleep(60)")
        await bench.said("line 8")
        assert bench.out.getvalue().count("cannot be written") == 1
        await bench.supervisor.stop(child)
        assert not bench.supervisor.failed.done()

    run(test)


def test_a_child_that_ends_is_started_again_later_and_later(run: Run) -> None:
    async def test(bench: Bench) -> None:
        child = await bench.start("print('hello')")
        child.mark_ready()
        begun = time.monotonic()
        await bench.said("child | hello", times=5)
        # 0.05 + 0.1 + 0.2 + 0.4 seconds of waiting lie between five starts.
        assert time.monotonic() - begun >= 0.75
        assert "ended with status 0" in bench.out.getvalue()

    run(test)


def test_a_child_that_never_gets_ready_is_given_up_with_its_last_lines(run: Run) -> None:
    async def test(bench: Bench) -> None:
        await bench.start("import sys; print('no such model'); sys.exit(1)")
        with pytest.raises(CommandFailed) as caught:
            await asyncio.wait_for(bench.supervisor.failed, 20)
        assert "ended with status 1" in str(caught.value)
        assert "    no such model" in str(caught.value)
        assert bench.out.getvalue().count("child | no such model") == MOST_FAILED_STARTS

    run(test)


def test_a_child_that_was_ready_once_is_never_given_up(run: Run) -> None:
    async def test(bench: Bench) -> None:
        child = await bench.start("import time; time.sleep(60)")
        child.mark_ready()
        child.service = Service(name="child", command=[sys.executable, "-c", "print('broken')"])
        os.kill(child.pid, signal.SIGKILL)
        await bench.said("child | broken", times=MOST_FAILED_STARTS + 1)
        assert not bench.supervisor.failed.done()
        assert "was killed by SIGKILL" in bench.out.getvalue()

    run(test)


def test_stopping_lets_a_child_finish(run: Run) -> None:
    async def test(bench: Bench) -> None:
        child = await bench.start(
            "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: sys.exit(print('finished')));"
            "print('up', flush=True); time.sleep(60)"
        )
        await bench.said("child | up")
        await bench.supervisor.stop(child)
        assert "child | finished" in bench.out.getvalue()
        assert "killed" not in bench.out.getvalue()

    run(test)


def test_a_child_that_does_not_stop_is_killed(run: Run) -> None:
    async def test(bench: Bench) -> None:
        child = await bench.start(STUBBORN, stop_timeout=0.3)
        await bench.said("child | up")
        await bench.supervisor.stop(child)
        assert not psutil.pid_exists(child.pid)
        assert "has not stopped" in bench.out.getvalue()

    run(test)


def test_stopping_a_child_that_waits_to_be_started_again_is_quick(run: Run) -> None:
    async def test(bench: Bench) -> None:
        bench.supervisor.first_delay = 30
        child = await bench.start("print('hello')")
        await bench.said("starting it again in 30 s")
        async with asyncio.timeout(10):
            await bench.supervisor.stop(child)
        assert bench.out.getvalue().count("child | hello") == 1

    run(test)


def test_what_a_child_has_started_is_stopped_with_it(run: Run) -> None:
    async def test(bench: Bench) -> None:
        child = await bench.start(PARENT + "time.sleep(60)")
        await bench.said("child | up")
        await bench.supervisor.stop(child)
        wait_for(lambda: not alive(int(child.last_lines[0])), 10, "the grandchild to end")

    run(test)


def test_what_a_child_leaves_behind_is_ended_before_it_is_started_again(run: Run) -> None:
    async def test(bench: Bench) -> None:
        # The grandchild holds the output pipe open and ignores SIGTERM, as a hung engine would.
        await bench.start(PARENT + "time.sleep(3); sys.exit(1)")
        await bench.said("child | up")
        await bench.said("starting it again")
        wait_for(lambda: not alive(int(bench.out.getvalue().split()[2])), 10, "the grandchild to end")

    run(test)


SUPERVISOR = f"""
import asyncio, sys
from pathlib import Path
from gateway.cli.console import Console
from gateway.cli.supervisor import Service, Supervisor

async def main():
    supervisor = Supervisor(Console(sys.stdout), Path(sys.argv[1]))
    print("watchdog", supervisor.watchdog_pid, flush=True)
    for name, code in (("plain", "import time; time.sleep(60)"), ("stubborn", {PARENT + "time.sleep(60)"!r})):
        child = await supervisor.start(Service(name=name, command=[sys.executable, "-c", code]))
        print("child", child.pid, flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


@contextmanager
def supervisor_process(folder: Path) -> Iterator[tuple["subprocess.Popen[str]", int, list[int]]]:
    """A supervisor in a process of its own; the ids of its watchdog, its children and a grandchild."""
    command = [sys.executable, "-c", SUPERVISOR, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        assert process.stdout
        pids: dict[str, list[int]] = {"watchdog": [], "child": [], "stubborn": []}
        for line in process.stdout:
            words = line.split()
            if words[-1].isdigit():
                pids[words[0]].append(int(words[-1]))
            if line == "stubborn | up\n":
                break
        try:
            yield process, pids["watchdog"][0], [*pids["child"], *pids["stubborn"]]
        finally:
            process.kill()


def test_a_killed_supervisor_leaves_nothing_running(tmp_path: Path) -> None:
    with supervisor_process(tmp_path) as (process, watchdog, others):
        assert len(others) == 3
        assert all(map(alive, others))
        process.kill()
        wait_for(lambda: not any(map(alive, [*others, watchdog])), 10, "all to end")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's death")
def test_a_child_ends_even_if_the_watchdog_is_killed_too(tmp_path: Path) -> None:
    with supervisor_process(tmp_path) as (process, watchdog, others):
        os.kill(watchdog, signal.SIGKILL)
        process.kill()
        wait_for(lambda: not any(map(alive, others[:2])), 15, "the children to end")
        os.kill(others[2], signal.SIGKILL)


def alive(pid: int) -> bool:
    """Whether the process runs; one that has ended and is not yet reaped does not."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False

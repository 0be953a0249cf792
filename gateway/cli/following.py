"""One job under way, from its request to its end or to Ctrl-C."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, NoReturn, Protocol

import typer

from gateway.cli.failures import NotReady, Stopped
from gateway.cli.gone import may_be_gone
from gateway.cli.jobstream import WITHIN, Back, Begun, Event, JobStream, Lost, Waiting
from gateway.cli.teller import Teller
from shared.errors import CrofError

CUT = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))


class Cut(BaseException):
    """The terminal is closed, or the command is told to end: its job goes on for a while."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number
        self.words = "told to end"


class Reader(Protocol):
    """Who is told what the job says."""

    def take(self, data: dict[str, Any]) -> None:
        """The next event. Raises CommandFailed."""

    def broke(self) -> None:
        """The connection did."""

    def facts(self) -> dict[str, Any]:
        """What is known so far, for programs."""


def follow(stream: JobStream, teller: Teller, reader: Reader, command: str) -> None:
    """Have the reader take what the job says, and the teller tell of all else. `command` is what goes on with a
    job whose id follows. Raises Stopped once Ctrl-C has stopped the job, and CommandFailed."""
    try:
        _tell(stream, teller, reader)
    except KeyboardInterrupt:

        def stopping() -> None:
            with may_be_gone():
                teller.stopping()

        halt = stream.stop(stopping)
        with may_be_gone():
            teller.stopped(halt, stream.job, **reader.facts())
        raise Stopped(halt.words) from None
    except CrofError as error:
        if isinstance(error, NotReady) and error.code == "lost" and stream.job:
            error = NotReady(f"{error}. What there is of it may be had with: {command} {stream.job}", error.code)
        teller.failed(error, stream.job, **reader.facts())
        raise error from None
    except Cut as cut:
        if stream.job:
            cut.words = f"ended before the answer, which goes on for {WITHIN} s: {command} {stream.job}"
        raise
    except OSError:
        stream.abandon()  # nobody reads it any more
        raise


@contextmanager
def told_to_end() -> Iterator[None]:
    """Within this context signals to end raise Cut, as Ctrl-C raises KeyboardInterrupt. What it says is the last
    that is said."""

    def cut(number: int, _: FrameType | None) -> NoReturn:
        raise Cut(number)

    before = {number: signal.signal(number, cut) for number in CUT}
    try:
        yield
    except Cut as ending:
        with suppress(OSError):  # the terminal may be gone
            print(f"\ncrofai: {ending.words}", file=sys.stderr, flush=True)
        raise typer.Exit(128 + ending.number) from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _tell(stream: JobStream, teller: Teller, reader: Reader) -> None:
    for told in stream.events():
        match told:
            case Event(data):
                reader.take(data)
            case Waiting(place):
                teller.waits(place)
            case Begun(job):
                teller.began(job)
            case Lost(tries):
                reader.broke()
                teller.lost(tries)
            case Back():
                teller.back()

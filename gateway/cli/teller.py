"""What `crofai chat` and `crofai image` tell of a job under way: to people, or to programs."""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Protocol

import typer

from gateway.cli.failures import CommandFailed
from gateway.cli.jobstream import WITHIN, Halt
from gateway.cli.place import Place
from gateway.cli.screen import Screen
from shared.errors import CrofError

TELLING = 0.2  # seconds between two words on how long a model has been thinking

Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Nothing but what was asked for, and errors.")]
AsEvents = Annotated[
    bool, typer.Option("--json", help="For programs: an object a line, as docs/terminal.md lists them.")
]


class Teller(Protocol):
    """Is told of a job in this order, each as often as it happens."""

    def began(self, job: str) -> None: ...
    def waits(self, place: Place) -> None: ...
    def thought(self, text: str) -> None: ...
    def text(self, text: str) -> None: ...
    def step(self, step: int, steps: int) -> None: ...
    def lost(self, tries: int) -> None: ...
    def back(self) -> None: ...

    def picture(self, path: str, **facts: Any) -> None: ...

    def done(self, figures: str, **facts: Any) -> None:
        """`figures` are for people, `facts` for programs."""

    def stopping(self) -> None: ...

    def stopped(self, halt: Halt, job: str | None, **facts: Any) -> None: ...
    def failed(self, error: CrofError, job: str | None = None, **facts: Any) -> None: ...


class ForPeople:
    """Text as it comes. What a model thinks is folded unless `reasoning` is wanted."""

    def __init__(self, screen: Screen, *, reasoning: bool = False) -> None:
        self._screen = screen
        self._reasoning = reasoning
        self._begun = False
        self._thinking: float | None = None
        self._told = 0.0

    def began(self, job: str) -> None:
        self._begun, self._thinking = False, None

    def waits(self, place: Place) -> None:
        if not self._begun:
            self._screen.status(place.words)

    def thought(self, text: str) -> None:
        self._begun = True
        now = time.monotonic()
        self._thinking = self._thinking or now
        if self._reasoning:
            self._screen.aside(text)
        elif now - self._told >= TELLING:
            self._told = now
            self._screen.status(f"thinking, {now - self._thinking:.0f} s")

    def text(self, text: str) -> None:
        self._begun = True
        self._unfold()
        self._screen.answer(text)

    def step(self, step: int, steps: int) -> None:
        self._begun = True
        self._screen.status(f"step {step} of {steps} {_bar(step, steps)}")

    def lost(self, tries: int) -> None:
        if tries == 1:
            self._screen.note(f"the connection is lost; trying again, for {WITHIN} s at most")
        self._screen.status(f"trying again ({tries})")

    def back(self) -> None:
        self._screen.status("connected again")

    def picture(self, path: str, **facts: Any) -> None:
        self._screen.answer(f"{path}\n")

    def done(self, figures: str, **facts: Any) -> None:
        self._unfold()
        self._screen.end()
        if facts.get("text") == "" and not self._screen.quiet:
            self._screen.say("The model ended without any text.")
        self._screen.note(figures)

    def stopping(self) -> None:
        self._screen.end()
        self._screen.status("stopping")

    def stopped(self, halt: Halt, job: str | None, **facts: Any) -> None:
        self._screen.end()

    def failed(self, error: CrofError, job: str | None = None, **facts: Any) -> None:
        self._screen.end()

    def _unfold(self) -> None:
        """The thinking is over."""
        if self._thinking is not None:
            words = "" if self._reasoning else "; --reasoning shows it"
            self._screen.note(f"(thought for {time.monotonic() - self._thinking:.1f} s{words})")
            self._thinking = None


class ForPrograms:
    """A JSON object a line, as docs/terminal.md lists them. Everything is on standard output."""

    def began(self, job: str) -> None:
        self._say("started", job=job)

    def waits(self, place: Place) -> None:
        self._say("waiting", **place.fields)

    def thought(self, text: str) -> None:
        self._say("reasoning", text=text)

    def text(self, text: str) -> None:
        self._say("text", text=text)

    def step(self, step: int, steps: int) -> None:
        self._say("progress", step=step, steps=steps)

    def lost(self, tries: int) -> None:
        self._say("lost", tries=tries)

    def back(self) -> None:
        self._say("back")

    def picture(self, path: str, **facts: Any) -> None:
        self._say("image", path=path, **facts)

    def done(self, figures: str, **facts: Any) -> None:
        self._say("done", **facts)

    def stopping(self) -> None:
        pass

    def stopped(self, halt: Halt, job: str | None, **facts: Any) -> None:
        known = halt.job or {}
        told = {"job": job, "state": known.get("state"), "usage": known.get("usage")}
        self._say("stopped", **(facts | told))

    def failed(self, error: CrofError, job: str | None = None, **facts: Any) -> None:
        code, status = (error.code, error.status) if isinstance(error, CommandFailed) else (None, None)
        self._say("error", job=job, code=code, status=status or None, message=str(error), **facts)

    def _say(self, event: str, **fields: Any) -> None:
        # Not ensure_ascii=False: what could control a terminal is escaped.
        print(json.dumps({"event": event} | fields), file=sys.stdout, flush=True)


@contextmanager
def telling(teller: Teller) -> Iterator[None]:
    """What fails here, before there is a job, is told as well."""
    try:
        yield
    except CrofError as error:
        teller.failed(error)
        raise


def _bar(step: int, steps: int, width: int = 20) -> str:
    full = width * step // steps if steps else 0
    return f"[{'#' * full}{'.' * (width - full)}]"

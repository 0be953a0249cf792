"""`crofai chat`: talk to a model in the terminal, or ask it one question."""

import sys
from typing import Annotated

import typer

from gateway.cli import api, choice
from gateway.cli.conversation import Conversation
from gateway.cli.failures import CommandFailed
from gateway.cli.following import told_to_end
from gateway.cli.jobstream import SILENCE, checked_id
from gateway.cli.screen import Screen
from gateway.cli.session import Session
from gateway.cli.teller import AsEvents, ForPeople, ForPrograms, Quiet, Teller, telling
from shared.settings import load_settings

FROM_STDIN = "-"


def chat(
    question: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="QUESTION",
            help="Ask this, print the answer, end. A word - stands for standard input, which is the question if "
            "there is no other and it is no terminal. Without a question: a conversation.",
            show_default=False,
        ),
    ] = None,
    model: Annotated[str | None, choice.option("chat")] = None,
    system: Annotated[
        str | None, typer.Option("--system", "-s", help="What the model is told beforehand.")
    ] = None,
    temperature: Annotated[float | None, typer.Option(help="0 takes the likeliest token each time.")] = None,
    top_p: Annotated[float | None, typer.Option(help="Only of tokens that are so likely together.")] = None,
    max_tokens: Annotated[int | None, typer.Option(help="Of the answer, at most.")] = None,
    seed: Annotated[int | None, typer.Option(help="The same seed may give the same answer.")] = None,
    stop: Annotated[
        list[str] | None, typer.Option(help="End before this text; may be repeated. \\n is a line's end.")
    ] = None,
    effort: Annotated[
        str | None, typer.Option("--reasoning-effort", help="Such as low or high; of models that think.")
    ] = None,
    reasoning: Annotated[bool, typer.Option("--reasoning", help="Show all that the model thinks.")] = False,
    resume: Annotated[
        str | None, typer.Option(metavar="JOB", help="Go on with an answer that was cut off, from its beginning.")
    ] = None,
    quiet: Quiet = False,
    as_json: AsEvents = False,
    url: api.Url = None,
    key: api.Key = None,
) -> None:
    """Chat with a model, or ask it one question.

    In a conversation Ctrl-C stops an answer; Ctrl-D, or Ctrl-C twice, leaves; /help lists commands.

    A line that ends with \\ goes on in the next; so does what is in triple quotes; text may be pasted.
    """
    screen = Screen(quiet=quiet)
    teller: Teller = ForPrograms() if as_json else ForPeople(screen, reasoning=reasoning)
    parameters = {
        "temperature": temperature,
        "top_p": top_p,
        "max_tokens": max_tokens,
        "seed": seed,
        "stop": [text.replace("\\n", "\n") for text in stop or []] or None,
        "reasoning_effort": effort,
    }
    with telling(teller):
        settings = load_settings()
        base, secret = url or api.base_url(settings), api.find_key(key, settings)
        asked = None if resume is not None else _question(question, conversing=not as_json)
        if resume is not None:
            checked_id(resume)
            if question:
                raise CommandFailed("--resume: takes no question; it goes on with the answer to an earlier one")
        client = api.client(base, secret, read_timeout=SILENCE)
    with client, told_to_end():
        conversation = Conversation(client, teller, system=system, parameters=parameters)
        if resume is not None:
            conversation.resume(resume)
            return
        with telling(teller):
            conversation.model = model or choice.usual(client, "chat", asked)
        if asked is not None:
            conversation.ask(asked)
        else:
            Session(client, conversation, screen).run()


def _question(words: list[str] | None, *, conversing: bool) -> str | None:
    """What is asked; None if the user is to be asked for it. Raises CommandFailed for nothing."""
    if not words and sys.stdin.isatty():
        if conversing:
            return None
        raise CommandFailed('--json: needs a question, as in: crofai chat --json "Why is the sky blue?"')
    words = words or [FROM_STDIN]
    parts = [" ".join(word for word in words if word != FROM_STDIN)]
    if FROM_STDIN in words:
        parts.append(sys.stdin.buffer.read().decode(errors="replace"))
    asked = "\n\n".join(part.strip() for part in parts if part.strip())
    if not asked:
        raise CommandFailed('there is no question: give one, as in: crofai chat "Why is the sky blue?"')
    return asked

"""`crofai jobs`: what was given up because it killed its workers."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import msgspec
import redis
import typer

from gateway.cli import instance, tables
from gateway.cli.admin import AsJson, date
from gateway.cli.failures import CommandFailed
from gateway.retries import Retries
from shared.catalog import load_catalog
from shared.dead_letters import DeadLetters
from shared.errors import NotFound, QueueFull
from shared.lines import Lines
from shared.queues import Envelope, make_celery
from shared.settings import Settings, load_settings
from shared.tiers import load_tiers

app = typer.Typer(invoke_without_command=True)

Id = Annotated[str, typer.Argument(metavar="ID", help="A job's id; see: crofai jobs list")]


@app.callback()
def default(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        list_jobs()


@app.command("list")
def list_jobs(
    as_json: AsJson = False,
) -> None:
    """All jobs that were given up, the newest first."""
    _, client = _redis()
    with _failing(), client:
        letters = DeadLetters(client).all()
    if as_json:
        print(json.dumps(msgspec.to_builtins(letters)))
        return
    tables.show(
        ("id", "model", "account", "given up", "why"),
        (
            (*map(tables.cell, (a.job.id, a.job.model, a.job.account)), date(a.died), tables.cell(a.reason))
            for a in letters
        ),
    )


@app.command()
def show(job_id: Id) -> None:
    """One job, as JSON, with its request."""
    _, client = _redis()
    with _failing(), client:
        letter = DeadLetters(client).find(job_id)
    if letter is None:
        raise _unknown(job_id)
    print(json.dumps(msgspec.to_builtins(letter), indent=2))


@app.command()
def retry(job_id: Id) -> None:
    """Run it again, as a new job, whose id is printed. Its account sees the answer at /v1/jobs/ID."""
    settings, client = _redis()
    catalog = load_catalog(settings.models_file)
    tiers = load_tiers(settings.tiers_file, catalog.models)
    lines, envelope = Lines(client, log_ttl=settings.log_ttl), Envelope(make_celery(settings))
    retries = Retries(settings, DeadLetters(client), lines, catalog, tiers, envelope)
    with _failing(), client:
        try:
            again = retries.again(job_id)
        except (NotFound, QueueFull) as error:
            raise CommandFailed(str(error)) from None
    if again is None:
        raise _unknown(job_id)
    print(again)


@app.command()
def drop(job_id: Id) -> None:
    """Forget it."""
    _, client = _redis()
    with _failing(), client:
        if not DeadLetters(client).drop(job_id):
            raise _unknown(job_id)
    print(f"dropped: {job_id}", file=sys.stderr)


def _redis() -> tuple[Settings, "redis.Redis"]:
    """The server of the instance that runs on this machine's data folder, or the one in the settings."""
    settings = load_settings()
    if "redis_url" not in settings.model_fields_set and (up := instance.running(settings.data_dir)):
        settings = settings.model_copy(update={"redis_url": up.redis_url})
    return settings, redis.Redis.from_url(settings.redis_url, socket_timeout=5, socket_connect_timeout=5)


@contextmanager
def _failing() -> Iterator[None]:
    """Tells that the server does not answer, in place of a traceback."""
    try:
        yield
    except redis.RedisError as error:
        raise CommandFailed(
            f"Redis does not answer: {str(error).rstrip('.')}. Is crofai up? Else set CROFAI_REDIS_URL."
        ) from error


def _unknown(job_id: str) -> CommandFailed:
    return CommandFailed(f"no job '{job_id}' was given up. Try: crofai jobs list")

"""`crofai jobs`: what was given up because it killed its workers."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import msgspec
import redis
import typer

from gateway.cli import instance, tables
from gateway.cli.admin import AsJson, date
from gateway.cli.failures import CommandFailed
from shared.catalog import load_catalog
from shared.dead_letters import DeadLetters
from shared.lines import Lines, Rates, Terms, Verdict
from shared.messages import DeadLetter, Job, new_job_id
from shared.queues import Envelope, make_celery
from shared.settings import Settings, load_settings
from shared.tiers import load_tiers

app = typer.Typer(help="List, show, retry or drop jobs that were given up.", invoke_without_command=True)

KEY = "retry"  # stands in the usage of jobs that were run again, in place of a key's id

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
        print(msgspec.json.encode(letters).decode())
        return
    tables.show(
        ("id", "model", "account", "given up", "why"),
        ((a.job.id, a.job.model, a.job.account, date(a.died), a.reason) for a in letters),
    )


@app.command()
def show(job_id: Id) -> None:
    """One job, as JSON, with its request."""
    _, client = _redis()
    with _failing(), client:
        print(msgspec.json.format(msgspec.json.encode(_find(client, job_id))).decode())


@app.command()
def retry(job_id: Id) -> None:
    """Run it again, as a new job, whose id is printed. Its account sees the answer at /v1/jobs/ID."""
    settings, client = _redis()
    with _failing(), client:
        job = _again(_find(client, job_id).job, settings)
        verdict = _admit(client, job_id, job, settings)
        if verdict.refusal == "letter":
            raise _unknown(job_id)
        if verdict.refusal:
            raise CommandFailed(f"{verdict.waiting} jobs wait for {job.model} already; try again later")
    print(job.id)


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


def _again(job: Job, settings: Settings) -> Job:
    now = time.time()
    return msgspec.structs.replace(
        job, id=new_job_id(), reply_to="nobody", created=now, deadline=now + settings.job_timeout
    )


def _admit(client: "redis.Redis", given_up: str, job: Job, settings: Settings) -> Verdict:
    """On its old tier, but at nobody's cost: what failed it was no fault of its account."""
    models = load_catalog(settings.models_file).models
    tiers = load_tiers(settings.tiers_file, models)
    if job.model not in models or not tiers.has(job.tier):
        gone = f"model '{job.model}'" if job.model not in models else f"tier '{job.tier}'"
        raise CommandFailed(f"there is no {gone} any more: bring it back, or try: crofai jobs drop {given_up}")
    terms = Terms(
        tier=tiers.find(job.tier),
        key=KEY,
        rates=Rates(prompt=0, completion=0, step=0),
        units=0,
        images=0,
        scopes=[],
    )
    message = Envelope(make_celery(settings)).message(job, terms.tier.priority)
    letter, most = DeadLetters(client).text(given_up) or "", settings.queue_bound
    lines = Lines(client, log_ttl=settings.log_ttl)
    return lines.admit(job, message, "retry", terms, most_waiting=most, now=time.time(), letter=letter)


def _find(client: "redis.Redis", job_id: str) -> DeadLetter:
    letter = DeadLetters(client).find(job_id)
    if letter is None:
        raise _unknown(job_id)
    return letter


def _unknown(job_id: str) -> CommandFailed:
    return CommandFailed(f"no job '{job_id}' was given up. Try: crofai jobs list")

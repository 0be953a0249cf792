"""Where it happens: a system with what is shipped but for the lease, and its answers looked at afterwards."""

import itertools
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway import views
from shared import redis_keys as keys
from shared.joblog import JobLog
from tests.chaos.audit import counted, differences
from tests.chaos.questions import Question
from tests.chaos.subject import Subject
from tests.chaos.system import Place, System
from tests.cluster import cluster, wait_for
from tests.streams import Stream, streams

PATIENCE = 60.0  # seconds for one event


@dataclass(frozen=True)
class Outcome:
    """One answer: how long its client had no news, in seconds, after each strike; and what is wrong with it."""

    pauses: Sequence[float] = ()
    wrong: list[str] = field(default_factory=list)


@contextmanager
def stage(subject: Subject) -> Iterator[System]:
    """The system of a case, with every worker ready."""
    with (
        tempfile.TemporaryDirectory() as folder,
        cluster(Path(folder), subject.models, lease=subject.lease) as running,
    ):
        if subject.engine is None:
            running.share_weights()
        system = System(running, subject)
        running.url = system.urls[0]
        yield system


@contextmanager
def asked(system: System, question: Question) -> Iterator[Stream]:
    """One stream under way; leaving the context waits for its end."""
    more: dict[str, Any] = {
        "max_tokens": question.most,
        "temperature": 0,
        "stream_options": {"include_usage": True},
    }
    with streams(system.cluster, question.model, question.prompt, 1, **more) as opened:
        yield opened[0]


def under_way(stream: Stream, pieces: int) -> None:
    """Wait until so many pieces have come."""
    wait_for(lambda: len(stream.texts) >= pieces, PATIENCE, f"{pieces} pieces of an answer", every=0.005)


def holder(system: System, job_id: str) -> Place:
    """The worker that has this job."""
    worker = worker_of(system, job_id)
    return next(place for place in system.workers if worker in place.process.log.read_text())


def worker_of(system: System, job_id: str) -> str:
    """The id of the worker that has a job, or had it last."""
    found = system.valkey.client.hget(keys.job(job_id), "worker")
    assert isinstance(found, bytes), f"no worker has {job_id}"
    return found.decode()


def pauses(times: Sequence[float], strikes: Sequence[float]) -> list[float]:
    """The longest time without news that ends after each strike, and before the next."""
    gaps = list(itertools.pairwise(times))
    bounds = itertools.pairwise([*strikes, float("inf")])
    return [max((b - a for a, b in gaps if start < b <= end), default=0.0) for start, end in bounds]


def judged(system: System, question: Question, stream: Stream, struck: float, attempts: int) -> Outcome:
    """A stream that was struck at this time of `time.perf_counter`, and its job, which took so many attempts."""
    wrong = differences(question, stream.text, stream.usage, stream.finish_reason)
    if stream.error is not None or not stream.done:
        wrong.append(f"the client got no end, or an error: {stream.error}")
    wrong += log_faults(system, question, stream.job, attempts)
    return Outcome(pauses(stream.times, [struck]), wrong)


def log_faults(system: System, question: Question, job_id: str, attempts: int) -> list[str]:
    """What is wrong with a job's log."""
    chunks = JobLog(system.valkey.client, log_ttl=600).chunks(job_id)
    if not chunks:
        return [f"{job_id} has no log"]
    wrong = [f"in the log: {what}" for what in counted(question, views.text(chunks), chunks[-1].end)]
    ends = [number for number, chunk in enumerate(chunks, 1) if chunk.end is not None]
    if ends != [len(chunks)]:
        wrong.append(f"the log has ends at {ends} of {len(chunks)} chunks")
    # An attempt that has been followed by another may write nothing more.
    turns = [attempt for attempt, _ in itertools.groupby(chunk.attempt for chunk in chunks)]
    if turns != list(range(1, attempts + 1)):
        wrong.append(f"the log was written by the attempts {turns}, should be 1 to {attempts}")
    return wrong

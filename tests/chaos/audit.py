"""What must be true after a run: of every request, of every job in Redis and its row, and of the processes."""

import time
from collections import defaultdict
from dataclasses import dataclass

from gateway import views
from shared import queues
from shared import redis_keys as keys
from shared.joblog import JobLog
from shared.ledger import Ledger as UsageLedger
from shared.ledger import UsageRow
from shared.messages import Chunk, End
from tests.chaos.client import ENDED
from tests.chaos.ledger import Entry, Ledger
from tests.chaos.questions import Question
from tests.chaos.system import LOG_TTL, System

QUIET = 60.0  # seconds in which everything comes to rest once nobody asks any more
MOST_GROWTH = 64 * 2**20  # bytes of a gateway's memory over what it has before the first request
RETRYABLE = {
    429: {"queue_full"},
    503: {
        "model_unavailable",
        "queue_unreachable",
        "accounts_unreachable",
        "gateway_stopping",
        "too_many_clients",
    },
}
UNWRITTEN = 2.2  # seconds that Valkey may stay behind with its file: twice `everysec`, while its disk is busy
FORGETFUL = ("kill-valkey", "power-cut")
LOST = ("job_lost", "not_found")


@dataclass(frozen=True)
class Violation:
    """Something that must not be; `entry` is the request it befell, if it is one's."""

    what: str
    entry: Entry | None = None


class Audit:
    """Looks at a system that has come to rest, with the ledger of what it was asked."""

    def __init__(self, system: System, ledger: Ledger) -> None:
        self._redis = system.valkey.client
        self._log = JobLog(self._redis, log_ttl=LOG_TTL)
        self._ledger = ledger
        self._model = system.model
        self._usage = UsageLedger(system.cluster.settings.sql_url)
        self._owners = {job_id: entry for entry in ledger.entries for job_id in entry.jobs}
        self.orphans = 0

    def wait_for_rest(self) -> None:
        """Wait until nothing is left over, or it is clear that it stays."""
        deadline = time.monotonic() + QUIET
        while time.monotonic() < deadline and (self._left_over() or self._open_jobs()):
            time.sleep(0.25)

    def violations(self) -> list[Violation]:
        found = [Violation(trouble) for trouble in self._ledger.troubles]
        for entry in self._ledger.entries:
            found += [Violation(what, entry) for what in self._of_client(entry)]
        found += [Violation(f"left over in Redis: {what}") for what in self._left_over()]
        return found + self._of_jobs() + self._of_rows() + self._of_memory()

    def _of_client(self, entry: Entry) -> list[str]:
        """What is wrong with what one client saw."""
        wanted, found = entry.request.question, list(entry.faults)
        if entry.end == "answered":
            found += differences(wanted, entry.text, entry.usage, entry.finish_reason)
        elif not wanted.text.startswith(entry.text):
            found.append(f"got {_where(wanted.text, entry.text)}")
        if not self._may_end(entry):
            found.append(f"ended with {entry.end!r}" if entry.end else "never ended")
        for status, code, retry_after in entry.refusals:
            if code in LOST and self._may_be_lost(entry):
                continue
            if code not in RETRYABLE.get(status, ()):
                found.append(f"refused with {status} {code}, which is not to be tried again")
            elif retry_after is None:
                found.append(f"refused with {status} {code}, and not told when to come again")
        return found

    def _may_end(self, entry: Entry) -> bool:
        if entry.end in LOST:
            return self._may_be_lost(entry)
        leaves = entry.request.leaves is not None
        return entry.end == "answered" or (leaves and entry.end in ("left", "cancelled"))

    def _may_be_lost(self, entry: Entry) -> bool:
        """Whether a Valkey that was killed may have forgotten the job: it was told of just before, if at all."""
        latest = entry.closed if entry.told is None else min(entry.closed, entry.told + UNWRITTEN)
        return self._ledger.was_struck(entry.opened - UNWRITTEN, latest, *FORGETFUL)

    def _of_jobs(self) -> list[Violation]:
        """What is wrong with the jobs' logs, those of clients that know nothing of them included."""
        found = []
        succeeded: defaultdict[int, list[str]] = defaultdict(list)
        for job_id, state in self._states().items():
            chunks = self._log.chunks(job_id)
            known = job_id in self._owners
            self.orphans += not known
            text = views.text(chunks)
            askers = self._askers(job_id, text)
            entry = askers[0] if len(askers) == 1 else None
            found += [Violation(f"{job_id} {what}", entry) for what in _faults(state, chunks, known)]
            if not askers:
                found.append(Violation(f"{job_id} says what nobody asked for: {text[:80]!r}"))
            elif state == "succeeded":
                wrong = counted(askers[0].request.question, text, chunks[-1].end)
                found += [Violation(f"{job_id}: {what}", entry) for what in wrong]
            if state == "succeeded" and entry is not None:
                succeeded[entry.request.number].append(job_id)
        return found + self._counted_twice(succeeded)

    def _of_rows(self) -> list[Violation]:
        """What is wrong with the rows of usage: a job that has ended has one, which says what was told."""
        rows = {row.job: row for row in self._usage.rows(None, limit=10**6)}
        self._usage.close()
        found = []
        for job_id, state in self._states().items():
            chunks = self._log.chunks(job_id)
            if state in ENDED and chunks and chunks[-1].end is not None:
                wrong = _miscounted(rows.get(job_id), chunks[-1].end)
                if wrong and not self._may_be_older(rows.get(job_id)):
                    found.append(Violation(f"{job_id}: {wrong}", self._owners.get(job_id)))
        for entry in self._ledger.entries:
            mine = [rows[job_id] for job_id in entry.jobs if job_id in rows]
            found += [Violation(what, entry) for what in self._of_bill(entry, mine)]
        return found

    def _of_bill(self, entry: Entry, rows: list[UsageRow]) -> list[str]:
        """What is wrong with the rows of what one client asked for."""
        if entry.end == "answered":
            row = next((row for row in rows if row.job == entry.jobs[-1]), None)
            if row is None:
                forgotten = entry.told is not None and self._ledger.was_struck(
                    entry.opened - UNWRITTEN, entry.told + UNWRITTEN, *FORGETFUL
                )
                return [] if forgotten else ["was answered, and has no row of usage"]
            if self._may_be_older(row):
                return []
            seen = entry.usage or {}
            usage = {name: getattr(row, name) for name in entry.request.question.usage}
            wrong = row.state != "succeeded" or usage.items() - seen.items()
            return [f"its row says {row.state} with {usage}, its client was told {seen}"] if wrong else []
        if entry.end in ("left", "cancelled"):
            return [f"its row says {row.state}" for row in rows if row.state == "failed"]
        return []

    def _may_be_older(self, row: UsageRow | None) -> bool:
        """Whether a row may be of an end that Valkey has forgotten, so that the job came to another."""
        if row is None:
            return False
        ended = row.ended - time.time() + self._ledger.now()
        return self._ledger.was_struck(ended, ended + UNWRITTEN, *FORGETFUL)

    def _askers(self, job_id: str, text: str) -> list[Entry]:
        """Whose job this is. One that no client was told of is known by its text, if only one asked for that."""
        if owner := self._owners.get(job_id):
            return [owner]
        return [entry for entry in self._ledger.entries if entry.request.question.text.startswith(text)]

    def _counted_twice(self, succeeded: dict[int, list[str]]) -> list[Violation]:
        found = []
        entries = {entry.request.number: entry for entry in self._ledger.entries}
        for number, jobs in succeeded.items():
            entry = entries[number]
            # A prompt over Socket.IO has no Idempotency-Key: sent again, it is another job.
            if len(jobs) > 1 and entry.request.kind != "socket":
                found.append(Violation(f"was run and counted {len(jobs)} times: {', '.join(jobs)}", entry))
        return found

    def _of_memory(self) -> list[Violation]:
        found = []
        first: dict[str, int] = {}
        for _, name, size in self._ledger.memory:
            first.setdefault(name.split(" life")[0], size)
        for name, before in first.items():
            most = max(size for _, other, size in self._ledger.memory if other.startswith(name))
            if most - before > MOST_GROWTH:
                found.append(Violation(f"{name} grew from {before >> 20} to {most >> 20} MiB"))
        return found

    def _left_over(self) -> list[str]:
        """Messages, leases and marks that should be gone."""
        model = self._model
        lists = {name: self._redis.llen(name) for name in queues.lists(model)}
        counted = {
            **lists,
            keys.lease(model): self._redis.hlen(keys.lease(model)),
            keys.lease_index(model): self._redis.zcard(keys.lease_index(model)),
            keys.open_jobs(model): self._redis.zcard(keys.open_jobs(model)),
            **{key: self._redis.zcard(key) for key in self._places()},
            keys.DEAD: self._redis.llen(keys.DEAD),
            keys.USAGE: self._redis.xlen(keys.USAGE),
            keys.USAGE_REJECTED: self._redis.llen(keys.USAGE_REJECTED),
        }
        return [f"{count} in {name}" for name, count in counted.items() if count]

    def _places(self) -> list[str]:
        """Where jobs are counted until they end."""
        tiers = ("free", "premium")
        found = [keys.waiting(self._model, tier) for tier in tiers]
        found += [keys.dispatched(self._model, tier) for tier in tiers]
        return found + [name.decode() for name in self._redis.scan_iter("running:*", count=1000)]

    def _open_jobs(self) -> list[str]:
        return [job_id for job_id, state in self._states().items() if state not in ENDED]

    def _states(self) -> dict[str, str]:
        names = [name.decode() for name in self._redis.scan_iter("job:job_*", count=1000)]
        jobs = [name for name in names if not name.endswith(":log")]
        with self._redis.pipeline(transaction=False) as pipe:
            for name in jobs:
                pipe.hget(name, "state")
            states = pipe.execute()
        return {name[4:]: (state or b"").decode() for name, state in zip(jobs, states, strict=True)}


def _faults(state: str, chunks: list[Chunk], known: bool) -> list[str]:
    """What is wrong with a job's log."""
    ends = [number for number, chunk in enumerate(chunks, 1) if chunk.end is not None]
    if state not in ENDED:
        return [f"is still {state}, and {'its client was told of it' if known else 'no client knows of it'}"]
    return [] if ends == [len(chunks)] else [f"is {state}, and has ends at {ends} of {len(chunks)} chunks"]


def _miscounted(row: UsageRow | None, end: End) -> str | None:
    """What is wrong with the row of a job that has this end."""
    if row is None:
        return "has ended, and has no row of usage"
    said, told = (row.state, row.prompt_tokens, row.completion_tokens), end.usage
    wanted = (end.state, told.prompt_tokens, told.completion_tokens)
    return None if said == wanted else f"its row says {said}, its log {wanted}"


def counted(wanted: Question, text: str, end: End | None) -> list[str]:
    """What is wrong with the text and the end that a log has."""
    if end is None:
        return ["has no end"]
    usage = {name: getattr(end.usage, name) for name in wanted.usage}
    return differences(wanted, text, usage, end.finish_reason)


def differences(wanted: Question, text: str, usage: dict[str, int] | None, finish_reason: str | None) -> list[str]:
    """What is wrong with an answer."""
    found = []
    if text != wanted.text:
        found.append(f"got {_where(wanted.text, text)}")
    if usage is None or {name: usage.get(name) for name in wanted.usage} != wanted.usage:
        found.append(f"was counted as {usage}, should be {wanted.usage}")
    if finish_reason != wanted.finish_reason:
        found.append(f"ended by {finish_reason!r}, should be {wanted.finish_reason!r}")
    return found


def _where(wanted: str, text: str) -> str:
    """Where two texts part."""
    at = next(
        (n for n, (a, b) in enumerate(zip(wanted, text, strict=False)) if a != b), min(len(wanted), len(text))
    )
    around = slice(max(0, at - 20), at + 30)
    return f"another text from character {at} of {len(wanted)} on: {text[around]!r}, should be {wanted[around]!r}"

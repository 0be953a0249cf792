"""Jobs that were given up, run once more: as new ones, on their old tier, and at nobody's cost."""

import time
from dataclasses import dataclass

import msgspec

from shared.catalog import Catalog
from shared.dead_letters import DeadLetters
from shared.errors import NotFound, QueueFull
from shared.lines import Lines, Rates, Terms, Verdict
from shared.messages import Job, new_job_id
from shared.queues import Envelope
from shared.settings import Settings
from shared.tiers import Tiers

KEY = "retry"  # stands in the usage of jobs that were run again, in place of a key's id


@dataclass(frozen=True)
class Retries:
    """Raises redis errors."""

    settings: Settings
    letters: DeadLetters
    lines: Lines
    catalog: Catalog
    tiers: Tiers
    envelope: Envelope

    def again(self, job_id: str) -> str | None:
        """Admit it as a new job, whose id is returned; its letter is forgotten. None if there is no letter of it.
        Raises NotFound for what it needs, and QueueFull."""
        found = self.letters.locate(job_id)
        if found is None:
            return None
        text, letter = found
        if gone := self._gone(letter.job):
            raise NotFound(f"There is no {gone} any more: bring it back, or drop the job '{job_id}'.")
        verdict = self._admit(text, job := self._anew(letter.job))
        if verdict.refusal == "letter":
            return None
        if verdict.refusal:
            waits = "1 job waits" if verdict.waiting == 1 else f"{verdict.waiting} jobs wait"
            raise QueueFull(f"{waits} for '{job.model}' already. Try again later.")
        return job.id

    def _gone(self, job: Job) -> str | None:
        """What it needs, and is there no more."""
        if job.model not in self.catalog.models:
            return f"model '{job.model}'"
        return None if self.tiers.has(job.tier) else f"tier '{job.tier}'"

    def _anew(self, job: Job) -> Job:
        now = time.time()
        return msgspec.structs.replace(
            job, id=new_job_id(), reply_to="nobody", created=now, deadline=now + self.settings.job_timeout
        )

    def _admit(self, letter: str, job: Job) -> Verdict:
        """What failed it was no fault of its account."""
        terms = Terms(
            tier=self.tiers.find(job.tier),
            key=KEY,
            rates=Rates(prompt=0, completion=0, step=0),
            units=0,
            images=0,
            scopes=[],
        )
        message = self.envelope.message(job, terms.tier.priority)
        most = self.settings.queue_bound
        return self.lines.admit(job, message, "retry", terms, most_waiting=most, now=time.time(), letter=letter)

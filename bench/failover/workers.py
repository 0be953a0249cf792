"""A worker is killed, or paused, in the middle of an answer: another goes on with it."""

import argparse
import random
import signal
import time
from collections.abc import Iterator
from dataclasses import replace

from bench.failover.stage import PATIENCE, Outcome, asked, holder, judged, stage, under_way, worker_of
from tests.chaos.questions import Question, answered, echo
from tests.chaos.subject import SIMULATED, VLLM, Subject
from tests.chaos.system import System
from tests.cluster import wait_for
from tests.conftest import simulated_model

PACE = 20  # tokens per second of a simulated answer
AT_LEAST = 2  # workers that are ready when one is struck
MOST = 96  # tokens of an answer of vLLM's


def killed(args: argparse.Namespace) -> Iterator[list[Outcome]]:
    """SIGKILL to the worker that has the job, and to all that it started."""
    subject = replace(_simulated(args) if args.simulated else VLLM, workers=args.workers, lease=args.lease)
    dice = random.Random(args.seed)
    with stage(subject) as system:
        questions = _questions(args, system)
        for number in range(args.tries):
            yield [_kill(system, questions[number % len(questions)], dice)]


def paused(args: argparse.Namespace) -> Iterator[list[Outcome]]:
    """SIGSTOP to the worker that has the job, and SIGCONT three leases later, when another is at it."""
    dice = random.Random(args.seed)
    subject = replace(_simulated(args), workers=2)
    with stage(subject) as system:
        for number in range(args.tries):
            question = echo(subject.model, _words(number, 2 * args.lease + 5))
            yield [_pause(system, question, dice, args.lease)]


def _kill(system: System, question: Question, dice: random.Random) -> Outcome:
    system.wait_until_ready(AT_LEAST)
    with asked(system, question) as stream:
        under_way(stream, dice.randint(5, question.tokens // 2))
        place = holder(system, stream.job)
        struck = time.perf_counter()
        place.process.kill()
        place.start()
    return judged(system, question, stream, struck, attempts=2)


def _pause(system: System, question: Question, dice: random.Random, lease: float) -> Outcome:
    with asked(system, question) as stream:
        under_way(stream, dice.randint(5, 40))
        place, worker = holder(system, stream.job), worker_of(system, stream.job)
        struck = time.perf_counter()
        place.process.signal(signal.SIGSTOP)
        time.sleep(3 * lease)
        woken_early = not stream.done
        place.process.signal(signal.SIGCONT)
    outcome = judged(system, question, stream, struck, attempts=2)
    if not woken_early:
        outcome.wrong.append("the answer had ended before the worker woke up, which shows nothing")
    said = f"{stream.job} {question.model}: fenced"
    wait_for(lambda: said in place.process.log.read_text(), PATIENCE, "the woken worker to notice")
    wait_for(lambda: _serves(system, question.model, worker), PATIENCE, "the woken worker to serve new jobs")
    return outcome


def _serves(system: System, model: str, worker: str) -> bool:
    """Whether a new job is answered, and by this worker."""
    question = echo(model, ["a", "b"])
    with asked(system, question) as stream:
        pass
    return stream.text == question.text and worker_of(system, stream.job) == worker


def _questions(args: argparse.Namespace, system: System) -> list[Question]:
    """With the answers of a system that nothing has befallen."""
    if args.simulated:
        return [echo(system.model, _words(number, 6)) for number in range(args.tries)]
    return answered(system.urls[0], system.keys[True], system.model, MOST)


def _simulated(args: argparse.Namespace) -> Subject:
    return replace(SIMULATED, models={SIMULATED.model: simulated_model(tokens_per_second=PACE)}, lease=args.lease)


def _words(number: int, seconds: float) -> list[str]:
    """Words of their own, enough for so long."""
    return [f"r{number}w{place}" for place in range(int(seconds * PACE))]

"""Jobs that were given up, run again: the letter is there or the job is, and never both, whatever happens."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis
from redis.client import Pipeline
from typer.testing import CliRunner

from gateway.cli.main import app
from shared import redis_keys as keys
from shared.dead_letters import DeadLetters, LetterGone, SecondChance
from shared.lines import Verdict
from shared.messages import DeadLetter
from tests.cluster import Valkey
from tests.factories import admit, make_job

pytestmark = pytest.mark.integration


@pytest.fixture
def letters(valkey: "redis.Redis") -> DeadLetters:
    for name in ("job_1", "job_2"):
        letter = DeadLetter(job=make_job(name), reason="it killed its workers", died=time.time())
        valkey.lpush(keys.DEAD, letter.encode())
    return DeadLetters(valkey)


def retry(valkey: "redis.Redis", again: str = "job_9", most: int = 100) -> Verdict:
    return admit(SecondChance(valkey, "job_1", again, log_ttl=60), make_job(again), most=most)


def left(letters: DeadLetters) -> list[str]:
    return [letter.job.id for letter in letters.all()]


def test_it_is_admitted_and_its_letter_forgotten(valkey: "redis.Redis", letters: DeadLetters) -> None:
    assert retry(valkey).refusal == ""
    assert valkey.hget(keys.job("job_9"), "state") == b"queued"
    assert left(letters) == ["job_2"]
    with pytest.raises(LetterGone):
        retry(valkey, "job_8")
    assert not valkey.exists(keys.job("job_8"))


def test_what_is_refused_stays(valkey: "redis.Redis", letters: DeadLetters) -> None:
    assert retry(valkey, most=0).refusal == "queue"
    assert left(letters) == ["job_2", "job_1"]
    assert not valkey.exists(keys.job("job_9"))


def test_so_does_what_cannot_be_admitted(valkey: "redis.Redis", letters: DeadLetters) -> None:
    valkey.config_set("maxmemory", 1)
    try:
        with pytest.raises(redis.RedisError):
            retry(valkey)
    finally:
        valkey.config_set("maxmemory", 0)
    assert left(letters) == ["job_2", "job_1"]
    assert not valkey.exists(keys.job("job_9"))


def test_of_many_who_retry_at_once_one_does(valkey: "redis.Redis", letters: DeadLetters) -> None:
    def attempt(number: int) -> bool:
        try:
            return retry(valkey, f"job_9{number}").refusal == ""
        except LetterGone:
            return False

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(attempt, range(8))) == 1
    assert len(valkey.keys("job:job_9*")) == 1
    assert left(letters) == ["job_2"]


@pytest.mark.parametrize("done", [False, True])
def test_it_is_run_once_though_the_connection_breaks(
    valkey: "redis.Redis", letters: DeadLetters, monkeypatch: pytest.MonkeyPatch, done: bool
) -> None:
    """Before the server has done it, or after that: then only the answer is lost."""
    execute: Callable[..., Any] = Pipeline.execute
    broken = iter([True])

    def break_once(pipe: Any, *args: Any, **more: Any) -> Any:
        if not next(broken, False):
            return execute(pipe, *args, **more)
        if done:
            execute(pipe, *args, **more)
        raise redis.WatchError("A ConnectionError occurred while watching one or more keys")

    monkeypatch.setattr(Pipeline, "execute", break_once)
    assert retry(valkey).refusal == ""
    assert valkey.zrange(keys.open_jobs("m"), 0, -1) == [b"job_9"]
    assert left(letters) == ["job_2"]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"model": "gone"}, "there is no model 'gone' any more: bring it back, or try: crofai jobs drop job_3"),
        (
            {"model": "llama3", "tier": "gold"},
            "there is no tier 'gold' any more: bring it back, or try: crofai jobs drop job_3",
        ),
    ],
)
def test_what_nobody_would_serve_is_not_admitted(
    valkey_server: Valkey,
    valkey: "redis.Redis",
    monkeypatch: pytest.MonkeyPatch,
    fields: dict[str, str],
    words: str,
) -> None:
    monkeypatch.setenv("CROFAI_REDIS_URL", valkey_server.url)
    valkey.lpush(keys.DEAD, DeadLetter(job=make_job("job_3", **fields), reason="", died=time.time()).encode())
    result = CliRunner().invoke(app, ["jobs", "retry", "job_3"])
    assert (result.exit_code, result.stdout, result.stderr) == (1, "", f"crofai: {words}\n")
    assert left(DeadLetters(valkey)) == ["job_3"]

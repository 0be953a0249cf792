"""Jobs that were given up, run again: the letter is there or the job is, and never both, whatever happens."""

import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis
from typer.testing import CliRunner

from gateway.cli.main import app
from shared import redis_keys as keys
from shared.dead_letters import DeadLetters
from shared.lines import Lines, Verdict
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


def retry(valkey: "redis.Redis", again: str = "job_9", most: int = 100, text: str | None = None) -> Verdict:
    letter = text or DeadLetters(valkey).text("job_1") or ""
    return admit(Lines(valkey, log_ttl=60), make_job(again), most=most, letter=letter)


def left(letters: DeadLetters) -> list[str]:
    return [letter.job.id for letter in letters.all()]


def test_it_is_admitted_and_its_letter_forgotten(valkey: "redis.Redis", letters: DeadLetters) -> None:
    assert retry(valkey).refusal == ""
    assert valkey.hget(keys.job("job_9"), "state") == b"queued"
    assert left(letters) == ["job_2"]
    assert retry(valkey, "job_8").refusal == "letter"
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
    text = letters.text("job_1")
    with ThreadPoolExecutor(8) as pool:
        refusals = pool.map(lambda number: retry(valkey, f"job_9{number}", text=text).refusal, range(8))
        assert sorted(refusals) == ["", *["letter"] * 7]
    assert len(valkey.keys("job:job_9*")) == 1
    assert left(letters) == ["job_2"]


def test_a_repeated_call_changes_nothing(valkey: "redis.Redis", letters: DeadLetters) -> None:
    """Of the first, only the answer was lost."""
    text = letters.text("job_1")
    for _ in range(2):
        assert retry(valkey, text=text).refusal == ""
    assert valkey.zrange(keys.open_jobs("m"), 0, -1) == [b"job_9"]
    assert left(letters) == ["job_2"]


def test_what_a_stranger_has_asked_cannot_control_the_terminal(
    valkey_server: Valkey, valkey: "redis.Redis", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CROFAI_REDIS_URL", valkey_server.url)
    hostile = "\x1b[2J\x7f\x9b31m\u202egnp"
    job = make_job("job_3", body={"prompt": hostile}, model=f"[red]{hostile}", account=hostile)
    valkey.lpush(keys.DEAD, DeadLetter(job=job, reason=hostile, died=time.time()).encode())

    def jobs(*arguments: str) -> str:
        result = CliRunner().invoke(app, ["jobs", *arguments])
        assert (result.exit_code, set(result.stdout) & set("\x1b\x7f\x9b\u202e")) == (0, set())
        return result.stdout

    assert json.loads(jobs("show", "job_3"))["job"]["body"] == {"prompt": hostile}
    assert [letter["reason"] for letter in json.loads(jobs("list", "--json"))] == [hostile]
    assert "[red]␛[2J␡<009B>31m<202E>gnp" in jobs("list")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"model": "gone"}, "There is no model 'gone' any more: bring it back, or drop the job 'job_3'."),
        (
            {"model": "llama3", "tier": "gold"},
            "There is no tier 'gold' any more: bring it back, or drop the job 'job_3'.",
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

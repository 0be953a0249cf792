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
    letter = text or text_of(DeadLetters(valkey), "job_1")
    return admit(Lines(valkey, log_ttl=60), make_job(again), most=most, letter=letter)


def text_of(letters: DeadLetters, job_id: str) -> str:
    found = letters.locate(job_id)
    return found[0] if found else "there is none"


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
    text = text_of(letters, "job_1")
    with ThreadPoolExecutor(8) as pool:
        refusals = pool.map(lambda number: retry(valkey, f"job_9{number}", text=text).refusal, range(8))
        assert sorted(refusals) == ["", *["letter"] * 7]
    assert len(valkey.keys("job:job_9*")) == 1
    assert left(letters) == ["job_2"]


def test_a_repeated_call_changes_nothing(valkey: "redis.Redis", letters: DeadLetters) -> None:
    """Of the first, only the answer was lost."""
    text = text_of(letters, "job_1")
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


@pytest.fixture
def many(valkey: "redis.Redis") -> DeadLetters:
    """More than are read at once: job_0, the newest, to job_44."""
    put(valkey, *(f"job_{number}" for number in reversed(range(45))))
    return DeadLetters(valkey)


def put(valkey: "redis.Redis", *names: str) -> None:
    for name in names:
        valkey.lpush(keys.DEAD, DeadLetter(job=make_job(name), reason="", died=1.0).encode())


@pytest.mark.parametrize("command", ["retry", "drop", "show"])
def test_a_command_looks_through_them_once(
    valkey_server: Valkey, valkey: "redis.Redis", many: DeadLetters, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setenv("CROFAI_REDIS_URL", valkey_server.url)
    valkey.config_resetstat()
    assert many.find("job_44") is not None
    once = reads(valkey)
    CliRunner().invoke(app, ["jobs", command, "job_44"])
    assert reads(valkey) == 2 * once
    result = CliRunner().invoke(app, ["jobs", command, "job_none"])
    words = "crofai: no job 'job_none' was given up. Try: crofai jobs list\n"
    assert (result.exit_code, result.stdout, result.stderr) == (1, "", words)
    assert reads(valkey) == 3 * once


def reads(valkey: "redis.Redis") -> int:
    """How often a part of the list was read."""
    return int(valkey.info("commandstats")["cmdstat_lrange"]["calls"])


@pytest.mark.parametrize("came", [0, 3, 30])
@pytest.mark.parametrize("gone", [[0], [19], [20], [3, 4, 5], [*range(20)], [*range(30)], [*range(45)]])
def test_none_is_left_out_while_others_come_and_go(
    valkey: "redis.Redis", many: DeadLetters, came: int, gone: list[int]
) -> None:
    letters = many.each()
    seen = [next(letters).job.id for _ in range(20)]
    for number in gone:
        valkey.lrem(keys.DEAD, 0, text_of(many, f"job_{number}"))
    put(valkey, *(f"new_{number}" for number in range(came)))
    seen += [letter.job.id for letter in letters]
    stayed = {f"job_{number}" for number in range(45)} - {f"job_{number}" for number in gone}
    assert stayed <= set(seen)
    assert len(seen) == len(set(seen))


def test_others_have_their_turn_after_each(valkey: "redis.Redis", many: DeadLetters) -> None:
    turns: list[bool] = []
    letters = DeadLetters(valkey, lambda: turns.append(True))
    assert letters.find("job_30") is not None
    assert len(turns) == 30, "it looks no further"
    assert letters.find("job_none") is None
    assert len(turns) == 30 + 45


def test_of_many_who_drop_one_does(many: DeadLetters) -> None:
    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(lambda _: many.drop("job_40"), range(8))) == 1
    assert len(many.all()) == 44

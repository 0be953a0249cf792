"""What is logged: never a key, whoever says it."""

import contextvars
import io
import json
import logging
from collections.abc import Iterator
from datetime import datetime

import pytest

from shared import log
from shared.key_format import PREFIX, new_secret


@pytest.fixture
def lines(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    written = io.StringIO()
    monkeypatch.setattr("sys.stderr", written)
    log.configure("DEBUG", getattr(request, "param", "text"))
    yield written
    root.handlers[:] = handlers
    root.setLevel(level)
    for name in ("gateway", "workers", "shared"):
        logging.getLogger(name).setLevel(logging.NOTSET)


@pytest.mark.parametrize("lines", ["text", "json"], indirect=True)
def test_keys_are_masked_wherever_they_stand(lines: io.StringIO) -> None:
    secret = new_secret()
    ours = logging.getLogger("gateway.x")
    ours.debug("GET /?key=%s&a=1 of %r", secret, {"X-API-Key": f"  {secret}"})
    try:
        raise ValueError(f"Bearer {secret}")
    except ValueError:
        ours.exception("a request failed")
    logging.getLogger("library").warning("odd header: %s", f"x{secret}y".encode())
    told = lines.getvalue()
    assert secret.removeprefix(PREFIX) not in told
    assert told.count("sk-crof-***") == 4
    assert "GET /?key=sk-crof-***&a=1 of" in told


def test_the_rest_of_a_line_is_left_alone(lines: io.StringIO) -> None:
    logging.getLogger("gateway.x").info("job job_1 llama3: admitted, tier free")
    assert lines.getvalue().endswith(" INFO    gateway.x: job job_1 llama3: admitted, tier free\n")


@pytest.mark.parametrize("lines", ["json"], indirect=True)
def test_a_line_in_json_says_what_it_is_about(lines: io.StringIO) -> None:
    def work() -> None:
        log.about.set({"request": "req_1"})
        logging.getLogger("gateway.x").info('said "ä"\n%d', 1)

    contextvars.Context().run(work)
    contextvars.Context().run(logging.getLogger("workers.x").error, "bad", exc_info=ValueError("no"))
    first, second = map(json.loads, lines.getvalue().splitlines())
    assert datetime.fromisoformat(first.pop("time")).tzinfo is not None
    assert first == {"request": "req_1", "level": "INFO", "logger": "gateway.x", "message": 'said "ä"\n1'}
    assert "request" not in second
    assert second["traceback"].endswith("ValueError: no")

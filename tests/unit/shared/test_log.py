"""What is logged: never a key, whoever says it."""

import io
import logging
from collections.abc import Iterator

import pytest

from shared import log
from shared.key_format import PREFIX, new_secret


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    written = io.StringIO()
    monkeypatch.setattr("sys.stderr", written)
    log.configure("DEBUG")
    yield written
    root.handlers[:] = handlers
    root.setLevel(level)
    for name in ("gateway", "workers", "shared"):
        logging.getLogger(name).setLevel(logging.NOTSET)


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

"""A long log is read without keeping others waiting."""

from collections.abc import Iterator
from typing import Any

import gevent
import pytest

from gateway import turns
from gateway.admission import Admission
from shared.messages import Chunk
from shared.settings import Settings
from tests.factories import make_job, piece

NOBODY: Any = None
PAGES = 20


class LongLog:
    """Whose pages are there at once, so that reading one waits for nothing."""

    def pages(self, job_id: str) -> Iterator[list[Chunk]]:
        return iter([[piece(1, job_id)]] * PAGES)


def test_others_have_their_turns_between_two_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    log: Any = LongLog()
    job: Any = make_job()
    admission = Admission(Settings(), "gateway", log, NOBODY, NOBODY, NOBODY, NOBODY, NOBODY)
    monkeypatch.setattr(turns, "TURN", -1.0)  # each turn has lasted long enough
    told: list[str] = []

    def tell() -> None:
        while True:
            told.append("other")
            gevent.sleep(1e-6)

    other = gevent.spawn(tell)
    for _ in admission.pages(job):
        told.append("page")
    other.kill()
    assert told.count("page") == PAGES
    assert told.count("other") >= PAGES - 1

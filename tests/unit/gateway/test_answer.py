"""The numbers that an answer's chunks are told with."""

import re
from collections.abc import Generator
from typing import Any

import msgspec
import pytest

from gateway import views
from gateway.admission import Answer
from gateway.relay import Inbox, Told
from shared.errors import EngineFailed, Relayed
from shared.messages import Chunk, End

NOBODY: Any = None


def pages(lengths: list[int], end: End) -> Generator[Told]:
    """A job's log as it is told, in lists of so many chunks; the last chunk of all has its end."""
    number = 0
    for length in lengths:
        number += length
        chunks = [Chunk(1, [5], msgspec.Raw(b"{}")) for _ in range(length)]
        if number == sum(lengths):
            chunks[-1] = Chunk(1, [], end=end)
        yield number, chunks


def numbers(lengths: list[int], end: End) -> list[int]:
    """Those of the events that a client is told, who then is told of the failure, if it is one."""
    answer = Answer(NOBODY, pages(lengths, end), Inbox("job", 1000), NOBODY, resumable=True)
    told = b""
    try:
        for chunks in answer:
            told += views.events(chunks, answer.number)
    except Relayed:
        assert end.failure is not None
    return [int(number) for number in re.findall(rb"^id: (\d+)$", told, re.MULTILINE)]


@pytest.mark.parametrize("lengths", [[4], [1, 3], [2, 2], [3, 1], [1, 1, 1, 1]])
def test_a_failed_jobs_chunks_have_the_numbers_that_they_had(lengths: list[int]) -> None:
    assert numbers(lengths, End(state="failed", failure=EngineFailed().failure())) == [1, 2, 3]

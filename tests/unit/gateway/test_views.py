"""Views of a job's chunks, and text that must not look like a closing chunk."""

import json

import msgspec
import pytest

from gateway import views
from gateway.connection import END, FAILURE, MOST_TEXT, _texts
from gateway.line import Place
from shared.messages import Chunk
from tests.factories import last, piece


def test_text_joins_what_the_chunks_say() -> None:
    role = Chunk(1, [], msgspec.Raw(b'{"choices":[{"delta":{"role":"assistant"}}]}'))
    usage = Chunk(1, [], msgspec.Raw(b'{"choices":[],"usage":{"prompt_tokens":1}}'))
    assert views.text([role, piece(1, "a"), piece(1, "é"), usage, last(1)]) == "aé"


def test_text_is_one_answers() -> None:
    both = b'{"choices":[{"index":1,"delta":{"content":"London"}},{"index":0,"delta":{"content":"Paris"}}]}'
    assert views.text([Chunk(1, [], msgspec.Raw(both)), last(1)]) == "Paris"


def test_events_pass_the_payload_through_untouched() -> None:
    odd = b'{ "choices": [], "x":1.0}'
    event = b"id: 7\ndata: " + odd + b"\n\n"
    assert views.events([Chunk(1, [], msgspec.Raw(odd)), last(1)], 8) == event
    assert views.events([Chunk(1, [], msgspec.Raw(odd)), last(1)]) == event.removeprefix(b"id: 7\n")


def test_who_waits_is_told_where_it_stands() -> None:
    assert views.comment(None) == b": waiting\n\n"
    assert views.comment(Place(3, None)) == b": waiting, position 3\n\n"
    assert views.comment(Place(3, 12.4)) == b": waiting, position 3, about 12 s\n\n"
    assert views.comment(Place(1, 0.4)) == b": waiting, position 1, less than a second\n\n"
    assert views.comment(Place(3, 12.4, True, 60)) == b": loading, position 3, about 12 s\n\n"
    assert views.comment(Place(3, None, True, 60)) == b": loading, position 3\n\n"
    assert views.comment(Place(3, None, held=41.6)) == b": no worker, position 3, held for about 42 s\n\n"
    assert views.comment(Place(3, None, held=0)) == b": no worker, position 3, held for less than a second\n\n"


@pytest.mark.parametrize("sentinel", [END, FAILURE])
def test_text_is_never_a_sentinel(sentinel: str) -> None:
    for text in (sentinel, "x" * MOST_TEXT + sentinel):
        parts = list(_texts(text))
        assert "".join(parts) == text
        assert all(part and part not in (END, FAILURE) for part in parts)


def test_text_is_cut_only_where_it_must_be() -> None:
    assert list(_texts("")) == []
    assert list(_texts("ENDOFMESSAGE.")) == ["ENDOFMESSAGE."]
    assert [len(part) for part in _texts("e" * (2 * MOST_TEXT + 1))] == [MOST_TEXT, MOST_TEXT, 1]
    assert max(len(json.dumps(part)) for part in _texts("😀" * 5000)) < 2.1 * MOST_TEXT, "as Socket.IO writes it"

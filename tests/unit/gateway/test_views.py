"""Views of a job's chunks, and text that must not look like a closing chunk."""

import msgspec

from gateway import views
from gateway.sockets import END, FAILURE, _not_sentinels
from shared.messages import Chunk
from tests.factories import last, piece


def test_text_joins_what_the_chunks_say() -> None:
    role = Chunk(1, [], msgspec.Raw(b'{"choices":[{"delta":{"role":"assistant"}}]}'))
    usage = Chunk(1, [], msgspec.Raw(b'{"choices":[],"usage":{"prompt_tokens":1}}'))
    assert views.text([role, piece(1, "a"), piece(1, "é"), usage, last(1)]) == "aé"


def test_events_pass_the_payload_through_untouched() -> None:
    odd = b'{ "choices": [], "x":1.0}'
    assert views.events([Chunk(1, [], msgspec.Raw(odd)), last(1)]) == b"data: " + odd + b"\n\n"


def test_text_is_never_a_sentinel() -> None:
    for sentinel in (END, FAILURE):
        parts = _not_sentinels(sentinel)
        assert "".join(parts) == sentinel
        assert all(part and part not in (END, FAILURE) for part in parts)
    assert _not_sentinels("") == []
    assert _not_sentinels("ENDOFMESSAGE.") == ["ENDOFMESSAGE."]

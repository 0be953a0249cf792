"""Going on with an answer that another attempt began: what the log has is said again, and dropped. Hop 5."""

from collections.abc import Sequence
from contextlib import aclosing

import msgspec

from shared.errors import Interrupted
from shared.messages import Chunk
from workers.engines.base import Done, Stream


class _Said(msgspec.Struct):
    """Of a payload, what must be the same again; its time may differ."""

    choices: msgspec.Raw


async def following(stream: Stream, recorded: Sequence[Chunk]) -> Stream:
    """The pieces of a whole answer that follow what is recorded. Raises Interrupted if they do not fit."""
    async with aclosing(stream):
        position = 0
        async for item in stream:
            if position == len(recorded):
                yield item
            elif isinstance(item, Done) or not _same(item.payload, recorded[position]):
                raise Interrupted
            else:
                position += 1


def _same(payload: bytes, chunk: Chunk) -> bool:
    return _SAID.decode(payload).choices == _SAID.decode(chunk.payload).choices


_SAID = msgspec.json.Decoder(_Said)

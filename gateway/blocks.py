"""Anthropic's messages, made of OpenAI's chunks. Hop 8.

A message is a list of blocks: thinking, text, the use of a tool. A stream opens and closes one after the other.
How many tokens a prompt has is known at the end: `message_start` says 0, and `message_delta` what is true.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from shared.messages import Chunk, Usage


class _Function(msgspec.Struct):
    name: str | None = None
    arguments: str | None = None


class _Call(msgspec.Struct):
    function: _Function
    id: str | None = None
    index: int = 0


class _Said(msgspec.Struct):
    content: str | None = None
    reasoning: str | None = None
    tool_calls: list[_Call] | None = None


class _Choice(msgspec.Struct):
    delta: _Said = msgspec.field(default_factory=_Said)
    message: _Said = msgspec.field(default_factory=_Said)
    finish_reason: str | None = None
    stop_reason: str | int | None = None


class _Completion(msgspec.Struct):
    choices: list[_Choice]


Fields = dict[str, Any]


def message(job_id: str, model: str, payload: bytes, usage: Usage) -> Fields:
    """The message that a whole completion stands for."""
    choice = _COMPLETION.decode(payload).choices[0]
    said = choice.message
    blocks = [_thinking(said.reasoning)] if said.reasoning else []
    blocks += [_text(said.content)] if said.content else []
    blocks += [_use(call, _arguments(call)) for call in said.tool_calls or ()]
    end = _stop(choice, calls=bool(said.tool_calls))
    return _envelope(job_id, model) | {"content": blocks, "usage": _usage(usage)} | end


class Telling:
    """What a stream tells of one job. `events` takes its chunks in their order, in lists as they come."""

    def __init__(self, job_id: str, model: str) -> None:
        self._start: Fields | None = {"type": "message_start", "message": _envelope(job_id, model)}
        self._index = -1
        self._open: tuple[str, int] | None = None  # the block's type, and which of the calls it is
        self._calls = False
        self._input: _Input | None = None  # of the call that is open
        self._last = _Choice()

    def events(self, chunks: list[Chunk]) -> Iterator[Fields]:
        if self._start:
            yield self._start
            self._start = None
        for chunk in chunks:
            if chunk.end is not None:
                yield from self._finish(chunk.end.usage)
                return
            for choice in _COMPLETION.decode(chunk.payload).choices:
                yield from self._say(choice.delta)
                self._last = choice

    def _say(self, said: _Said) -> Iterator[Fields]:
        if said.reasoning:
            yield from self._within("thinking", 0, _thinking(""))
            yield self._delta(type="thinking_delta", thinking=said.reasoning)
        if said.content:
            yield from self._within("text", 0, _text(""))
            yield self._delta(type="text_delta", text=said.content)
        for call in said.tool_calls or ():
            self._calls = True
            yield from self._within("tool_use", call.index, _use(call, {}))
            self._input = self._input or _Input()
            if part := self._input.part(call.function.arguments or ""):
                yield self._delta(type="input_json_delta", partial_json=part)

    def _within(self, kind: str, number: int, block: Fields) -> Iterator[Fields]:
        """Open this block, unless it is."""
        if self._open == (kind, number):
            return
        yield from self._close()
        self._open, self._index = (kind, number), self._index + 1
        yield {"type": "content_block_start", "index": self._index, "content_block": block}
        if self._index == 0:
            yield {"type": "ping"}

    def _delta(self, **delta: str) -> Fields:
        return {"type": "content_block_delta", "index": self._index, "delta": delta}

    def _close(self) -> Iterator[Fields]:
        if self._input and (rest := self._input.rest()):
            yield self._delta(type="input_json_delta", partial_json=rest)
        self._input = None
        if self._open:
            yield {"type": "content_block_stop", "index": self._index}

    def _finish(self, usage: Usage) -> Iterator[Fields]:
        yield from self._close()
        yield {"type": "message_delta", "delta": _stop(self._last, calls=self._calls), "usage": _usage(usage)}
        yield {"type": "message_stop"}


def _envelope(job_id: str, model: str) -> Fields:
    fields = {"id": f"msg_{job_id.removeprefix('job_')}", "type": "message", "role": "assistant", "model": model}
    return fields | {"content": [], "stop_reason": None, "stop_sequence": None, "usage": _usage(Usage())}


def _usage(usage: Usage) -> Fields:
    return {"input_tokens": usage.prompt_tokens, "output_tokens": usage.completion_tokens}


def _stop(choice: _Choice, *, calls: bool) -> Fields:
    """A text that ended the answer cut what it was saying: a call that stands before it must not be run."""
    if choice.finish_reason == "length":
        return {"stop_reason": "max_tokens", "stop_sequence": None}
    if isinstance(choice.stop_reason, str):
        return {"stop_reason": "stop_sequence", "stop_sequence": choice.stop_reason}
    return {"stop_reason": "tool_use" if calls else "end_turn", "stop_sequence": None}


def _thinking(thinking: str) -> Fields:
    return {"type": "thinking", "thinking": thinking, "signature": ""}


def _text(text: str) -> Fields:
    return {"type": "text", "text": text}


def _use(call: _Call, arguments: Fields) -> Fields:
    return {"type": "tool_use", "id": call.id or "", "name": call.function.name or "", "input": arguments}


class _Input:
    """A call's arguments, part by part, as the object that a tool's input always is: what a model says that is
    none, a text for instance, is the `value` of one."""

    def __init__(self) -> None:
        self._begun = False
        self._end = ""

    def part(self, said: str) -> str:
        """What there is more of the object, now that this was said."""
        if not self._begun and (said := said.lstrip()):
            self._begun = True
            if not said.startswith("{"):
                said, self._end = '{"value": ' + said, "}"
        return said

    def rest(self) -> str:
        """What there is more of it at the end of the call."""
        return self._end


def _arguments(call: _Call) -> Fields:
    """None of those that the answer's end has cut off: they are no JSON."""
    said = _Input()
    try:
        text = said.part(call.function.arguments or "") + said.rest()
        return msgspec.json.decode(text or "{}", type=dict[str, Any])
    except msgspec.DecodeError:
        return {}


_COMPLETION = msgspec.json.Decoder(_Completion)

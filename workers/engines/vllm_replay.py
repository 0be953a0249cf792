"""vLLM, able to go on with an answer that another engine began.

The tokens that are known pass through vLLM's own output processor as if the engine had just made them, and so
through its serving classes: detokenization, stop strings, reasoning and tool calls come to the state they had.
Then the engine gets them as part of the prompt, and goes on. Of vLLM 0.32 this needs AsyncLLM._add_request, where
a request is given first to the output processor and then to the engine.
"""

import asyncio
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any

import msgspec
from vllm.sampling_params import SamplingParams
from vllm.v1.engine import EngineCoreOutput, FinishReason
from vllm.v1.engine.async_llm import AsyncLLM

from shared.messages import Chunk

REASONS = {"length": FinishReason.LENGTH}  # all others are ways to stop


@dataclass(frozen=True)
class Recording:
    """Known tokens, in the groups in which they were said. `finish_reason` is set if they end the answer."""

    groups: Sequence[Sequence[int]]
    finish_reason: str | None = None
    stop_reason: int | str | None = None


def recording(chunks: Sequence[Chunk]) -> Recording | None:
    """What these chunks of a streamed answer say; None if they hold no token."""
    groups = [chunk.tokens for chunk in chunks if chunk.tokens]
    if not groups:
        return None
    choices = [choice for chunk in chunks for choice in _PAYLOAD.decode(chunk.payload).choices]
    last = next((choice for choice in choices if choice.finish_reason), _Choice())
    return Recording(groups, last.finish_reason, last.stop_reason)


def can_continue(params: SamplingParams) -> bool:
    """Whether tokens that move from the answer into the prompt leave what follows as it would have been."""
    return params.n == 1 and not (
        params.logprobs is not None
        or params.prompt_logprobs is not None
        or params.presence_penalty
        or params.frequency_penalty
        or params.bad_words
        or params.structured_outputs
    )


class _Choice(msgspec.Struct):
    finish_reason: str | None = None
    stop_reason: int | str | None = None


class _Payload(msgspec.Struct):
    choices: list[_Choice]


_PAYLOAD = msgspec.json.Decoder(_Payload)


class ReplayingLLM(AsyncLLM):
    """AsyncLLM with `recordings`, by the id of the request that goes on with each."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.recordings: dict[str, Recording] = {}
        self._replays: set[asyncio.Task[None]] = set()

    async def _add_request(self, request: Any, prompt: Any, parent_req: Any, index: int, queue: Any) -> None:
        recording = self.recordings.pop(request.external_req_id, None)
        if recording is None:
            await super()._add_request(request, prompt, parent_req, index, queue)
            return
        self.output_processor.add_request(request, prompt, parent_req, index, queue)
        replay = asyncio.create_task(self._replay(request, recording, queue))
        self._replays.add(replay)
        replay.add_done_callback(self._replays.discard)

    async def _replay(self, request: Any, recording: Recording, queue: Any) -> None:
        try:
            await self._say_again(request, recording, queue)
            if recording.finish_reason is None and self._goes_on(request):
                await self.engine_core.add_request_async(_rest(request, recording))
        except Exception as error:
            queue.put(error)

    async def _say_again(self, request: Any, recording: Recording, queue: Any) -> None:
        """Group by group, each once the one before was taken: outputs that wait are merged."""
        for number, tokens in enumerate(recording.groups, 1):
            output = EngineCoreOutput(request_id=request.request_id, new_token_ids=list(tokens))
            if number == len(recording.groups) and recording.finish_reason:
                output.finish_reason = REASONS.get(recording.finish_reason, FinishReason.STOP)
                output.stop_reason = recording.stop_reason
            self.output_processor.process_outputs([output])
            while queue.output is not None and self._goes_on(request):
                await asyncio.sleep(0)

    def _goes_on(self, request: Any) -> bool:
        """Whether the request has neither ended nor been cancelled."""
        return request.request_id in self.output_processor.request_states


def _rest(request: Any, recording: Recording) -> Any:
    """The request as the engine gets it: with the known tokens in its prompt, and the remaining budget."""
    tokens = [token for group in recording.groups for token in group]
    params = request.sampling_params.clone()
    params.max_tokens -= len(tokens)
    params.min_tokens = max(0, params.min_tokens - len(tokens))
    rest = copy(request)
    rest.prompt_token_ids = [*request.prompt_token_ids, *tokens]
    rest.sampling_params = params
    return rest

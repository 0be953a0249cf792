"""What stands between vLLM's serving classes and its engine, and notes which tokens each payload came from."""

from collections.abc import AsyncGenerator, Sequence
from typing import Any

from shared.errors import Interrupted
from shared.messages import Chunk, Usage
from workers.engines.grammar_trials import Trials
from workers.engines.vllm_forms import DEAD_END, check_form, field_of, refused

MOST_ECHOED = 2**15
"""Logarithms of probabilities of a job's own prompts. The loop of all streams has to find the words for each."""


class Tape:
    """What the engine gave for one job, which is a request to the engine for each of its prompts."""

    def __init__(self, request_ids: Sequence[str], recorded: Sequence[Chunk], body: dict[str, Any]) -> None:
        self.request_ids = request_ids
        self.body = body
        self.recorded = recorded
        self.interrupted = False
        self.finish_reason = "stop"
        self.echoed = 0
        self._finished: set[str] = set()
        self._prompt_tokens: dict[str, int] = {}
        self._tokens = 0
        self._fresh: list[int] = []

    @property
    def finished(self) -> bool:
        return len(self._finished) == len(self.request_ids)

    def note(self, request_id: str, output: Any) -> None:
        """Take one of the engine's RequestOutputs."""
        self._prompt_tokens[request_id] = len(output.prompt_token_ids or ())
        for completion in output.outputs:
            self._fresh += completion.token_ids
            self._tokens += len(completion.token_ids)
            self.finish_reason = completion.finish_reason or self.finish_reason
        if output.finished:
            self._finished.add(request_id)

    def take(self) -> list[int]:
        """Tokens since the last call."""
        tokens, self._fresh = self._fresh, []
        return tokens

    def usage(self) -> Usage:
        return Usage(prompt_tokens=sum(self._prompt_tokens.values()), completion_tokens=self._tokens)


class Recorder:
    """The engine as the serving classes see it, with a tape on `generate`."""

    def __init__(self, llm: Any, trials: Trials | None) -> None:
        self._llm = llm
        self._trials = trials
        self._tapes: dict[str, Tape] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._llm, name)

    def record(self, request_ids: Sequence[str], recorded: Sequence[Chunk], body: dict[str, Any]) -> Tape:
        tape = Tape(request_ids, recorded, body)
        self._tapes |= dict.fromkeys(request_ids, tape)
        return tape

    def forget(self, tape: Tape) -> None:
        for request_id in tape.request_ids:
            self._tapes.pop(request_id, None)

    async def generate(self, prompt: Any, params: Any, request_id: str, **more: Any) -> AsyncGenerator[Any, None]:
        from workers.engines.vllm_replay import can_continue, recording

        tape = self._tapes[request_id]
        _check_echo(tape, prompt, params)
        if params.structured_outputs and self._trials:
            await check_form(self._trials, params.structured_outputs, tape.body)
        if said := recording(tape.recorded):
            # Of several prompts, nothing tells which tokens are whose.
            if len(tape.request_ids) > 1 or not can_continue(params):
                tape.interrupted = True
                raise Interrupted
            self._llm.recordings[request_id] = said
        async for output in self._llm.generate(prompt, params, request_id, **more):
            tape.note(request_id, output)
            if params.structured_outputs and tape.finish_reason == "error":
                raise refused(DEAD_END, field_of(tape.body))
            yield output


def _check_echo(tape: Tape, prompt: Any, params: Any) -> None:
    """Raises VLLMValidationError, as the engine does, for prompts whose probabilities would be too many."""
    from vllm.exceptions import VLLMValidationError

    if params.prompt_logprobs is None:
        return
    each = params.n * (params.prompt_logprobs + 1)
    tape.echoed += len(prompt["prompt_token_ids"]) * each
    if tape.echoed > MOST_ECHOED:
        most = MOST_ECHOED // each
        fix = f"with `echo` and these `logprobs`, should have at most {most} tokens in all; send less at once"
        raise VLLMValidationError(fix, parameter="prompt")

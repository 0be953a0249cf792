"""vLLM: language models, with continuous batching over all jobs and vLLM's own OpenAI serving classes. Hop 5.

The serving classes make every payload: chat templates, tools, reasoning, logprobs and structured output are
vLLM's.
"""

import asyncio
import json
import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import msgspec
import psutil

from shared.catalog import Model
from shared.errors import EngineFailed, Interrupted, SetupError
from shared.messages import Chunk, Job, Kind
from workers.engines.base import Done, EngineDied, Meter, Piece, Progress, Stream
from workers.engines.continuation import following
from workers.engines.grammar_trials import Trials, trials_of
from workers.engines.vllm_recorder import Recorder
from workers.engines.vllm_refusals import refusal, translated
from workers.engines.vllm_requests import parse_request, request_ids
from workers.weights import locate

DEFAULT_CAPACITY = 256

# The chunk that opens a stream says who speaks, and nothing yet; the token that set it off is the next one's.
ROLE = b'"delta":{"role":'


def usable_cores() -> int:
    """How many cores this process may use; all there are, where the system binds no process to some (macOS)."""
    there = psutil.cpu_count(logical=False) or 1
    process = psutil.Process()
    return min(there, len(process.cpu_affinity())) if hasattr(process, "cpu_affinity") else there


ENVIRONMENT = {
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_LOGGING_LEVEL": "WARNING",
}
CPU_ENVIRONMENT = {
    # Else vLLM compiles a kernel at the first request for logprobs: with a C++ compiler all streams stand still
    # for half a minute, and without one the engine dies.
    "TORCHDYNAMO_DISABLE": "1",
    # Else every engine binds its threads to the same cores, the first ones, and two engines share what one has.
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    # One core is left for the gateway and for vLLM's own scheduler.
    "OMP_NUM_THREADS": str(max(1, usable_cores() - 1)),
}
"""Variables for vLLM and its processes, where the operator has not set them."""


class VllmEngine:
    """AsyncLLM and its serving layer for one model. `engine_args` are vLLM's own command-line arguments."""

    def __init__(self, model: Model, data_dir: Path) -> None:
        self._model = model
        self._data_dir = data_dir
        self._llm: Any = None
        self._trials: Trials | None = None
        self._recorder: Recorder
        self._serving: _Serving

    @property
    def capacity(self) -> int:
        return int(self._model.engine_args.get("max_num_seqs", DEFAULT_CAPACITY))

    async def load(self, progress: Progress) -> None:
        weights = await asyncio.to_thread(locate, self._model, self._data_dir, _part(progress, 0.0, 0.4))
        progress(0.4, "starting vLLM")
        args = parse_engine_args(self._model, weights, self.capacity)
        # The rest belongs to this loop: the engine's client and its serving classes keep tasks on it.
        self._llm = _start(args)
        progress(0.9, "preparing chat templates")
        try:
            self._trials = trials_of(self._llm)
            if self._trials is not None:
                await self._trials.start()
            self._recorder = Recorder(self._llm, self._trials)
            self._serving = await _serve(self._recorder, args)
        except Exception as error:
            await self.close()
            raise SetupError(f"{self._model.id}: vLLM cannot serve this model: {error}") from error
        progress(1.0, "ready")

    def generate(self, job: Job, recorded: Sequence[Chunk] = (), meter: Meter | None = None) -> Stream:
        return following(self._generate(job, recorded, meter or Meter()), recorded)

    async def _generate(self, job: Job, recorded: Sequence[Chunk], meter: Meter) -> Stream:
        request = parse_request(self._model, job, self._serving.defaults)
        tape = self._recorder.record(request_ids(job), recorded, job.body)
        meter.read = tape.usage
        try:
            answer = await self._answer(request, job)
            if isinstance(answer, bytes):
                yield Piece(payload=answer, tokens=tape.take())
            else:
                async for event in answer:
                    if (payload := _payload(event, job.body)) is not None:
                        yield Piece(payload=payload, tokens=[] if ROLE in payload else tape.take())
            yield Done(finish_reason=tape.finish_reason, usage=tape.usage())
        except EngineFailed as error:
            if tape.interrupted:
                raise Interrupted from error
            # The serving classes turn a dead engine into one more error event.
            if self._llm.errored:
                raise EngineDied("the engine has died") from error
            raise
        finally:
            self._recorder.forget(tape)
            if not tape.finished and not self._llm.errored:
                await self._llm.abort(tape.request_ids)

    async def ping(self) -> None:
        """vLLM's own process answers between two steps."""
        from vllm.v1.engine.exceptions import EngineDeadError

        try:
            await self._llm.is_paused()
        except EngineDeadError as error:
            raise EngineDied("the engine has died") from error

    async def close(self) -> None:
        if self._llm is None:
            return
        if self._trials is not None:
            await self._trials.close()
        if self._llm.output_handler is not None:
            # It would take the engine's end for a failure, and log it at length.
            self._llm.output_handler.cancel()
        self._llm.output_processor.propagate_error(EngineFailed("the engine was closed"))
        await asyncio.to_thread(self._llm.shutdown)

    async def _answer(self, request: Any, job: Job) -> bytes | AsyncGenerator[str, None]:
        """The serving layer's answer: one body, or a stream of server-sent events."""
        from vllm.entrypoints.serve.engine.protocol import ErrorResponse
        from vllm.v1.engine.exceptions import EngineDeadError

        try:
            answer = await self._serving.create[job.kind](request)
        except EngineDeadError as error:
            raise EngineDied("the engine has died") from error
        except Exception as error:
            raise refusal(error, job.body) from error
        if _cancelled():
            # The serving class takes it for a client that has gone, and answers that.
            raise asyncio.CancelledError
        if isinstance(answer, ErrorResponse):
            raise translated(answer.error.model_dump(), job.body)
        if hasattr(answer, "__aiter__"):
            return cast("AsyncGenerator[str, None]", answer)
        return bytes(answer.model_dump_json(), "utf-8")


def parse_engine_args(model: Model, weights: str, capacity: int) -> Any:
    """The catalogue's arguments through vLLM's own parser. Raises SetupError with the parser's words."""
    try:
        from vllm.entrypoints.launchers.cli_args import make_arg_parser, validate_parsed_serve_args
        from vllm.utils.argparse_utils import FlexibleArgumentParser
    except ImportError as error:
        raise SetupError(f"{model.id} needs vLLM, which cannot be imported: {error}") from error
    parser = make_arg_parser(FlexibleArgumentParser(exit_on_error=False))
    try:
        args = parser.parse_args(_argv(model, weights, capacity))
        validate_parsed_serve_args(args)
    except SystemExit:
        raise SetupError(f"{model.id}: vLLM refuses engine_args {model.engine_args}; it says why above") from None
    except Exception as error:
        raise SetupError(f"{model.id}: vLLM refuses engine_args: {error}") from error
    return args


def _argv(model: Model, weights: str, capacity: int) -> list[str]:
    named: dict[str, Any] = {
        "model": weights,
        "served_model_name": model.id,
        "max_model_len": model.context,
        "tensor_parallel_size": model.tensor_parallel,
        "quantization": model.quantization,
        "max_num_seqs": capacity,
    }
    argv: list[str] = []
    for name, value in (named | model.engine_args).items():
        option = "--" + name.replace("_", "-")
        if isinstance(value, bool):
            argv.append(option if value else option.replace("--", "--no-", 1))
        elif isinstance(value, dict | list):
            argv += [option, json.dumps(value)]
        elif value is not None:
            argv += [option, str(value)]
    return argv


def set_environment() -> None:
    """Set vLLM's variables, where the operator has not. Its processes inherit them."""
    from vllm.platforms import current_platform

    for name, value in (ENVIRONMENT | (CPU_ENVIRONMENT if current_platform.is_cpu() else {})).items():
        os.environ.setdefault(name, value)


def _start(args: Any) -> Any:
    """Start the engine, which runs in a process of its own. Blocks until it can serve."""
    from vllm.engine.arg_utils import AsyncEngineArgs

    from workers.engines.vllm_replay import ReplayingLLM

    set_environment()
    try:
        return ReplayingLLM.from_engine_args(AsyncEngineArgs.from_cli_args(args))
    except Exception as error:
        raise SetupError(f"{args.served_model_name[0]}: vLLM could not start: {error}") from error


@dataclass(frozen=True)
class _Serving:
    """vLLM's serving classes, by the kinds of jobs; `defaults` are the model's sampling parameters."""

    create: Mapping[Kind, Callable[[Any], Awaitable[Any]]]
    defaults: Mapping[str, Any]


async def _serve(llm: Any, args: Any) -> _Serving:
    """The serving classes, set up as vLLM's own server does."""
    from starlette.datastructures import State
    from vllm.entrypoints.launchers.api_server.app_state import init_app_state

    state = State()
    await init_app_state(llm, state, args, await llm.get_supported_tasks())
    chat, completion = state.openai_serving_chat, state.openai_serving_completion
    create: dict[Kind, Any] = {"chat": chat.create_chat_completion, "completion": completion.create_completion}
    return _Serving(create, chat.default_sampling_params)


def _payload(event: str, body: dict[str, Any]) -> bytes | None:
    """The JSON in a server-sent event; None for the end mark. Raises the error it carries, if it does."""
    payload = event.removeprefix("data: ").rstrip()
    if payload == "[DONE]":
        return None
    if payload.startswith('{"error"'):
        raise translated(msgspec.json.decode(payload)["error"], body)
    return payload.encode()


def _cancelled() -> bool:
    """Whether the task was asked to end."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _part(progress: Progress, start: float, end: float) -> Progress:
    """A callback for one part of the way."""
    return lambda share, detail: progress(start + share * (end - start), detail)

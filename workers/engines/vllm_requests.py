"""Jobs as requests of vLLM's serving classes."""

from collections.abc import Mapping
from typing import Any

from shared.catalog import Model
from shared.messages import Job, prompts
from workers.engines.vllm_refusals import refusal

GREEDY = 1e-5  # temperatures below are none


def parse_request(model: Model, job: Job, defaults: Mapping[str, Any]) -> Any:
    """The job's body as vLLM's ChatCompletionRequest or CompletionRequest; `defaults` are the model's.

    Raises InvalidRequest.
    """
    body = job.body | {"model": model.id, "request_id": job.id}
    if (body.get("n") or 1) > 1 and _is_greedy({**defaults, **body}):
        # vLLM refuses several answers that would all be the same; OpenAI gives them.
        body |= {"temperature": 1.0, "top_k": 1}
    try:
        return _shape(job).model_validate(body)
    except Exception as error:
        raise refusal(error, job.body) from error


def request_ids(job: Job) -> list[str]:
    """By which ids the serving class asks the engine: a chat once, a completion for each prompt."""
    if job.kind == "chat":
        return [f"chatcmpl-{job.id}"]
    return [f"cmpl-{job.id}-{place}" for place in range(len(prompts(job.body["prompt"])))]


def _shape(job: Job) -> Any:
    from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest
    from vllm.entrypoints.openai.completion.protocol import CompletionRequest

    return ChatCompletionRequest if job.kind == "chat" else CompletionRequest


def _is_greedy(sampling: Mapping[str, Any]) -> bool:
    temperature = sampling.get("temperature")
    return temperature is not None and temperature < GREEDY

"""Every endpoint that answers in JSON or in events: what it takes, and what can come of it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from gateway.openapi.failures import EARLY, Kind
from gateway.openapi.schemas import ANTHROPIC, Schema, ref
from shared import errors

JSON = "application/json"
EVENTS = "text/event-stream"

KEYED: tuple[Kind, ...] = (
    errors.InvalidKey,
    errors.AccountSuspended,
    errors.TooManyWrongKeys,
    errors.AccountsUnreachable,
)
QUEUE: tuple[Kind, ...] = (errors.QueueUnreachable,)
FOLLOWED: tuple[Kind, ...] = (
    errors.Cancelled,
    errors.EngineFailed,
    errors.Interrupted,
    errors.JobLost,
    errors.Timeout,
)
"""How the job of an answer can end."""
ASKED: tuple[Kind, ...] = (
    *FOLLOWED,
    errors.InvalidRequest,
    errors.TierRequired,
    errors.ModelNotAllowed,
    errors.UnsupportedMedia,
    errors.ModelNotFound,
    errors.IdempotencyMismatch,
    errors.ModelUnavailable,
    errors.QueueFull,
)
TALKED = (*ASKED, errors.ContextLengthExceeded)

TURNS = [{"role": "user", "content": "What is the capital of France?"}]
CHAT: Schema = {"model": "smollm2-135m", "messages": TURNS, "max_tokens": 50}
PICTURE: Schema = {"prompt": "a lighthouse at dusk", "steps": 4}


@dataclass(frozen=True)
class Operation:
    """One method of one address. `fails` is beside what can befall every request."""

    method: Literal["get", "post", "patch", "delete"]
    path: str
    name: str
    tag: str
    summary: str
    answer: Schema | None
    fails: tuple[Kind, ...]
    description: str = ""
    body: Schema | None = None
    examples: dict[str, Schema] = field(default_factory=dict)
    events: str = ""
    parameters: tuple[str, ...] = ()
    keyed: bool = True
    job: bool = False
    anthropic: bool = False

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """All the ways in which it can fail."""
        return (*EARLY, *QUEUE, *(KEYED if self.keyed else ()), *self.fails)


def _seed(tier: str) -> Operation:
    return Operation(
        "post",
        f"/v1/{tier}/{{name}}",
        f"complete_{tier.replace('-', '_')}",
        "Seed",
        f"A chat's answer or an image, whole, at the {tier} tier",
        ref("SeedAnswer"),
        TALKED,
        body={"oneOf": [ref("SeedChat"), ref("Image")]},
        examples={"chat": {"messages": TURNS, "max_tokens": 50}, "image": PICTURE},
        parameters=("IdempotencyKey", "RequestTimeout"),
        job=True,
    )


WAITING = ("IdempotencyKey", "ResumeWithin", "RequestTimeout")
COMES_AS_EVENTS = "With `stream`: true the answer comes as server-sent events."


def _text(path: str, name: str, summary: str, body: str, answer: str, example: Schema, chunks: str) -> Operation:
    return Operation(
        "post",
        path,
        name,
        "Text",
        summary,
        ref(answer),
        TALKED,
        COMES_AS_EVENTS,
        body=ref(body),
        examples={"whole": example, "streamed": example | {"stream": True}},
        events=f"`data: ` and {chunks}, for each piece; then `data: [DONE]`. A failure is `data: ` and an Error.",
        parameters=WAITING,
        job=True,
    )


def operations(tiers: Sequence[str]) -> list[Operation]:
    """All of them; each of the tiers has an address of its own."""
    prompt: dict[str, Any] = {"model": "smollm2-135m", "prompt": "The capital of France is", "max_tokens": 8}
    return [
        _text(
            "/v1/chat/completions",
            "create_chat_completion",
            "An answer in a chat, as OpenAI's API gives it",
            "ChatRequest",
            "ChatCompletion",
            CHAT,
            "a `chat.completion.chunk`",
        ),
        _text(
            "/v1/completions",
            "create_completion",
            "What follows a text, as OpenAI's API gives it",
            "CompletionRequest",
            "Completion",
            prompt,
            "a `text_completion`",
        ),
        Operation(
            "post",
            "/v1/messages",
            "create_message",
            "Text",
            "An answer in a chat, as Anthropic's API gives it",
            ref(f"{ANTHROPIC}Answer"),
            TALKED,
            COMES_AS_EVENTS,
            body=ref(f"{ANTHROPIC}MessagesRequest"),
            examples={"whole": CHAT, "streamed": CHAT | {"stream": True}},
            events="Anthropic's events, from `message_start` to `message_stop`. A failure is an event `error`.",
            parameters=WAITING,
            job=True,
            anthropic=True,
        ),
        Operation(
            "post",
            "/v1/images/generations",
            "create_image",
            "Images",
            "Images of a text, as OpenAI's API gives them",
            ref("Images"),
            ASKED,
            f"{COMES_AS_EVENTS} A size is bounded by its model, too.",
            body=ref("ImageRequest"),
            examples={"whole": {"model": "sdxl-tiny"} | PICTURE},
            events="`image_generation.progress` with `step` and `steps`; then `image_generation.completed`, one "
            "for each image. A failure is an event `error`.",
            parameters=WAITING,
            job=True,
        ),
        *map(_seed, tiers),
        *_jobs(),
        *_models(),
    ]


def _jobs() -> list[Operation]:
    one, found = "/v1/jobs/{job_id}", (errors.NotFound,)
    return [
        Operation("get", one, "read_job", "Jobs", "A job of yours, and its answer so far", ref("Job"), found),
        Operation(
            "get",
            f"{one}/events",
            "follow_job",
            "Jobs",
            "A job's answer, from any point on",
            None,
            (errors.InvalidRequest, *found, *FOLLOWED),
            events="In OpenAI's dialect, each with its number as `id`: those that follow the one named. Of what "
            "was to be streamed, its events, and always those of images; of a chat or a completion that was to "
            "come whole, one event: a `chat.completion` or a `text_completion`. `data: [DONE]` ends all but "
            "images.",
            parameters=("LastEventId", "After", "ResumeWithin"),
            job=True,
        ),
        Operation("delete", one, "cancel_job", "Jobs", "End a job", ref("Job"), found),
    ]


def _models() -> list[Operation]:
    return [
        Operation(
            "get",
            "/v1/models",
            "list_models",
            "Models",
            "All models, and what is up",
            ref("Models"),
            (),
            keyed=False,
        ),
        Operation(
            "get",
            "/v1/models/{name}",
            "read_model",
            "Models",
            "One model",
            ref("Model"),
            (errors.ModelNotFound,),
            keyed=False,
        ),
        Operation(
            "get",
            "/v1/models/{name}/stats",
            "read_model_stats",
            "Models",
            "How fast one model's streams were",
            ref("ModelStats"),
            (errors.ModelNotFound,),
            keyed=False,
        ),
        Operation(
            "get",
            "/v1/status",
            "read_status",
            "Models",
            "The cluster and all models now, how fast their streams were, and how often canaries were answered",
            ref("Status"),
            (errors.InvalidRequest,),
            "May be a second old, and the history ten.",
            parameters=("Uptime",),
            keyed=False,
        ),
        *(_health(*each) for each in HEALTH),
    ]


HEALTH = (
    ("", "check_health", "Whether jobs can be taken"),
    ("/live", "check_liveness", "Whether the gateway serves"),
    ("/ready", "check_readiness", "Whether the gateway is to be sent requests"),
)


def _health(path: str, name: str, summary: str) -> Operation:
    return Operation("get", f"/health{path}", name, "Models", summary, ref("Health"), (), keyed=False)

"""Schemas of what is answered: the main fields of each object. OpenAI and Anthropic describe theirs in full."""

from typing import Any, get_args

from gateway.openapi.schemas import ANTHROPIC, Schema, ref
from shared.messages import State

TEXT: Schema = {"type": "string"}
TEXT_OR_NULL: Schema = {"type": ["string", "null"]}
COUNT: Schema = {"type": "integer", "minimum": 0}
COUNT_OR_NULL: Schema = {"type": ["integer", "null"], "minimum": 0}
NUMBER: Schema = {"type": "number"}
NUMBER_OR_NULL: Schema = {"type": ["number", "null"]}
SECONDS: Schema = {"type": "number", "description": "Seconds since 1970."}
KIND: Schema = {"enum": ["chat", "image"]}
STATE: Schema = {"enum": ["ready", "loading", "draining", "cold"]}
SPEEDS: dict[str, Schema] = {
    "streams": COUNT | {"description": "So many streams, of 16 tokens or more, were measured."},
    "average": NUMBER_OR_NULL,
    "low": NUMBER_OR_NULL,
    "high": NUMBER_OR_NULL,
}
SINCE: Schema = COUNT_OR_NULL | {"description": "When the first of them ended, in Unix seconds."}


def answer_schemas() -> dict[str, Schema]:
    """By name, the schemas of all answers and of their parts."""
    return {
        "ChatCompletion": _answer(
            "chat.completion", "OpenAI's chat completion, as vLLM makes it.", choices=_choices(message=_message())
        ),
        "Completion": _answer(
            "text_completion", "OpenAI's completion, as vLLM makes it.", choices=_choices(text=TEXT)
        ),
        "Usage": object_of("Tokens.", prompt_tokens=COUNT, completion_tokens=COUNT, total_tokens=COUNT),
        "Images": _images(),
        "Picture": object_of("A PNG.", b64_json=TEXT | {"contentEncoding": "base64"}, seed=COUNT),
        f"{ANTHROPIC}Answer": _anthropic(),
        "SeedAnswer": object_of(
            "Of an image: a PNG as the text of a Python bytes literal, which `ast.literal_eval` reads.",
            response=TEXT,
        ),
        "Model": _model(),
        "Models": object_of("", object={"const": "list"}, data=list_of(ref("Model"))),
        "ModelStats": _stats(),
        "Status": _status(),
        "ModelStatus": _model_status(),
        "Job": _job(),
        "Place": object_of(
            "Where a job that waits stands in its model's line: 1 is served next.",
            position=COUNT | {"minimum": 1},
            seconds={
                "type": ["number", "null"],
                "description": "How long it may take until it is, if that is known.",
            },
            loading={"type": "boolean", "description": "No worker of the model is ready, but one loads it."},
            held={
                "type": ["number", "null"],
                "description": "Where no worker is ready: for how many more seconds the job waits for one. Then "
                "it ends with `model_unavailable`, or with `timeout` if its own time is over.",
            },
        ),
        "Health": object_of("", status={"const": "ok"}),
    }


def object_of(description: str, /, **fields: Schema) -> Schema:
    """All of the fields are there; more may be."""
    said: Schema = {"description": description} if description else {}
    return said | {"type": "object", "properties": fields, "required": list(fields)}


def list_of(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def or_null(schema: Schema) -> Schema:
    return {"oneOf": [schema, {"type": "null"}]}


def _answer(kind: str, description: str, **fields: Schema) -> Schema:
    head: dict[str, Any] = {"id": TEXT, "object": {"const": kind}, "created": COUNT, "model": TEXT}
    return object_of(description, **head, **fields, usage=ref("Usage"))


def _choices(**said: Schema) -> Schema:
    return list_of(object_of("", index=COUNT, **said, finish_reason=TEXT_OR_NULL))


def _message() -> Schema:
    message = object_of("", role={"const": "assistant"}, content=TEXT_OR_NULL)
    message["properties"] |= {"tool_calls": list_of(ref("ToolCall")), "reasoning": TEXT_OR_NULL}
    return message


def _images() -> Schema:
    usage = {"type": "object", "description": "`image_steps`: denoising steps, of all images."}
    return object_of(
        "OpenAI's list of images.", created=COUNT, data=list_of(ref("Picture")), size=TEXT, usage=usage
    )


def _anthropic() -> Schema:
    return object_of(
        "Anthropic's message. Its blocks are of type `text`, `thinking` and `tool_use`.",
        id=TEXT,
        type={"const": "message"},
        role={"const": "assistant"},
        model=TEXT,
        content=list_of({"type": "object", "properties": {"type": TEXT}, "required": ["type"]}),
        stop_reason=TEXT_OR_NULL,
        stop_sequence=TEXT_OR_NULL,
        usage=object_of("Tokens.", input_tokens=COUNT, output_tokens=COUNT),
    )


def _model() -> Schema:
    return object_of(
        "OpenAI's fields, vLLM's `max_model_len`, and what the model's workers say. Lengths are in tokens.",
        id=TEXT,
        object={"const": "model"},
        created=COUNT | {"description": "The day of the first catalogue, the same for all models and gateways."},
        owned_by=TEXT,
        kind=KIND,
        description=TEXT,
        aliases=list_of(TEXT),
        context=COUNT,
        max_model_len=COUNT_OR_NULL,
        max_tokens=COUNT_OR_NULL,
        state=STATE,
        workers=COUNT,
        running=COUNT,
        waiting=COUNT,
        tokens_per_second=NUMBER,
    )


def _stats() -> Schema:
    return object_of(
        "Tokens per second of single streams, each from its first token to its last, by real traffic.",
        id=TEXT,
        object={"const": "model.stats"},
        window_seconds=COUNT,
        tokens_per_second=object_of("Of the last hours.", **SPEEDS),
        ever=object_of("Of all time.", **SPEEDS, since=SINCE),
    )


def _status() -> Schema:
    return object_of(
        "All that is up. Null is what was not measured.",
        object={"const": "status"},
        now=SECONDS,
        cluster=object_of(
            "The sums of all models.",
            tokens_per_second=NUMBER_OR_NULL,
            running=COUNT,
            waiting=COUNT,
            workers=COUNT,
        ),
        models=list_of(ref("ModelStatus")),
    )


def _model_status() -> Schema:
    model = object_of(
        "A model now, and the tokens per second of its single streams, by real traffic.",
        id=TEXT,
        kind=KIND,
        state=STATE,
        workers=COUNT,
        running=COUNT,
        waiting=COUNT,
        tokens_per_second=NUMBER_OR_NULL
        | {"description": "Of all its workers, in the last five seconds or so; images have none."},
        speed=object_of("Of the last hours.", **SPEEDS, window_seconds=COUNT),
        ever=object_of("Of all time.", **SPEEDS, since=SINCE),
    )
    ends: dict[str, Schema] = {"succeeded": COUNT, "failed": COUNT}
    model["properties"]["uptime"] = object_of(
        "How many canaries, which are small requests of the gateways' own, were answered: of 90 days and of 72 "
        "hours of UTC, the oldest first, those that had any.",
        days=list_of(object_of("", day=TEXT | {"format": "date"}, **ends)),
        hours=list_of(object_of("", hour=TEXT | {"format": "date-time"}, **ends)),
    )
    return model


def _job() -> Schema:
    job = object_of(
        "What has become of a job, with its answer so far: `text`, or of an image `step`, `steps` and `data`.",
        id=TEXT,
        object={"const": "job"},
        model=TEXT,
        state={"enum": list(get_args(State))},
        created=SECONDS,
        attempt=COUNT,
        number=COUNT | {"description": "Of the last event so far."},
        finish_reason=TEXT_OR_NULL,
        usage=or_null(object_of("", prompt_tokens=COUNT, completion_tokens=COUNT, image_steps=COUNT)),
        error=or_null(ref("ErrorDetails")),
        waiting=or_null(ref("Place")),
    )
    said = TEXT | {"description": "Of the first answer, without its thoughts and calls; `/events` has them all."}
    job["properties"] |= {"text": said, "step": COUNT, "steps": COUNT_OR_NULL, "data": list_of(ref("Picture"))}
    return job

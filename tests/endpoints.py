"""The addresses that take JSON: bodies that each takes, and values that none of its fields may have."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from gateway.bodies import completion_body, messages_body, openai_body, openai_image_body, seed_body
from gateway.bodies.chat import ChatRequest
from gateway.bodies.completion import CompletionRequest
from gateway.bodies.dialects import SeedChat
from gateway.bodies.images import Image, ImageRequest
from gateway.bodies.messages import MessagesRequest
from gateway.bodies.sampling import Sampling
from gateway.bodies.shapes import Body
from shared.catalog import Model
from tests import chats, completions
from tests.chats import CHAT, TOOL, TURN
from tests.factories import make_model

PICTURES = make_model(id="pictures", kind="image")
MOST = 10_000_000  # a token's id, and a count of tokens
TEXT = {"type": "text", "text": "hi", "cache_control": {"type": "ephemeral"}, "citations": []}
USE = {"type": "tool_use", "id": "call_1", "name": "weather", "input": {}, "cache_control": {}}
RESULT = {"type": "tool_result", "tool_use_id": "call_1", "is_error": True, "cache_control": {}}
ASKING = {"name": "weather", "description": "of a city", "type": "custom", "strict": True} | {
    "input_schema": {"type": "object"},
    "cache_control": {},
}

STREAMED = {"stream_options": {"include_usage": True, "continuous_usage_stats": True, "include_obfuscation": True}}
SCHEMA = {"name": "a", "schema": {}, "description": "of a city", "strict": True}
OPTIONAL: list[dict[str, Any]] = [
    {"stream": True, **STREAMED},
    {"response_format": {"type": "json_schema", "json_schema": SCHEMA}},
]
"""What is null in the tables of what is taken."""
STRICT = TOOL | {"function": {"name": "weather", "description": "", "parameters": {}, "strict": True}}

Wrong = tuple[str, dict[str, Any]]
"""The place that an error should name, and the fields that are wrong there."""


@dataclass(frozen=True)
class Endpoint:
    """`taken` are whole bodies, `wrong` is of the right types; `tags` are the members that tell objects apart."""

    path: str
    shape: type[Body]
    body_of: Callable[[Model, dict[str, Any]], dict[str, Any]]
    model: Model
    taken: list[dict[str, Any]]
    wrong: list[Wrong] = field(default_factory=list)
    tags: tuple[str, ...] = ()


def each(**values: list[Any]) -> list[Wrong]:
    return [(name, {name: value}) for name, some in values.items() for value in some]


def bodies(base: dict[str, Any], fields: dict[str, list[Any]], *more: dict[str, Any]) -> list[dict[str, Any]]:
    alone = [{name: value} for name, values in fields.items() for value in values]
    return [base | some for some in [*alone, *more]]


def deep(levels: int) -> dict[str, Any]:
    """A schema with so many objects around the innermost."""
    schema: dict[str, Any] = {"type": "integer"}
    for _ in range(levels):
        schema = {"type": "array", "items": schema}
    return schema


def large(kind: str) -> dict[str, Any]:
    """A schema that is too large in this way alone, a little below its top."""
    names = [f"p{number}" for number in range(2001)]
    schemas: dict[str, dict[str, Any]] = {
        "properties": {"properties": {name: {} for name in names}, "required": names},
        "optional": {"properties": {name: {} for name in names[:310]}, "required": names[:9]},
        "values": {"enum": names},
        "text": {"enum": ["a" * 50_000, "b" * 50_001]},
    }
    return {"type": "array", "items": {"anyOf": [schemas[kind]]}}


LARGE = [large(kind) for kind in ("properties", "optional", "values", "text")]

SAMPLING = [
    *each(
        max_tokens=[-1, 4097, MOST + 1, 10**18],
        temperature=[-0.01, 2.01, -(10**30)],
        top_p=[0, -0.0, -0.1, 1.01],
        top_k=[-2, MOST + 1],
        seed=[2**63, 10**400],
        presence_penalty=[-2.01, 2.01],
        frequency_penalty=[-2.01, 2.01],
        stop=["", list("abcde")],
    ),
    ("stop[1]", {"stop": ["a", ""]}),
]

GENERATION = [
    *SAMPLING,
    *each(
        seed=[-(2**63) - 1],
        n=[0, 9, -1],
        min_p=[-0.01, 1.01],
        repetition_penalty=[0, -1, 100.01],
        min_tokens=[-1, MOST + 1],
        thinking_token_budget=[-2, MOST + 1],
        logit_bias=[{"hi": 1}, {"-1": 1}, {"12345678": 1}, {str(n): 1 for n in range(1025)}],
        stop_token_ids=[[0] * 129, [0] * 10_000],
        allowed_token_ids=[[]],
        bad_words=[["a"] * 65],
        structured_outputs=[{}, {"regex": "a", "choice": ["b"]}],
        stream_options=[{"include_usage": True}],
    ),
    ("logit_bias.5", {"logit_bias": {"5": 100.01}}),
    ("logit_bias.5", {"logit_bias": {"5": -101}}),
    ("logit_bias.5", {"logit_bias": {"5": "1"}}),
    ("stop_token_ids[1]", {"stop_token_ids": [1, -1]}),
    ("stop_token_ids[0]", {"stop_token_ids": [MOST + 1]}),
    ("stop_token_ids[0]", {"stop_token_ids": [2**64]}),
    ("allowed_token_ids[0]", {"allowed_token_ids": [-1]}),
    ("bad_words[0]", {"bad_words": [""]}),
    *(("structured_outputs.json", {"structured_outputs": {"json": schema}}) for schema in [deep(100), *LARGE]),
    ("structured_outputs.regex", {"structured_outputs": {"regex": "a" * 20_001}}),
    ("structured_outputs.grammar", {"structured_outputs": {"grammar": "a" * 20_001}}),
    ("structured_outputs.choice", {"structured_outputs": {"choice": ["a"] * 2001}}),
    (
        "response_format.json_schema.schema",
        {"response_format": {"type": "json_schema", "json_schema": SCHEMA | {"schema": deep(100)}}},
    ),
    ("structured_outputs.regex", {"structured_outputs": {"regex": ""}}),
    ("structured_outputs.grammar", {"structured_outputs": {"grammar": ""}}),
    ("structured_outputs.choice", {"structured_outputs": {"choice": []}}),
    ("structured_outputs.json_object", {"structured_outputs": {"json_object": False}}),
    *(
        ("response_format.json_schema.name", {"response_format": {"type": "json_schema", "json_schema": schema}})
        for schema in ({"name": "", "schema": {}}, {"name": "a b", "schema": {}}, {"name": "é" * 9, "schema": {}})
    ),
]

ODD_MESSAGES: list[Wrong] = [
    ("messages", {"messages": []}),
    (
        "messages[3].content[0].text",
        {"messages": [TURN] * 3 + [TURN | {"content": [{"type": "text", "text": 3}]}]},
    ),
    ("messages[1].content", {"messages": [TURN, TURN | {"content": []}]}),
    ("messages[9999].role", {"messages": [TURN] * 9_999 + [{"role": "bot", "content": "x"}]}),
]


def named(name: str) -> dict[str, Any]:
    return {"tools": [TOOL | {"function": {"name": name}}]}


CHATS = Endpoint(
    "/v1/chat/completions",
    ChatRequest,
    openai_body,
    CHAT,
    bodies({"model": "m", "messages": [TURN]}, chats.TAKEN, *chats.TOGETHER, *OPTIONAL, {"tools": [STRICT]}),
    [
        *GENERATION,
        *ODD_MESSAGES,
        *each(
            max_tokens=[0],
            max_completion_tokens=[0, -1, 4097, MOST + 1],
            top_logprobs=[-1, 21, 5],
            tools=[[], [TOOL] * 129],
            tool_choice=["some", "auto"],
            modalities=[[]],
            metadata=[{str(n): "" for n in range(65)}],
        ),
        ("metadata.a", {"metadata": {"a": 1}}),
        ("messages[0]", {"messages": [{"role": "assistant"}]}),
        *(
            (f"messages[0].{name}", {"messages": [{"role": "assistant", "content": "x", name: {}}]})
            for name in ("audio", "function_call")
        ),
        ("messages[0].content[0]", {"messages": [TURN | {"content": [{"type": "image_url", "image_url": {}}]}]}),
        *(("tools[0].function.name", named(name)) for name in ("", "a b", "x" * 65, "name\n")),
        ("tool_choice", {"tool_choice": {"type": "function", "function": {"name": "now"}}}),
        *(
            ("tools[0].function.parameters", {"tools": [TOOL | {"function": {"name": "f", "parameters": schema}}]})
            for schema in [deep(100), *LARGE]
        ),
        ("chat_template_kwargs.tokenize", {"chat_template_kwargs": {"tokenize": True}}),
        ("add_generation_prompt", {"continue_final_message": True, "add_generation_prompt": True}),
    ],
    tags=("messages[].role", "response_format.type"),
)

COMPLETIONS = Endpoint(
    "/v1/completions",
    CompletionRequest,
    completion_body,
    CHAT,
    bodies({"model": "m", "prompt": "hi"}, completions.TAKEN, *completions.TOGETHER, *OPTIONAL),
    [
        *GENERATION,
        *each(
            prompt=["", [], ["hi"] * 33, [[1]] * 33],
            max_tokens=[0],
            logprobs=[-1, 21],
            best_of=[0, 9, 3],
        ),
        ("prompt[1]", {"prompt": ["hi", ""]}),
        ("prompt[1]", {"prompt": [[1], []]}),
        ("prompt[0]", {"prompt": [-1]}),
        ("prompt[0]", {"prompt": [None]}),
        ("prompt[0]", {"prompt": [{}]}),
        ("prompt[1][0]", {"prompt": [[1], [MOST + 1]]}),
    ],
    tags=("response_format.type",),
)

PICTURE: dict[str, list[Any]] = {
    "prompt": ["a cat", "x" * 4000],
    "negative_prompt": ["", "a dog"],
    "size": ["auto", "64x64"],
    "seed": [0, 2**63 - 1],
    "steps": [1, 1000],
    "guidance_scale": [0, 4.5, 30],
}
PICTURE_WRONG = each(
    prompt=["", "x" * 4001],
    negative_prompt=["x" * 4001],
    size=["", "big", "64", "63x64", "65x64", "0x0", "-64x64", "64x64x64", "999999x64", "64x64\n"],
    seed=[-1, 2**63, 10**400],
    steps=[0, -1, 1001, 10**18],
    guidance_scale=[-0.01, 30.01],
)
IMAGES = Endpoint(
    "/v1/images/generations",
    ImageRequest,
    openai_image_body,
    PICTURES,
    bodies(
        {"model": "pictures", "prompt": "a cat"},
        PICTURE
        | {
            "n": [1, 4],
            "stream": [True, False],
            "response_format": ["b64_json"],
            "output_format": ["png"],
            "output_compression": [100],
            "background": ["auto", "opaque"],
            "quality": ["auto", "hd"],
            "complexity": ["low"],
            "style": ["vivid"],
            "moderation": ["auto"],
            "user": ["ann"],
            "safety_identifier": ["a1"],
        },
        {"stream": True, "partial_images": 3},
    ),
    [*PICTURE_WRONG, *each(n=[0, 5], partial_images=[-1, 4, 1], output_compression=[99])],
)

MESSAGES = Endpoint(
    "/v1/messages",
    MessagesRequest,
    messages_body,
    CHAT,
    bodies(
        {"model": "m", "max_tokens": 5, "messages": [TURN]},
        {
            "messages": [
                [TURN | {"content": [TEXT, TEXT]}],
                [
                    TURN,
                    {
                        "role": "assistant",
                        "content": [{"type": "thinking", "thinking": "hm", "signature": ""}, TEXT, USE],
                    },
                    TURN | {"content": [RESULT | {"content": "sunny"}, RESULT | {"content": [TEXT]}]},
                ],
            ],
            "max_tokens": [1, 4096],
            "system": ["Be brief.", [TEXT]],
            "stop_sequences": [["a"], list("abcd")],
            "temperature": [0, 0.5, 1],
            "top_p": [0.1, 1],
            "top_k": [0, 40],
            "stream": [True, False],
            "tools": [[ASKING]],
            "thinking": [
                {"type": "disabled"},
                {"type": "enabled", "budget_tokens": 5},
                {"type": "adaptive", "display": "summarized"},
                {"type": "adaptive", "display": "omitted"},
            ],
            "metadata": [{"user_id": "ann"}],
            "service_tier": ["auto"],
            "cache_control": [{"type": "ephemeral"}],
        },
        {"tools": [ASKING], "tool_choice": {"type": "any", "disable_parallel_tool_use": True}},
        {"tools": [ASKING], "tool_choice": {"type": "tool", "name": "weather"}},
    ),
    [
        *ODD_MESSAGES,
        *each(
            max_tokens=[0, -1, 4097, MOST + 1],
            stop_sequences=[list("abcde")],
            temperature=[-0.01, 1.01],
            top_p=[0, 1.01],
            top_k=[-1, MOST + 1],
            tools=[[ASKING] * 129],
            tool_choice=[{"type": "any"}],
        ),
        ("stop_sequences[0]", {"stop_sequences": [""]}),
        ("tools[0].name", {"tools": [ASKING | {"name": "a b"}]}),
        ("tools[0].input_schema", {"tools": [ASKING | {"input_schema": deep(100)}]}),
        ("tools[0].type", {"tools": [ASKING | {"type": "web_search_20250305"}]}),
        ("tool_choice.name", {"tools": [ASKING], "tool_choice": {"type": "tool", "name": "now"}}),
        ("thinking.budget_tokens", {"thinking": {"type": "enabled"}}),
        ("thinking.budget_tokens", {"thinking": {"type": "enabled", "budget_tokens": 0}}),
        ("messages[0]", {"messages": [TURN | {"content": [USE]}]}),
        ("messages[0].content[0].type", {"messages": [TURN | {"content": [{"type": "image"}]}]}),
    ],
    tags=("messages[].content[].type",),
)

SEED_CHAT = Endpoint(
    "/v1/free/m",
    SeedChat,
    seed_body,
    CHAT,
    bodies(
        {"messages": [TURN]},
        {name: values for name, values in chats.TAKEN.items() if name in Sampling.model_fields} | {"seed": [0, 7]},
        {"messages": [{"role": "system", "content": ""}, TURN, {"role": "assistant", "content": "x"}]},
    ),
    [*SAMPLING, *ODD_MESSAGES[:1], *ODD_MESSAGES[3:], *each(max_tokens=[0], seed=[-1])],
)

SEED_IMAGE = Endpoint(
    "/v1/premium/pictures", Image, seed_body, PICTURES, bodies({"prompt": "a cat"}, PICTURE), PICTURE_WRONG
)

ENDPOINTS = [CHATS, COMPLETIONS, IMAGES, MESSAGES, SEED_CHAT, SEED_IMAGE]

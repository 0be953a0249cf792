"""A conversation as OpenAI has it: messages of every role, with text, parts of text and tool calls."""

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, ConfigDict, Discriminator, Field, Tag, model_validator
from pydantic.json_schema import SkipJsonSchema
from pydantic_core import PydanticCustomError

from gateway.bodies.shapes import Shape, by_member, by_type, member


class TextPart(Shape):
    type: Literal["text"]
    text: str


class RefusalPart(Shape):
    """How a model said that it would not answer."""

    type: Literal["refusal"]
    refusal: str


class Call(Shape):
    """A tool's name, and its arguments as JSON, as the model wrote them."""

    name: str
    arguments: str


class ToolCall(Shape):
    id: str
    type: Literal["function"]
    function: Call


def _unread(part: Any) -> Any:
    raise PydanticCustomError("unread", "images, audio and files are not read; send parts of type 'text'")


UNREAD = ("image_url", "input_audio", "file", "video_url")


def _kind_of_part(part: Any) -> str:
    kind = member(part, "type")
    return "|unread" if kind in UNREAD else "|refusal" if kind == "refusal" else "|text"


TEXT_OR_PARTS = by_type(
    {str: "|text", list: "|parts"}, "text_or_parts", "should be a text, or a list of parts of type 'text'"
)
Part = Annotated[
    Annotated[TextPart, Tag("|text")]
    | Annotated[RefusalPart, Tag("|refusal")]
    | Annotated[SkipJsonSchema[Any], AfterValidator(_unread), Tag("|unread")],
    Discriminator(_kind_of_part),
]
Content = Annotated[
    Annotated[str, Tag("|text")] | Annotated[list[Part], Field(min_length=1, fail_fast=True), Tag("|parts")],
    TEXT_OR_PARTS,
]


class Spoken(Shape):
    """What a system, developer or user message has."""

    role: Literal["system", "developer", "user"]
    content: Content
    name: str | None = None


def _with_nulls(schema: dict[str, Any]) -> None:
    """What OpenAI's clients send back as null, which is dropped before a message is held against its shape."""
    schema["properties"] |= {"audio": {"type": "null"}, "function_call": {"type": "null"}}


class Answered(Shape):
    """An assistant's message, with all that an answer of ours has, so that it can be sent back as it is."""

    model_config = ConfigDict(json_schema_extra=_with_nulls)

    role: Literal["assistant"]
    content: Content | None = None
    name: str | None = None
    refusal: str | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None
    annotations: list[Any] | None = None
    tool_calls: Annotated[list[ToolCall], Field(fail_fast=True)] | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.content is None and not (
            self.tool_calls or self.refusal or self.reasoning or self.reasoning_content
        ):
            raise PydanticCustomError("silent", "should have content or tool_calls")
        return self


class Returned(Shape):
    """What a tool gave."""

    role: Literal["tool"]
    content: Content
    tool_call_id: str
    name: str | None = None


KINDS = {
    "system": "|spoken",
    "developer": "|spoken",
    "user": "|spoken",
    "assistant": "|answered",
    "tool": "|returned",
}


Message = Annotated[
    Annotated[Spoken, Tag("|spoken")]
    | Annotated[Answered, Tag("|answered")]
    | Annotated[Returned, Tag("|returned")],
    by_member("role", KINDS, "|spoken", "should be 'system', 'developer', 'user', 'assistant' or 'tool'"),
]
Conversation = Annotated[list[Message], Field(min_length=1, fail_fast=True)]

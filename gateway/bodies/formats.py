"""What form an answer must have: OpenAI's response formats, and vLLM's constraints."""

from typing import Annotated, Literal, Self

from pydantic import Field, Tag, model_validator
from pydantic_core import PydanticCustomError

from gateway.bodies.schemas import MOST_GRAMMAR, MOST_VALUES, JsonSchema
from gateway.bodies.shapes import Name, Shape, by_member


class Schema(Shape):
    """A JSON schema by its name. OpenAI's reference calls `schema` optional; vLLM refuses to do without it."""

    name: Name
    description: str | None = None
    definition: JsonSchema = Field(alias="schema")
    strict: bool | None = None


class PlainFormat(Shape):
    type: Literal["text", "json_object"]


class SchemaFormat(Shape):
    type: Literal["json_schema"]
    json_schema: Schema


FORMATS = {"text": "|plain", "json_object": "|plain", "json_schema": "|schema"}


ResponseFormat = Annotated[
    Annotated[PlainFormat, Tag("|plain")] | Annotated[SchemaFormat, Tag("|schema")],
    by_member("type", FORMATS, "|plain", "should be 'text', 'json_object' or 'json_schema'"),
]


class StructuredOutputs(Shape):
    """vLLM's constraints on an answer, of which a request has one."""

    definition: JsonSchema | None = Field(None, alias="json")
    json_object: Literal[True] | None = None
    regex: str | None = Field(None, min_length=1, max_length=MOST_GRAMMAR)
    choice: Annotated[list[str], Field(min_length=1, max_length=MOST_VALUES, fail_fast=True)] | None = None
    grammar: str | None = Field(None, min_length=1, max_length=MOST_GRAMMAR)

    @model_validator(mode="after")
    def _has_one(self) -> Self:
        if sum(value is not None for _, value in self) != 1:
            raise PydanticCustomError("one_of", "should have one of json, json_object, regex, choice and grammar")
        return self

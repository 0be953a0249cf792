"""Schemas of the bodies that are taken, from the very shapes that they are held against."""

from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, models_json_schema
from pydantic_core.core_schema import WithDefaultSchema

from gateway.bodies.admin import AccountChange, KeyChange, NewAccount, NewKey, OwnKey
from gateway.bodies.chat import ChatRequest
from gateway.bodies.completion import CompletionRequest
from gateway.bodies.dialects import SeedChat
from gateway.bodies.images import Image, ImageRequest
from gateway.bodies.messages import MessagesRequest

Schema = dict[str, Any]

ANTHROPIC = "Anthropic"
"""Begins the names of what is in that dialect: both have tools, texts and messages."""


def ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def body_schemas() -> dict[str, Schema]:
    """By name, the schemas of all bodies and of their parts."""
    schemas = _schemas("", ChatRequest, CompletionRequest, ImageRequest, SeedChat, Image)
    for name in ("ChatRequest", "CompletionRequest", "ImageRequest"):
        _name_model(schemas[name])
    admins = _schemas("", NewAccount, AccountChange, NewKey, OwnKey, KeyChange)
    return schemas | admins | _schemas(ANTHROPIC, MessagesRequest)


def _schemas(prefix: str, *shapes: type[BaseModel]) -> dict[str, Schema]:
    _, made = models_json_schema(
        [(shape, "validation") for shape in shapes],
        ref_template=ref(prefix + "{model}")["$ref"],
        schema_generator=_Plain,
    )
    for schema in made["$defs"].values():
        del schema["title"]  # which is its name
    return {prefix + name: schema for name, schema in made["$defs"].items()}


def _name_model(schema: Schema) -> None:
    """The model is looked up before a body is held against its shape, which therefore can do without."""
    schema["properties"]["model"] = {"type": "string"}
    schema["required"] = ["model", *schema["required"]]


class _Plain(GenerateJsonSchema):
    """Without the titles and nulls that say nothing."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def default_schema(self, schema: WithDefaultSchema) -> Schema:
        if schema.get("default", ...) is None:
            return self.generate_inner(schema["schema"])
        return super().default_schema(schema)

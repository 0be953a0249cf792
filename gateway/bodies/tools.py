"""Tools that a model may call, and who decides whether it does."""

from typing import Annotated, Literal

from pydantic import Field, Tag

from gateway.bodies.schemas import JsonSchema
from gateway.bodies.shapes import Name, Shape, by_type


class Function(Shape):
    """`parameters` is a JSON schema."""

    name: Name
    description: str | None = None
    parameters: JsonSchema | None = None
    strict: bool | None = None


class Tool(Shape):
    type: Literal["function"]
    function: Function


class Named(Shape):
    name: str


class NamedTool(Shape):
    type: Literal["function"]
    function: Named


Tools = Annotated[list[Tool], Field(min_length=1, max_length=128, fail_fast=True)]
ToolChoice = Annotated[
    Annotated[Literal["none", "auto", "required"], Tag("|mode")] | Annotated[NamedTool, Tag("|named")],
    by_type(
        {str: "|mode", dict: "|named"},
        "tool_choice",
        "should be 'none', 'auto', 'required' or an object that names a function",
    ),
]

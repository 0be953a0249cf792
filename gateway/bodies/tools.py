"""Tools that a model may call, and who decides whether it does."""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from gateway.bodies.shapes import Name, Shape


class Function(Shape):
    """`parameters` is a JSON schema."""

    name: Name
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class Tool(Shape):
    type: Literal["function"]
    function: Function


class Named(Shape):
    name: str


class NamedTool(Shape):
    type: Literal["function"]
    function: Named


def _kind_of_choice(choice: Any) -> str | None:
    return "|named" if isinstance(choice, dict) else "|mode" if isinstance(choice, str) else None


Tools = Annotated[list[Tool], Field(min_length=1, max_length=128, fail_fast=True)]
ToolChoice = Annotated[
    Annotated[Literal["none", "auto", "required"], Tag("|mode")] | Annotated[NamedTool, Tag("|named")],
    Discriminator(
        _kind_of_choice,
        custom_error_type="tool_choice",
        custom_error_message="should be 'none', 'auto', 'required' or an object that names a function",
    ),
]

"""Shapes that a body is held against, and what a client is told when it does not fit: the field and the fix."""

import difflib
import json
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Annotated, Any, ClassVar, TypeVar, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    ValidationError,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError

from shared.errors import InvalidRequest

LONGEST = 80  # characters of a client's own names and values in a message
FEW = 12  # fields, that a message may list them all

Name = Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
"""The only pattern: EXPECTED says it in words."""


class Shape(BaseModel):
    """An object of these fields and no others, with no text for a number. A null is as good as left out, but where
    it `takes_nulls`: there it says that something is to be nothing from now on."""

    model_config = ConfigDict(extra="forbid", strict=True)

    takes_nulls: ClassVar[bool] = False

    @model_validator(mode="before")
    @classmethod
    def _only_what_is_there(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        given = present(data) if None in data.values() and not cls.takes_nulls else data
        # Pydantic would list every unknown field: of a hundred thousand, for two seconds.
        if len(given) > len(cls.model_fields):
            known = set(_names(cls))
            raise PydanticCustomError(STRANGER, "unknown", {"name": next(n for n in given if n not in known)})
        return given

    def plain(self, *, but: Set[str] = frozenset()) -> dict[str, Any]:
        """As JSON has it: by the clients' names, less these; nulls are left where names are a client's own."""
        return self.model_dump(by_alias=True, exclude_none=True, exclude=set(but))


class Body(Shape):
    """A whole body. `refused` says of fields that clients know from elsewhere why they are not taken."""

    refused: ClassVar[Mapping[str, str]] = {}


AnyBody = TypeVar("AnyBody", bound=Body)


def fit(shape: type[AnyBody], data: Mapping[str, Any]) -> AnyBody:
    """The data in this shape. Raises InvalidRequest for the first thing that does not fit."""
    given = data if shape.takes_nulls else present(data)
    # Before pydantic looks: a misspelt field also leaves the right one missing, and there may be thousands.
    for name in given:
        if name not in shape.model_fields:
            raise _unknown(shape, name)
    try:
        return shape.model_validate(given)
    except ValidationError as error:
        raise _complaint(shape, error) from None


def present(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Only what is there: a field that is null is as good as left out, in all dialects."""
    return {name: value for name, value in fields.items() if value is not None}


def at_most(members: int) -> BeforeValidator:
    """Bounds an object with names of the client's own, before each of its members may be a mistake."""

    def check(value: Any) -> Any:
        if isinstance(value, dict) and len(value) > members:
            raise PydanticCustomError("crowd", f"should have at most {members} members, got {len(value)}")
        return value

    return BeforeValidator(check)


def refusal(param: str, fix: str) -> InvalidRequest:
    return InvalidRequest(f"{param or EMPTY}: {fix}", param=param)


def by_member(name: str, tags: Mapping[str, str], otherwise: str, expected: str) -> Discriminator:
    """Tells objects of a union apart by this member; what is no object is held against the tag `otherwise`."""

    def tag(value: Any) -> str | None:
        # Objects as they come are asked for first: there may be very many, and to ask for a Shape takes longer.
        if not isinstance(value, dict) and not isinstance(value, Shape):
            return otherwise
        kind = member(value, name)
        return tags.get(kind) if isinstance(kind, str) else None

    return Discriminator(tag, custom_error_type=MEMBER + name, custom_error_message=expected)


def by_type(tags: Mapping[type, str], mistake: str, expected: str) -> Discriminator:
    """Tells the members of a union apart by the type that they have in JSON."""

    def tag(value: Any) -> str | None:
        own = tags.get(type(value))
        return tags.get(dict) if own is None and isinstance(value, Shape) else own

    return Discriminator(tag, custom_error_type=mistake, custom_error_message=expected)


def member(value: Any, name: str) -> Any:
    """Of an object from a client, or of the shape that it has been found to have; None if it is none."""
    return value.get(name) if isinstance(value, dict) else getattr(value, name, None)


def _unknown(shape: type[Body], name: str) -> InvalidRequest:
    param = name[:LONGEST]
    if reason := shape.refused.get(name):
        return refusal(param, reason)
    if near := difflib.get_close_matches(param, shape.model_fields, 1):
        return refusal(param, f"unknown field: did you mean '{near[0]}'?")
    return refusal(param, _none_of(_names(shape)))


def _none_of(known: Sequence[str]) -> str:
    """That a field is unknown, and which are not, if they are few; none are if that is not known."""
    few = 0 < len(known) <= FEW
    return f"unknown field; known fields: {', '.join(known)}" if few else "unknown field; leave it out"


def _names(shape: type[BaseModel]) -> list[str]:
    """Its fields, as clients call them."""
    return [field.alias or name for name, field in shape.model_fields.items()]


def _known_at(shape: type[BaseModel], place: Iterable[str | int]) -> list[str]:
    """The fields of the object there; none if it may be of several shapes."""
    shapes = {shape}
    for part in place:
        if isinstance(part, str) and not part.startswith(TAG):
            fields = [each.model_fields[part] for each in shapes if part in each.model_fields]
            shapes = {inner for field in fields for inner in _shapes(field.annotation)}
    return _names(shapes.pop()) if len(shapes) == 1 else []


def _shapes(annotation: Any) -> set[type[BaseModel]]:
    """Of the objects that a field may hold, in lists and unions, too."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return {annotation}
    return {shape for part in get_args(annotation) for shape in _shapes(part)}


def _complaint(shape: type[Body], error: ValidationError) -> InvalidRequest:
    mistakes = error.errors(include_url=False)
    mistake: Any = next((each for each in mistakes if each["type"] != "missing"), mistakes[0])
    kind, given, place = mistake["type"], mistake["input"], list(mistake["loc"])
    if kind == STRANGER:
        place, kind = [*place, mistake["ctx"]["name"]], "extra_forbidden"
    elif kind.startswith(MEMBER):
        name = kind.removeprefix(MEMBER)
        given = given.get(name)
        place, kind = [*place, name], "missing" if given is None else kind
    expected = _expected(shape, kind, place, mistake)
    whole = isinstance(given, dict | list) and not kind.endswith("_type")
    got = "" if whole or kind in ("missing", "extra_forbidden") else f", got {_got(given)}"
    return refusal(_param(place), expected + got)


def _expected(shape: type[Body], kind: str, place: list[str | int], mistake: Any) -> str:
    if kind == "extra_forbidden":
        return _none_of(_known_at(shape, place[:-1]))
    if kind in NUMBERS and len(place) == 1:
        return _range(shape.model_fields[str(place[0])], mistake["input"])
    return EXPECTED[kind].format_map(mistake.get("ctx", {})) if kind in EXPECTED else str(mistake["msg"])


def _range(field: FieldInfo, given: Any) -> str:
    """What a field of numbers takes, such as `should be an integer from 1 to 8`."""
    kind = "an integer" if int in (field.annotation, *get_args(field.annotation)) else "a number"
    limits = {name: getattr(limit, name) for limit in field.metadata for name in LIMITS if hasattr(limit, name)}
    if limits["le"] >= BEYOND and isinstance(given, int | float) and given < limits.get("ge", given):
        # The model's own bound is lower than this one.
        return f"should be {kind} from {limits['ge']} on"
    span = "from {ge} to {le}" if "ge" in limits else "above {gt} and up to {le}"
    return f"should be {kind} {span.format_map(limits)}"


def _param(place: list[str | int]) -> str:
    """Where in the body: `messages[0].content`. Tags are ours, and no part of it."""
    first, *rest = place
    parts = (part for part in rest if not (isinstance(part, str) and part.startswith(TAG)))
    names = (f"[{part}]" if isinstance(part, int) else f".{part or EMPTY}" for part in parts)
    return (str(first) + "".join(names))[:LONGEST]


def _got(value: Any) -> str:
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


EMPTY = '""'
"""Says a name that is none."""

MEMBER = "member:"
"""Begins the type of a mistake in that member of an object which tells its shape; the member's name ends it."""

STRANGER = "stranger"
"""The type of a mistake where an object has more fields than its shape, so that one must be unknown."""

TAG = "|"
"""Begins the tags by which pydantic tells the members of a union apart."""

BEYOND = 10_000_000
"""A bound from here on is no model's, and says nothing to who is below the other one."""

LIMITS = ("ge", "gt", "le")
NUMBERS = {"int_type", "float_type", "greater_than", "greater_than_equal", "less_than_equal"}

EXPECTED = {
    "missing": "this field is required",
    "int_type": "should be an integer",
    "float_type": "should be a number",
    "bool_type": "should be true or false",
    "string_type": "should be a text",
    "string_too_short": "should not be empty",
    "string_too_long": "should have at most {max_length} characters",
    "string_pattern_mismatch": "should be 1 to 64 letters, digits, '_' and '-'",
    "list_type": "should be a list",
    "dict_type": "should be an object",
    "model_type": "should be an object",
    "too_short": "should not be empty",
    "too_long": "should have at most {max_length} members, got {actual_length}",
    "greater_than": "should be above {gt}",
    "greater_than_equal": "should be at least {ge}",
    "less_than_equal": "should be at most {le}",
    "literal_error": "should be {expected}",
}
"""Our words for pydantic's mistakes; a shape's own come with theirs."""

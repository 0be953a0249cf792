"""Our YAML files with an operator's merged over them: the catalogue's models, and the tiers.

The merge has one rule, at every depth: a map merges key by key, null removes, anything else replaces.
"""

import difflib
import json
from collections.abc import Callable, Iterable, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from shared.errors import SetupError

Shape = TypeVar("Shape", bound=BaseModel)

Entries = dict[str, Any]


def _as_they_are(ours: Entries, changes: Entries) -> Entries:
    return ours


@dataclass(frozen=True)
class Overlay(Generic[Shape]):
    """Entries of this shape, which has an `id`, in files with the one key `root`.

    An entry is called a `noun`. One that has none of `marks` is no new one, if its name is near to one of ours: it
    was to change that. What is wrong is told as an `error`.
    """

    root: str
    noun: str
    marks: Set[str]
    shape: type[Shape]
    error: type[SetupError]

    def load(
        self,
        shipped: Path,
        override: Path | None,
        adapt: Callable[[Entries, Entries], Entries] = _as_they_are,
    ) -> tuple[Path, list[Shape]]:
        """Our entries, or the operator's file merged over them, and the file that mistakes of theirs are in.

        `adapt` makes of ours what those changes are merged over.
        """
        file, entries = shipped, read(shipped, self.root, self.error)
        if override is not None:
            # Ours is tested, so what is wrong from here on is the operator's doing, and named so.
            file, entries = override, self._merged(entries, override, adapt)
        return file, [self._entry(file, name, fields) for name, fields in entries.items()]

    def _merged(self, ours: Entries, file: Path, adapt: Callable[[Entries, Entries], Entries]) -> Entries:
        try:
            changes = read(file, self.root, self.error)
            for name, fields in changes.items():
                self._check_there(ours, file, name, fields)
            return merge(adapt(ours, changes), changes)
        except RecursionError:
            raise self.error(f"{file}: is nested too deep, or an alias (*name) stands in what it names") from None

    def _check_there(self, ours: Entries, file: Path, name: str, fields: Any) -> None:
        """Only what is there can be changed or removed."""
        if name in ours:
            return
        if fields is None:
            raise self.error(f"{file}: {name}: there is no such {self.noun} to remove{hint(name, ours)}")
        if fields and not self.marks & fields.keys() and near(name, ours):
            raise self.error(f"{file}: {name}: there is no such {self.noun} to change{hint(name, ours)}")

    def _entry(self, file: Path, name: str, fields: Any) -> Shape:
        if "id" in fields:
            raise self.error(f"{file}: {name}: id: should be left out: it is the entry's key")
        try:
            return self.shape.model_validate(merge({}, fields) | {"id": name})
        except ValidationError as cause:
            raise self.error(f"{file}: {name}: {complaint(cause, self.shape)}") from None


def read(file: Path, root: str, error: type[SetupError]) -> dict[str, Any]:
    """The entries of one file, by id: it is a map with the one key `root`. Raises `error`."""
    try:
        data = yaml.load(file.read_bytes(), _Loader)
    except OSError as cause:
        raise error(f"{file}: cannot be read: {cause.strerror}") from None
    except yaml.MarkedYAMLError as cause:
        line = f"line {cause.problem_mark.line + 1}: " if cause.problem_mark else ""
        raise error(f"{file}: {line}{cause.problem or cause.context}") from None
    except (yaml.YAMLError, ValueError) as cause:
        raise error(f"{file}: is not valid YAML: {cause}") from None
    try:
        return _entries(data, root)
    except ValueError as cause:
        raise error(f"{file}: {cause}") from None


def merge(base: Any, changes: dict[str, Any]) -> dict[str, Any]:
    """The changes over the base. Raises RecursionError if they have no end."""
    merged: dict[str, Any] = dict(base) if isinstance(base, dict) else {}
    for key, value in changes.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge(merged.get(key), value) if isinstance(value, dict) else value
    return merged


def complaint(error: ValidationError, shape: type[BaseModel], prefix: str = "") -> str:
    """The first mistake, as `field: what it should be, got what`."""
    mistakes = error.errors()
    # A misspelt field also leaves the right one missing: say what is there before what is not.
    first = next((mistake for mistake in mistakes if mistake["type"] == "extra_forbidden"), mistakes[0])
    field = prefix + ".".join(map(str, first["loc"]))
    match first["type"]:
        case "value_error" if not first["loc"]:
            return f"{prefix}{first['ctx']['error']}"
        case "value_error":
            expected = str(first["ctx"]["error"])
        case "missing":
            return f"{field}: is missing; an entry needs it"
        case "extra_forbidden":
            return f"{field}: unknown field{hint(str(first['loc'][-1]), _fields(shape, first['loc'][:-1]))}"
        case kind:
            expected = EXPECTED.get(kind) or first["msg"].removeprefix("Input ")
    return f"{field}: {expected}, got {got(first['input'])}"


EXPECTED = {
    "int_type": "should be an integer",
    "float_type": "should be a number",
    "string_type": "should be text (in quotes, if it looks like something else)",
    "list_type": "should be a list",
    "tuple_type": "should be a list",
    "dict_type": "should be a map",
    "model_type": "should be a map",
}
"""Our words for pydantic's mistakes, where they are plainer than its own."""


def hint(name: str, known: Iterable[str]) -> str:
    """What may have been meant, as the end of a sentence; nothing if nothing is near."""
    meant = near(name, known)
    return f"; did you mean '{meant}'?" if meant else ""


def near(name: str, known: Iterable[str]) -> str | None:
    return next(iter(difflib.get_close_matches(name[:80], known, n=1)), None)


def got(value: Any) -> str:
    """What was given, in a line."""
    plain = isinstance(value, str | int | float | None)
    text = json.dumps(value, ensure_ascii=False) if plain else repr(value)
    return text if len(text) <= 80 else text[:79] + "…"


def _entries(data: Any, root: str) -> dict[str, Any]:
    # A file of nothing but comments changes nothing; that is how an operator's file starts its life.
    data = {root: {}} if data is None else data
    if not isinstance(data, dict) or data.keys() != {root}:
        raise ValueError(f"should be a map with the one key '{root}', got {got(data)}")
    entries = {} if data[root] is None else data[root]
    if not isinstance(entries, dict):
        raise ValueError(f"{root}: should be a map of ids to entries, got {got(entries)}")
    for name, fields in entries.items():
        if not isinstance(name, str):
            raise ValueError(f"{name}: id: should be text: put it in quotes")
        if not isinstance(fields, dict | None):
            raise ValueError(f"{name}: should be a map of fields, got {got(fields)}")
    return entries


def _fields(shape: type[BaseModel], place: tuple[int | str, ...]) -> Iterable[str]:
    """The fields of what stands at this place of a shape."""
    for name in place:
        field = shape.model_fields.get(str(name))
        inner = field.annotation if field else None
        if not isinstance(inner, type) or not issubclass(inner, BaseModel):
            return ()
        shape = inner
    return shape.model_fields


class _Loader(yaml.SafeLoader):
    """Refuses a key that a map has twice, of which PyYAML would silently keep the last."""

    # Of our own: engines' libraries change those of SafeLoader, for the whole process.
    yaml_constructors = yaml.SafeLoader.yaml_constructors.copy()

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if (key.tag, key.value) in seen:
                    problem = f"'{key.value}' is given twice"
                    raise yaml.MarkedYAMLError(problem=problem, problem_mark=key.start_mark)
                seen.add((key.tag, key.value))
        return node

"""The model catalogue: shared/models.yaml, with an operator's file merged over it.

Names, which are ids and aliases, ignore case; no name may belong to two entries.
"""

import difflib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from shared import overlay
from shared.errors import CatalogError, ModelNotFound
from shared.image_args import SIMULATED, ImageArgs

SHIPPED = Path(__file__).with_name("models.yaml")

MOST_CONTEXT = 10_000_000
"""Tokens: more than any model has."""

MOST_PRICE = 10_000
"""Units. No request has more than 32 prompts and 32 answers: of the longest context they cost less than 10^13,
which is exact in Lua's doubles, and in the 14 digits that it writes of them."""

ModelKind = Literal["chat", "image"]
"""A model for chats also takes completions."""

KINDS: dict[str, ModelKind] = {"vllm": "chat", "diffusers": "image"}
"""What an engine's models do; a simulated entry says it itself."""

TYPED_ARGS = {
    "model": "weights",
    "served_model_name": "id",
    "max_model_len": "context",
    "tensor_parallel_size": "tensor_parallel",
    "quantization": "quantization",
}
"""vLLM's arguments that have a field of their own, by that field: two places would contradict each other."""


def load_catalog(override: Path | None = None) -> "Catalog":
    """Our catalogue, or the operator's file merged over it. Raises CatalogError."""
    entries = overlay.Overlay("models", "entry", {"engine", "weights"}, Model, CatalogError)
    file, models = entries.load(SHIPPED, override, _without_foreign_args)
    try:
        return Catalog(models)
    except CatalogError as error:
        raise CatalogError(f"{file}: {error}") from None


class Catalog:
    """All models, by name: `models` holds them by id, in the order of the file."""

    def __init__(self, models: Iterable["Model"]) -> None:
        """Raises CatalogError if two entries share a name."""
        self.models: Mapping[str, Model] = MappingProxyType({model.id: model for model in models})
        self._names: dict[str, Model] = {}
        # Ids first: an alias that takes an id is the one at fault, wherever it stands.
        for model in self.models.values():
            self._register("id", model.id, model)
        for model in self.models.values():
            for alias in model.aliases:
                self._register("aliases", alias, model)

    def find(self, name: str) -> "Model":
        """The model with this id or alias, in any case. Raises ModelNotFound, which names the nearest ids."""
        model = self._names.get(name.lower())
        if model is None:
            raise ModelNotFound(self._unknown(name), param="model")
        return model

    def _register(self, field: str, name: str, model: "Model") -> None:
        owner = self._names.setdefault(name.lower(), model)
        if owner.id != model.id:
            raise CatalogError(f"{model.id}: {field}: '{name}' is a name of {owner.id} already (case is ignored)")

    def _unknown(self, name: str) -> str:
        # A client may send a megabyte, which difflib would index in full; no name is that long.
        near = difflib.get_close_matches(name[:80].lower(), self._names, n=6)
        ids = list(dict.fromkeys(self._names[match].id for match in near))[:3]
        hint = f": did you mean {', '.join(map(repr, ids))}?" if ids else "."
        return f"unknown model {_quote(name)}{hint} The models are listed at /v1/models."


def _check_name(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", name):
        raise ValueError("should be at most 64 letters, digits, '.', '_' and '-', with a letter or digit first")
    return name


Name = Annotated[str, AfterValidator(_check_name)]
"""Safe in a Redis key, in a queue's name and as one segment of a URL path."""


class Price(BaseModel):
    """What a token of the prompt, one of the answer, and a denoising step of a picture of 1024 x 1024 pixels count
    for, in units: one is a token of a model of up to 8 billion parameters."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    prompt: int = Field(1, ge=0, le=MOST_PRICE)
    completion: int = Field(1, ge=0, le=MOST_PRICE)
    step: int = Field(50, ge=0, le=MOST_PRICE)


class Model(BaseModel):
    """One entry of the catalogue. docs/catalogue.md explains the fields.

    `context` is in tokens, prompt and answer together; `max_tokens` is the longest answer to a request that
    does not say. Both are 0 for image models. A simulated entry needs no `weights`. `gpus` is for people; the Helm
    chart reads of it whether it is none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    id: Name
    engine: Literal["vllm", "diffusers", "simulated"]
    kind: ModelKind
    weights: str = ""
    description: str
    aliases: list[Name] = Field(default_factory=list)
    context: int = Field(0, gt=0, le=MOST_CONTEXT)
    max_tokens: int = Field(0, gt=0, le=MOST_CONTEXT)
    gpus: str = ""
    tensor_parallel: int = Field(1, gt=0)
    quantization: str | None = None
    engine_args: dict[str, Any] = Field(default_factory=dict)
    price: Price = Field(default_factory=Price)

    @property
    def calls_tools(self) -> bool:
        """Whether its engine reads tool calls out of its answers."""
        return bool(self.engine_args.get("enable_auto_tool_choice") and self.engine_args.get("tool_call_parser"))

    @property
    def thinks(self) -> bool:
        """Whether its engine reads the model's reasoning out of its answers."""
        return bool(self.engine_args.get("reasoning_parser") or self.engine_args.get("reasoning_config"))

    @property
    def image_args(self) -> ImageArgs:
        """Of an image model, what bounds its requests."""
        return ImageArgs.model_validate(self.engine_args) if self.engine == "diffusers" else SIMULATED

    @property
    def image_steps(self) -> int:
        """Of an image model, the steps of a request that does not say."""
        return int(self.engine_args.get("steps", self.image_args.steps))

    @model_validator(mode="before")
    @classmethod
    def _derive_kind(cls, fields: Any) -> Any:
        kind = KINDS.get(str(fields.get("engine"))) if isinstance(fields, dict) else None
        return {"kind": kind, **fields} if kind else fields

    @model_validator(mode="after")
    def _suits_engine(self) -> Self:
        expected = KINDS.get(self.engine, self.kind)
        if self.kind != expected:
            raise ValueError(f'kind: should be "{expected}" for engine {self.engine}, got "{self.kind}"')
        if not self.weights and self.engine != "simulated":
            given = "weights" in self.model_fields_set
            wrong = "should not be empty" if given else f"is missing; engine {self.engine} needs it"
            raise ValueError(f"weights: {wrong}")
        if self.engine == "vllm":
            _check_vllm(self)
        elif self.engine == "diffusers":
            _check_diffusers(self)
        return self


def _check_vllm(model: Model) -> None:
    """Raises ValueError whose text begins with the field at fault, as do all checks of a whole entry."""
    for field in ("context", "max_tokens"):
        if field not in model.model_fields_set:
            raise ValueError(f"{field}: is missing; engine vllm needs it")
    if model.max_tokens >= model.context:
        raise ValueError(f"max_tokens: should be less than context ({model.context}), got {model.max_tokens}")
    for name in model.engine_args:
        if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
            raise ValueError(f"engine_args.{name}: should be spelled with underscores, such as max_num_seqs")
        if name in TYPED_ARGS:
            raise ValueError(f"engine_args.{name}: should be given as the entry's field {TYPED_ARGS[name]}")


def _check_diffusers(model: Model) -> None:
    for field in ("context", "max_tokens", "tensor_parallel", "quantization"):
        if field in model.model_fields_set:
            raise ValueError(f"{field}: should be left out: it means nothing to engine diffusers")
    try:
        ImageArgs.model_validate(model.engine_args)
    except ValidationError as error:
        raise ValueError(overlay.complaint(error, ImageArgs, prefix="engine_args.")) from None


def _without_foreign_args(ours: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Our entries, less the arguments of those that are to have another engine: to that they mean nothing."""
    others = {
        name: ours[name] | {"engine_args": {}}
        for name, fields in changes.items()
        if fields and name in ours and fields.get("engine", ours[name]["engine"]) != ours[name]["engine"]
    }
    return ours | others


def _quote(name: str) -> str:
    # Shortened after the escaping, which makes up to ten characters of one.
    text = repr(name[:100])
    return text if len(text) <= 82 else f"{text[:80]}…{text[0]}"

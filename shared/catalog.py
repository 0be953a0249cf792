"""The model catalogue: shared/models.yaml, with an operator's file merged over it."""

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from shared.messages import Kind


class Model(BaseModel):
    """One entry of the catalogue. `context` is in tokens, prompt and answer together."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    kind: Kind
    engine: Literal["vllm", "diffusers", "simulated"]
    weights: str
    description: str
    aliases: list[str] = Field(default_factory=list)
    context: int = 0
    max_tokens: int = 0
    gpus: str = ""
    tensor_parallel: int = 1
    quantization: str | None = None
    engine_args: dict[str, Any] = Field(default_factory=dict)


def load_catalog(override: Path | None = None) -> "Catalog":
    raise NotImplementedError


class Catalog:
    """All models, by name and alias."""

    models: dict[str, Model]

    def find(self, name: str) -> Model:
        raise NotImplementedError

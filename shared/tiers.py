"""The tiers of accounts, as data: shared/tiers.yaml, with an operator's file merged over it.

A tier says who is served first, how much its accounts may ask for, and of which models.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from shared import overlay
from shared.errors import TiersError, UnknownTier
from shared.image_args import MAX_STEPS, MIN_SIZE, edges

SHIPPED = Path(__file__).with_name("tiers.yaml")

ADDRESSES = frozenset("admin chat completions images jobs messages models usage".split())
"""What stands in addresses where a tier's id would: /v1/<tier>/<model>."""


def load_tiers(override: Path | None, models: Collection[str]) -> "Tiers":
    """Our tiers, or the operator's file merged over them; `models` are the catalogue's ids. Raises TiersError."""
    file, tiers = overlay.Overlay("tiers", "tier", {"priority"}, Tier, TiersError).load(SHIPPED, override)
    try:
        for tier in tiers:
            _check_models(tier, models)
        return Tiers(tiers)
    except TiersError as error:
        raise TiersError(f"{file}: {error}") from None


class Tiers:
    """All tiers, by id."""

    def __init__(self, tiers: Iterable["Tier"]) -> None:
        """Raises TiersError if there is none, or if more is reserved than there is."""
        self._tiers: Mapping[str, Tier] = MappingProxyType({tier.id: tier for tier in tiers})
        if not self._tiers:
            raise TiersError("should leave at least one tier")
        if (reserved := round(sum(tier.reserved for tier in self.all), 6)) > 1:
            raise TiersError(
                f"{self.all[-1].id}: reserved: of all tiers should be at most 1 in all, got {reserved}"
            )

    @property
    def all(self) -> list["Tier"]:
        """In the order of the file."""
        return list(self._tiers.values())

    @property
    def names(self) -> str:
        """Their ids, for people."""
        return ", ".join(tier.id for tier in self.all)

    @property
    def best(self) -> "Tier":
        """The one that is served first."""
        return min(self.all, key=lambda tier: tier.priority)

    def has(self, name: str) -> bool:
        return name in self._tiers

    def find(self, name: str) -> "Tier":
        """The tier with this id. Raises UnknownTier, which lists those that there are."""
        tier = self._tiers.get(name)
        if tier is None:
            known = ", ".join(f"'{tier.id}'" for tier in self.all)
            raise UnknownTier(f"unknown tier {overlay.got(name)}: the tiers are {known}")
        return tier

    def may_use(self, own: "Tier", other: "Tier") -> bool:
        """Whether accounts of the first may ask to be served at the second: it must not put them ahead."""
        return other.priority >= own.priority


def _check_id(name: str) -> str:
    if not re.fullmatch(r"[a-z0-9-]{1,32}", name):
        raise ValueError("should be 1 to 32 of the letters a to z, digits and '-'")
    if name in ADDRESSES:
        raise ValueError("should be another word: this one is part of an address")
    return name


def _check_size(size: str) -> str:
    if edges(size) is None:
        raise ValueError(f"should be WIDTHxHEIGHT in pixels, multiples of 8 from {MIN_SIZE} on")
    return size


MOST_LIMIT = 10**13
"""More than the dearest request costs. What is counted so far is exact in Lua, and in the JSON that it writes."""

Limit = Annotated[int, Field(gt=0, le=MOST_LIMIT)]


class Limits(BaseModel):
    """How much may be asked for; None is without limit.

    Days are of 24 hours. Units are what the catalogue's `price` makes of tokens and of denoising steps.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    requests_per_minute: Limit | None = None
    requests_per_day: Limit | None = None
    units_per_minute: Limit | None = None
    units_per_day: Limit | None = None
    images_per_minute: Limit | None = None
    images_per_day: Limit | None = None
    concurrent_jobs: Limit | None = None


class Tier(BaseModel):
    """One tier. docs/accounts.md explains the fields.

    Of two jobs the one whose tier has the lower `priority` is served first; among accounts of one priority,
    `weight` is an account's share. `reserved` is the share of each model's job starts that the tier gets at least
    while it has jobs that wait. None is without bound; `longest_wait` is in seconds.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    id: Annotated[str, AfterValidator(_check_id)]
    description: str
    priority: int = Field(ge=0, le=9)
    weight: int = Field(1, ge=1, le=100)
    reserved: float = Field(0, ge=0, le=1)
    # YAML and JSON have lists only, which strictness would not take for a tuple.
    models: Annotated[tuple[str, ...], Field(strict=False)] | None = None
    image_size: Annotated[str, AfterValidator(_check_size)] | None = None
    image_steps: int | None = Field(None, gt=0, le=MAX_STEPS)
    most_waiting: int = Field(1000, gt=0)
    longest_wait: float | None = Field(None, gt=0)
    limits: Limits = Field(default_factory=Limits)


def _check_models(tier: Tier, known: Collection[str]) -> None:
    for name in tier.models or ():
        if name not in known:
            raise TiersError(f"{tier.id}: models: there is no model '{name}'{overlay.hint(name, known)}")

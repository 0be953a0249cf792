"""What a gateway asks the process that plans for it, and what that answers."""

from typing import Any, Literal

import msgspec

LONGEST = 60.0  # seconds that a plan may take


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """For so many `gpus`, from the usage of the last `seconds`; `running` are the models that have workers."""

    url: str
    models_file: str | None
    tiers_file: str | None
    gpus: int
    seconds: float
    share: float
    within: float
    by_hour: bool
    running: list[str]


class Made(msgspec.Struct, frozen=True, kw_only=True, tag="made"):
    """A plan, and models that were used and are none any more."""

    plan: dict[str, Any]
    unplanned: list[str]


class Failed(msgspec.Struct, frozen=True, kw_only=True, tag="failed"):
    """Why there is none: nothing was `used`, or too `much`; too few `gpus`; or the `machine` is not fit."""

    why: Literal["used", "much", "gpus", "machine"]
    message: str

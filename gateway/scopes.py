"""Hop 2: which models and tiers a key is for, and how large pictures may be. Nothing is looked up here."""

from typing import Any

from shared.accounts import Holder
from shared.catalog import Model
from shared.errors import InvalidRequest, ModelNotAllowed, TierRequired, UnknownTier
from shared.image_args import edges
from shared.tiers import Tier, Tiers


def usual_tier(holder: Holder, tiers: Tiers) -> str:
    """The tier of a request that names none: the account's own, or the best of those that the key is for."""
    if holder.tiers is None or holder.tier in holder.tiers:
        return holder.tier
    own = _own(holder, tiers)
    mine = [tier for tier in tiers.all if tier.id in holder.tiers and tiers.may_use(own, tier)]
    return min(mine, key=lambda tier: tier.priority).id if mine else holder.tier


def check(holder: Holder, tiers: Tiers, name: str, model: Model) -> None:
    """Whether this key may use this model at the tier of this name. Raises TierRequired or ModelNotAllowed."""
    own, tier = _own(holder, tiers), _find(tiers, name)
    if not tiers.may_use(own, tier):
        mine = ", ".join(f"/v1/{each.id}/" for each in tiers.all if tiers.may_use(own, each))
        raise TierRequired(
            f"The tier '{tier.id}' is not for accounts of the tier '{own.id}', which may use {mine}.", param="tier"
        )
    if holder.tiers is not None and tier.id not in holder.tiers:
        raise TierRequired(f"This API key is not for the tier '{tier.id}'.", param="tier")
    if tier.models is not None and model.id not in tier.models:
        raise ModelNotAllowed(f"The tier '{tier.id}' is not for the model '{model.id}'.", param="model")
    if holder.models is not None and model.id not in holder.models:
        raise ModelNotAllowed(f"This API key is not for the model '{model.id}'.", param="model")


def bounded(tiers: Tiers, name: str, model: Model, body: dict[str, Any]) -> dict[str, Any]:
    """A request's body, as its workers get it, within what the tier of this name takes: what it leaves open is the
    model's own, or the tier's bound if that is less. Raises InvalidRequest for what it says and may not."""
    tier = _find(tiers, name)
    if model.kind != "image" or (tier.image_size is None and tier.image_steps is None):
        return body
    return body | _size(tier, model, body) | _steps(tier, model, body)


def _size(tier: Tier, model: Model, body: dict[str, Any]) -> dict[str, str]:
    most = edges(tier.image_size or "")
    given = body.get("size")
    size = edges(given or model.image_args.size)
    if most is None or size is None or _within(size, most):
        return {}
    if given:
        raise InvalidRequest(
            f"size: should be at most {tier.image_size} at the tier '{tier.id}', got '{given}'", param="size"
        )
    return {"size": f"{min(size[0], most[0])}x{min(size[1], most[1])}"}


def _within(size: tuple[int, int], most: tuple[int, int]) -> bool:
    """Whether a picture is none too large, upright or across."""
    return max(size) <= max(most) and min(size) <= min(most)


def _steps(tier: Tier, model: Model, body: dict[str, Any]) -> dict[str, int]:
    most, given = tier.image_steps, body.get("steps")
    if most is None or (given or model.image_steps) <= most:
        return {}
    if given:
        raise InvalidRequest(
            f"steps: should be an integer from 1 to {most} at the tier '{tier.id}', got {given}", param="steps"
        )
    return {"steps": most}


def _own(holder: Holder, tiers: Tiers) -> Tier:
    try:
        return tiers.find(holder.tier)
    except UnknownTier:
        raise TierRequired(
            f"Your account is of the tier '{holder.tier}', which does not exist any more. "
            "Ask the operator to give it another.",
            param="tier",
        ) from None


def _find(tiers: Tiers, name: str) -> Tier:
    try:
        return tiers.find(name)
    except UnknownTier:
        # The operator has removed it since.
        raise TierRequired(
            f"There is no tier '{name}' any more. Ask the operator for another.", param="tier"
        ) from None

"""Hop 2: which models and tiers a key is for. Nothing is looked up here."""

from shared.accounts import Holder
from shared.catalog import Model
from shared.errors import ModelNotAllowed, TierRequired, UnknownTier
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


def _own(holder: Holder, tiers: Tiers) -> Tier:
    return _find(tiers, holder.tier)


def _find(tiers: Tiers, name: str) -> Tier:
    try:
        return tiers.find(name)
    except UnknownTier:
        # The operator has removed it since.
        raise TierRequired(
            f"There is no tier '{name}' any more. Ask the operator for another.", param="tier"
        ) from None

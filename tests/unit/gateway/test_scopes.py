"""Which models and tiers a key is for."""

import pytest

from gateway import scopes
from shared.accounts import Holder
from shared.errors import ModelNotAllowed, TierRequired
from shared.tiers import Tier, Tiers
from tests.factories import make_model

TIERS = Tiers(
    [
        Tier(id="gold", description="", priority=1),
        Tier(id="premium", description="", priority=3),
        Tier(id="free", description="", priority=6, models=["small"]),  # type: ignore[arg-type]
    ]
)


def holder(tier: str, *, tiers: set[str] | None = None, models: set[str] | None = None) -> Holder:
    return Holder(
        account="acc",
        key="key",
        tier=tier,
        tiers=None if tiers is None else frozenset(tiers),
        models=None if models is None else frozenset(models),
    )


@pytest.mark.parametrize(
    ("who", "tier", "model"),
    [
        (holder("premium"), "premium", "big"),
        (holder("premium"), "free", "small"),
        (holder("gold"), "premium", "big"),
        (holder("free"), "free", "small"),
        (holder("premium", tiers={"free"}), "free", "small"),
        (holder("premium", models={"big"}), "premium", "big"),
    ],
)
def test_may(who: Holder, tier: str, model: str) -> None:
    scopes.check(who, TIERS, tier, make_model(id=model))


@pytest.mark.parametrize(
    ("who", "tier", "model", "param", "words"),
    [
        (holder("free"), "premium", "small", "tier", "of the tier 'free', which may use /v1/free/."),
        (holder("premium"), "gold", "small", "tier", "which may use /v1/premium/, /v1/free/."),
        (holder("premium", tiers={"free"}), "premium", "small", "tier", "key is not for the tier 'premium'"),
        (holder("premium", tiers=set()), "free", "small", "tier", "key is not for the tier 'free'"),
        (holder("gone"), "free", "small", "tier", "There is no tier 'gone' any more"),
        (holder("premium"), "free", "big", "model", "The tier 'free' is not for the model 'big'"),
        (holder("premium", models={"small"}), "premium", "big", "model", "key is not for the model 'big'"),
        (holder("premium", models=set()), "premium", "big", "model", "key is not for the model 'big'"),
    ],
)
def test_may_not(who: Holder, tier: str, model: str, param: str, words: str) -> None:
    with pytest.raises((TierRequired, ModelNotAllowed)) as caught:
        scopes.check(who, TIERS, tier, make_model(id=model))
    assert words in str(caught.value)
    assert caught.value.param == param
    assert isinstance(caught.value, ModelNotAllowed) == (param == "model")


@pytest.mark.parametrize(
    ("who", "tier"),
    [
        (holder("premium"), "premium"),
        (holder("premium", tiers={"premium", "free"}), "premium"),
        (holder("gold", tiers={"premium", "free"}), "premium"),
        (holder("premium", tiers={"gold", "free"}), "free"),
        (holder("premium", tiers={"gold"}), "premium"),
    ],
)
def test_a_request_that_names_no_tier_is_served_at_the_best_that_its_key_is_for(who: Holder, tier: str) -> None:
    assert scopes.usual_tier(who, TIERS) == tier

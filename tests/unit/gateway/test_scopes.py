"""Which models and tiers a key is for, and how large pictures may be."""

from typing import Any

import pytest

from gateway import scopes
from shared.accounts import Holder
from shared.catalog import Model
from shared.errors import InvalidRequest, ModelNotAllowed, TierRequired
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
        (
            holder("gone"),
            "free",
            "small",
            "tier",
            "account is of the tier 'gone', which does not exist",
        ),
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


SMALL = Tiers([Tier(id="small", description="", priority=6, image_size="768x512", image_steps=20)])


def image_model(**args: Any) -> Model:
    return make_model(id="xl", kind="image", engine="diffusers", weights="w", engine_args=args)


def bounded(body: dict[str, Any], **args: Any) -> dict[str, Any]:
    return scopes.bounded(SMALL, "small", image_model(**args), {"prompt": "a fox"} | body)


@pytest.mark.parametrize("said", [{"size": "768x512"}, {"size": "512x768"}, {"size": "64X64"}])
def test_a_picture_may_be_as_large_as_the_tier_says(said: dict[str, Any]) -> None:
    said |= {"steps": 20}
    assert bounded(said) == {"prompt": "a fox"} | said


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"size": "1024x1024"}, "size: should be at most 768x512 at the tier 'small', got '1024x1024'"),
        ({"size": "776x512"}, "size: should be at most 768x512"),
        ({"size": "768x520"}, "size: should be at most 768x512"),
        ({"size": "520x768"}, "size: should be at most 768x512"),
        ({"steps": 21}, "steps: should be an integer from 1 to 20 at the tier 'small', got 21"),
    ],
)
def test_a_picture_that_is_larger_is_refused(said: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        bounded(said)
    assert str(caught.value).startswith(words)
    assert caught.value.param == next(iter(said))


@pytest.mark.parametrize(
    ("args", "filled"),
    [
        ({}, {"size": "768x512", "steps": 20}),
        ({"size": "512x512", "steps": 4}, {}),
        ({"size": "512x768"}, {"steps": 20}),
        ({"size": "640x640", "max_size": 640, "steps": 4}, {"size": "640x512"}),
    ],
)
def test_who_does_not_say_gets_no_more_than_the_tier_gives(args: dict[str, Any], filled: dict[str, Any]) -> None:
    assert bounded({}, **args) == {"prompt": "a fox"} | filled


def test_what_a_tier_does_not_bound_is_the_models_own() -> None:
    said = {"prompt": "a fox", "size": "1024x1024", "steps": 50}
    assert scopes.bounded(TIERS, "premium", image_model(), said) == said
    few = Tiers([Tier(id="few", description="", priority=6, image_steps=5)])
    assert scopes.bounded(few, "few", image_model(), {"size": "1024x1024"}) == {"size": "1024x1024", "steps": 5}
    chat = {"messages": [], "steps": 99}
    assert scopes.bounded(SMALL, "small", make_model(), chat) == chat

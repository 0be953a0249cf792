"""Our tiers against our models: whoever may use a model can, without a word of how long an answer may be."""

from typing import Any

import pytest

from gateway.bodies.dialects import completion_body, openai_body, seed_body
from gateway.bodies.images import image_body, openai_image_body
from gateway.costs import Cost, most
from shared.catalog import Model, load_catalog
from shared.image_args import MAX_IMAGES
from shared.tiers import Limits, Tier, load_tiers

MODELS = load_catalog().models
TIERS = load_tiers(None, MODELS)
QUESTION = "What is the capital of France, and how did it come to be that?"
PAIRS = [
    pytest.param(tier, MODELS[name], id=f"{tier.id}-{name}")
    for tier in TIERS.all
    for name in tier.models or MODELS
]
CHATS = [pair for pair in PAIRS if pair.values[1].kind == "chat"]  # type: ignore[union-attr]
PICTURES = [pair for pair in PAIRS if pair.values[1].kind == "image"]  # type: ignore[union-attr]


def exceeded(limits: Limits, cost: Cost) -> dict[str, int]:
    """The limits of a minute and of a day that one request breaks by itself."""
    needs = {"units": cost.units, "images": cost.images}
    bounds = limits.model_dump(exclude_none=True)
    return {
        name: bound
        for name, bound in bounds.items()
        if name.endswith(("_minute", "_day")) and needs.get(name.split("_")[0], 1) > bound
    }


def said(length: int = 0) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": QUESTION + "x" * length}]}


@pytest.mark.parametrize(("tier", "model"), CHATS)
def test_a_question_fits(tier: Tier, model: Model) -> None:
    for body in (openai_body(model, said()), seed_body(model, said())):
        assert not exceeded(tier.limits, most(model, "chat", body))
    completion = completion_body(model, {"prompt": QUESTION})
    assert not exceeded(tier.limits, most(model, "completion", completion))


@pytest.mark.parametrize(("tier", "model"), CHATS)
def test_a_page_of_text_fits(tier: Tier, model: Model) -> None:
    assert not exceeded(tier.limits, most(model, "chat", openai_body(model, said(4000))))


@pytest.mark.parametrize("model", [model for model in MODELS.values() if model.kind == "chat"], ids=lambda m: m.id)
def test_the_best_tier_has_room_for_all_that_a_model_can_read(model: Model) -> None:
    body = openai_body(model, said(900_000))
    assert not exceeded(TIERS.best.limits, most(model, "chat", body))


@pytest.mark.parametrize(("tier", "model"), PICTURES)
def test_a_picture_fits_and_several_at_once(tier: Tier, model: Model) -> None:
    for body in (
        image_body(model, {"prompt": "a fox"}),
        openai_image_body(model, {"prompt": "a fox", "n": MAX_IMAGES}),
    ):
        assert not exceeded(tier.limits, most(model, "image", body))


def test_limits_that_are_too_low_would_be_seen() -> None:
    cost = most(MODELS["deepseek-r1"], "chat", openai_body(MODELS["deepseek-r1"], said()))
    limits = Limits(units_per_minute=100_000, units_per_day=10**7, images_per_day=1, requests_per_minute=1)
    assert exceeded(limits, cost) == {"units_per_minute": 100_000}
    assert exceeded(Limits(images_per_day=3), cost._replace(images=4)) == {"images_per_day": 3}

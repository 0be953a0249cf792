"""Tiers: ours are whole, an operator's file changes them, and every mistake is named."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from shared import tiers
from shared.errors import TiersError, UnknownTier
from shared.tiers import Limits, Tier, Tiers, load_tiers

MODELS = ("llama3", "qwen0.5")

Write = Callable[[object], Path]


@pytest.fixture
def operator(tmp_path: Path) -> Write:
    """Writes an operator's file: text as it stands, anything else as YAML under `tiers`."""

    def write(content: object) -> Path:
        file = tmp_path / "tiers.local.yaml"
        file.write_text(content if isinstance(content, str) else yaml.safe_dump({"tiers": content}))
        return file

    return write


@pytest.fixture(scope="module")
def shipped() -> Tiers:
    return load_tiers(None, MODELS)


def test_ours_are_the_seeds_two(shipped: Tiers) -> None:
    assert [(tier.id, tier.priority) for tier in shipped.all] == [("premium", 3), ("free", 6)]
    assert all(limit for tier in shipped.all for limit in tier.limits.model_dump().values())
    assert shipped.find("free").reserved > 0


def test_what_puts_nobody_ahead_may_be_used(shipped: Tiers) -> None:
    free, premium = shipped.find("free"), shipped.find("premium")
    assert shipped.may_use(premium, free)
    assert shipped.may_use(free, free)
    assert not shipped.may_use(free, premium)


@pytest.mark.parametrize("name", ["gold", "FREE", "", "x" * 10_000, "\ud800\n"])
def test_an_unknown_tier_is_told_of_those_there_are(shipped: Tiers, name: str) -> None:
    with pytest.raises(UnknownTier, match=r"the tiers are 'premium', 'free'$") as caught:
        shipped.find(name)
    assert len(str(caught.value)) < 150


def test_a_field_of_a_limit_changes_alone(operator: Write, shipped: Tiers) -> None:
    changed = load_tiers(operator({"free": {"limits": {"concurrent_jobs": 2, "images_per_day": None}}}), MODELS)
    limits = shipped.find("free").limits.model_copy(update={"concurrent_jobs": 2, "images_per_day": None})
    assert changed.find("free").limits == limits
    assert changed.find("premium") == shipped.find("premium")


def test_a_tier_may_be_added_and_another_removed(operator: Write) -> None:
    gold = {
        "description": "More.",
        "priority": 1,
        "models": ["llama3"],
        "longest_wait": 30,
        "image_size": "512x512",
    }
    changed = load_tiers(operator({"gold": gold, "free": None}), MODELS)
    assert [tier.id for tier in changed.all] == ["premium", "gold"]
    found = changed.find("gold")
    assert (found.models, found.longest_wait, found.weight, found.limits) == (("llama3",), 30, 1, Limits())


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "tiers:\n", "tiers: {}\n"])
def test_the_file_may_be_empty(operator: Write, shipped: Tiers, text: str) -> None:
    assert load_tiers(operator(text), MODELS).all == shipped.all


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"free": {"priority": 10}}, "free: priority: should be less than or equal to 9, got 10"),
        ({"free": {"priority": None}}, "free: priority: is missing; an entry needs it"),
        ({"free": {"weight": 0}}, "free: weight: should be greater than or equal to 1, got 0"),
        ({"free": {"reserved": 1.5}}, "free: reserved: should be less than or equal to 1, got 1.5"),
        ({"premium": {"reserved": 0.95}}, "free: reserved: of all tiers should be at most 1 in all, got 1.05"),
        ({"free": {"models": "llama3"}}, 'free: models: should be a list, got "llama3"'),
        ({"free": {"models": ["lama3"]}}, "free: models: there is no model 'lama3'; did you mean 'llama3'?"),
        ({"free": {"image_size": "1024"}}, "free: image_size: should be WIDTHxHEIGHT in pixels, multiples of 8"),
        ({"free": {"longest_wait": 0}}, "free: longest_wait: should be greater than 0, got 0"),
        ({"free": {"limits": 3}}, "free: limits: should be "),
        ({"free": {"limits": {"concurrent_jobs": 0}}}, "free: limits.concurrent_jobs: should be greater than 0"),
        (
            {"free": {"limits": {"concurrent_jobs": "8"}}},
            "free: limits.concurrent_jobs: should be an integer, got",
        ),
        (
            {"free": {"limits": {"units_per_day": 10**22}}},
            "free: limits.units_per_day: should be less than or equal to 10000000000000, got 1000",
        ),
        (
            {"free": {"limits": {"units_per_day": float("inf")}}},
            "free: limits.units_per_day: should be an integer",
        ),
        (
            {"free": {"limits": {"concurent_jobs": 8}}},
            "free: limits.concurent_jobs: unknown field; did you mean 'concurrent_jobs'?",
        ),
        ({"free": {"priorty": 1}}, "free: priorty: unknown field; did you mean 'priority'?"),
        ({"free": {"id": "free"}}, "free: id: should be left out: it is the entry's key"),
        ({"premum": {"weight": 2}}, "premum: there is no such tier to change; did you mean 'premium'?"),
        ({"gold": None}, "gold: there is no such tier to remove"),
        ({"gold": {"priority": 1}}, "gold: description: is missing; an entry needs it"),
        ({"Gold": {"priority": 1, "description": ""}}, "Gold: id: should be 1 to 32 of the letters a to z"),
        ({"jobs": {"priority": 1, "description": ""}}, "jobs: id: should be another word: this one is part of"),
        ({"free": None, "premium": None}, "should leave at least one tier"),
        ("models: {}\n", "should be a map with the one key 'tiers', got {'models': {}}"),
        ("tiers: {free: {limits: &a {x: *a}}}\n", "is nested too deep, or an alias"),
    ],
)
def test_mistakes_name_file_entry_and_field(operator: Write, changes: object, complaint: str) -> None:
    file = operator(changes)
    with pytest.raises(TiersError, match=re.escape(f"{file}: {complaint}")):
        load_tiers(file, MODELS)


def test_ours_is_named_when_ours_is_wrong(operator: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = operator({"free": {"priority": 3}})
    monkeypatch.setattr(tiers, "SHIPPED", ours)
    with pytest.raises(TiersError, match=re.escape(f"{ours}: free: description: is missing")):
        load_tiers(None, MODELS)


def test_limits_are_read_from_json_as_from_yaml() -> None:
    assert Limits.model_validate_json('{"units_per_day": 5}') == Limits(units_per_day=5)
    assert Tier(id="t", description="", priority=0, models=["a"]).models == ("a",)  # type: ignore[arg-type]

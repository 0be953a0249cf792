"""What a verdict says to its client: which limit, how much of it is left, and when to come again."""

from dataclasses import replace
from typing import Any

import pytest

from gateway.limits import headers, refusal
from shared.errors import QueueFull, QuotaExceeded, RateLimited
from shared.lines import Refusal, Scope, Terms, Verdict, Window
from shared.tiers import Limits
from tests.factories import make_terms

DAY = 86_400
ACCOUNT = Limits(requests_per_minute=60, requests_per_day=1000, units_per_day=5000, images_per_minute=4)
KEY = Limits(requests_per_minute=10, units_per_minute=300, units_per_day=900)
TERMS = make_terms(units=100, images=1, acc=ACCOUNT, key=KEY)


def window(scope: str, seconds: int, resets: float = 20.5, **used: int) -> Window:
    counts = {"requests": 0, "units": 0, "images": 0} | used
    return Window(scope, seconds, resets, **counts)


def verdict(*windows: Window, why: Refusal = "", at: int = 0, **more: Any) -> Verdict:
    fields: dict[str, Any] = {"waiting": 0, "running": 0} | more
    return Verdict(refusal=why, at=at, windows=list(windows), **fields)


def test_of_each_kind_the_limit_is_told_of_which_least_is_left() -> None:
    found = headers(
        verdict(
            window("acc", 60, 20.5, requests=55, images=1),
            window("acc", DAY, 7200, requests=100, units=4900),
            window("key", 60, 20.5, requests=2, units=150),
            window("key", DAY, 7200, units=0),
        ),
        TERMS.scopes,
    )
    assert found == {
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-remaining-requests": "5",
        "x-ratelimit-reset-requests": "20.500s",
        "x-ratelimit-limit-tokens": "5000",
        "x-ratelimit-remaining-tokens": "100",
        "x-ratelimit-reset-tokens": "7200.000s",
        "x-ratelimit-limit-images": "4",
        "x-ratelimit-remaining-images": "3",
        "x-ratelimit-reset-images": "20.500s",
    }


@pytest.mark.parametrize(
    ("used", "limit"),
    [
        ({"account": (55, 0), "key": (0, 0)}, "60"),
        ({"account": (0, 0), "key": (8, 0)}, "10"),
        ({"account": (0, 998), "key": (0, 0)}, "1000"),
    ],
)
def test_the_tightest_is_of_the_account_or_the_key_of_the_minute_or_the_day(
    used: dict[str, tuple[int, int]], limit: str
) -> None:
    windows = [
        window(scope, seconds, requests=count)
        for scope, counts in (("acc", used["account"]), ("key", used["key"]))
        for seconds, count in zip((60, DAY), counts, strict=True)
    ]
    assert headers(verdict(*windows), TERMS.scopes)["x-ratelimit-limit-requests"] == limit


def test_what_is_not_limited_is_not_told() -> None:
    terms = make_terms(acc=Limits(units_per_day=10))
    found = headers(verdict(window("acc", 60), window("acc", DAY, units=3)), terms.scopes)
    assert {name.rpartition("-")[2] for name in found} == {"tokens"}
    assert headers(verdict(), make_terms().scopes) == {}


def test_less_than_nothing_is_never_left() -> None:
    found = headers(verdict(window("acc", DAY, units=6000)), TERMS.scopes)
    assert found["x-ratelimit-remaining-tokens"] == "0"


@pytest.mark.parametrize(
    ("why", "at", "kind", "words"),
    [
        (
            "requests",
            2,
            RateLimited,
            "limit is 10 requests a minute; 10 are used or reserved, and this may need 1.",
        ),
        ("units", 2, RateLimited, "The limit is 300 units a minute; 250 are used"),
        (
            "units",
            1,
            QuotaExceeded,
            "limit is 5000 units a day; 4950 are used or reserved, and this may need 100.",
        ),
        ("requests", 1, QuotaExceeded, "The limit is 1000 requests a day; 1000 are used"),
        ("images", 0, RateLimited, "The limit is 4 images a minute; 4 are used or reserved, and this may need 1."),
    ],
)
def test_a_refusal_names_the_limit(why: Refusal, at: int, kind: type[Exception], words: str) -> None:
    windows = [
        window("acc", 60, 20.5, requests=60, images=4),
        window("acc", DAY, 7200.25, requests=1000, units=4950),
        window("key", 60, 20.5, requests=10, units=250),
    ]
    error = refusal(verdict(*windows, why=why, at=at), TERMS, None, None)
    assert type(error) is kind
    assert words in str(error)
    assert error.retry_after == (7201 if at == 1 else 21)
    assert error.headers == headers(verdict(*windows), TERMS.scopes)


@pytest.mark.parametrize(("resets", "after"), [(0.001, 1), (1.0, 1), (1.001, 2), (59.5, 60), (60.0, 60)])
def test_to_come_again_is_never_too_early(resets: float, after: int) -> None:
    error = refusal(verdict(window("acc", 60, resets, requests=60), why="requests"), TERMS, None, None)
    assert error.retry_after == after


@pytest.mark.parametrize("what", ["requests", "units", "images"])
@pytest.mark.parametrize(("used", "verb"), [(0, "are"), (1, "is"), (2, "are")])
def test_one_is_told_as_one(what: Any, used: int, verb: str) -> None:
    terms = make_terms(units=1, images=1, acc=Limits(**{f"{what}_per_minute": 1}))
    told = str(refusal(verdict(window("acc", 60, **{what: used}), why=what), terms, None, None))
    assert told == f"The limit is 1 {what[:-1]} a minute; {used} {verb} used or reserved, and this may need 1."


@pytest.mark.parametrize("why", ["units", "requests", "concurrent", "queue"])
@pytest.mark.parametrize(
    ("terms", "kind", "told"),
    [
        (
            replace(TERMS, units=5001, images=0),
            RateLimited,
            "This request may cost 5001 units, and the limit is 300 a minute: it will never be admitted. "
            "Lower max_tokens or n, or send a shorter prompt.",
        ),
        (
            replace(TERMS, scopes=[Scope("acc", Limits(units_per_day=99))]),
            QuotaExceeded,
            "This request may cost 100 units, and the limit is 99 a day: it will never be admitted. "
            "Lower n, size or steps.",
        ),
        (
            replace(TERMS, images=5),
            RateLimited,
            "This request asks for 5 images, and the limit is 4 a minute: it will never be admitted. Lower n.",
        ),
    ],
)
def test_what_there_never_is_so_much_of_is_not_worth_another_try(
    why: Refusal, terms: Terms, kind: type[Exception], told: str
) -> None:
    """Whatever it was that it broke first: to wait for that would be in vain."""
    used = verdict(window("acc", 60, requests=60), why=why, running=4, waiting=9)
    error = refusal(used, terms, 5, 5)
    assert (type(error), str(error), error.retry_after) == (kind, told, None)
    assert error.headers == headers(used, terms.scopes) | {"x-should-retry": "false"}


def test_what_just_fits_is_worth_another_try() -> None:
    terms = make_terms(units=300, images=4, acc=Limits(units_per_minute=300, images_per_minute=4))
    error = refusal(verdict(window("acc", 60, units=1), why="units"), terms, None, None)
    assert (error.retry_after, "x-should-retry" in error.headers) == (21, False)


@pytest.mark.parametrize(
    ("running", "seconds", "after"), [(4, 10.0, 3), (4, 2.0, 1), (1, 30.5, 31), (8, None, 1), (8, 0.0, 1)]
)
def test_too_many_at_once_are_fewer_when_one_of_them_ends(running: int, seconds: float | None, after: int) -> None:
    error = refusal(verdict(window("acc", 60), why="concurrent", running=running), TERMS, 99, seconds)
    assert type(error) is RateLimited
    assert str(error).startswith("You have 1 job under way" if running == 1 else f"You have {running} jobs under")
    assert error.retry_after == after
    assert error.headers["x-ratelimit-remaining-requests"] == "60"


@pytest.mark.parametrize(("wait", "after"), [(None, 1), (0.2, 1), (3.2, 4)])
def test_a_full_queue_is_shorter_when_some_are_served(wait: float | None, after: int) -> None:
    error = refusal(verdict(why="queue", waiting=1000), make_terms(), wait, 99)
    assert type(error) is QueueFull
    assert str(error) == "1000 jobs of your tier wait for this model already."
    assert error.retry_after == after
    assert error.headers == {}
    alone = refusal(verdict(why="queue", waiting=1), make_terms(), wait, 99)
    assert str(alone) == "1 job of your tier waits for this model already."

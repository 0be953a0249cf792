"""What the verdict on a request says to its client: a refusal with the time to wait, or what is left. Hop 2."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from shared.errors import QueueFull, QuotaExceeded, RateLimited, RequestError
from shared.lines import WINDOWS, Scope, Terms, Verdict, Window
from shared.tiers import Limits

NAMES = {seconds: name for name, seconds in WINDOWS.items()}
HEADERS = {"requests": "requests", "units": "tokens", "images": "images"}
"""What the headers of OpenAI's API call it: they know no units."""


class Left(NamedTuple):
    """Of one limit: how much there is in all, how much is left, and in how many seconds it is whole again."""

    limit: int
    left: int
    resets: float


def refusal(verdict: Verdict, terms: Terms, wait: float | None, job_seconds: float | None) -> RequestError:
    """The error for a request that was not admitted on these terms. `wait` (seconds) is how long until a job of
    its tier has been served, `job_seconds` how long one takes; both if known."""
    match verdict.refusal:
        case "queue":
            told = f"{verdict.waiting} jobs of your tier wait for this model already."
            error: RequestError = QueueFull(told).after(wait or 0)
        case "concurrent":
            told = f"You have {verdict.running} jobs under way, as many as you may at once."
            error = RateLimited(told).after((job_seconds or 0) / max(1, verdict.running))
        case what:
            error = _exhausted(verdict.windows[verdict.at], terms, what)
    error.headers = headers(verdict, terms.scopes)
    return error


def _exhausted(window: Window, terms: Terms, what: str) -> RequestError:
    limit, used, name = _limit(window, terms.scopes, what), getattr(window, what), NAMES[window.seconds]
    needs = {"requests": 1, "units": terms.units, "images": terms.images}[what]
    error: RequestError = (QuotaExceeded if name == "day" else RateLimited)(
        f"The limit is {limit} {what} a {name}; {used} are used or reserved, and this may need {needs}."
    )
    if limit is not None and needs > limit:
        error.retry_after = None  # more than there ever is: the same request would be refused again
        return error
    return error.after(window.resets)


def headers(verdict: Verdict, scopes: Sequence[Scope]) -> dict[str, str]:
    """x-ratelimit-*: of each kind, the limit of which least is left."""
    found: dict[str, str] = {}
    for what, name in HEADERS.items():
        if tightest := min(_left(verdict, scopes, what), key=lambda left: left.left, default=None):
            found[f"x-ratelimit-limit-{name}"] = str(tightest.limit)
            found[f"x-ratelimit-remaining-{name}"] = str(tightest.left)
            found[f"x-ratelimit-reset-{name}"] = f"{tightest.resets:.3f}s"
    return found


def _left(verdict: Verdict, scopes: Sequence[Scope], what: str) -> Iterator[Left]:
    for window in verdict.windows:
        limit = _limit(window, scopes, what)
        if limit is not None:
            yield Left(limit, max(0, limit - getattr(window, what)), window.resets)


def _limit(window: Window, scopes: Sequence[Scope], what: str) -> int | None:
    limits: Mapping[str, Limits] = {scope.id: scope.limits for scope in scopes}
    limit: Any = getattr(limits[window.scope], f"{what}_per_{NAMES[window.seconds]}")
    return None if limit is None else int(limit)

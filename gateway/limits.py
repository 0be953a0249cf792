"""What the verdict on a request says to its client: a refusal with the time to wait, or what is left. Hop 2."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from gateway.api.errors import SHOULD_RETRY
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
    error = _too_large(terms) or _in_vain(verdict, terms, wait, job_seconds)
    error.headers |= headers(verdict, terms.scopes)
    return error


def _too_large(terms: Terms) -> RequestError | None:
    """The error for a request that is more than a whole window's limit, whatever else keeps it out now."""
    for what, needs in (("images", terms.images), ("units", terms.units)):
        if broken := min(_broken(terms.scopes, what, needs), default=None):
            limit, name = broken
            takes = "asks for" if what == "images" else "may cost"
            error = _error(name)(
                f"This request {takes} {_count(needs, what)}, and the limit is {limit} a {name}: "
                f"it will never be admitted. {_remedy(terms, what)}"
            )
            error.retry_after = None
            error.headers = {SHOULD_RETRY: "false"}
            return error
    return None


def _broken(scopes: Sequence[Scope], what: str, needs: int) -> Iterator[tuple[int, str]]:
    """Limits that are less than what is needed, with the names of their windows."""
    for scope in scopes:
        for name in WINDOWS:
            limit = getattr(scope.limits, f"{what}_per_{name}")
            if limit is not None and needs > limit:
                yield limit, name


def _remedy(terms: Terms, what: str) -> str:
    if what == "images":
        return "Lower n."
    return "Lower n, size or steps." if terms.images else "Lower max_tokens or n, or send a shorter prompt."


def _in_vain(verdict: Verdict, terms: Terms, wait: float | None, job_seconds: float | None) -> RequestError:
    """The error for a request that may be admitted later."""
    match verdict.refusal:
        case "queue":
            waits = "waits" if verdict.waiting == 1 else "wait"
            told = f"{_count(verdict.waiting, 'jobs')} of your tier {waits} for this model already."
            return QueueFull(told).after(wait or 0)
        case "concurrent":
            told = f"You have {_count(verdict.running, 'jobs')} under way, as many as you may at once."
            return RateLimited(told).after((job_seconds or 0) / max(1, verdict.running))
        case what:
            return _exhausted(verdict.windows[verdict.at], terms, what)


def _exhausted(window: Window, terms: Terms, what: str) -> RequestError:
    limit, used, name = _limit(window, terms.scopes, what), getattr(window, what), NAMES[window.seconds]
    needs = {"requests": 1, "units": terms.units, "images": terms.images}[what]
    return _error(name)(
        f"The limit is {_count(limit, what)} a {name}; {used} {'is' if used == 1 else 'are'} used or reserved, "
        f"and this may need {needs}."
    ).after(window.resets)


def _error(window: str) -> type[RequestError]:
    return QuotaExceeded if window == "day" else RateLimited


def _count(number: int | None, what: str) -> str:
    return f"{number} {what.removesuffix('s') if number == 1 else what}"


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

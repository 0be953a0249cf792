"""What stands behind the `?` of an address: each name is known, and given once."""

from dataclasses import dataclass

from flask import request

from gateway.bodies.shapes import refusal
from shared import overlay

MOST_IN_A_PAGE = 1000
IN_A_PAGE = 100


def query(*names: str) -> dict[str, str]:
    """What is given, by name. Raises InvalidRequest for other names."""
    for name, values in request.args.lists():
        if name not in names:
            known = f"; there are {', '.join(names)}" if names else ""
            raise refusal(name[:80], f"is not known here{overlay.hint(name, names) or known}")
        if len(values) > 1:
            raise refusal(name, "should be given once")
        if "\0" in values[0]:
            raise refusal(name, "should have no character NUL")  # PostgreSQL has no such text
    return {name: value for name, value in request.args.items() if value}


def forced() -> bool:
    """Whether it is `force=true`. Raises InvalidRequest for anything else that is given."""
    return flag(query("force"), "force")


def flag(given: dict[str, str], name: str, *, usual: bool = False) -> bool:
    """Whether it is true; what is `usual`, if it is not given. Raises InvalidRequest."""
    text = given.get(name, "true" if usual else "false")
    if text not in ("true", "false"):
        raise refusal(name, f"should be true or false, got {text[:20]!r}")
    return text == "true"


@dataclass(frozen=True)
class Page:
    """A part of a list: so many, from the one on that follows the entry whose id is `after`."""

    limit: int
    after: str | None

    @classmethod
    def of(cls, given: dict[str, str]) -> "Page":
        """Raises InvalidRequest."""
        text = given.get("limit", str(IN_A_PAGE))
        if not text.isdecimal() or len(text) > 9 or not 1 <= int(text) <= MOST_IN_A_PAGE:
            raise refusal("limit", f"should be a whole number from 1 to {MOST_IN_A_PAGE}, got {text[:20]!r}")
        return cls(int(text), given.get("after"))

    def listed(self, found: list[dict[str, object]]) -> dict[str, object]:
        """An answer in the shape of OpenAI's lists, of up to one more than the page has."""
        data = found[: self.limit]
        return {
            "object": "list",
            "data": data,
            "first_id": data[0]["id"] if data else None,
            "last_id": data[-1]["id"] if data else None,
            "has_more": len(found) > self.limit,
        }

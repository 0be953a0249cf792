"""Where a job stands in its line, as a stream's comments tell it."""

import re
from typing import Any, NamedTuple

_PLACE = re.compile(
    r"(no worker|loading|waiting)(?:, position (\d+))?(?:, (held for )?(?:about (\d+) s|(less than a second)))?"
)


class Place(NamedTuple):
    """`state` of the model; `position` in the line, 1 being next; `seconds` until the job's turn, or, if there is
    no worker and it is `held`, for how long it is. None is what is not told."""

    state: str = "waiting"
    position: int | None = None
    seconds: int | None = None
    held: bool = False

    @property
    def words(self) -> str:
        """For people."""
        line = f", place {self.position} in the line" if self.position and self.position > 1 else ""
        if self.state == "no worker":
            held = f"; the request is held for {self._time} more" if self.held and self.seconds else ""
            return f"no worker runs this model now{held}{line}"
        if self.state == "loading":
            return f"the model is loading{self._until}{line}"
        return "waiting for the first token" if self.position is None else f"place {self.position}{self._until}"

    @property
    def fields(self) -> dict[str, Any]:
        """For programs."""
        held = {"held_seconds": self.seconds if self.held else None}
        return (
            {"state": self.state, "position": self.position}
            | {"seconds": None if self.held else self.seconds}
            | held
        )

    @property
    def _until(self) -> str:
        return f", {self._time}" if self.seconds else ""

    @property
    def _time(self) -> str:
        return f"about {self.seconds} s"


def place_of(comment: str) -> Place:
    found = _PLACE.fullmatch(comment)
    if found is None:
        return Place()
    state, position, held, seconds, soon = found.groups()
    time = 1 if soon else int(seconds) if seconds else None
    return Place(state, int(position) if position else None, time, bool(held))

"""How far back a plan looks: 36h, 7d or 4w."""

import re

DAY = 86_400.0  # seconds
UNITS = {"h": 3600.0, "d": DAY, "w": 7 * DAY}


def parse_since(text: str, most_days: int) -> float | None:
    """Seconds; None for what is no such span, or a longer one."""
    found = re.fullmatch(r"([1-9][0-9]{0,3})([hdw])", text)
    if not found:
        return None
    seconds = int(found[1]) * UNITS[found[2]]
    return seconds if seconds <= most_days * DAY else None

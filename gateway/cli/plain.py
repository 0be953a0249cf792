"""Text of others, as a terminal may be given it.

A model's answer, a name or an error may hold anything, also what clears a screen, sets a window's title or types
for the user. Only line ends and tabs do what they do; all other control characters are shown, and so are those
that change the direction of what follows them.
"""

import re

DELETE = 0x7F
PICTURES = 0x2400
"""Unicode shows each of the first 32 control characters with a sign of its own, from here on."""

_UNFIT = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def plain(text: str) -> str:
    """The text, harmless. It may be a piece of a longer one: no character is judged by its neighbours."""
    # A carriage return is half of a line's end, or it lets a line be written over.
    return _UNFIT.sub(_shown, text.replace("\r", ""))


def _shown(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code < 0x20:
        return chr(PICTURES + code)
    if code == DELETE:
        return "␡"
    if 0xD800 <= code < 0xE000:  # half of a character, which cannot be written
        return "\ufffd"
    return f"<{code:04X}>"


def one_line(text: str) -> str:
    """The same on one line."""
    return " ".join(plain(text).split())

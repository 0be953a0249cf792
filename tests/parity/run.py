"""Asks both servers, and tells what was found."""

from dataclasses import dataclass
from itertools import count
from typing import Any

import httpx

from tests.parity.comparison import Gap, gaps
from tests.parity.differences import DIFFERENCES, Difference
from tests.parity.replies import Server
from tests.parity.requests import Request, requests

TRIES = 3
"""Of a stream: a server that is late once puts two tokens into one event, whichever it is."""


@dataclass(frozen=True)
class Finding:
    """One request: how often it was sent, and where the replies differ, on purpose or not."""

    request: Request
    tries: int
    documented: list[Difference]
    undocumented: list[Gap]


@dataclass(frozen=True)
class Report:
    """All findings, and what of the documented differences was not there."""

    findings: list[Finding]
    vanished: list[str]

    @property
    def same(self) -> bool:
        return not self.vanished and not any(finding.undocumented for finding in self.findings)


def compare(ours: Server, theirs: Server) -> Report:
    """Send everything to one server and then to the other, one request at a time.

    An engine keeps its core busy for a second after an answer, so that taking turns would double the time.
    """
    with httpx.Client() as client:
        known = requests()
        expected = [theirs.ask(client, request) for request in known]
        got = [ours.ask(client, request) for request in known]
        seen: set[tuple[Difference, str]] = set()
        findings = []
        for request, *replies in zip(known, got, expected, strict=True):
            tries, differing = _differing(client, ours, theirs, request, *replies)
            findings.append(_finding(request, tries, differing, seen))
    missed = [
        f"{pattern}: {each.reason}"
        for each in DIFFERENCES
        for pattern in sorted(each.patterns)
        if (each, pattern) not in seen
    ]
    return Report(findings, missed)


def _differing(
    client: httpx.Client, ours: Server, theirs: Server, request: Request, got: Any, expected: Any
) -> tuple[int, list[Gap]]:
    """How often the request was sent, and in what the replies differ still."""
    for tries in count(1):
        found = gaps(got, expected)
        if tries == TRIES or not request.streamed or all(_covering(request, gap) for gap in found):
            break
        got, expected = ours.ask(client, request), theirs.ask(client, request)
    return tries, found


def _finding(request: Request, tries: int, found: list[Gap], seen: set[tuple[Difference, str]]) -> Finding:
    """Sorts what was found by whether it is documented; adds what it sees of those to `seen`."""
    documented: list[Difference] = []
    undocumented: list[Gap] = []
    for gap in found:
        covering = _covering(request, gap)
        if not covering:
            undocumented.append(gap)
        for difference in covering:
            seen |= {(difference, pattern) for pattern in difference.sightings(request, gap)}
            documented += [difference] if difference not in documented else []
    return Finding(request, tries, documented, undocumented)


def _covering(request: Request, gap: Gap) -> list[Difference]:
    return [difference for difference in DIFFERENCES if difference.sightings(request, gap)]

"""What /v1/status and its page tell under a steady load, beside what clients measure by their own clocks."""

import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest
import requests
from playwright.sync_api import Browser, Page, expect

from tests.browser.look import opened
from tests.cluster import Cluster, cluster, wait_for
from tests.conftest import simulated_model
from tests.streams import Stream, streams

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]

PLACES = 6  # of a worker
SETTLING = 8.0  # seconds, until those before the load are no part of what is told
WATCHED = 12.0  # seconds
LASTS = 40  # seconds, of a stream: twice as long as it is watched, and what comes before


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two workers for `quick`, and one for `slow`."""
    paces = {"quick": 25, "slow": 8}
    models = {
        name: simulated_model(tokens_per_second=pace, length=LASTS * pace, capacity=PLACES)
        for name, pace in paces.items()
    }
    with cluster(tmp_path_factory.mktemp("numbers"), models | {"cold": simulated_model()}) as running:
        running.start_gateway()
        for name in ("quick", "quick", "slow"):
            running.start_worker(name)
        yield running


@dataclass
class Told:
    """What was told while it was watched, and between which moments."""

    begun: float = field(default_factory=time.perf_counter)
    ended: float = 0.0
    api: list[dict[str, Any]] = field(default_factory=list)
    page: list[dict[str, float]] = field(default_factory=list)


def test_the_figures_are_those_that_clients_measure(browser: Browser, served: Cluster) -> None:
    """Of `slow`, some streams have two choices, and so twice the speed."""
    with ExitStack() as stack:
        shown = stack.enter_context(opened(browser, f"{served.url}/status"))
        quick = stack.enter_context(streams(served, "quick", "a story", 2 * PLACES))
        slow = stack.enter_context(streams(served, "slow", "a story", 3))
        slow += stack.enter_context(streams(served, "slow", "a tale", 2, n=2))
        wait_for(lambda: all(stream.times for stream in (*quick, *slow)), 20, "all to have begun")
        late = stack.enter_context(streams(served, "quick", "a word", 3, max_tokens=50))
        time.sleep(SETTLING)
        told = watched(served, shown)
        assert not any(stream.done for stream in (*quick, *slow)), "the load was steady"
        check_now(told, {"quick": quick, "slow": slow}, waiting=len(late))
    check_speeds(served, browser, {"quick": [*quick, *late], "slow": slow})


def watched(served: Cluster, page: Page) -> Told:
    told = Told()
    while time.perf_counter() < told.begun + WATCHED:
        answer = requests.get(f"{served.url}/v1/status?uptime=false", timeout=20).json()
        told.api.append(answer["cluster"] | {each["id"]: each for each in answer["models"]})
        told.page.append(
            {name: number(page.locator(f"#{name}").inner_text()) for name in ("speed", "running", "waiting")}
            | {name: number(cells(page, "model-rows", name)[5]) for name in ("quick", "slow")}
        )
        time.sleep(1)
    told.ended = time.perf_counter()
    return told


def check_now(told: Told, opened: dict[str, list[Stream]], waiting: int) -> None:
    measured = {name: rate(streams, told) for name, streams in opened.items()}
    for name, speed in measured.items():
        assert close(speed, [each[name]["tokens_per_second"] for each in told.api]), name
        assert close(speed, [each[name] for each in told.page]), name
        assert {each[name]["running"] for each in told.api} == {len(opened[name])}
    assert close(sum(measured.values()), [each["tokens_per_second"] for each in told.api])
    assert close(sum(measured.values()), [each["speed"] for each in told.page])
    running = sum(map(len, opened.values()))
    assert {(each["running"], each["waiting"], each["workers"]) for each in told.api} == {(running, waiting, 3)}
    assert {(each["running"], each["waiting"]) for each in told.page} == {(running, waiting)}


def check_speeds(served: Cluster, browser: Browser, opened_streams: dict[str, list[Stream]]) -> None:
    def noted() -> bool:
        models = requests.get(f"{served.url}/v1/status", timeout=20).json()["models"]
        counts = {each["id"]: each["ever"]["streams"] for each in models}
        return all(counts[name] == len(streams) for name, streams in opened_streams.items())

    wait_for(noted, 20, "all streams to be written down", every=0.5)
    models = requests.get(f"{served.url}/v1/status", timeout=20).json()["models"]
    with opened(browser, f"{served.url}/status") as shown:
        expect(shown.locator("#speed-rows tr")).to_have_count(2)
        for model in models:
            if streams := opened_streams.get(model["id"]):
                speeds = [own_speed(stream) for stream in streams]
                figures = [statistics.mean(speeds), min(speeds), max(speeds)]
                day, ever = model["speed"], model["ever"]
                assert [day["average"], day["low"], day["high"]] == pytest.approx(figures, rel=0.05)
                assert (day["streams"], ever["high"]) == (len(streams), day["high"])
                row = cells(shown, "speed-rows", model["id"])
                assert [number(cell) for cell in row[1:4]] == pytest.approx(figures, rel=0.05)
                assert row[4].startswith(f"{len(streams)} streams in 24 h")


def rate(streams: Sequence[Stream], told: Told) -> float:
    """Tokens a second that all of these got while it was watched."""
    got = sum(told.begun < at <= told.ended for stream in streams for at in stream.times)
    return got / (told.ended - told.begun)


def own_speed(stream: Stream) -> float:
    """From the first token to the last: as many tokens a second as came after the first."""
    tokens = sum(map(bool, stream.texts))
    return (tokens - 1) / (stream.times[-1] - stream.times[0])


def close(measured: float, told: list[float]) -> bool:
    """Whether what was told is, on average, what was measured, within 5 %."""
    return statistics.mean(told) == pytest.approx(measured, rel=0.05)


def cells(page: Page, rows: str, name: str) -> list[str]:
    return page.locator(f"#{rows} tr[data-id='{name}'] td").all_text_contents()


def number(text: str) -> float:
    return float(text.replace(",", ""))

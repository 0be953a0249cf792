"""What is in Redis is what shared/redis_keys.py says: names, types and lifetimes."""

import re
from typing import Any, NamedTuple

import pytest
import requests

from shared import redis_keys
from tests.cluster import Cluster, wait_for
from tests.streams import streams

pytestmark = pytest.mark.integration


class Row(NamedTuple):
    """A line of the module's table."""

    name: str
    type: str
    owner: str
    what: str

    def names(self, key: str) -> bool:
        pattern = re.escape(self.name).replace("<n>", "[0-9]+").replace(r"\[", "(?:").replace(r"\]", ")?")
        return re.fullmatch(re.sub(r"<\w+>", "[^:]+", pattern), key) is not None


def table() -> list[Row]:
    lines = [line for line in (redis_keys.__doc__ or "").splitlines() if line.startswith("| ")]
    return [Row(*(cell.strip() for cell in line.strip("|").split("|"))) for line in lines[1:]]


def found(running: Cluster) -> set[Row]:
    """The rows of what is in Redis now; fails at a key or channel that has none, or another type or lifetime."""
    client = running.valkey.client
    rows = {row_of(channel.decode(), "channel") for channel in client.pubsub_channels()}
    for key in client.scan_iter():
        with client.pipeline() as pipe:
            kind, ttl = pipe.type(key).ttl(key).execute()
        if kind != b"none":
            row = row_of(key.decode(), kind.decode())
            assert (ttl >= 0) == ("expires" in row.what), f"{key} expires in {ttl} s"
            rows.add(row)
    return rows


def row_of(name: str, kind: str) -> Row:
    rows = [row for row in table() if row.names(name)]
    assert [row.type for row in rows] == [kind], f"{name} is a {kind}"
    return rows[0]


def test_every_key_is_in_the_table(simulated: Cluster) -> None:
    client = simulated.valkey.client
    request: dict[str, Any] = {
        "json": {"prompt": "a cat"},
        "headers": {"X-API-Key": simulated.key()},
        "timeout": 20,
    }
    assert requests.post(f"{simulated.url}/v1/free/pictures", **request).status_code == 200
    leave_for_a_while(simulated)
    with streams(simulated, "slow", "echo " + "a " * 80, 3):
        wait_for(lambda: client.hlen("lease:slow") == 2, 10, "both slots to be taken")
        wait_for(lambda: client.zcard("waiting:slow:premium") == 1, 10, "one more job to wait")
        wait_for(lambda: list(client.scan_iter("job:*:log")), 10, "a log")
        rows = found(simulated)
    rows |= found(simulated)
    # These are there for a moment only, or after a misfortune.
    for_a_moment = {"model.<model>[:p<n>]", "lease:<model>:mutex", "recovery", "dead"}
    for_a_moment |= {"usage", "usage:mutex", "usage:rejected"}
    for_a_moment |= {"canary", "canary:mutex", "uptime:<model>"}  # where canaries are sent
    assert {row.name for row in set(table()) - rows} <= for_a_moment


def leave_for_a_while(running: Cluster) -> None:
    headers = {"X-API-Key": running.key(), "X-Resume-Within": "5", "Idempotency-Key": "once"}
    # Said for longer than the client may stay away: who leaves when all is said is not missed.
    messages = [{"role": "user", "content": "echo " + "x " * 3000}]
    body = {"model": "fast", "stream": True, "messages": messages, "max_tokens": 4000}
    url = f"{running.url}/v1/chat/completions"
    requests.post(url, json=body, headers=headers, stream=True, timeout=20).close()
    wait_for(lambda: running.valkey.client.zcard(redis_keys.LEAVING), 10, "the client's leaving")

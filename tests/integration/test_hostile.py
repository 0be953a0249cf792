"""Clients that flood, stuff and abandon the gateway: the others do not notice, and nothing of it stays."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from statistics import median

import pytest
import requests
import websocket

from shared import redis_keys as keys
from tests.cluster import Cluster, Process, wait_for
from tests.frames import BINARY, PONG, TEXT, connect, frame

pytestmark = pytest.mark.integration

MB = 2**20
GET = b"GET /favicon.ico HTTP/1.1\r\nHost: x\r\n\r\n"

NONSENSE = [
    *("", "x", "b", "bAAAA", "6", "9", "4", "4x", "43", "49", "4" + "[" * 5000),
    *("42", "42[]", "42{}", "42[1]", "421", "42" + "[" * 5000, '4299["prompt"', '431["a"]'),
    *('42["connect"]', '42["disconnect"]', '42/nix,["prompt"]', "40/nix,"),
]


@pytest.fixture(scope="module")
def key(simulated: Cluster) -> str:
    return simulated.key()


@pytest.fixture
def gateway(simulated: Cluster) -> Process:
    return simulated.processes[0]


@pytest.fixture
def client(simulated: Cluster) -> Iterator[websocket.WebSocket]:
    client = connect(simulated)
    raw = client.sock
    yield client
    client.close()
    raw.close()  # which the client forgets when the server hangs up


def prompt(key: str, text: str = "echo still here", model: str = "fast") -> str:
    context = [{"role": "user", "content": text}]
    return "42" + json.dumps(["prompt", {"model": model, "context": context, "token": key}])


def answers(client: websocket.WebSocket, key: str) -> bool:
    """Whether a prompt is answered; False if the connection has ended."""
    with suppress(OSError, websocket.WebSocketConnectionClosedException):
        client.send(prompt(key))
        while packet := client.recv():
            if "ENDOFMESSAGE" in packet:
                return True
    return False


@contextmanager
def flood(raw: socket.socket, unit: bytes) -> Iterator[None]:
    """The same bytes without pause, whose answers are read and forgotten."""
    stop, sent = threading.Event(), [0]

    def pour() -> None:
        with suppress(OSError):
            while not stop.is_set():
                sent[0] += raw.send(unit * (65536 // len(unit)))

    def drain() -> None:
        with suppress(OSError):
            while raw.recv(65536):
                pass

    threads = [threading.Thread(target=run, daemon=True) for run in (pour, drain)]
    for thread in threads:
        thread.start()
    wait_for(lambda: sent[0] > 10 * 65536, 10, "the flood")
    yield
    assert threads[0].is_alive(), "the flood has ended by itself"
    stop.set()
    with suppress(OSError):
        raw.shutdown(socket.SHUT_RDWR)
    for thread in threads:
        thread.join(10)


def test_a_flood_of_requests_keeps_nobody_waiting(simulated: Cluster) -> None:
    with socket.create_connection(("127.0.0.1", int(simulated.url.rsplit(":", 1)[1]))) as raw, flood(raw, GET):
        assert usual_wait(simulated) < 2


@pytest.mark.parametrize("unit", [(PONG, b""), (TEXT, b"3"), (TEXT, b'42["prompt",1]'), (TEXT, b'42["nix"]')])
def test_a_flood_of_frames_keeps_nobody_waiting(
    simulated: Cluster, client: websocket.WebSocket, unit: tuple[int, bytes]
) -> None:
    with flood(client.sock, frame(*unit)):
        assert usual_wait(simulated) < 2


def usual_wait(running: Cluster) -> float:
    """Seconds, the median of some requests one after the other."""
    waits = []
    for _ in range(5):
        start = time.monotonic()
        assert requests.get(f"{running.url}/v1/models", timeout=20).ok
        waits.append(time.monotonic() - start)
    return median(waits)


@pytest.mark.parametrize("text", NONSENSE, ids=lambda text: ascii(text[:20]))
def test_what_makes_no_sense_is_ignored_or_the_end(
    simulated: Cluster, client: websocket.WebSocket, gateway: Process, key: str, text: str
) -> None:
    before = gateway.log.stat().st_size
    client.sock.sendall(frame(TEXT, text.encode()) * 10)
    assert answers(client, key) or not answers_to(client)
    assert b"Traceback" not in gateway.log.read_bytes()[before:]


def answers_to(client: websocket.WebSocket) -> bool:
    with suppress(OSError, websocket.WebSocketException):
        client.ping()
        return bool(client.recv())
    return False


@pytest.mark.parametrize("packet", ['42["connect"]', '42["disconnect"]', "3"])
def test_what_nobody_asked_for_makes_nothing(
    client: websocket.WebSocket, gateway: Process, key: str, packet: str
) -> None:
    """Each `connect` would be a connection, and each pong a wait until the next ping."""
    before = gateway.rss()
    client.sock.sendall(frame(TEXT, packet.encode()) * 20_000)
    assert answers(client, key)
    assert gateway.rss() - before < 8 * MB


def catch_up(client: websocket.WebSocket) -> None:
    """Wait until all that was sent is read."""
    client.send('42["start_stream","no key"]')
    while "invalid_key" not in client.recv():
        pass


def test_prompts_that_make_no_sense_are_not_heaped_up(client: websocket.WebSocket, gateway: Process) -> None:
    """They have no text of their own to be bounded by."""
    before = gateway.rss()
    client.sock.sendall(frame(TEXT, b'42["prompt",1]') * 30_000)
    catch_up(client)
    assert gateway.rss() - before < 8 * MB


def test_binary_parts_are_not_gathered(client: websocket.WebSocket, gateway: Process) -> None:
    before = gateway.rss()
    client.send('45999999-["cancel",{"_placeholder":true,"num":0}]')
    part = frame(BINARY, b"x" * 900_000)
    for _ in range(60):
        client.sock.sendall(part)
    catch_up(client)
    assert gateway.rss() - before < 20 * MB


def test_who_asks_for_answers_and_reads_none_is_cut_off(client: websocket.WebSocket, gateway: Process) -> None:
    """Each event asks for an acknowledgement of its own."""
    before = gateway.log.stat().st_size
    client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    with suppress(OSError):
        client.sock.sendall(b"".join(frame(TEXT, f'42{n}["prompt",1]'.encode()) for n in range(5000)))
    with suppress(OSError, websocket.WebSocketException):
        while client.recv():
            pass
    assert not answers_to(client)
    assert gateway.log.stat().st_size - before < 10_000


GARBAGE = [frame(TEXT, b"x"), frame(0x83, b""), b"\xff" * 100, frame(TEXT, b"\xff")]


@pytest.mark.parametrize("garbage", GARBAGE, ids=range(4))
def test_garbage_ends_the_job(simulated: Cluster, client: websocket.WebSocket, key: str, garbage: bytes) -> None:
    valkey = simulated.valkey.client
    simulated.wait_until_left("slow")
    client.send(prompt(key, "x", "slow"))
    wait_for(lambda: valkey.hlen(keys.lease("slow")) == 1, 10, "the job to run")
    client.sock.sendall(garbage)
    wait_for(lambda: valkey.hlen(keys.lease("slow")) == 0, 10, "the job to be cancelled")


def test_prompts_without_a_key_are_not_heaped_up(simulated: Cluster, gateway: Process) -> None:
    """As objects in memory they are much larger than as text."""
    before = gateway.rss()
    with ExitStack() as stack:
        client = connect(simulated)
        stack.callback(client.shutdown)
        event = '42["prompt",{"context":[' + ",".join(["{}"] * 330_000) + "]}]"
        for _ in range(16):
            client.sock.sendall(frame(TEXT, event.encode()))
        catch_up(client)
        assert gateway.rss() - before < 60 * MB
    wait_for(lambda: gateway.rss() - before < 45 * MB, 10, "the memory to be given back")


def test_who_leaves_at_once_takes_no_place(simulated: Cluster, key: str) -> None:
    """At whatever moment of its admission a client leaves."""
    asked = frame(TEXT, prompt(key, "x", "slow").encode())
    for number in range(40):
        client = connect(simulated)
        client.sock.sendall(asked)
        time.sleep(number % 20 * 0.0004)
        client.shutdown()
    valkey = simulated.valkey.client
    wait_for(lambda: valkey.zcard(keys.open_jobs("slow")) == 0, 10, "all places to be free")
    wait_for(lambda: valkey.hlen(keys.lease("slow")) == 0, 10, "the engine to be free")

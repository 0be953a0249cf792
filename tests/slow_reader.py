"""Socket.IO clients, down to the packets, that take what they get at a set pace."""

import json
import socket
import time
from typing import Any

import requests
import websocket

LARGE = 2**20  # bytes of receive buffer: the kernel takes far more than the reader


class SlowReader:
    """Reads frames at `bytes_per_second` until `hurry` is called. `buffer` is that of the kernel, in bytes."""

    def __init__(self, url: str, bytes_per_second: float, *, buffer: int = LARGE) -> None:
        address = url.replace("http", "ws", 1) + "/socket.io/?EIO=4&transport=websocket"
        option = (socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self._socket = websocket.create_connection(address, timeout=60, sockopt=(option,))
        self._pace: float | None = bytes_per_second
        self.taken = 0
        self._socket.send("40")
        self._until(lambda packet: packet.startswith("40"))

    def hurry(self) -> None:
        self._pace = None

    def ask(self, prompt: dict[str, Any]) -> None:
        self._socket.send("42" + json.dumps(["prompt", prompt]))

    def read(self, seconds: float = 1e9) -> list[tuple[str, Any]]:
        """Events, until an answer is closed or the time is over."""
        events: list[tuple[str, Any]] = []
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            packet = self._packet()
            if packet.startswith("42"):
                event, data = json.loads(packet[2:])
                events.append((event, data))
                if event == "chunk" and data in ("ENDOFMESSAGE", "||AI ERROR||"):
                    break
        return events

    def close(self) -> None:
        self._socket.close()

    def _until(self, wanted: Any) -> None:
        while not wanted(self._packet()):
            pass

    def _packet(self) -> str:
        packet = str(self._socket.recv())
        self.taken += len(packet)
        if packet == "2":
            self._socket.send("3")
        if self._pace:
            time.sleep(len(packet) / self._pace)
        return packet


class SlowPoller:
    """The same without a websocket: reads the answers to its polls at `bytes_per_second`."""

    def __init__(self, url: str, bytes_per_second: float) -> None:
        self._url = f"{url}/socket.io/?EIO=4&transport=polling"
        self._pace = bytes_per_second
        (opened,) = self.poll()
        self._url += f"&sid={json.loads(opened[1:])['sid']}"
        self.send("40")
        assert self.poll()[0].startswith("40")

    def send(self, packet: str) -> None:
        assert requests.post(self._url, data=packet.encode(), timeout=20).ok

    def poll(self) -> list[str]:
        """The next packets; a ping is answered once all are read."""
        body = b""
        with requests.get(self._url, stream=True, timeout=20) as response:
            assert response.ok, f"the session has ended: {response.text}"
            for taken in response.iter_content(1024):
                body += taken
                time.sleep(len(taken) / self._pace)
        packets = body.decode().split("\x1e")
        if "2" in packets:
            self.send("3")
        return packets

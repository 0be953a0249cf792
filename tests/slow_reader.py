"""A Socket.IO client, down to the packets, that takes what it gets at a set pace."""

import json
import socket
import time
from typing import Any

import websocket

LARGE = 2**20  # bytes of receive buffer: the kernel takes far more than the reader


class SlowReader:
    """Reads frames at `bytes_per_second` until `hurry` is called."""

    def __init__(self, url: str, bytes_per_second: float) -> None:
        address = url.replace("http", "ws", 1) + "/socket.io/?EIO=4&transport=websocket"
        buffer = (socket.SOL_SOCKET, socket.SO_RCVBUF, LARGE)
        self._socket = websocket.create_connection(address, timeout=60, sockopt=(buffer,))
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

"""Websocket clients down to the bytes, for what no library would send."""

import websocket

from tests.cluster import Cluster

TEXT, BINARY, PONG = 0x81, 0x82, 0x8A  # first bytes of frames that are messages of their own


def connect(running: Cluster) -> websocket.WebSocket:
    """A client that has joined the namespace / and whose next packet is its own."""
    address = running.url.replace("http", "ws", 1) + "/socket.io/?EIO=4&transport=websocket"
    # A megabyte of small frames takes a busy machine more than 30 s.
    client = websocket.create_connection(address, timeout=90)
    assert client.recv().startswith("0")
    client.send("40")
    assert client.recv().startswith("40")
    return client


def frame(first: int, payload: bytes) -> bytes:
    """A whole frame; its mask is of zeros, and changes nothing."""
    size = len(payload)
    length = bytes([0x80 | size]) if size < 126 else bytes([0x80 | 127]) + size.to_bytes(8, "big")
    return bytes([first]) + length + bytes(4) + payload

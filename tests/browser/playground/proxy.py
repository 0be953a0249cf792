"""A proxy between the browser and a gateway, whose connections break, or fall silent."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

NOTICED = 0.1
"""Seconds in which a browser gives its page what has come: what it has when a connection breaks, it drops."""


class Proxy:
    """Passes on what comes. Once `most` is set, each connection breaks after so many bytes of answers, wherever
    that is in an event; `cuts` counts them."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.most: int | None = None
        self.cuts = 0
        self._away = False
        self._open: set[socket.socket] = set()
        self._silent: set[socket.socket] = set()
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def leave(self) -> None:
        """Break all connections, and take no new ones."""
        self._away = True
        for each in list(self._open):
            _shut(each)

    def come_back(self) -> None:
        self._away = False

    def fall_silent(self) -> None:
        """On all connections that there are, nothing comes any more; new ones are good."""
        self._silent |= self._open

    def close(self) -> None:
        self.leave()
        _shut(self._listener)
        for thread in self._threads:
            thread.join(5)
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                if self._away:
                    client.close()
                    continue
                thread = threading.Thread(target=self._serve, args=(client,), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", self._port)) as gateway:
            self._open |= {client, gateway}
            asking = threading.Thread(target=self._pump, args=(client, gateway, False), daemon=True)
            asking.start()
            self._pump(gateway, client, True)
            asking.join()
            self._open -= {client, gateway}

    def _pump(self, source: socket.socket, sink: socket.socket, bounded: bool) -> None:
        passed = 0
        with suppress(OSError):
            while data := source.recv(65536):
                if source in self._silent:
                    continue
                if bounded and self.most is not None:
                    if passed + len(data) > self.most:
                        sink.sendall(data[: max(0, self.most - passed)])
                        self.cuts += 1
                        time.sleep(NOTICED)
                        break
                    passed += len(data)
                sink.sendall(data)
        for each in (source, sink):
            _shut(each)


def _shut(each: socket.socket) -> None:
    with suppress(OSError):
        each.shutdown(socket.SHUT_RDWR)


@contextmanager
def proxy(url: str) -> Iterator[Proxy]:
    """Before the gateway at this URL."""
    running = Proxy(int(url.rsplit(":", 1)[1]))
    try:
        yield running
    finally:
        running.close()

"""A proxy between the browser and a gateway, whose connections break."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Proxy:
    """Passes on what comes. Once `most` is set, each connection breaks after so many bytes of answers, wherever
    that is in an event; `cuts` counts them."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.most: int | None = None
        self.cuts = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                gateway = socket.create_connection(("127.0.0.1", self._port))
                for pair, bounded in (((client, gateway), False), ((gateway, client), True)):
                    threading.Thread(target=self._pump, args=(*pair, bounded), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, bounded: bool) -> None:
        passed = 0
        with suppress(OSError):
            while data := source.recv(65536):
                if bounded and self.most is not None:
                    if passed + len(data) > self.most:
                        sink.sendall(data[: max(0, self.most - passed)])
                        self.cuts += 1
                        break
                    passed += len(data)
                sink.sendall(data)
        for each in (source, sink):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()


@contextmanager
def proxy(url: str) -> Iterator[Proxy]:
    """Before the gateway at this URL."""
    running = Proxy(int(url.rsplit(":", 1)[1]))
    try:
        yield running
    finally:
        running.close()

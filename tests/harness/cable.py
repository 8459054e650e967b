"""A proxy to a server on loopback that simulates a broken network. As with TCP, it delays bytes but loses none."""

import contextlib
import socket
import threading
from typing import Self


class Cable:
    """Forwards connections to ``port``. From :meth:`cut` to :meth:`heal` no byte passes; no connection closes."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._there, self._back = threading.Event(), threading.Event()
        self.heal()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        """The address for NATS clients."""
        return f"nats://127.0.0.1:{self.port}"

    def cut(self) -> None:
        """Hold requests and replies."""
        self._there.clear()
        self._back.clear()

    def hold_replies(self) -> None:
        """Hold replies."""
        self._back.clear()

    def heal(self) -> None:
        """Forward all held bytes."""
        self._there.set()
        self._back.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()
        self.heal()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        self._there.wait()
        with client, contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self._port)) as server:
            back = threading.Thread(target=_copy, args=(server, client, self._back), daemon=True)
            back.start()
            _copy(client, server, self._there)
            back.join()


def _copy(source: socket.socket, sink: socket.socket, may_pass: threading.Event) -> None:
    with contextlib.suppress(OSError):
        while read := source.recv(65536):
            may_pass.wait()
            sink.sendall(read)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)

"""A network that can be cut: a TCP relay on loopback that one node dials through."""

from __future__ import annotations

import contextlib
import select
import socket
import threading


class Proxy:
    """Passes bytes on from one port of 127.0.0.1 to another, until it is told otherwise.

    Args:
        port: Where it listens.
        target: Where it leads.
    """

    def __init__(self, port: int, target: int) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", port))
        self._other: dict[socket.socket, socket.socket] = {}
        self._lock = threading.Lock()
        self._state = "open"
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def cut(self) -> None:
        """Ends all connections, and every new one at once: a cable that was pulled at the other side."""
        with self._lock:
            self._state = "cut"
            self._drop_all()

    def swallow(self) -> None:
        """Keeps all connections and passes nothing on: packets vanish and nobody is told."""
        with self._lock:
            self._state = "swallowing"

    def heal(self) -> None:
        """Passes everything on again, also what was held back."""
        with self._lock:
            self._state = "open"

    def stop(self) -> None:
        """Ends for good."""
        with self._lock:
            self._state = "stopped"
        self._thread.join(10)
        self._drop_all()
        self._listener.close()

    def _run(self) -> None:
        while self._state != "stopped":
            with self._lock:
                watched = [self._listener, *(self._other if self._state == "open" else ())]
            ready, _, _ = select.select(watched, [], [], 0.05)
            with self._lock:
                for end in ready:
                    if end is self._listener:
                        self._accept()
                    elif end in self._other and self._state == "open":
                        self._pass_on(end)

    def _accept(self) -> None:
        near, _ = self._listener.accept()
        if self._state == "cut":
            near.close()
            return
        try:
            far = socket.create_connection(("127.0.0.1", self._target), 5)
        except OSError:
            near.close()
            return
        self._other |= {near: far, far: near}

    def _pass_on(self, end: socket.socket) -> None:
        with contextlib.suppress(OSError):
            data = end.recv(2**16)
            if data:
                self._other[end].sendall(data)
                return
        self._drop(end)

    def _drop(self, end: socket.socket) -> None:
        other = self._other.pop(end)
        del self._other[other]
        end.close()
        other.close()

    def _drop_all(self) -> None:
        while self._other:
            self._drop(next(iter(self._other)))

"""HTTP/1.1 for whoever comes, but not for whoever keeps the line busy without asking.

Guarantees: a connection on which the head of a request does not come within ``SECONDS_FOR_A_HEAD`` is given
up, however slowly its bytes drip. Connections are few, and uvicorn would wait for ever.
"""

from __future__ import annotations

import asyncio
from typing import Final

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

SECONDS_FOR_A_HEAD: Final = 20.0


class Impatient(H11Protocol):
    """uvicorn's protocol with a limit on the time for a head; between requests its own limit holds."""

    _waiting: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begins to wait."""
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Waits on, unless the head is there."""
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._end_wait()
        elif self._waiting is None:
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Waits no more."""
        self._end_wait()
        super().connection_lost(exc)

    def _wait(self) -> None:
        self._waiting = self.loop.call_later(SECONDS_FOR_A_HEAD, self._give_up)

    def _give_up(self) -> None:
        self.transport.close()

    def _end_wait(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

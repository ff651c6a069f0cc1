"""Connections to the gate: none takes the place of others for long.

Guarantees:

- A request that has not come as a whole after ``REQUEST_SECONDS``, or its head after ``HEAD_SECONDS``, ends
  its connection, however steadily it drips.
- At most ``MOST`` connections stand. If one more comes, the oldest over which no node was accepted yet is
  ended: strangers displace each other, and not the nodes.
- What was ended is told in the log, once a minute at most.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from typing import Any, Final

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

LOG: Final = logging.getLogger(__name__)
MOST: Final = 512
HEAD_SECONDS: Final = 15.0
REQUEST_SECONDS: Final = 120.0
KNOWN: Final = "safeborders.known"
"""Key of a request's scope that the gate sets when SuperLink has accepted the request as a node's."""
_SECONDS_BETWEEN_WORDS: Final = 60.0


class _Record:
    """Counts what was ended, and tells it now and then."""

    def __init__(self) -> None:
        self._count: Counter[str] = Counter()
        self._said = -_SECONDS_BETWEEN_WORDS

    def add(self, why: str, now: float) -> None:
        self._count[why] += 1
        if now - self._said >= _SECONDS_BETWEEN_WORDS:
            self._said = now
            told = ", ".join(f"{number} {what}" for what, number in sorted(self._count.items()))
            LOG.warning("connections ended by the gate: %s", told)
            self._count.clear()


_RECORD: Final = _Record()


class Connection(H11Protocol):
    """One connection to the gate."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.is_known = False
        self._since = self.loop.time()
        self._timer: asyncio.TimerHandle | None = None
        self._reads = ""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Makes room for the connection, and begins to wait for its first request."""
        super().connection_made(transport)
        self._make_room()
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stops waiting."""
        super().connection_lost(exc)
        self._stop_waiting()

    def data_received(self, data: bytes) -> None:
        """Takes bytes, and waits for those that are still missing."""
        super().data_received(data)
        self._wait()

    def on_response_complete(self) -> None:
        """Remembers whether the request was a node's."""
        super().on_response_complete()
        self.is_known = self.is_known or bool(self.scope.get(KNOWN))
        self._wait()

    def _make_room(self) -> None:
        if len(self.connections) <= MOST:
            return
        strangers = [
            other
            for other in self.connections
            if isinstance(other, Connection) and other is not self and not other.is_known
        ]
        oldest = min(strangers, key=lambda other: other._since, default=self)  # noqa: SLF001 - its own kind
        oldest._end("for lack of room")  # noqa: SLF001 - likewise
        self.connections.discard(oldest)  # it is lost a moment later

    def _wait(self) -> None:
        """Sets the timer for the part of a request that is awaited now, if it is another than before."""
        reads = self._awaited()
        if reads == self._reads:
            return
        self._stop_waiting()
        self._reads = reads
        if reads:
            seconds = HEAD_SECONDS if reads == "head" else REQUEST_SECONDS
            self._timer = self.loop.call_later(seconds, self._end, "that took too long over a request")

    def _awaited(self) -> str:
        if self.conn.their_state is h11.SEND_BODY:
            return "body"
        # Between two requests uvicorn's own timer runs.
        resting = self.timeout_keep_alive_task is not None
        return "head" if self.conn.their_state is h11.IDLE and not resting else ""

    def _stop_waiting(self) -> None:
        self._reads = ""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _end(self, why: str) -> None:
        _RECORD.add(why, self.loop.time())
        self.transport.abort()

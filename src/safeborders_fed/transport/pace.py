"""When a node's link looks for the next message: a look costs the coordinator more than it costs the node.

Guarantees: a node that has had no message for a minute looks every two seconds, and
never more often than eight times a second.
"""

from __future__ import annotations

from typing import Final

_FAST: Final = 0.12
_SLOW: Final = 2.0
_FAST_FOR: Final = 60.0
_LONGEST_GAP: Final = 3.0
_PART_OF_GAP: Final = 0.7


class Pace:
    """When to look for the next message: a request costs the coordinator more than it costs the node.

    Rounds of a study follow each other at much the same pace, so after an answer nothing is asked for a part
    of the time that the last pauses took; then quickly for a while, then patiently.
    """

    def __init__(self) -> None:
        self._gap = 0.0
        self._answered: float | None = None

    def came(self, now: float) -> None:
        """A message came."""
        if self._answered is not None and now - self._answered < _FAST_FOR:
            self._gap = 0.5 * self._gap + 0.5 * min(now - self._answered, _LONGEST_GAP)

    def answered(self, now: float) -> None:
        """It was answered."""
        self._answered = now

    def pause(self, now: float) -> float:
        """Seconds until the next look."""
        if self._answered is None or now - self._answered > _FAST_FOR:
            return _SLOW
        return max(_FAST, _PART_OF_GAP * self._gap - (now - self._answered))

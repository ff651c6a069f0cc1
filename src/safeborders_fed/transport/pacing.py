"""When replies leave a node: at ticks, since the time that an answer takes tells how many victims there are.

Guarantees: a reply leaves a whole number of ticks after its request arrived, at least one. With a tick longer
than any answer takes, the time says nothing; with a shorter one it says no more than the number of ticks.
"""

from __future__ import annotations

import math
import time


def delay(elapsed: float, tick: float) -> float:
    """Seconds until the next tick, so many seconds after the request arrived; 0 without ticks."""
    if tick <= 0:
        return 0.0
    return max(1, math.ceil(elapsed / tick)) * tick - elapsed


def wait_for_tick(received: float, tick: float) -> None:
    """Sleeps until the next tick. ``received``: when the request arrived, by ``time.monotonic``."""
    time.sleep(delay(time.monotonic() - received, tick))


def at_once(received: float, tick: float) -> None:
    """In one process the clock is virtual: nobody waits."""
    del received, tick

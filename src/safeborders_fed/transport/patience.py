"""Calls to a coordinator that may just be starting again: repeated for a while before they count as failed.

Guarantees: only what may succeed later is repeated, which is no answer and answers from 500 on; what the
coordinator refuses is raised at once. It ends: after ``PATIENCE`` seconds, or when the service is to stop.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final, TypeVar

import httpx

LOG: Final = logging.getLogger(__name__)
PATIENCE: Final = 60.0
_FIRST_PAUSE: Final = 0.25
_LONGEST_PAUSE: Final = 2.0

Result = TypeVar("Result")


def patiently(
    call: Callable[[], Result],
    stopped: Callable[[], bool],
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Result:
    """What a call gives, if need be at the second or a later try.

    Args:
        call: Safe to repeat.
        stopped: Whether nobody wants the result any more.
        clock: Seconds of a clock that only goes forward.
        sleep: Waits for so many seconds.

    Raises:
        httpx.HTTPStatusError: The coordinator refuses, or has been failing for too long.
        httpx.TransportError: It could not be reached for too long.
    """
    end, pause = clock() + PATIENCE, _FIRST_PAUSE
    while True:
        try:
            return call()
        except httpx.HTTPStatusError as error:
            if error.response.status_code < 500 or clock() > end or stopped():
                raise
            what = f"status {error.response.status_code}"
        except httpx.TransportError as error:
            if clock() > end or stopped():
                raise
            what = type(error).__name__
        LOG.info("the coordinator does not answer (%s); trying again", what)
        sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)

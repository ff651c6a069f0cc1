"""The node's service beside the commands of the node's people."""

from __future__ import annotations

from typing import Any

import pytest

from safeborders_fed.errors import ConfigurationError
from safeborders_fed.transport.node_service import patiently

BUSY = ConfigurationError("audit-log-busy", "another process writes it", "wait")


def opening(errors: list[ConfigurationError]) -> Any:
    def open_it() -> str:
        if errors:
            raise errors.pop(0)
        return "participant"

    return open_it


def test_a_command_that_writes_the_log_does_not_end_the_service() -> None:
    waited: list[float] = []
    assert patiently(opening([BUSY, BUSY]), waited.append) == "participant"
    assert waited == [1.0, 1.0]


def test_a_log_that_stays_busy_and_any_other_error_do() -> None:
    waited: list[float] = []
    with pytest.raises(ConfigurationError, match="another process"):
        patiently(opening([BUSY] * 100), waited.append)
    assert len(waited) == 60
    with pytest.raises(ConfigurationError, match="none"):
        patiently(opening([ConfigurationError("no-roster", "none", "accept one")]), waited.append)
    assert len(waited) == 60

"""A doctor's look at a node: what its checks are given."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from safeborders_fed.node.settings import NodeSettings


@dataclass(frozen=True)
class Visit:
    """One look at a node.

    Attributes:
        settings: What its ``node.toml`` says.
        now: Aware time.
        running: Whether its service runs.
    """

    settings: NodeSettings
    now: datetime
    running: bool

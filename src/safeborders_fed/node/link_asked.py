"""What other states ask a node for in links, and on what terms: the words of the link book."""

from __future__ import annotations

from dataclasses import dataclass

from safeborders_fed.errors import RefusedError


@dataclass(frozen=True)
class Asked:
    """A chunk that another state asks shares for.

    Attributes:
        requester: The state.
        batch: Hash of its statement.
        total: Points of the whole batch.
        expires: When the batch does, ISO 8601, UTC.
        number: Of the chunk.
        kind: Type of identifiers.
        epoch: Of the tokens.
        month: Calendar month, such as ``2026-11``.
        hash: SHA-256 of the chunk's text.
        count: How many points.
    """

    requester: str
    batch: str
    total: int
    expires: str
    number: int
    kind: str
    epoch: str
    month: str
    hash: str
    count: int


@dataclass(frozen=True)
class Terms:
    """Quotas: ``monthly`` and ``first_load`` of points, ``at_once`` of batches under way."""

    monthly: int
    first_load: int
    at_once: int


def replayed(asked: Asked, what: str) -> RefusedError:
    """The error for a chunk under a number that was answered, for this reason."""
    return RefusedError(
        "link-replayed",
        f"chunk {asked.number} of batch {asked.batch[:12]}... of {asked.requester} {what}",
        "let that state prepare another batch",
    )

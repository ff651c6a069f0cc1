"""The words in which a node says where it stands on a study: fixed lists, so that no text leaves it."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Status(StrEnum):
    """Where a node stands on a study."""

    PENDING = "pending"
    """Its people have not decided yet."""
    APPROVED = "approved"
    REFUSED = "refused"
    """Its people have refused it, for the reason given."""
    TAKEN_ON = "taken-on"
    """Its cost is reserved; it answers rounds."""
    ENDED = "ended"
    REJECTED = "rejected"
    """The node's service would not show it to its people, for the reason given."""


class Why(StrEnum):
    """Why a node refuses a study, rejects it, or could not take it on as things stand."""

    NONE = ""
    # What people give as their reason.
    PURPOSE = "purpose"
    LEGAL_BASIS = "legal-basis"
    COLUMNS = "columns"
    COST = "cost"
    PARTICIPANTS = "participants"
    TIMING = "timing"
    OTHER = "other"
    # What the service finds.
    POLICY = "policy"
    CLOSED = "closed"
    BUDGET = "budget"
    EXPIRED = "expired"
    ROSTER = "roster"
    UNKNOWN_OPERATOR = "unknown-operator"
    MALFORMED = "malformed"
    CHANGED = "study-changed"
    HISTORY = "state-changes"
    """What the coordinator says became of the study does not hold, or not with what it said before."""
    UNAVAILABLE = "unavailable"


HUMAN_REASONS: Final = (
    Why.PURPOSE,
    Why.LEGAL_BASIS,
    Why.COLUMNS,
    Why.COST,
    Why.PARTICIPANTS,
    Why.TIMING,
    Why.OTHER,
)
"""What people may give as the reason of a refusal. Anything longer they say by a way of their own."""

"""What a node permits in links with other states: the table ``[links]`` of ``node.toml``.

Guarantees: nothing is permitted by default. A node without this table takes no part in links: it answers
every step with a refusal. Types, owners, purposes, partners and quotas must be stated; a word that stands for
nothing is refused. Victims' identifiers are left out unless their owner is named.
"""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, field_validator

from safeborders_fed.cases.contract import IDENTIFIER_OWNERS, IDENTIFIER_TYPES
from safeborders_fed.cases.countries import STATES

PURPOSES: Final = ("investigation", "prosecution", "victim-identification")
"""For what identifiers of case files may be compared with those of another state."""
_Words = Annotated[frozenset[str], Field(min_length=1, strict=False)]


class LinkPolicy(BaseModel):
    """A node's terms for links.

    Attributes:
        types: Types of identifiers that it compares, and helps others to compare.
        owners: Whose identifiers it puts into its own batches. ``Victim`` is for who has a legal basis.
        purposes: For which it helps, and asks.
        partners: States whose batches it answers and with which it compares.
        monthly: Points that one state may ask for in a calendar month and type, padding included.
        first_load: Points of one state and type beyond these, once an epoch, for its first batch.
        batches_at_once: Batches of one state under way at most.
        approvals_needed: People here who must sign a batch, and a hit.
        days_to_answer: Days after which an unanswered hit counts as overdue.
        alarm_hits: Verified hits of one partner in an exchange, per hundred new tags, above which a person
            must look before anything is disclosed.
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    types: _Words
    owners: _Words
    purposes: _Words
    partners: _Words
    monthly: int = Field(ge=1, le=10**6)
    first_load: int = Field(ge=0, le=10**7)
    batches_at_once: int = Field(default=4, ge=1, le=100)
    approvals_needed: int = Field(default=2, ge=1, le=64)
    days_to_answer: int = Field(default=14, ge=1, le=365)
    alarm_hits: int = Field(default=20, ge=1, le=100)

    @field_validator("types")
    @classmethod
    def _known_types(cls, words: frozenset[str]) -> frozenset[str]:
        return _known(words, frozenset(IDENTIFIER_TYPES))

    @field_validator("owners")
    @classmethod
    def _known_owners(cls, words: frozenset[str]) -> frozenset[str]:
        return _known(words, frozenset(IDENTIFIER_OWNERS))

    @field_validator("purposes")
    @classmethod
    def _known_purposes(cls, words: frozenset[str]) -> frozenset[str]:
        return _known(words, frozenset(PURPOSES))

    @field_validator("partners")
    @classmethod
    def _known_partners(cls, words: frozenset[str]) -> frozenset[str]:
        return _known(words, frozenset(STATES))


def _known(words: frozenset[str], known: frozenset[str]) -> frozenset[str]:
    for word in sorted(words - known):
        raise ValueError(f"{word[:60]!r} is none of {', '.join(sorted(known))}")
    return words

"""Alarms about hits: what a coordinator, or another state, did that no honest one does.

Guarantees: an alarm is in the audit log, and in the list that ``safeborders node links status`` shows, once
for each exchange, partner and kind. It names a handle, never a case, an identifier or a token.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from safeborders_fed.links import alarms
from safeborders_fed.links.handles import CANARIES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from safeborders_fed.links.office import Office

WORDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "unknown": "the coordinator reported a hit on a handle that this node never gave for that partner",
        "twice": "the coordinator reported two hits on one handle, of which one at most can be true",
        "dummy": "the coordinator reported a hit on a tag that means nothing: it invented it",
        "check": "the partner's check of a hit does not hold: the coordinator invented or swapped it, or the "
        "partner lies",
        "canaries": "hits that the coordinator had to report are missing: it drops hits, or the partner lies",
        "flood": "far more hits than usual came at once: the partner may be fishing, or an identifier is "
        "shared by many, as that of a hotline",
        "letter": "a letter did not open or was not one that may come: it was changed, or the partner lies",
    }
)
"""Kinds of alarms, and what each says."""


def raise_alarm(office: Office, exchange: str, kind: str, partner: str, about: str = "") -> None:
    """Puts an alarm on record.

    Args:
        office: The node.
        exchange: In which exchange.
        kind: One of ``WORDS``.
        partner: About hits with whom.
        about: A handle, or a number.
    """
    said = f"{partner}, exchange {exchange}: {WORDS[kind]}"
    details = {"exchange": exchange, "partner": partner, "about": about}
    alarms.sound(office, f"hits-{kind}", f"hits-{kind}/{exchange}/{partner}", said, details)


def compare_canaries(office: Office, exchange: str, partner: str) -> None:
    """Counts the canaries of an exchange that the coordinator has reported: one that is missing is an alarm.

    To be asked when all hits of the exchange are told, and only if this node's tags went out in it.
    """
    if office.hits.tagging(exchange, partner) is None:
        return
    reported = office.hits.canaries(exchange, partner)
    if reported < CANARIES:
        raise_alarm(office, exchange, "canaries", partner, f"{reported} of {CANARIES}")


def compare_earlier(office: Office, epoch: str, partner: str) -> None:
    """Likewise for exchanges before the last one: by now their hits are told, or somebody keeps them back.

    What a partner that was away left open in one exchange is told in the next in which both are there.
    """
    for earlier in office.hits.taggings(epoch, partner)[:-2]:
        compare_canaries(office, earlier.exchange, partner)

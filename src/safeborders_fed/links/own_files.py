"""What a node's own files and its book of hits say about networks: the input of ``network``.

Guarantees: identifiers leave here as keyed digests only. What is on the stop-list joins nothing. A hit counts
once people of both states have approved it, and no longer when it was refuted or has expired.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from safeborders_fed.cases.encoding import Linked
from safeborders_fed.links import network, normalise
from safeborders_fed.links.hit_records import HitRecord
from safeborders_fed.links.network import Lead, Mark, Network
from safeborders_fed.links.stop_list import stopped_digests
from safeborders_fed.node.hit_book import APPROVED_BOTH, CONFIRMED, EXCHANGED, FOLLOWED_UP, HitRow

if TYPE_CHECKING:
    from safeborders_fed.links.office import Office

JOINING: Final = frozenset({APPROVED_BOTH, EXCHANGED, FOLLOWED_UP, CONFIRMED})
"""States of hits that join networks."""
COUNTED: Final = frozenset({EXCHANGED, FOLLOWED_UP, CONFIRMED})
"""States of hits whose cases are counted as linked in studies."""


@dataclass(frozen=True)
class OwnFiles:
    """The node's own side of its networks.

    Attributes:
        marks: Forms of identifiers in cases.
        victims: Pairs of victim and case.
    """

    marks: frozenset[Mark]
    victims: frozenset[tuple[str, str]]

    def networks(self, leads: Collection[Lead]) -> tuple[Network, ...]:
        """The networks that these hits make of it."""
        return network.networks(self.marks, leads, self.victims)


def own_files(office: Office) -> OwnFiles:
    """Reads the latest snapshot; nothing from an empty store. Raises as CaseStore."""
    store = office.store
    if store.latest_snapshot() is None:
        return OwnFiles(frozenset(), frozenset())
    stopped = stopped_digests(office)
    identifiers, cases = store.identifiers(), store.cases()
    columns = [identifiers[name].to_pylist() for name in ("type", "value", "case")]
    marks = set()
    for number, (kind, value, case) in enumerate(zip(*columns, strict=True)):
        for form in normalise.forms(kind, value, state=office.node):
            digest = office.vault.digest(kind, form.text)
            if digest not in stopped:
                marks.add(Mark(kind, digest.hex(), form.strength, case, number))
    pairs = zip(*(cases[name].to_pylist() for name in ("victim", "case")), strict=True)
    return OwnFiles(frozenset(marks), frozenset(pairs))


def leads(office: Office, states: Collection[str] = JOINING) -> list[Lead]:
    """The hits in these states, by name."""
    return [lead_of(row) for row in office.hits.shown(states)]


def lead_of(row: HitRow) -> Lead:
    """A hit as networks take it: with the other state's cases, if its record is here."""
    cases = () if row.record is None else HitRecord.from_bytes(row.record).cases
    return Lead(row.partner, row.id, row.kind, row.digest.hex(), row.strength, tuple(cases))


def linked(office: Office) -> Mapping[str, Linked]:
    """By pseudonym, the victims of whose cases a hit was exchanged, for studies that count them."""
    partners: dict[str, set[str]] = defaultdict(set)
    kinds: dict[str, set[str]] = defaultdict(set)
    for row in office.hits.shown(COUNTED):
        for case in row.cases:
            partners[case].add(row.partner)
            kinds[case].add(row.kind)
    if not partners or office.store.latest_snapshot() is None:
        return {}
    table = office.store.cases()
    found: dict[str, Linked] = {}
    for victim, case in zip(table["victim"].to_pylist(), table["case"].to_pylist(), strict=True):
        if case in partners:
            before = found.get(victim, Linked(frozenset(), frozenset()))
            found[victim] = Linked(before.partners | partners[case], before.kinds | kinds[case])
    return found

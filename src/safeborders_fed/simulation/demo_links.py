"""The links step of the demonstration: all nodes' desks in one process, over the demonstration's stores.

Guarantees: the path is the real one (normal forms, batches signed by prosecutors, blinded points to all
nodes, tokens, tags of pairs, checks, letters over Flower's grid); only the people are made up, and they
approve every hit.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from safeborders_fed.cases.contract import IDENTIFIER_OWNERS, IDENTIFIER_TYPES
from safeborders_fed.cases.countries import STATES
from safeborders_fed.cases.store import CaseStore
from safeborders_fed.errors import DataError
from safeborders_fed.links import batches
from safeborders_fed.links.desk import Desk
from safeborders_fed.links.exchange import Exchange, Summary
from safeborders_fed.links.exchange_files import Wish
from safeborders_fed.links.hit_records import FILE as CONTACT_FILE
from safeborders_fed.links.office import Office
from safeborders_fed.node.hit_book import OPEN
from safeborders_fed.node.hit_papers import HitPaper, HitPapers
from safeborders_fed.node.link_policy import PURPOSES, LinkPolicy
from safeborders_fed.node.link_vault import LinkVault
from safeborders_fed.simulation.link_truth import Recovered, all_planted, compare
from safeborders_fed.transport.in_process import run_in_process

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from safeborders_fed.audit.log import AuditLog
    from safeborders_fed.simulation.ceremony import Ceremony
    from safeborders_fed.simulation.demo import Progress
    from safeborders_fed.simulation.nodes import LocalNode

DIRECTORY: Final = "exchange"
MOST_IDENTIFIERS: Final = 1_000
"""Beside what is planted: some seconds for all nodes, where files of full size would take minutes."""
_LEGAL_BASIS: Final = "None needed: demonstration on one machine."
_DAYS: Final = 30
_DIGITS: Final = 8
_CONTACT: Final = """\
handling = ["H1", "H2"]
valid_days = 90
[contact]
unit = "Demonstration desk of {node}"
email = "desk@{domain}.example.org"
phone = "+44 7700 900000"
"""


@dataclass(frozen=True)
class Linked:
    """What the links step found.

    Attributes:
        on_file: Identifiers in all files.
        compared: Those in the cases that were compared: all planted ones and near misses, and a share of the
            others (``MOST_IDENTIFIERS``).
        identifiers: Distinct normal forms for which a token was asked, all nodes together, without padding.
        points: Blinded points that nodes answered, padding included.
        tags: Tags that the coordinator compared, padding included.
        hits: Hits that both states of a pair verified.
        exchanged: Those whose records both states hold.
        recovered: Beside the planted truth.
    """

    on_file: int
    compared: int
    identifiers: int
    points: int
    tags: int
    hits: int
    exchanged: int
    recovered: Recovered


def desk_of(node: str, home: Path, store: CaseStore, ceremony: Ceremony, audit_log: AuditLog) -> Desk | None:
    """The desk of a demonstration node; None for a part of a file that is no state's."""
    if node not in STATES:
        return None
    contact = _CONTACT.format(node=node, domain=node.lower())
    (home / CONTACT_FILE).write_text(contact, encoding="utf-8")
    identity = ceremony.identities[node]
    return Desk(
        Office(
            node=node,
            key=identity.signing_key,
            accepted=identity.accepted,
            roster_hash=identity.roster_hash,
            policy=_policy(),
            store=store,
            audit_log=audit_log,
            home=home,
            vault=LinkVault(home, store.keys),
            approvers=ceremony.prosecutors[node].enrolled,
        )
    )


def _policy() -> LinkPolicy:
    """Permits what the demonstration asks; victims' identifiers as well, since everybody is made up."""
    return LinkPolicy(
        types=frozenset(IDENTIFIER_TYPES),
        owners=frozenset(IDENTIFIER_OWNERS),
        purposes=frozenset(PURPOSES),
        partners=frozenset(STATES),
        monthly=100_000,
        first_load=1_000_000,
    )


def run(
    nodes: Sequence[LocalNode], ceremony: Ceremony, out: Path, truth: Mapping[str, Any], progress: Progress
) -> Linked:
    """Runs it: batches, an exchange, people's answers, letters.

    Args:
        nodes: Nodes of states, each with its desk.
        ceremony: Keys and people.
        out: The demonstration's directory.
        truth: What was planted.
        progress: Told how far it is.
    """
    offices = {node.name: node.desk.office for node in nodes if node.desk is not None}
    progress.begin("links", len(offices) + 2)
    on_file, compared = _choose(offices, truth)
    identifiers = 0
    for name, office in offices.items():
        identifiers += _batch(office, ceremony)
        progress.advance(f"{name} has signed its batch")
    summary = _exchange(nodes, ceremony, out, letters_only=False)
    progress.advance(f"{sum(summary.points.values()):,} points, {summary.tags:,} tags")
    for office in offices.values():
        _approve_hits(office, ceremony)
    _exchange(nodes, ceremony, out, letters_only=True)
    progress.advance("people of both states have approved")
    recovered = compare(offices, truth)
    hits = [row for office in offices.values() for row in office.hits.shown()]
    return Linked(
        on_file=on_file,
        compared=compared,
        identifiers=identifiers,
        points=sum(summary.points.values()),
        tags=summary.tags,
        hits=len({row.id for row in hits}),
        exchanged=len({row.id for row in hits if row.received_at and row.sent_at}),
        recovered=recovered,
    )


def _choose(offices: Mapping[str, Office], truth: Mapping[str, Any]) -> tuple[int, int]:
    """Has the desks see an excerpt of files that are too large for the demonstration; all, and seen."""
    sizes = {node: office.store.identifiers().num_rows for node, office in offices.items()}
    share = MOST_IDENTIFIERS / max(1, sum(sizes.values()))
    if share < 1:
        planted = all_planted(offices, truth)
        for node, office in offices.items():
            office.store = Excerpt(office.store, planted[node], share)
    seen = sum(office.store.identifiers().num_rows for office in offices.values())
    return sum(sizes.values()), seen


class Excerpt(CaseStore):
    """A store of which links see the identifiers of some cases only.

    Args:
        store: The store.
        cases: Pseudonyms of cases that are seen.
        share: Of the others, by their pseudonyms, which are keyed hashes.
    """

    def __init__(self, store: CaseStore, cases: Collection[str], share: float) -> None:
        self.files, self.keys, self.max_victims = store.files, store.keys, store.max_victims
        self._cases, self._below = frozenset(cases), round(share * 16**_DIGITS)

    def identifiers(self, snapshot: str | None = None) -> pa.Table:
        """Identifiers of the cases that are seen. Raises as CaseStore."""
        table = super().identifiers(snapshot)
        seen = [
            case in self._cases or int(case[:_DIGITS], 16) < self._below for case in table["case"].to_pylist()
        ]
        return table.filter(pa.array(seen, pa.bool_()))


def _batch(office: Office, ceremony: Ceremony) -> int:
    """Puts a node's batch together and has its prosecutors sign it; how many identifiers are in it."""
    made = batches.prepare(
        office, purpose="investigation", legal_basis=_LEGAL_BASIS, days=_DAYS, who="demonstration"
    )
    batch = made.statement.hash()
    for approval in ceremony.prosecutors[office.node].approve("link-batch", batch):
        office.book.batches.approve(batch, approval.approver, approval.to_bytes())
    return sum(made.identifiers.values())


def _exchange(nodes: Sequence[LocalNode], ceremony: Ceremony, out: Path, *, letters_only: bool) -> Summary:
    """One exchange over Flower's grid."""
    found: list[Summary] = []
    epoch = next(node.desk.office.keys.current() for node in nodes if node.desk is not None)
    wish = Wish(by="demonstration", letters_only=letters_only)
    run_in_process(
        [node.participant for node in nodes],
        lambda federation: found.append(
            Exchange(out / DIRECTORY, federation, ceremony.roster, epoch, wish=wish).run()
        ),
    )
    if not found:
        raise DataError("exchange-without-end", "the exchange of links gave no result", "run it again")
    return found[0]


def _approve_hits(office: Office, ceremony: Ceremony) -> None:
    """Has a node's prosecutors sign every hit."""
    papers = HitPapers(office.home)
    for row in office.hits.shown({OPEN}):
        for approval in ceremony.prosecutors[office.node].approve("link-hit", row.id):
            paper = HitPaper(hit=row.id, act="approve", word="routine", seen_alarm=True, approval=approval)
            papers.leave(paper)

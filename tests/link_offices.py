"""Nodes with desks for links in one process, and a coordinator that only passes on what they say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pyarrow as pa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from safeborders_fed.audit.chain import Entry
from safeborders_fed.audit.log import AuditLog
from safeborders_fed.cases.keys import NodeKeys
from safeborders_fed.cases.store import CaseStore
from safeborders_fed.cases.tables import IDENTIFIERS_VIEW
from safeborders_fed.links import batches
from safeborders_fed.links.desk import Desk
from safeborders_fed.links.office import Office
from safeborders_fed.masking.signing import public_hex
from safeborders_fed.node.approvals import Approver, approve
from safeborders_fed.node.link_policy import LinkPolicy
from safeborders_fed.node.link_vault import LinkVault
from safeborders_fed.study.link_messages import LinkAnswer, LinkAsk, Said

ROSTER = "ab" * 32
BEGIN = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
TERMS: dict[str, Any] = {
    "types": ["phone", "email"],
    "owners": ["Recruiter", "Transporter", "Exploiter", "Facilitator", "Unknown"],
    "purposes": ["investigation"],
    "partners": ["BE", "BG", "RO"],
    "monthly": 1000,
    "first_load": 4000,
}
Row = tuple[str, str, str, str, str]
"""Victim, case, type, owner and value."""


def phone(number: int) -> str:
    """A Romanian mobile number."""
    return f"+40 7{number:08d}"


def phones(numbers: Iterable[int], owner: str = "Exploiter") -> list[Row]:
    return [(f"v{number}", f"c{number}", "phone", owner, phone(number)) for number in numbers]


def spread(count: int, start: int = 0) -> list[int]:
    """Numbers that do not follow each other."""
    return [(start + at) * 7919 % 89_999_999 + 10_000_000 for at in range(count)]


@dataclass
class Clock:
    """A time that tests turn."""

    at: datetime = BEGIN

    def __call__(self) -> datetime:
        return self.at

    def forward(self, **parts: float) -> None:
        self.at += timedelta(**parts)


@dataclass
class Cases:
    """A case store of which links see the identifiers only."""

    keys: NodeKeys
    rows: list[Row] = field(default_factory=list)
    reads: int = 0

    def latest_snapshot(self) -> str | None:
        return "s1" if self.rows else None

    def identifiers(self) -> pa.Table:
        self.reads += 1
        columns = zip(*self.rows, strict=True)
        return pa.table([list(column) for column in columns], schema=IDENTIFIERS_VIEW)


@dataclass
class Person:
    """A prosecutor with a key."""

    name: str
    key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)

    @property
    def enrolled(self) -> Approver:
        return Approver(name=self.name, role="prosecutor", public=public_hex(self.key))


@dataclass
class LinkNode:
    """One node with its desk."""

    office: Office
    desk: Desk
    people: list[Person]
    cases: Cases
    log: AuditLog

    def sign(self, batch: str, people: Sequence[Person] | None = None, of: str | None = None) -> None:
        """Approves a batch, with an approval of another one if ``of`` says so."""
        now = self.office.clock()
        for person in self.people if people is None else people:
            paper = approve(
                person.key,
                name=person.name,
                subject="link-batch",
                subject_hash=of or batch,
                signed_at=now,
                expires=now + timedelta(days=30),
            )
            self.office.book.batches.approve(batch, paper.approver, paper.to_bytes())

    def prepared(self) -> str:
        """A batch with all that is new, approved."""
        done = batches.prepare(
            self.office, purpose="investigation", legal_basis="order 7/2026", days=30, who="operator"
        )
        batch = done.statement.hash()
        self.sign(batch)
        return batch

    def entries(self) -> list[Entry]:
        """The audit log."""
        path = self.office.home / "audit.jsonl"
        return [Entry.model_validate_json(line) for line in path.read_bytes().splitlines()]

    def reopened(self) -> LinkNode:
        """The node after its process died."""
        self.log.close()
        self.office.book.close()
        return _built(
            self.office.home,
            self.office.key,
            self.office.policy,
            people=self.people,
            cases=self.cases,
            accepted=self.office.accepted,
            clock=cast("Clock", self.office.clock),
        )


def nodes(
    directory: Path, names: Sequence[str] = ("BE", "BG", "RO"), clock: Clock | None = None, **terms: Any
) -> dict[str, LinkNode]:
    """Nodes that know each other and have no keys of an epoch yet."""
    keys = {name: Ed25519PrivateKey.generate() for name in names}
    accepted = {name: public_hex(key) for name, key in keys.items()}
    made = {}
    for name, key in keys.items():
        home = directory / name
        home.mkdir()
        cases, people = Cases(NodeKeys.generate()), [Person(f"{name} one"), Person(f"{name} two")]
        policy = LinkPolicy(**{**TERMS, **terms})
        made[name] = _built(home, key, policy, people=people, cases=cases, accepted=accepted, clock=clock)
    return made


def _built(
    home: Path,
    key: Ed25519PrivateKey,
    policy: LinkPolicy,
    *,
    people: list[Person],
    cases: Cases,
    accepted: Mapping[str, str],
    clock: Clock | None,
) -> LinkNode:
    name = home.name
    log = AuditLog(home / "audit.jsonl", key, name)
    office = Office(
        node=name,
        key=key,
        accepted=accepted,
        roster_hash=ROSTER,
        policy=policy,
        store=cast("CaseStore", cases),
        audit_log=log,
        home=home,
        vault=LinkVault(home, cases.keys),
        approvers=[person.enrolled for person in people],
        clock=clock or Clock(),
    )
    return LinkNode(office, Desk(office), people, cases, log)


def ask_all(made: Mapping[str, LinkNode], step: str, said: Sequence[Said] = (), **content: Any) -> list[Said]:
    """One step at all nodes; what they say."""
    return [node.desk.answer(LinkAsk("e1", step, tuple(said), content)).said for node in made.values()]


def make_keys(made: Mapping[str, LinkNode], epoch: str = "2026") -> None:
    """All steps until the epoch can be used."""
    shares = ask_all(made, "reveal", ask_all(made, "commit", epoch=epoch))
    ask_all(made, "pinned", ask_all(made, "pin", shares))


def next_chunk(node: LinkNode) -> LinkAnswer:
    """What a node sends of its batches."""
    return node.desk.answer(LinkAsk("e1", "batch"))


def evaluated(node: LinkNode, chunk: LinkAnswer, exchange: str = "e1") -> LinkAnswer:
    """What a node answers to a chunk."""
    return node.desk.answer(LinkAsk(exchange, "evaluate", (chunk.said,), {}, chunk.arrays))


def taken(node: LinkNode, answers: Sequence[LinkAnswer]) -> LinkAnswer:
    """What a node says to the shares of all."""
    arrays = {f"shares-{each.said.node}": each.arrays["shares"] for each in answers}
    return node.desk.answer(LinkAsk("e1", "take", tuple(each.said for each in answers), {}, arrays))


def run(made: Mapping[str, LinkNode], requester: str) -> int:
    """Takes chunks of a node until it has none that all answer; how many."""
    done = 0
    while (chunk := next_chunk(made[requester])).said.kind == "chunk":
        answers = [evaluated(node, chunk) for node in made.values()]
        if any(answer.said.kind == "refused" for answer in answers):
            break
        taken(made[requester], answers)
        done += 1
    return done

"""Nodes that take part in links, in one process: real stores, books, keys and doors, made-up cases.

All that passes between coordinator and nodes passes as bytes, through ``Participant.answer``; ``Wire`` lets a
test lose or alter any of it.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from federation_of import CAPS, POLICY
from safeborders_fed.audit.chain import Entry
from safeborders_fed.audit.log import AuditLog
from safeborders_fed.cases.intake import import_file
from safeborders_fed.cases.mapping import parse_mapping
from safeborders_fed.coordinator.federation import NOBODY
from safeborders_fed.links.batches import Prepared, prepare
from safeborders_fed.links.desk import Desk
from safeborders_fed.links.exchange import Exchange, Summary
from safeborders_fed.links.exchange_files import LinkFiles, Wish
from safeborders_fed.links.office import Office
from safeborders_fed.masking.signing import public_hex
from safeborders_fed.node.approvals import Approval, Approver, Subject, approve
from safeborders_fed.node.creating import create_node
from safeborders_fed.node.hit_book import HitRow
from safeborders_fed.node.hit_papers import HitPaper, HitPapers
from safeborders_fed.node.identity import Identity
from safeborders_fed.node.ledger import Ledger
from safeborders_fed.node.link_policy import LinkPolicy
from safeborders_fed.node.link_vault import LinkVault
from safeborders_fed.node.participant import Participant
from safeborders_fed.simulation.ceremony import Ceremony, hold
from safeborders_fed.study.link_messages import LinkAnswer, LinkAsk
from safeborders_fed.study.messages import decode

HEADER = ("case", "victim", "day", "phone", "email", "handle", "victim_phone")
MAPPING = """
schema_version = 1
name = "register"
description = "A small register"
contract_version = "1"
period = { first = 2000, last = 2026 }
[fields.case_id]
column = "case"
[fields.victim_id]
column = "victim"
[fields.registration_date]
column = "day"
formats = ["%Y-%m-%d"]
[[identifiers]]
type = "phone"
owner = "Exploiter"
column = "phone"
[[identifiers]]
type = "email"
owner = "Recruiter"
column = "email"
[[identifiers]]
type = "handle"
owner = "Facilitator"
column = "handle"
[[identifiers]]
type = "phone"
owner = "Victim"
column = "victim_phone"
"""
CONTACT = """
[contact]
unit = "Link unit"
email = "links@example.{}"
phone = "+32 2 555 00 00"
"""
TYPES = ("phone", "email", "handle")


@dataclass
class Clock:
    """A clock that a test sets."""

    at: datetime = field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))

    def __call__(self) -> datetime:
        return self.at

    def wait(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


def policy(states: Iterable[str], **changes: Any) -> LinkPolicy:
    """What a node permits: the three types of the register, of whom but victims, with all these states."""
    terms = {
        "types": set(TYPES),
        "owners": {"Exploiter", "Recruiter", "Facilitator"},
        "purposes": {"investigation"},
        "partners": set(states),
        "monthly": 1000,
        "first_load": 10_000,
    }
    return LinkPolicy.model_validate({**terms, **changes})


@dataclass
class LinkNode:
    """One node with its people."""

    name: str
    office: Office
    participant: Participant
    prosecutors: Mapping[str, Ed25519PrivateKey]
    _cases: list[dict[str, str]] = field(default_factory=list)

    def add(self, *cases: Mapping[str, str]) -> None:
        """Imports cases: each of these columns of the register."""
        self._cases += [dict(case) for case in cases]
        file = self.office.home / "register.csv"
        with file.open("w", encoding="utf-8", newline="") as opened:
            writer = csv.DictWriter(opened, HEADER, restval="")
            writer.writeheader()
            for number, case in enumerate(self._cases):
                standing = {"case": f"case-{number}", "victim": f"person-{number}", "day": "2025-03-05"}
                writer.writerow(standing | case)
        import_file(file, parse_mapping(MAPPING, "register.toml"), self.office.store)

    def prepare(self, purpose: str = "investigation") -> Prepared:
        """Puts the next batch together."""
        return prepare(self.office, purpose=purpose, legal_basis="Act 1", days=30, who="Eva")

    def approvals(self, subject_hash: str, subject: Subject = "link-batch") -> list[Approval]:
        """All prosecutors sign a batch, or that a hit be answered."""
        now = self.office.clock()
        return [
            approve(
                key,
                name=name,
                subject=subject,
                subject_hash=subject_hash,
                signed_at=now,
                expires=now + timedelta(days=20),
            )
            for name, key in self.prosecutors.items()
        ]

    def approve(self, prepared: Prepared) -> None:
        """All prosecutors sign it, and the node has their signatures."""
        batch = prepared.statement.hash()
        for approval in self.approvals(batch):
            self.office.book.batches.approve(batch, approval.name, approval.to_bytes())

    def offer(self) -> Prepared:
        """Puts the next batch together, signed."""
        prepared = self.prepare()
        self.approve(prepared)
        return prepared

    def hits(self) -> list[HitRow]:
        """The hits that its people see."""
        return self.office.hits.shown()

    def approve_hits(self) -> None:
        """All prosecutors sign that records about every hit be exchanged; taken in with the next letters."""
        (self.office.home / "contact.toml").write_text(CONTACT.format(self.name.lower()), encoding="utf-8")
        papers = HitPapers(self.office.home)
        for row in self.hits():
            for approval in self.approvals(row.id, "link-hit"):
                papers.leave(
                    HitPaper(hit=row.id, act="approve", word="routine", seen_alarm=True, approval=approval)
                )

    def log(self) -> list[Entry]:
        """The audit log."""
        lines = (self.office.home / "audit.jsonl").read_bytes().splitlines()
        return [Entry.model_validate_json(line) for line in lines]


class CrashError(Exception):
    """The coordinator's process is gone."""


@dataclass
class Wire:
    """Carries messages to nodes and back, unless a test wants otherwise.

    Attributes:
        nodes: The nodes.
        offline: Those that no message reaches.
        ask: May alter what is asked: node and ask to what is asked instead.
        answer: May alter an answer: node, what was asked and the answer, to the bytes that come back.
        crash_at: The number of the question, from 0, or the step at which the coordinator's process is gone.
        lose_answers: Whether that question reaches the nodes, and only the answers are lost.
        passed: All that was asked and answered.
    """

    nodes: Mapping[str, LinkNode]
    offline: set[str] = field(default_factory=set)
    ask_instead: Callable[[str, LinkAsk], LinkAsk] | None = None
    answer_instead: Callable[[str, LinkAsk, LinkAnswer], LinkAnswer] | None = None
    crash_at: int | str | None = None
    lose_answers: bool = False
    passed: list[tuple[str, LinkAsk, Any]] = field(default_factory=list)
    calls: int = 0

    def online(self) -> frozenset[str]:
        return frozenset(self.nodes.keys() - self.offline)

    def ask(self, requests: Mapping[str, bytes], optional: Mapping[str, bytes] = NOBODY) -> dict[str, bytes]:
        assert not optional
        step = next((_link(data).step for data in requests.values()), "")
        crash = self.crash_at in {self.calls, step}
        if crash and not self.lose_answers:
            raise CrashError
        replies = {node: self._one(node, data) for node, data in requests.items() if node not in self.offline}
        if crash:
            raise CrashError
        self.calls += 1
        return replies

    def _one(self, node: str, data: bytes) -> bytes:
        asked = _link(data)
        if self.ask_instead is not None:
            asked = self.ask_instead(node, asked)
        reply = self.nodes[node].participant.answer(asked.encode()).data
        answer = decode(reply)
        self.passed.append((node, asked, answer))
        if self.answer_instead is not None and isinstance(answer, LinkAnswer):
            return self.answer_instead(node, asked, answer).encode()
        return reply

    def asks(self, step: str) -> list[tuple[str, LinkAsk, Any]]:
        """What passed in a step."""
        return [each for each in self.passed if each[1].step == step]


def _link(data: bytes) -> LinkAsk:
    asked = decode(data)
    assert isinstance(asked, LinkAsk)
    return asked


@dataclass
class LinkFederation:
    """Nodes, and the coordinator's directory."""

    directory: Path
    ceremony: Ceremony
    nodes: Mapping[str, LinkNode]
    wire: Wire
    clock: Clock

    def __getitem__(self, node: str) -> LinkNode:
        return self.nodes[node]

    @property
    def files(self) -> LinkFiles:
        return LinkFiles(self.directory / "coordinator", f"{self.clock.at:%Y}")

    def exchange(self, epoch: str = "", **wish: Any) -> Summary:
        """Runs an exchange."""
        return Exchange(
            self.directory / "coordinator",
            self.wire,
            self.ceremony.roster,
            epoch or f"{self.clock.at:%Y}",
            wish=Wish(**wish),
            clock=self.clock,
            sleep=self.clock.wait,
        ).run()

    def offer_all(self) -> None:
        """Every node has its new identifiers approved."""
        for node in self.nodes.values():
            node.offer()

    @contextmanager
    def lying(
        self,
        *,
        ask: Callable[[str, LinkAsk], LinkAsk] | None = None,
        answer: Callable[[str, LinkAsk, LinkAnswer], LinkAnswer] | None = None,
    ) -> Iterator[None]:
        """Within, what passes is altered on the way."""
        self.wire.ask_instead, self.wire.answer_instead = ask, answer
        yield
        self.wire.ask_instead, self.wire.answer_instead = None, None


def federation(directory: Path, *states: str, clock: Clock | None = None, **changes: Any) -> LinkFederation:
    """Nodes of these states, without cases; ``changes`` are to everybody's policy."""
    clock, ceremony = clock or Clock(), hold(states)
    terms = policy(states, **changes)
    nodes = {state: _node(directory, ceremony.identities[state], terms, clock) for state in sorted(states)}
    return LinkFederation(directory, ceremony, nodes, Wire(nodes), clock)


def _node(directory: Path, identity: Identity, terms: LinkPolicy, clock: Clock) -> LinkNode:
    state = identity.node
    settings = create_node(directory / state, state, directory / f"{state}.key", 20_000)
    keys = {f"{name} of {state}": Ed25519PrivateKey.generate() for name in ("Petra", "Paulo")}
    people = tuple(
        Approver(name=name, role="prosecutor", public=public_hex(key)) for name, key in keys.items()
    )
    store = settings.open_store()
    log = AuditLog(settings.home / "audit.jsonl", identity.signing_key, state)
    office = Office(
        node=state,
        key=identity.signing_key,
        accepted=identity.accepted,
        roster_hash=identity.roster_hash,
        policy=_without(terms, state),
        store=store,
        audit_log=log,
        home=settings.home,
        vault=LinkVault(settings.home, store.keys),
        approvers=people,
        clock=clock,
    )
    participant = Participant(
        identity=identity,
        store=store,
        ledger=Ledger(settings.home / "ledger.sqlite", CAPS),
        policy=POLICY,
        approvers=(),
        audit_log=log,
        links=Desk(office),
    )
    return LinkNode(state, office, participant, keys)


def _without(terms: LinkPolicy, state: str) -> LinkPolicy:
    """The terms without the state itself among its partners."""
    return terms.model_copy(update={"partners": terms.partners - {state}})

"""What every step of links needs at a node: who it is, its policy, its secrets, its cases and its books.

Guarantees: nothing in here answers anybody. Identifiers are read from the latest snapshot, brought into their
normal forms and given this node's digests; secrets are read from sealed files each time they are needed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from safeborders_fed.audit import notices
from safeborders_fed.audit.chain import Operation
from safeborders_fed.audit.log import Event, Fact
from safeborders_fed.cases.store import CaseStore
from safeborders_fed.errors import ConfigurationError
from safeborders_fed.links import normalise
from safeborders_fed.links.epoch_keys import EpochKeys
from safeborders_fed.links.key_set import KeySet
from safeborders_fed.links.key_shares import NodeSecrets
from safeborders_fed.links.pairs import PairKeys
from safeborders_fed.links.switch import Switch
from safeborders_fed.node import hit_book
from safeborders_fed.node.approvals import Approver
from safeborders_fed.node.desks import EnrolledNow
from safeborders_fed.node.hit_book import HitBook
from safeborders_fed.node.identity import Identity
from safeborders_fed.node.journal import now
from safeborders_fed.node.link_book import FILE, LinkBook
from safeborders_fed.node.link_policy import LinkPolicy
from safeborders_fed.node.link_vault import LinkVault
from safeborders_fed.study import canonical
from safeborders_fed.study.key_files import load_key
from safeborders_fed.study.link_messages import LinkAsk, Said, say

if TYPE_CHECKING:
    from safeborders_fed.node.settings import NodeSettings

VICTIM: Final = "Victim"


class Log(Protocol):
    """Where things are put on record: the audit log, or notes for whoever writes it."""

    def append(
        self, operation: Operation, *, who: str, why: str, details: Mapping[str, Fact] | None = None
    ) -> object:
        """Puts one thing on record; on return it is on the disk."""
        ...

    def append_if_new(
        self, key: str, operation: Operation, *, who: str, why: str, details: Mapping[str, Fact] | None = None
    ) -> object:
        """Likewise, once for a key."""
        ...


@dataclass(frozen=True)
class NoticeLog:
    """Puts things on record while the service may hold the audit log: by signed notes (``audit.notices``)."""

    settings: NodeSettings
    key: Ed25519PrivateKey = field(repr=False)

    def append(
        self, operation: Operation, *, who: str, why: str, details: Mapping[str, Fact] | None = None
    ) -> bool:
        """Leaves a note, and has it logged if nobody holds the log; whether it is logged already."""
        event = Event(operation, who, why, details or {})
        opened = self.settings.open_audit_log
        return notices.record(self.settings.home, self.key, self.settings.country, event, opened)

    def append_if_new(
        self, key: str, operation: Operation, *, who: str, why: str, details: Mapping[str, Fact] | None = None
    ) -> bool:
        """Likewise; left again under the same key, it is logged once."""
        event = Event(operation, who, why, details or {})
        change = canonical.sha256(key.encode("utf-8"))[:32]
        notices.leave(self.settings.home, self.key, self.settings.country, event, change)
        return notices.log_now(self.settings.open_audit_log)


@dataclass(frozen=True)
class Identified:
    """One normal form of an identifier in one case.

    Attributes:
        kind: Type of identifier.
        owner: Whose it is, a word of the contract.
        form: The normal form.
        strength: ``exact``, ``strong`` or ``weak``.
        digest: By what this node knows it again, 16 bytes, keyed, the same in every epoch.
        victim: Pseudonym of the victim in whose file it stands.
        case: Pseudonym of the case.
    """

    kind: str
    owner: str
    form: str = field(repr=False)
    strength: str
    digest: bytes
    victim: str
    case: str


@dataclass
class Office:
    """A node's half of links.

    Attributes:
        node: Its name.
        key: Its signing key.
        accepted: Public keys of all nodes of the roster, itself included.
        roster_hash: Hash of that roster.
        policy: Its table ``[links]``.
        store: Its case store.
        audit_log: Where things are put on record.
        home: Its directory.
        vault: Seals its secrets.
        approvers: The people enrolled.
        clock: Gives the time, UTC.
    """

    node: str
    key: Ed25519PrivateKey = field(repr=False)
    accepted: Mapping[str, str]
    roster_hash: str
    policy: LinkPolicy
    store: CaseStore
    audit_log: Log
    home: Path
    vault: LinkVault = field(repr=False)
    approvers: Collection[Approver]
    clock: Callable[[], datetime] = now

    def __post_init__(self) -> None:
        self.keys = EpochKeys(self.vault, self.clock)
        self.book = LinkBook(self.home / FILE, self.keys.token_key, self.clock)
        self.read_in: tuple[str, Mapping[bytes, tuple[str, ...]]] = ("", {})  # for ``opening``
        self.spread_in = ""  # the exchange in which words about networks went out last (network_letters)
        self.hits = HitBook(self.home / hit_book.FILE, self.clock)
        self.switch = Switch(self.home)

    def said(self, kind: str, content: Mapping[str, Any]) -> Said:
        """What this node says, signed."""
        return say(self.node, self.key, kind, content)

    def secrets(self, epoch: str) -> NodeSecrets:
        """The secrets of an epoch. Raises as EpochKeys.secrets."""
        return self.keys.secrets(epoch)

    def epoch(self, ask: LinkAsk) -> str:
        """The epoch that an ask about tags or hits is in: that of its exchange, if it has tags, or today's.

        So an exchange that goes on over the end of a year ends in the epoch in which it began.
        """
        partner = ask.content.get("partner")
        kept = self.hits.tagging(ask.exchange, partner) if isinstance(partner, str) else None
        return self.keys.current() if kept is None else kept.epoch

    def key_set(self, epoch: str) -> KeySet | None:
        """The keys of an epoch once all nodes said that they pinned the same; None before that."""
        found = self.book.ceremonies.of(epoch)
        if found is None or found.key_set is None or found.pinned is None or found.destroyed is not None:
            return None
        return KeySet.from_bytes(found.key_set)

    def pair(self, epoch: str, partner: str) -> PairKeys:
        """The keys that this node and another share in an epoch.

        Raises:
            ConfigurationError: ``no-link-keys``; or as ``secrets`` and PairKeys.derive.
        """
        return PairKeys.derive(self.secrets(epoch), self.require_key_set(epoch), self.node, partner)

    def require_key_set(self, epoch: str) -> KeySet:
        """The keys of an epoch. Raises ConfigurationError ``no-link-keys`` before all nodes pinned them."""
        found = self.key_set(epoch)
        if found is None:
            raise ConfigurationError(
                "no-link-keys",
                f"the keys of epoch {epoch} are not pinned here",
                "ask the coordinator's operator to run an exchange with all nodes, which makes them",
            )
        return found

    def identified(self) -> Iterator[Identified]:
        """Every normal form of every identifier in the latest snapshot; nothing from an empty store."""
        if self.store.latest_snapshot() is None:
            return
        table = self.store.identifiers()
        columns = [table[name].to_pylist() for name in ("type", "owner", "value", "victim", "case")]
        for kind, owner, value, victim, case in zip(*columns, strict=True):
            for form in normalise.forms(kind, value, state=self.node):
                digest = self.vault.digest(kind, form.text)
                yield Identified(kind, owner, form.text, form.strength, digest, victim, case)

    def record_charges(self) -> None:
        """Writes to the audit log what the book has charged and a crash kept from it."""
        for key, facts in self.book.outbox():
            self.audit_log.append_if_new(
                key,
                Operation.LINK_ANSWER,
                who=str(facts["requester"]),
                why=str(facts.pop("why")),
                details=facts,
            )
            self.book.logged(key)

    @cached_property
    def book_key(self) -> bytes:
        """The key of what the book keeps beyond an epoch. Raises as LinkVault.book_key."""
        return self.vault.book_key()


def open_office(settings: NodeSettings) -> Office:
    """The office for a command, beside a service that may run.

    Raises:
        ConfigurationError: ``no-links``, ``no-roster``; or as NodeSettings and LinkBook.
    """
    if settings.links is None:
        raise ConfigurationError(
            "no-links",
            f"{settings.home / 'node.toml'} has no [links], so this node takes no part in links",
            "decide what it permits and write it there; docs/policy.md explains each key",
        )
    key = load_key(settings.signing_key_path)
    accepted = settings.accepted_keys()
    identity = Identity.from_accepted(settings.country, key, accepted, now().date())
    return office_of(settings, settings.links, NoticeLog(settings, key), settings.open_store(), identity)


def office_of(
    settings: NodeSettings, policy: LinkPolicy, log: Log, store: CaseStore, identity: Identity
) -> Office:
    """The office of a node whose parts are open already. Raises as LinkBook."""
    return Office(
        node=settings.country,
        key=identity.signing_key,
        accepted=identity.accepted,
        roster_hash=identity.roster_hash,
        policy=policy,
        store=store,
        audit_log=log,
        home=settings.home,
        vault=LinkVault(settings.home, store.keys),
        approvers=EnrolledNow(settings),
    )

"""Putting a batch together: which identifiers of this node are asked for next, blinded and padded.

Guarantees:

- Into a batch go the normal forms in the latest snapshot that have no token of this epoch and wait in no
  other batch, of types and owners that the policy names, not on the stop-list; each once, in however many
  cases. What is also a victim's stays out unless the policy names victims.
- Each is blinded with a fresh random scalar: the nodes that help see uniformly random points (RFC 9497
  section 7.1). Each type is padded to a size bucket with random points and shuffled, so that others learn the
  bucket only; padding costs quota like any point.
- The statement that prosecutors sign binds every (identifier, case) by a salted Merkle root. Leaves and
  blinds lie sealed in the book; ``audit`` opens them and holds them against the root.
- Numbers that follow each other in long runs are noticed, before anybody signs.
"""

from __future__ import annotations

import hmac
import json
import secrets
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydantic import ValidationError

from safeborders_fed.audit.chain import Operation
from safeborders_fed.cases.sealing import wrong_key
from safeborders_fed.errors import RefusedError, UsageError
from safeborders_fed.links import alarms, forms_base, oprf, ristretto
from safeborders_fed.links.batch_statement import CHUNK, BatchStatement
from safeborders_fed.links.ceremony import prosecutors
from safeborders_fed.links.merkle import SALT_BYTES, Leaf, opening, root
from safeborders_fed.links.office import VICTIM, Identified, Office
from safeborders_fed.links.pairs import bucket
from safeborders_fed.links.stop_list import stopped_digests
from safeborders_fed.node.link_batches import NewChunk, OwnChunk
from safeborders_fed.study import canonical

_NONCE: Final = 12
_SCALAR: Final = 32
_MOST_DAYS: Final = 92


@dataclass(frozen=True)
class Item:
    """What opens one point of a chunk: the normal form, its blind, and by what it is known here."""

    form: str = field(repr=False)
    scalar: bytes = field(repr=False)
    digest: bytes
    strength: str


@dataclass(frozen=True)
class Prepared:
    """A batch that waits for its prosecutors.

    Attributes:
        statement: What they sign.
        identifiers: By type, without padding.
        left_out: By reason, how many distinct identifiers.
        alarms: What a person must look at before signing.
    """

    statement: BatchStatement
    identifiers: Mapping[str, int]
    left_out: Mapping[str, int]
    alarms: tuple[str, ...]


@dataclass
class _Gathered:
    """Distinct identifiers by digest, with the cases in which they stand."""

    first: dict[bytes, Identified] = field(default_factory=dict)
    cases: dict[bytes, set[str]] = field(default_factory=dict)
    left_out: dict[str, set[bytes]] = field(default_factory=dict)

    def add(self, each: Identified) -> None:
        self.first.setdefault(each.digest, each)
        self.cases.setdefault(each.digest, set()).add(each.case)

    def leave_out(self, digest: bytes, why: str) -> None:
        self.left_out.setdefault(why, set()).add(digest)


def prepare(office: Office, *, purpose: str, legal_basis: str, days: int, who: str) -> Prepared:
    """Puts the next batch together and keeps it.

    Args:
        office: The node.
        purpose: One of the purposes that its policy permits.
        legal_basis: The law or order that permits it.
        days: For how long the others may answer, up to 92.
        who: Who asks for it.

    Raises:
        RefusedError: ``link-off``, ``link-policy`` or ``nothing-new``.
        UsageError: ``bad-batch``.
        ConfigurationError: ``no-prosecutors``, or as LinkBook, CaseStore and LinkVault.
    """
    office.switch.require_on()
    if purpose not in office.policy.purposes:
        raise RefusedError(
            "link-policy",
            f"[links] of this node does not permit the purpose {purpose!r}",
            f"choose one of {', '.join(sorted(office.policy.purposes))}",
        )
    if office.key_set(office.keys.current()) is None:
        prosecutors(office)  # the year's keys, and with them this batch, need them
    found = _gathered(office)
    if not found.first:
        raise RefusedError(
            "nothing-new",
            "no identifier is new since the last batch",
            "import new cases first, or see `safeborders node links status` for what waits",
        )
    rows, by_kind, seed = _rows(found), _by_kind(found), secrets.token_bytes(SALT_BYTES)
    top = root(_salted(seed, rows))
    statement = _statement(office, (purpose, legal_basis, days), by_kind, top)
    _keep(office, statement, [seed.hex(), rows], by_kind)
    batch = statement.hash()
    said = alarms.watch_runs(office, batch, {k: [each.form for each in v] for k, v in by_kind.items()})
    counts = {kind: len(each) for kind, each in by_kind.items()}
    office.audit_log.append_if_new(
        f"link-batch/{batch}",
        Operation.LINK_BATCH,
        who=who,
        why=f"{purpose}: {legal_basis}",
        details={"batch": batch, "points": statement.total, **{f"new_{k}": n for k, n in counts.items()}},
    )
    left_out = {why: len(digests) for why, digests in sorted(found.left_out.items())}
    return Prepared(statement, counts, left_out, tuple(said))


def leaves_of(office: Office, sealed: bytes) -> list[Leaf]:
    """What a batch binds. Raises ConfigurationError ``wrong-key``."""
    seed, rows = json.loads(zlib.decompress(_opened(office, sealed, "leaves")))
    return _salted(bytes.fromhex(seed), rows)


@dataclass(frozen=True)
class Audited:
    """What audit finds of a batch: every identifier with its case, and whether the root binds it."""

    leaves: tuple[Leaf, ...] = field(repr=False)
    holds: bool


def audit(office: Office, batch: str, who: str) -> Audited:
    """Opens a batch: each identifier with its case, checked against the root that prosecutors signed.

    Raises:
        UsageError: ``unknown-batch``.
        ConfigurationError: ``wrong-key``.
    """
    own = office.book.batches.of(batch)
    if own is None:
        raise unknown(batch)
    signed = BatchStatement.from_bytes(own.statement)
    leaves = leaves_of(office, own.leaves)
    holds = root(leaves) == signed.root and signed.hash() == batch
    sample = {0, len(leaves) // 2, len(leaves) - 1}
    holds = holds and all(opening(leaves, index).check(signed.root) for index in sample)
    office.audit_log.append(
        Operation.VIEW,
        who=who,
        why="a batch of identifiers for links was opened and held against its root",
        details={"batch": batch, "leaves": len(leaves), "holds": holds},
    )
    return Audited(tuple(leaves), holds)


def open_items(office: Office, chunk: OwnChunk) -> list[Item | None]:
    """What opens each point of a chunk; None for padding. Raises ConfigurationError ``wrong-key``."""
    return list(_items(office, chunk.kind, chunk.items))


def unknown(batch: str) -> UsageError:
    """The error for a batch that is not there."""
    return UsageError(
        "unknown-batch",
        f"this node has prepared no batch {batch[:64]!r}",
        "give eight or more digits of one that `safeborders node links status` lists",
    )


def _gathered(office: Office) -> _Gathered:
    """What is new, and what is left out and why."""
    found, policy = _Gathered(), office.policy
    known = office.book.known(office.keys.current()) | _waiting(office)
    stopped, victims = stopped_digests(office), set()
    for each in office.identified():
        if each.owner == VICTIM and VICTIM not in policy.owners:
            victims.add(each.digest)
            found.leave_out(each.digest, "a victim's")
        elif each.kind not in policy.types or each.owner not in policy.owners:
            found.leave_out(each.digest, "not permitted by [links]")
        elif each.digest in stopped:
            found.leave_out(each.digest, "on the stop-list")
        elif each.digest not in known:
            found.add(each)
    for digest in victims & found.first.keys():
        del found.first[digest], found.cases[digest]
    return found


def _waiting(office: Office) -> set[bytes]:
    """Digests in batches of this epoch that can still go on."""
    return {
        item.digest
        for own in office.book.batches.all()
        if own.ended is None and own.epoch == office.keys.current()
        if BatchStatement.from_bytes(own.statement).expires > office.clock()
        for kind, sealed in office.book.batches.open_items(own.id)
        for item in _items(office, kind, sealed)
        if item is not None
    }


def _rows(found: _Gathered) -> list[list[str]]:
    """Each identifier with each of its cases, in random order."""
    rows = [
        [f"{each.kind}:{each.form}", case]
        for digest, each in found.first.items()
        for case in sorted(found.cases[digest])
    ]
    secrets.SystemRandom().shuffle(rows)
    return rows


def _salted(seed: bytes, rows: list[list[str]]) -> list[Leaf]:
    """Leaves with salts that HMAC-SHA256 makes of a batch's own random seed: as good as random, and short."""
    return [
        Leaf(
            salt=hmac.digest(seed, number.to_bytes(8, "little"), "sha256").hex(),
            identifier=identifier,
            case=case,
        )
        for number, (identifier, case) in enumerate(rows)
    ]


def _by_kind(found: _Gathered) -> dict[str, list[Identified]]:
    by_kind: dict[str, list[Identified]] = {}
    for each in found.first.values():
        by_kind.setdefault(each.kind, []).append(each)
    return dict(sorted(by_kind.items()))


def _statement(
    office: Office, said: tuple[str, str, int], by_kind: Mapping[str, list[Identified]], top: str
) -> BatchStatement:
    """The statement for a purpose, a legal basis and so many days. Raises UsageError ``bad-batch``."""
    purpose, legal_basis, days = said
    now = office.clock().replace(microsecond=0)
    if not 1 <= days <= _MOST_DAYS:
        raise _bad_batch(f"a batch lives 1 to {_MOST_DAYS} days")
    try:
        return BatchStatement(
            node=office.node,
            epoch=office.keys.current(),
            forms=forms_base.VERSION,
            purpose=purpose,
            legal_basis=legal_basis,
            counts={kind: bucket(len(each)) for kind, each in by_kind.items()},
            root=top,
            prepared=now,
            expires=now + timedelta(days=days),
        )
    except ValidationError as error:
        raise _bad_batch("the legal basis is empty, too long or cannot be printed") from error


def _bad_batch(what: str) -> UsageError:
    return UsageError(
        "bad-batch", what, "give --legal-basis in up to 500 characters, and --days that others accept"
    )


def _keep(
    office: Office, statement: BatchStatement, leaves: list[Any], by_kind: Mapping[str, list[Identified]]
) -> None:
    sealed = _sealed(office, zlib.compress(canonical.serialise(leaves), 9), "leaves")
    chunks = [
        chunk
        for kind, each in by_kind.items()
        for chunk in _chunks(office, kind, each, statement.counts[kind])
    ]
    office.book.batches.add(statement.hash(), statement.epoch, statement.to_bytes(), sealed, chunks)


def _chunks(office: Office, kind: str, identifiers: list[Identified], total: int) -> Iterator[NewChunk]:
    """The chunks of a type, padded to a total and shuffled."""
    rows: list[Identified | None] = [*identifiers, *[None] * (total - len(identifiers))]
    secrets.SystemRandom().shuffle(rows)
    for start in range(0, total, CHUNK):
        points: list[bytes] = []
        forms: list[list[str] | None] = []
        scalars: list[bytes] = []
        for each in rows[start : start + CHUNK]:
            if each is None:
                points.append(ristretto.from_hash(secrets.token_bytes(64)))
                forms.append(None)
                continue
            blinded = oprf.blind(oprf.token_input(office.keys.current(), kind, each.form))
            points.append(blinded.point)
            forms.append([each.form, each.strength])
            scalars.append(blinded.scalar)
        plain = zlib.compress(canonical.serialise(forms))
        sealed = _sealed(office, len(plain).to_bytes(4, "little") + plain + b"".join(scalars), "items")
        yield NewChunk(kind, len(points), b"".join(points), sealed)


def _items(office: Office, kind: str, sealed: bytes) -> Iterator[Item | None]:
    content = _opened(office, sealed, "items")
    end = 4 + int.from_bytes(content[:4], "little")
    scalars = content[end:]
    for row in json.loads(zlib.decompress(content[4:end])):
        if row is None:
            yield None
        else:
            yield Item(row[0], scalars[:_SCALAR], office.vault.digest(kind, row[0]), row[1])
            scalars = scalars[_SCALAR:]


def _sealed(office: Office, content: bytes, name: str) -> bytes:
    # Random 96-bit nonces: a node's batches have far fewer chunks than the 2^32 that they allow.
    nonce = secrets.token_bytes(_NONCE)
    return nonce + AESGCM(office.book_key).encrypt(nonce, content, name.encode())


def _opened(office: Office, sealed: bytes, name: str) -> bytes:
    try:
        return AESGCM(office.book_key).decrypt(sealed[:_NONCE], sealed[_NONCE:], name.encode())
    except InvalidTag:
        raise wrong_key() from None

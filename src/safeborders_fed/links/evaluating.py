"""How a node helps another state to tokens: its share for each blinded point, charged, proved and on record.

Guarantees:

- Checks come in this order, each before anything that costs more: kill switch, keys and epoch, signature,
  partner and type and purpose, approval of exactly this batch by prosecutors whose keys are pinned, counts of
  the batch, replay, quota, form of the points (32 bytes, canonical, not the identity), no point twice in the
  batch. Nothing is computed with the key before all of them hold.
- Points are blinded by random scalars: they tell this node nothing of the identifiers (RFC 9497 section 7.1).
  What it learns: who asks, for which purpose, how many of which type, padding included.
- Whether it answers depends on its policy, its quotas and what it is shown, never on its own cases. A no is
  one of the fixed reasons, and on record like a yes.
- Charge and answer are stored in one transaction, then the audit log has it, then it leaves. The proof (RFC
  9497 section 2.2.1, batched) shows that each share is of the key that this node published.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from safeborders_fed.audit.chain import Operation
from safeborders_fed.errors import PeerError, RefusedError, SafeBordersError
from safeborders_fed.links import alarms, forms_base, oprf, ristretto
from safeborders_fed.links.batch_statement import Chunk, malformed
from safeborders_fed.links.key_set import KeySet
from safeborders_fed.links.office import Office
from safeborders_fed.node.approvals import Approval, Approver, require_approvals
from safeborders_fed.node.link_book import Asked, Terms
from safeborders_fed.study.link_messages import (
    LinkAnswer,
    LinkAsk,
    Said,
    Words,
    array_hash,
    to_rows,
    to_words,
    wrong_saying,
)

LONGEST_LIFE: Final = timedelta(days=100)
UNAVAILABLE: Final = "unavailable"
REASONS: Final = {
    "link-off": "off",
    "not-enough-approvals": "not-approved",
    "link-not-approved": "not-approved",
    "link-policy": "policy",
    "link-quota": "quota",
    "link-replayed": "replayed",
    "link-malformed": "malformed",
    "bad-signature": "malformed",
    "not-canonical": "malformed",
    "wrong-saying": "malformed",
    "link-epoch": "epoch",
    "link-version": "version",
}
"""What the other side is told for an error's code; everything else is unavailable."""
_POINT: Final = 32
_TELLING: Final = 8
"""Bytes of a point that are kept to know it again: equal points have them equal, and of a million random ones
two have them equal with a chance below 2^-24."""


def evaluate(office: Office, ask: LinkAsk) -> LinkAnswer:
    """Answers a chunk: with shares, or with a reason of the fixed list.

    Raises:
        PeerError: ``wrong-saying``, when the ask is not one chunk of a node of the roster.
        ConfigurationError: when the audit log or the book cannot be written: nothing leaves then.
    """
    if len(ask.said) != 1 or ask.said[0].node not in office.accepted:
        raise wrong_saying("the coordinator", "no chunk of a node of the roster")
    said = ask.said[0]
    try:
        stored = _answered(office, said, ask.arrays.get("points"))
    except SafeBordersError as error:
        reason = REASONS.get(error.code, UNAVAILABLE)
        _record_refusal(office, said, reason, error)
        content = {"chunk": said.hash, "reason": reason}
        return LinkAnswer(ask.exchange, ask.step, office.said("refused", content))
    office.record_charges()
    answer, shares = _unpacked(stored)
    return LinkAnswer(ask.exchange, ask.step, answer, {"shares": shares})


def _answered(office: Office, said: Said, points: Words | None) -> bytes:
    office.switch.require_on()
    keys = _keys_of_today(office)
    said.content(office.accepted[said.node], "chunk")
    chunk = Chunk.of(said.text)
    _check_epoch(keys, chunk)
    _check_policy(office, said.node, chunk)
    counted = _check_approvals(office, keys, said.node, chunk)
    asked = _asked(office, said, chunk)
    _check_counts(office, asked, chunk)
    stored = office.book.stored(asked)
    if stored is not None:
        return stored
    terms = Terms(office.policy.monthly, office.policy.first_load, office.policy.batches_at_once)
    office.book.require_room(asked, terms)
    rows = _checked_points(office, asked, chunk, points)
    answer = _shares(office, keys, said, chunk.type, rows)
    facts = _facts(chunk, asked, [approval.name for approval in counted])
    stored = office.book.charge(asked, terms, b"".join(row[:_TELLING] for row in rows), answer, facts)
    alarms.watch_volume(office, said.node, chunk.type, asked.month)
    return stored


def _keys_of_today(office: Office) -> KeySet:
    keys = office.key_set(office.keys.current())
    if keys is None:
        raise RefusedError(
            "link-epoch", "no keys are pinned for the epoch of today", "run an exchange with all nodes"
        )
    return keys


def _check_epoch(keys: KeySet, chunk: Chunk) -> None:
    if (chunk.epoch, chunk.key_set) != (keys.epoch, keys.hash):
        raise RefusedError(
            "link-epoch",
            f"a chunk of epoch {chunk.epoch} is for other keys than those pinned for {keys.epoch}",
            "let its state prepare a batch in the epoch of today",
        )
    if chunk.batch.forms != forms_base.VERSION:
        raise RefusedError(
            "link-version",
            f"a batch is of normal forms of version {chunk.batch.forms}, and this node has "
            f"{forms_base.VERSION}: equal identifiers would be missed",
            "install the same version of the software at both states, then prepare the batch again",
        )


def _check_policy(office: Office, requester: str, chunk: Chunk) -> None:
    policy, batch = office.policy, chunk.batch
    checks = {
        "state": batch.node == requester and (requester == office.node or requester in policy.partners),
        "type": chunk.type in policy.types,
        "purpose": batch.purpose in policy.purposes,
    }
    for word, permitted in checks.items():
        if not permitted:
            raise RefusedError(
                "link-policy",
                f"{requester} asks for a {word} that [links] of this node does not permit",
                "see docs/policy.md; the node's people decide what stands there",
            )


def _check_approvals(office: Office, keys: KeySet, requester: str, chunk: Chunk) -> tuple[Approval, ...]:
    """As many prosecutors of the requester as must sign here, each for exactly this batch."""
    now = office.clock()
    if chunk.batch.expires <= now or chunk.batch.expires > now + LONGEST_LIFE:
        raise RefusedError(
            "link-not-approved",
            f"a batch of {requester} has expired, or would live too long",
            "let its state prepare another one",
        )
    return require_approvals(
        chunk.approvals,
        subject="link-batch",
        subject_hash=chunk.batch.hash(),
        approvers=[
            Approver(name=name, role="prosecutor", public=public)
            for name, public in keys.prosecutors(requester).items()
        ],
        needed=office.policy.approvals_needed,
        now=now,
    )


def _asked(office: Office, said: Said, chunk: Chunk) -> Asked:
    return Asked(
        requester=said.node,
        batch=chunk.batch.hash(),
        total=chunk.batch.total,
        expires=chunk.batch.expires.isoformat(),
        number=chunk.number,
        kind=chunk.type,
        epoch=chunk.epoch,
        month=f"{office.clock():%Y-%m}",
        hash=said.hash,
        count=chunk.count,
    )


def _check_counts(office: Office, asked: Asked, chunk: Chunk) -> None:
    before = office.book.asked_of(asked.requester, asked.batch, asked.kind, other_than=asked.number)
    if before + asked.count > chunk.batch.counts[asked.kind]:
        raise malformed("its batch was approved for fewer points of this type")


def _checked_points(office: Office, asked: Asked, chunk: Chunk, points: Words | None) -> list[bytes]:
    if points is None or points.shape != (chunk.count, 4):
        raise malformed("its points are not as many as it says, of 32 bytes each")
    if array_hash(points) != chunk.points:
        raise malformed("its points are not those that its state signed")
    rows = to_rows(points)
    if not all(map(ristretto.is_valid, rows)):
        raise malformed("a point is none of the group, or is the identity")
    before: set[bytes] = set()
    for blob in office.book.points_of(asked.requester, asked.batch):
        before.update(blob[at : at + _TELLING] for at in range(0, len(blob), _TELLING))
    telling = {row[:_TELLING] for row in rows}
    if len(telling) != len(rows) or not before.isdisjoint(telling):
        raise malformed("a point stands in its batch twice")
    return rows


def _shares(office: Office, keys: KeySet, said: Said, kind: str, points: list[bytes]) -> bytes:
    """The answer as it is stored: what this node says, a line end, and the shares one after another."""
    secret = office.secrets(keys.epoch).secret(kind)
    shares = oprf.evaluate(secret, points)
    proof = oprf.prove(secret, keys.public(office.node, kind), points, shares)
    content = {
        "chunk": said.hash,
        "shares": array_hash(to_words(shares, _POINT)),
        "proof": proof.hex(),
    }
    return office.said("shares", content).model_dump_json().encode("utf-8") + b"\n" + b"".join(shares)


def _unpacked(stored: bytes) -> tuple[Said, Words]:
    said, shares = stored.split(b"\n", 1)
    rows = [shares[at : at + _POINT] for at in range(0, len(shares), _POINT)]
    return Said.model_validate_json(said), to_words(rows, _POINT)


def _facts(chunk: Chunk, asked: Asked, names: list[str]) -> dict[str, Any]:
    return {
        "requester": asked.requester,
        "why": f"{chunk.batch.purpose}: {chunk.batch.legal_basis}",
        "batch": asked.batch,
        "chunk": asked.number,
        "type": asked.kind,
        "points": asked.count,
        "epoch": asked.epoch,
        "prosecutors": ", ".join(names),
    }


def _record_refusal(office: Office, said: Said, reason: str, error: SafeBordersError) -> None:
    # What its node did not sign may be anybody's, and as much as anybody likes: once a day is enough of it.
    forged = not _is_signed(office, said)
    about = f"{said.node}/{office.clock():%Y-%m-%d}" if forged else said.hash
    details: dict[str, str | int] = {"requester": said.node, "reason": reason, "chunk": said.hash}
    office.audit_log.append_if_new(
        f"link-refuse/{about}/{reason}",
        Operation.LINK_REFUSE,
        who="unknown" if forged else said.node,
        why=error.cause[:1000],
        details=details if forged else details | _said_of(said.text),
    )


def _is_signed(office: Office, said: Said) -> bool:
    try:
        said.content(office.accepted[said.node], "chunk")
    except PeerError:
        return False
    return True


def _said_of(text: str) -> dict[str, str | int]:
    """What a refused chunk says of itself; nothing if it is none."""
    try:
        chunk = Chunk.of(text)
    except PeerError:
        return {}
    return {
        "batch": chunk.batch.hash(),
        "type": chunk.type,
        "points": chunk.count,
        "prosecutors": ", ".join(each.name for each in chunk.approvals)[:1000],
    }

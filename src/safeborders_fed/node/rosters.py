"""Accepting rosters at a node: what a version changes, who must accept it, and keeping what was accepted.

Guarantees:

- A roster counts only if an operator whom the node has pinned signed it, and only directly after the version
  accepted before. Two different rosters of one version are an alarm.
- New members, lost keys and members that leave need two of the node's people; renewed keys need nobody.
- What was accepted is kept with the approvals, and ends in the audit log.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from safeborders_fed.cases.countries import STATES
from safeborders_fed.errors import PeerError, RefusedError
from safeborders_fed.masking.signing import public_hex
from safeborders_fed.node import own_keys
from safeborders_fed.node.approvals import (
    NEEDED_FOR_KEYS,
    Approval,
    accept_roster,
    approve,
    require_approvals,
)
from safeborders_fed.node.changes import alone, commit, unwritable
from safeborders_fed.node.enrolment import coordinator_acceptance
from safeborders_fed.study import canonical, durable
from safeborders_fed.study.accepted_keys import AcceptedKeys, Change, KeyChange, check_successor
from safeborders_fed.study.enrolment import EnrolmentBundle
from safeborders_fed.study.key_files import load_key
from safeborders_fed.study.roster import Roster, SignedRoster

if TYPE_CHECKING:
    from safeborders_fed.node.settings import NodeSettings

APPROVAL_DAYS: Final = 30
DIRECTORY: Final = "rosters"
ACCEPTED: Final = "accepted-keys.json"


@dataclass(frozen=True)
class Step:
    """One version of the roster, and what it changes against the one before."""

    signed: SignedRoster
    change: Change

    @property
    def roster(self) -> Roster:
        """The roster."""
        return self.signed.roster


@dataclass(frozen=True)
class Review:
    """What a file asks this node to accept.

    Attributes:
        steps: Rosters that follow on the accepted one, in order; empty when there is nothing new.
        coordinator: Hash to accept when the file is of another coordinator than before, else None.
        bundle: The bundle, if the file is one.
    """

    steps: tuple[Step, ...]
    coordinator: str | None = None
    bundle: EnrolmentBundle | None = None

    @property
    def to_accept(self) -> tuple[KeyChange, ...]:
        """Changes of keys that two people must accept."""
        return tuple(entry for step in self.steps for entry in step.change.to_accept)


@dataclass(frozen=True)
class Acceptance:
    """What was accepted.

    Attributes:
        steps: The versions.
        people: Who accepted the changes of keys.
        logged: Whether it is in the audit log already, and does not wait for the running service.
    """

    steps: tuple[Step, ...]
    people: tuple[str, ...]
    logged: bool


def review(settings: NodeSettings, documents: Sequence[bytes]) -> Review:
    """What these files (rosters, or one bundle) change at this node.

    Raises:
        RefusedError: ``roster-version-skipped``, ``roster-forked``, ``unknown-state``, ``own-key-differs``,
            or from ``check_successor``.
        PeerError: a file is not what it should be, or no pinned operator signed it.
        ConfigurationError: ``not-enrolled``, or a damaged file.
    """
    operators = settings.enrolment().operator_keys()
    accepted = settings.accepted_keys()
    signed, bundle, coordinator = [], None, None
    for data in documents:
        if b'"ca_certificate"' in data:
            bundle = EnrolmentBundle.from_bytes(data)
            coordinator = coordinator_acceptance(settings, bundle)
            operators += bundle.operator_keys() if coordinator else ()
            signed.append(bundle.roster)
        else:
            signed.append(_parsed(data))
    steps: list[Step] = []
    for entry in sorted(signed, key=lambda entry: entry.roster.version):
        entry.check(operators)
        before = steps[-1].roster if steps else accepted.roster
        if _is_new(entry.roster, before):
            _require_sane(settings, entry.roster)
            steps.append(Step(entry, check_successor(before, entry.roster)))
    return Review(tuple(steps), coordinator, bundle)


def sign(settings: NodeSettings, asked: Review, *, name: str, key: Ed25519PrivateKey, now: datetime) -> bytes:
    """One person's approvals of all that a file asks to accept: a file of canonical JSON.

    Raises:
        RefusedError: ``nothing-to-accept`` or ``not-an-approver``.
        ConfigurationError: ``no-approvers``.
    """
    hashes = [change.acceptance for change in asked.to_accept]
    hashes += [asked.coordinator] if asked.coordinator else []
    if not hashes:
        raise RefusedError(
            "nothing-to-accept",
            "nothing in the file needs people to accept it",
            "run `safeborders node roster accept` without approvals",
        )
    known = [entry for entry in settings.approvers() if entry.public == public_hex(key)]
    fit = [entry for entry in known if entry.name == name and entry.role == "approver"]
    if not fit or any(entry.revoked for entry in known):
        raise RefusedError(
            "not-an-approver",
            f"this key does not belong to an approver called {name!r} at this node, or was revoked",
            "see `safeborders node approver list`",
        )
    expires = now + timedelta(days=APPROVAL_DAYS)
    approvals = [
        approve(
            key,
            name=name,
            subject="key-acceptance",
            subject_hash=subject_hash,
            signed_at=now,
            expires=expires,
        )
        for subject_hash in hashes
    ]
    return approvals_to_bytes(approvals)


@alone
def accept(settings: NodeSettings, asked: Review, approvals: Sequence[Approval], now: datetime) -> Acceptance:
    """Accepts rosters, each change of keys that needs it by two people.

    Args:
        settings: The node.
        asked: As ``review`` gave it.
        approvals: Of its people.
        now: Aware time.

    Raises:
        RefusedError: ``coordinator-not-accepted``, ``nothing-to-accept``, ``key-not-accepted`` or
            ``key-retired``.
        ConfigurationError: ``no-approvers``, ``node-unwritable``, or from the audit log.
    """
    if asked.coordinator is not None:
        raise RefusedError(
            "coordinator-not-accepted",
            "the file is of another coordinator than this node has accepted",
            "let two people sign it, and accept it with `safeborders node enrol` first",
        )
    if not asked.steps:
        raise RefusedError(
            "nothing-to-accept", "this node has accepted that roster already", "nothing needs to be done"
        )
    accepted = settings.accepted_keys()
    approvers = settings.approvers() if asked.to_accept else ()
    for step in asked.steps:
        accepted = accept_roster(accepted, step.roster, approvals, approvers=approvers, now=now)
    people = {
        approval.name: None
        for change in asked.to_accept
        for approval in require_approvals(
            approvals,
            subject="key-acceptance",
            subject_hash=change.acceptance,
            approvers=approvers,
            needed=NEEDED_FOR_KEYS,
            now=now,
        )
    }
    logged = _keep(settings, asked, approvals, accepted, tuple(people))
    return Acceptance(asked.steps, tuple(people), logged)


def approvals_to_bytes(approvals: Sequence[Approval]) -> bytes:
    """Several approvals as one document."""
    return canonical.serialise([approval.model_dump(mode="json") for approval in approvals])


def approvals_from_bytes(data: bytes) -> list[Approval]:
    """What ``approvals_to_bytes`` wrote; signatures are checked where they are counted.

    Raises:
        PeerError: ``not-canonical`` or ``bad-approval``.
    """
    entries = canonical.parse(data)
    if not isinstance(entries, list):
        entries = [entries]
    return [Approval.from_bytes(canonical.serialise(entry)) for entry in entries]


def _keep(
    settings: NodeSettings,
    asked: Review,
    approvals: Sequence[Approval],
    accepted: AcceptedKeys,
    people: tuple[str, ...],
) -> bool:
    last = asked.steps[-1].roster
    directory = settings.home / DIRECTORY
    try:
        directory.mkdir(mode=0o700, exist_ok=True)
        for step in asked.steps:
            durable.replace(directory / f"{step.roster.version:04d}.json", step.signed.to_bytes())
        if approvals:
            evidence = approvals_to_bytes(approvals)
            durable.replace(directory / f"{last.version:04d}.approvals.json", evidence)
    except OSError as error:
        raise unwritable(settings, error) from error
    details: dict[str, str | int] = {"version": last.version, "roster": last.hash()}
    for kind in ("added", "renewed", "replaced", "removed"):
        names = [change.node for step in asked.steps for change in getattr(step.change, kind)]
        details[kind] = " ".join(names)
    return commit(
        settings,
        ACCEPTED,
        accepted.to_bytes(),
        key=own_keys.signing_key(settings),
        who=", ".join(people)[:200] or "node",
        why=f"version {last.version} of the roster accepted",
        details=details,
    )


def _is_new(roster: Roster, before: Roster | None) -> bool:
    """Whether a roster follows on the accepted one; False for one that was accepted already."""
    if before is None or roster.version == before.version + 1:
        return True
    if roster.version > before.version + 1:
        raise RefusedError(
            "roster-version-skipped",
            f"this is version {roster.version} of the roster, and version {before.version} was accepted last",
            f"ask the coordinator's operator for rosters/{before.version + 1:04d}.json, and accept it first",
        )
    if roster.version == before.version and roster != before:
        raise RefusedError(
            "roster-forked",
            f"this is another version {roster.version} of the roster than the one accepted here",
            "keep both files, and ask the other nodes which one they have: the operator signed two",
        )
    return False


def _require_sane(settings: NodeSettings, roster: Roster) -> None:
    """Refuses members that are no states, and another key for this node than its own."""
    strangers = [member.node for member in roster.members if member.node not in STATES]
    if strangers:
        raise RefusedError(
            "unknown-state",
            f"the roster holds {', '.join(strangers)}, which is no state of the federation",
            "do not accept it; ask the coordinator's operator and the other nodes",
        )
    path = settings.signing_key_path
    paths: list[Path] = [entry for entry in (path, own_keys.successor(path)) if entry.exists()]
    own = {public_hex(load_key(entry)) for entry in paths}
    held = roster.keys().get(settings.country)
    if held is not None and held not in own:
        raise RefusedError(
            "own-key-differs",
            f"the roster holds another key for {settings.country} than this node has",
            "do not accept it; ask the coordinator's operator who asked for that key",
        )


def _parsed(data: bytes) -> SignedRoster:
    try:
        canonical.parse(data)
        return SignedRoster.model_validate_json(data)
    except ValueError as error:
        raise PeerError(
            "bad-roster", "the file is neither a roster nor a bundle", "ask the coordinator's operator"
        ) from error

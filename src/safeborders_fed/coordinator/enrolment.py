"""Enrolling, renewing and revoking nodes.

An operator carries out a node's request: signs the next version of the roster, writes down the state's keys,
and writes the bundle that the node gets. A renewal, which the node's key so far has signed, needs nothing
else. A new state or a lost key needs the fingerprint that a person at the node read aloud.

Guarantees:

- Nobody is enrolled by a request alone: without the fingerprint, a key that nobody vouches for is refused.
- Nobody else's keys, certificates or bundles change.
- A key belongs to one state for ever: a key of another state, or one that was given up, is refused.
- A crash at any point leaves a state from which the same command goes on.
- What is carried out is in the coordinator's audit log (``recording``), with the operator who did it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Final, Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from safeborders_fed.audit.chain import Operation
from safeborders_fed.coordinator import members as register
from safeborders_fed.coordinator import pki, recording
from safeborders_fed.coordinator.home import CoordinatorHome
from safeborders_fed.coordinator.members import Enrolled, TransportKey
from safeborders_fed.coordinator.requests import Kind, kind_of, require_unused
from safeborders_fed.errors import RefusedError, UsageError
from safeborders_fed.study import durable
from safeborders_fed.study.enrolment import EnrolmentBundle, EnrolmentRequest, OperatorKey
from safeborders_fed.study.fingerprints import require_fingerprint
from safeborders_fed.study.roster import Member, SignedRoster
from safeborders_fed.study.validity import Expiry, roster_expiries

_DONE: Final[dict[str, str]] = {
    "new": "a state is enrolled",
    "renewal": "a state renews its keys",
    "lost-key": "a state has lost its key, and another takes its place",
}
OVERLAP_DAYS: Final = 14
KEY_DAYS: Final = 365

current_roster = register.current_roster
members = register.members
transport_keys = register.transport_keys


@dataclass(frozen=True)
class Terms:
    """How an operator carries out a request.

    Attributes:
        by: Name of the operator.
        key: Their key.
        fingerprint: Of the request, as a person at the node read it aloud; None for renewals.
        lost_key: The state has lost its key, and this one takes its place.
        days: How long a new signing key may be used.
        overlap_days: How long a renewed transport key's predecessor opens the way.
    """

    by: str
    key: Ed25519PrivateKey
    fingerprint: str | None = None
    lost_key: bool = False
    days: int = KEY_DAYS
    overlap_days: int = OVERLAP_DAYS


@dataclass(frozen=True)
class Done:
    """What was carried out.

    Attributes:
        kind: What kind of request it was; ``again`` when it had been carried out before.
        member: The state as it is now known.
        version: Version of the roster that holds its key.
        roster: The new version's file, for all other nodes; None if the roster stays.
        bundle: The file for the node, if it gets one.
    """

    kind: Kind | Literal["revoked"]
    member: Enrolled
    version: int
    roster: Path | None
    bundle: Path | None


def enrol(home: CoordinatorHome, request: EnrolmentRequest, terms: Terms, now: datetime) -> Done:
    """Carries out a node's request.

    Args:
        home: The coordinator.
        request: As ``EnrolmentRequest.from_bytes`` gave it.
        terms: Who carries it out, and how.
        now: Aware time.

    Raises:
        RefusedError: as ``kind_of``; ``request-expired``, ``wrong-fingerprint``, ``key-enrolled-elsewhere``,
            ``key-retired``, ``renewal-too-old``, ``not-an-operator`` or ``not-your-key``.
        UsageError: ``fingerprint-missing``.
        ConfigurationError: ``no-network``, ``enrolment-busy``, ``coordinator-unwritable``, or a damaged file.
    """
    home.require_operator(terms.by, terms.key)
    home.network  # noqa: B018 - refuses before anything is written
    request.require_recent(now)
    with register.exclusively(home):
        kind = kind_of(home, request, lost_key=terms.lost_key)
        if kind in {"new", "lost-key"}:
            _require_compared(request, terms)
        require_unused(home, request)
        if kind == "again":
            member, new = members(home)[request.country], None
        else:
            _note(home, (request.country, request.public), _DONE[kind], terms.by, now)
            # The roster first: a crash after it is made good by the same command.
            new = _roster_with(home, request, terms, now.date())
            member = _member(home, request, kind, terms, now.date())
            register.keep_member(home, member)
        bundle = _write_bundle(home, member, terms.key, now)
        version = current_roster(home).roster.version
    recording.log(home)
    return Done(kind, member, version, new, bundle)


def revoke(
    home: CoordinatorHome, country: str, reason: str, *, by: str, key: Ed25519PrivateKey, now: datetime
) -> Done:
    """Ends a state's part: its transport keys open nothing any more, and the next roster is without it.

    Raises:
        RefusedError: ``not-enrolled-yet``, ``revoked-already``, ``last-member``, ``not-an-operator`` or
            ``not-your-key``.
        UsageError: ``reason-missing``.
        ConfigurationError: as ``enrol``.
    """
    home.require_operator(by, key)
    if not reason.strip() or not reason.isprintable() or len(reason) > 2000:
        raise UsageError(
            "reason-missing",
            "a state is revoked for a reason, in up to 2,000 characters that can be printed",
            "give it with --reason",
        )
    with register.exclusively(home):
        member = members(home).get(country)
        if member is None:
            raise RefusedError(
                "not-enrolled-yet", f"{country} is not enrolled", "check the name of the state"
            )
        chain = register.rosters(home)
        entries = {entry.node: entry for entry in chain[-1].roster.members}
        if member.revoked is not None and country not in entries:
            raise RefusedError(
                "revoked-already", f"{country} was revoked on {member.revoked}", "nothing needs to be done"
            )
        _note(home, (country, member.public), f"it is revoked: {reason}"[:2000], by, now)
        # Its way in first: whatever happens then, it is out.
        if member.revoked is None:
            member = member.model_copy(update={"revoked": now.date(), "reason": reason})
            register.keep_member(home, member)
        entries.pop(country, None)
        if not entries:
            raise RefusedError(
                "last-member",
                f"{country} is the only member: it is locked out, but a roster is never empty",
                "enrol another state, then revoke it again",
            )
        signed = SignedRoster.sign(register.next_roster(chain, entries), key)
        path = register.keep_roster(home, signed)
    recording.log(home)
    return Done("revoked", member, signed.roster.version, path, None)


def issue_bundle(
    home: CoordinatorHome, country: str, *, by: str, key: Ed25519PrivateKey, now: datetime
) -> Path:
    """Writes a state's bundle anew: after the address or the operators have changed.

    Raises:
        RefusedError: ``not-enrolled-yet``, ``not-an-operator`` or ``not-your-key``.
        ConfigurationError: as ``enrol``.
    """
    home.require_operator(by, key)
    with register.exclusively(home):
        member = members(home).get(country)
        if member is None or member.revoked is not None:
            raise RefusedError("not-enrolled-yet", f"{country} is not enrolled", "enrol its request first")
        _note(home, (country, member.public), "it gets a new bundle", by, now)
        path = _write_bundle(home, member, key, now)
    recording.log(home)
    return path


def expiries(home: CoordinatorHome) -> list[Expiry]:
    """Everything of the coordinator that ends some day, for ``validity.warnings``.

    Raises:
        ConfigurationError: ``no-network``, or a damaged file.
    """
    ends = pki.expiry(home)
    own = [
        Expiry(
            "the server certificate",
            ends["server"].date(),
            "run `safeborders coordinator renew-certificate`",
        ),
        Expiry(
            "the coordinator's certificate authority",
            ends["ca"].date(),
            "make a new authority, and give every node a new bundle that two people accept",
        ),
    ]
    chain = register.rosters(home)
    return own + (roster_expiries(chain[-1].roster) if chain else [])


def _note(home: CoordinatorHome, member: tuple[str, str], why: str, by: str, now: datetime) -> None:
    """Leaves a note of what is about to be done with a state and its key, for the audit log."""
    country, public = member
    facts = {"country": country, "signing_key": public, "carried_out_at": now.isoformat()}
    recording.note(home, Operation.ENROL, who=by, why=why, details=facts)


def _require_compared(request: EnrolmentRequest, terms: Terms) -> None:
    if terms.fingerprint is None:
        raise UsageError(
            "fingerprint-missing",
            f"nobody has compared the fingerprint of the request of {request.country}",
            "call a person at the node whom you know, let them read it aloud, and give it with --fingerprint",
        )
    whose = f"the request of {request.country}"
    require_fingerprint(terms.fingerprint, request.fingerprint(), whose)


def _roster_with(home: CoordinatorHome, request: EnrolmentRequest, terms: Terms, today: date) -> Path | None:
    """Signs and keeps the next version with the request's key, unless the last one has it."""
    chain = register.rosters(home)
    entries = {entry.node: entry for entry in chain[-1].roster.members} if chain else {}
    known = entries.get(request.country)
    if known is not None and known.public == request.public:
        return None
    renewal = None
    if request.renews is not None:
        renewal = request.renews.signature_for(len(chain) + 1)
        if renewal is None:
            raise RefusedError(
                "renewal-too-old",
                f"the renewal of {request.country} is not signed for version {len(chain) + 1} of the roster",
                "have the node accept the last roster, then run `safeborders node renew --again`",
            )
    entries[request.country] = Member(
        node=request.country,
        public=request.public,
        valid_from=today,
        valid_until=today + timedelta(days=terms.days),
        renewal=renewal,
    )
    return register.keep_roster(home, SignedRoster.sign(register.next_roster(chain, entries), terms.key))


def _member(
    home: CoordinatorHome, request: EnrolmentRequest, kind: Kind, terms: Terms, today: date
) -> Enrolled:
    """What is known of the state once the request is carried out."""
    keys = [TransportKey(public=request.transport)]
    known = members(home).get(request.country)
    if kind == "renewal" and known is not None:
        last = today + timedelta(days=terms.overlap_days)
        keys += [
            TransportKey(public=key.public, until=min(last, key.until or last))
            for key in known.transport
            if key.public != request.transport and (key.until is None or key.until >= today)
        ]
    return Enrolled(
        country=request.country,
        public=request.public,
        transport=tuple(keys),
        since=today if kind == "new" or known is None else known.since,
        requested=request.created,
    )


def _write_bundle(home: CoordinatorHome, member: Enrolled, key: Ed25519PrivateKey, now: datetime) -> Path:
    bundle = EnrolmentBundle(
        schema_version=1,
        node=member.country,
        address=home.network.address,
        ca_certificate=pki.ca_certificate(home).decode("ascii"),
        operators=tuple(OperatorKey(name=entry.name, public=entry.public) for entry in home.operators),
        transport=member.transport_on(now.date()),
        roster=current_roster(home),
        issued=now,
        signer="0" * 64,
        signature="0" * 128,
    ).signed(key)
    path = home.path / register.BUNDLES / f"{member.country}.json"
    durable.replace(path, bundle.to_bytes())
    return path

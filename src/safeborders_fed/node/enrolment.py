"""A node's side of its enrolment: its request, and the bundle that it accepts.

Guarantees: a bundle is accepted only for this node and this node's key, under an operator's key whose
fingerprint a person gave. Another authority or other operators than those accepted before need two people
besides. What is accepted ends in the audit log.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from safeborders_fed.errors import ConfigurationError, RefusedError, UsageError
from safeborders_fed.masking.signing import public_hex
from safeborders_fed.node import own_keys
from safeborders_fed.node.approvals import NEEDED_FOR_KEYS, Approval, require_approvals
from safeborders_fed.node.changes import alone, commit, unwritable
from safeborders_fed.study import canonical, durable, enrolment
from safeborders_fed.study.enrolment import EnrolmentBundle, EnrolmentRequest
from safeborders_fed.study.fingerprints import require_fingerprint
from safeborders_fed.study.key_files import load_key, load_transport_key

if TYPE_CHECKING:
    from safeborders_fed.node.settings import NodeSettings

REQUESTS: Final = "requests"
FILE: Final = "coordinator.json"


@dataclass(frozen=True)
class Written:
    """A request and the file that holds it."""

    request: EnrolmentRequest
    path: Path


@dataclass(frozen=True)
class Accepted:
    """What accepting a bundle brought about.

    Attributes:
        bundle: The bundle.
        new_transport_key: Whether a renewed transport key is in use now; the service connects anew.
        logged: Whether it is in the audit log already, and does not wait for the running service.
    """

    bundle: EnrolmentBundle
    new_transport_key: bool
    logged: bool


def write_request(settings: NodeSettings, now: datetime) -> Written:
    """Writes the request of a node that is not enrolled, with its keys; a missing transport key is made.

    Raises:
        RefusedError: ``enrolled-already``.
        ConfigurationError: ``no-transport-key``, ``node-unwritable``, or from the key files.
    """
    accepted = settings.accepted_keys()
    if settings.country in accepted.keys():  # noqa: SIM118 - a method
        raise RefusedError(
            "enrolled-already",
            f"the roster that this node has accepted holds its key: {settings.country} is enrolled",
            "for new keys, run `safeborders node renew`",
        )
    path = settings.transport_key_path
    try:
        if not path.exists():
            own_keys.following_transport_key(path)
            own_keys.take_over(path, None)
    except OSError as error:
        raise unwritable(settings, error) from error
    request = enrolment.request(
        settings.country, load_key(settings.signing_key_path), load_transport_key(path), now
    )
    return _write(settings, request, "request")


def renew(
    settings: NodeSettings,
    now: datetime,
    *,
    signing: bool = True,
    transport: bool = True,
    lost_key: bool = False,
) -> Written:
    """Makes new keys beside those in use, and a request for them under the signature of the key in use.

    Repeated before the new keys are in use, it writes a new request for the same new keys.

    Args:
        settings: An enrolled node.
        now: Aware time.
        signing: Whether to renew the signing key.
        transport: Whether to renew the transport key.
        lost_key: The signing key is lost: the request is without its signature, and every node's people must
            accept the new one.

    Raises:
        UsageError: ``nothing-chosen``.
        RefusedError: ``not-enrolled-yet``.
        ConfigurationError: ``signing-key-in-use``, ``no-transport-key``, ``node-unwritable``, or from the
            key files.
    """
    accepted = settings.accepted_keys()
    path = settings.signing_key_path
    if not signing and not transport:
        raise UsageError("nothing-chosen", "neither key is to be renewed", "renew one of them at least")
    if accepted.roster is None:
        raise RefusedError(
            "not-enrolled-yet",
            "this node has accepted no roster yet, so it has nothing to renew",
            "write a first request with `safeborders node request`",
        )
    if lost_key and path.exists():
        raise ConfigurationError(
            "signing-key-in-use",
            f"the signing key {path} is there, so it is not lost",
            "renew without --lost-key; if a thief has it too, tell the operator, who revokes it at once",
        )
    previous = None if lost_key else load_key(path)
    key = own_keys.new_signing_key(path) if previous is None or signing else previous
    way = settings.transport_key_path
    opens = own_keys.following_transport_key(way) if transport else load_transport_key(way)
    request = enrolment.request(
        settings.country,
        key,
        opens,
        now,
        previous=previous,
        accepted_version=accepted.roster.version,
    )
    return _write(settings, request, "renewal")


def coordinator_acceptance(settings: NodeSettings, bundle: EnrolmentBundle) -> str | None:
    """The hash that two people's approvals name, for another coordinator than the accepted one; else None.

    Raises:
        ConfigurationError: ``bad-enrolment``.
    """
    if not (settings.home / FILE).exists():
        return None
    before = settings.enrolment().coordinator()
    if bundle.coordinator() == before:
        return None
    facts = {"coordinator": bundle.coordinator(), "replaces": before}
    return canonical.sha256(canonical.serialise(facts))


@alone
def accept_bundle(
    settings: NodeSettings,
    bundle: EnrolmentBundle,
    *,
    fingerprint: str | None,
    by: str,
    now: datetime,
    approvals: Sequence[Approval] = (),
) -> Accepted:
    """Accepts what the coordinator's operator sent.

    Args:
        settings: The node.
        bundle: As ``EnrolmentBundle.from_bytes`` gave it.
        fingerprint: The signing operator's public key, as that person read it aloud; it may be None for a
            further bundle of the same coordinator.
        by: Who accepts it, for the audit log.
        now: Aware time.
        approvals: Of two people, for another coordinator than before.

    Raises:
        RefusedError: ``bundle-for-another-node``, ``bundle-for-another-key``, ``bundle-superseded``,
            ``wrong-fingerprint`` or ``not-enough-approvals``.
        UsageError: ``fingerprint-missing``.
        ConfigurationError: ``bad-enrolment``, ``node-unwritable``, or from key files and the audit log.
    """
    _require_own(settings, bundle)
    another = _require_trusted(settings, bundle, fingerprint, approvals, now)
    logged = commit(
        settings,
        FILE,
        bundle.to_bytes(),
        key=own_keys.signing_key(settings),
        who=by,
        why="enrolment bundle accepted" if another is None else "another coordinator accepted",
        details={
            "address": bundle.address,
            "coordinator": bundle.coordinator(),
            "operator": bundle.signer,
            "roster_version": bundle.roster.roster.version,
        },
    )
    try:
        switched = own_keys.switch_transport_key(settings, bundle.transport)
    except OSError as error:
        raise unwritable(settings, error) from error
    return Accepted(bundle, switched, logged)


def _require_own(settings: NodeSettings, bundle: EnrolmentBundle) -> None:
    if bundle.node != settings.country:
        raise RefusedError(
            "bundle-for-another-node",
            f"the bundle is for {bundle.node}, and this is the node of {settings.country}",
            "ask the coordinator's operator for this node's own bundle",
        )
    held = bundle.roster.roster.keys().get(settings.country)
    waiting = own_keys.successor(settings.signing_key_path)
    paths = [path for path in (settings.signing_key_path, waiting) if path.exists()]
    if held not in {public_hex(load_key(path)) for path in paths}:
        raise RefusedError(
            "bundle-for-another-key",
            f"the bundle's roster holds another key for {settings.country} than this node has",
            "have the coordinator enrol this node's own request; if that was done, call its operator",
        )


def _require_trusted(
    settings: NodeSettings,
    bundle: EnrolmentBundle,
    fingerprint: str | None,
    approvals: Sequence[Approval],
    now: datetime,
) -> str | None:
    """What ``coordinator_acceptance`` gives, once those have agreed who must."""
    known = settings.enrolment() if (settings.home / FILE).exists() else None
    another = coordinator_acceptance(settings, bundle)
    if known is None or another is not None:
        _require_compared(bundle, fingerprint)
    if another is not None:
        require_approvals(
            approvals,
            subject="key-acceptance",
            subject_hash=another,
            approvers=settings.approvers(),
            needed=NEEDED_FOR_KEYS,
            now=now,
        )
    elif known is not None and bundle.issued < known.issued:
        raise RefusedError(
            "bundle-superseded",
            f"the bundle was made on {bundle.issued:%Y-%m-%d}, before the one that is in use here",
            "accept the newest bundle only",
        )
    return another


def _require_compared(bundle: EnrolmentBundle, fingerprint: str | None) -> None:
    if fingerprint is None:
        raise UsageError(
            "fingerprint-missing",
            "nobody has compared the fingerprint of the coordinator's operator",
            "call the operator, let them read their fingerprint aloud, and give it with --fingerprint",
        )
    name = next(entry.name for entry in bundle.operators if entry.public == bundle.signer)
    require_fingerprint(fingerprint, bundle.signer, f"{name}, the operator who signed the bundle")


def _write(settings: NodeSettings, request: EnrolmentRequest, what: str) -> Written:
    path = settings.home / REQUESTS / f"{settings.country}-{what}.json"
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        durable.replace(path, request.to_bytes())
    except OSError as error:
        raise unwritable(settings, error) from error
    return Written(request, path)

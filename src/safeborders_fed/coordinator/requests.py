"""What a node's request asks of the coordinator, and whether it can be carried out.

Guarantees: a request is a renewal only under the signature of the enrolled key, and later than the one
before; a key belongs to one state for ever: a key of another state, or one that was given up, is refused.
"""

from __future__ import annotations

from typing import Literal

from safeborders_fed.coordinator.home import CoordinatorHome
from safeborders_fed.coordinator.members import Enrolled, members, rosters
from safeborders_fed.errors import RefusedError
from safeborders_fed.study.enrolment import EnrolmentRequest

Kind = Literal["new", "renewal", "lost-key", "again"]


def kind_of(home: CoordinatorHome, request: EnrolmentRequest, *, lost_key: bool = False) -> Kind:
    """What kind of request it is, and so whether people must have compared its fingerprint.

    Raises:
        RefusedError: ``already-enrolled``, ``not-enrolled-yet``, ``not-the-enrolled-key``,
            ``nothing-to-renew`` or ``request-superseded``.
    """
    member = members(home).get(request.country)
    if member is None or member.revoked is not None:
        if request.renews is not None or lost_key:
            raise RefusedError(
                "not-enrolled-yet",
                f"{request.country} is not enrolled, so it has no key to renew or lose",
                "have the node write a first request with `safeborders node request`",
            )
        return "new"
    same_keys = (request.public, request.transport) == (member.public, member.transport[0].public)
    if request.created == member.requested and same_keys:
        return "again"
    _require_later(request, member)
    if request.renews is not None and not lost_key:
        _require_renewal(request, member, same_keys=same_keys)
        return "renewal"
    if lost_key and request.public != member.public:
        return "lost-key"
    raise RefusedError(
        "already-enrolled",
        f"{request.country} is enrolled already, with key {member.public[:12]}...",
        "if it renews its keys, have the node run `safeborders node renew`; if it has lost its signing key, "
        "and a person there says so, add --lost-key",
    )


def require_unused(home: CoordinatorHome, request: EnrolmentRequest) -> None:
    """Requires that no key of the request is or was another's, or was given up.

    Raises:
        RefusedError: ``key-enrolled-elsewhere`` or ``key-retired``.
    """
    for member in members(home).values():
        transport = {key.public for key in member.transport}
        used = request.public == member.public or request.transport in transport
        if used and member.country != request.country:
            raise RefusedError(
                "key-enrolled-elsewhere",
                f"the request of {request.country} holds a key that is enrolled for {member.country}",
                "find out who copied a key file; each node makes its own with `safeborders node init`",
            )
    chain = rosters(home)
    now = chain[-1].roster.keys() if chain else {}
    before = {key for signed in chain for key in signed.roster.keys().values()}
    if request.public in before and now.get(request.country) != request.public:
        raise RefusedError(
            "key-retired",
            f"the signing key of {request.country} was in an earlier roster and was given up",
            "have the node make a new key with `safeborders node renew`",
        )


def _require_later(request: EnrolmentRequest, member: Enrolled) -> None:
    if request.created <= member.requested:
        raise RefusedError(
            "request-superseded",
            f"a request of {request.country} made on {member.requested:%Y-%m-%d %H:%M} UTC was carried out "
            "already, and this one is older",
            "have the node write a new one",
        )


def _require_renewal(request: EnrolmentRequest, member: Enrolled, *, same_keys: bool) -> None:
    if request.renews is None or request.renews.previous != member.public:
        raise RefusedError(
            "not-the-enrolled-key",
            f"the request of {request.country} is signed by another key than the one that is enrolled",
            "have the node renew with the key that is enrolled, or add --lost-key if that is lost",
        )
    if same_keys:
        raise RefusedError(
            "nothing-to-renew",
            f"the request of {request.country} holds the keys that are enrolled already",
            "have the node run `safeborders node renew`, which makes new ones",
        )

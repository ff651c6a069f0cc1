"""Which signatures of a node's own people count for a hit.

Guarantees: a signature counts if its person is enrolled here as prosecutor now, and has a key that this
node gave to all others at the start of the epoch: the other state must be able to check it. So many people as
``[links] approvals_needed`` says must have signed the name of this hit.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from safeborders_fed.errors import RefusedError
from safeborders_fed.node.approvals import Approval, Approver, require_approvals

if TYPE_CHECKING:
    from safeborders_fed.links.office import Office
    from safeborders_fed.node.hit_book import HitRow


def people_of(office: Office, epoch: str) -> list[Approver]:
    """The people of this node whose signatures the other states can check in an epoch."""
    known = set(office.require_key_set(epoch).prosecutors(office.node).values())
    return [person for person in office.approvers if person.public in known]


def counted_here(office: Office, row: HitRow) -> tuple[Approval, ...]:
    """The approvals of a hit by people of this node, when they are enough.

    Raises:
        RefusedError: ``not-enough-approvals``.
    """
    return require_approvals(
        [Approval.from_bytes(data) for data in office.hits.approvals(row.id, "own")],
        subject="link-hit",
        subject_hash=row.id,
        approvers=people_of(office, row.epoch),
        needed=office.policy.approvals_needed,
        now=office.clock(),
    )


def require_signed(office: Office, row: HitRow, approval: Approval, subject_hash: str) -> None:
    """Requires that one person of this node has signed this.

    Raises:
        RefusedError: ``not-enough-approvals``, or ``not-a-prosecutor`` for who is enrolled here with a key
            that the other states do not hold.
    """
    people = people_of(office, row.epoch)
    enrolled = [person for person in office.approvers if person.public == approval.approver]
    if enrolled and not any(person.public == approval.approver for person in people):
        raise RefusedError(
            "not-a-prosecutor",
            f"{approval.name} is not among those whose keys the other states hold for {row.epoch}",
            "let somebody sign who was enrolled when the keys of the year were made",
        )
    require_approvals(
        [approval],
        subject="link-hit",
        subject_hash=subject_hash,
        approvers=people,
        needed=1,
        now=office.clock(),
    )


def require_prosecutor(approvers: Collection[Approver], name: str, public: str) -> None:
    """Requires that a person is enrolled here as prosecutor with this key, and that it is not revoked.

    Raises:
        RefusedError: ``not-a-prosecutor``.
    """
    wanted = (name, public, "prosecutor")
    if not any((known.name, known.public, known.role) == wanted and not known.revoked for known in approvers):
        raise RefusedError(
            "not-a-prosecutor",
            f"{name} is not enrolled here as a prosecutor with this key",
            "give the name and the key file that you were enrolled with",
        )

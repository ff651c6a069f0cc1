"""The people enrolled at a node: who may approve, who may audit, and who no longer may.

Guarantees: nobody and no key is enrolled twice; a key that was revoked stays in the list, counts no more and
never comes back; each change ends in the audit log.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Final

from pydantic import TypeAdapter, ValidationError

from safeborders_fed.errors import ConfigurationError, RefusedError, UsageError
from safeborders_fed.node import own_keys
from safeborders_fed.node.approvals import Approver, Revoked, Role, people
from safeborders_fed.node.changes import alone, commit
from safeborders_fed.study import canonical

if TYPE_CHECKING:
    from safeborders_fed.node.settings import NodeSettings

FILE: Final = "approvers.json"
FEWEST: Final = 2
_LIST: TypeAdapter[tuple[Approver, ...]] = TypeAdapter(tuple[Approver, ...])


@dataclass(frozen=True)
class Changed:
    """A change of the list.

    Attributes:
        person: Whom it is about.
        approvers: How many people can approve now.
        logged: Whether it is in the audit log already, and does not wait for the running service.
    """

    person: Approver
    approvers: int
    logged: bool

    @property
    def warning(self) -> str | None:
        """What to say when so few are left that the next absence stops the node."""
        if self.approvers > FEWEST:
            return None
        people = "1 person" if self.approvers == 1 else f"{self.approvers or 'no'} people"
        return (
            f"{people} can approve at this node, and {FEWEST} are needed for keys and studies: "
            "enrol another, so that one may be away"
        )


def approvers_to_bytes(approvers: Sequence[Approver]) -> bytes:
    """The canonical form of a node's approvers."""
    return canonical.serialise([approver.model_dump(mode="json") for approver in approvers])


def approvers_from_bytes(data: bytes) -> tuple[Approver, ...]:
    """What ``approvers_to_bytes`` wrote.

    Raises:
        PeerError: ``not-canonical``.
        ConfigurationError: ``bad-approvers``.
    """
    canonical.parse(data)
    try:
        return _LIST.validate_json(data)
    except ValidationError as error:
        raise ConfigurationError(
            "bad-approvers",
            "the node's list of approvers is malformed",
            "restore it from backup, or enrol the approvers again",
        ) from error


def enrolled(settings: NodeSettings) -> tuple[Approver, ...]:
    """Everybody in the list, revoked or not; nobody before the first.

    Raises:
        PeerError, ConfigurationError: from ``approvers_from_bytes``.
    """
    return settings.approvers() if (settings.home / FILE).exists() else ()


@alone
def add(
    settings: NodeSettings,
    *,
    name: str,
    role: Role,
    public: str,
    by: str,
    today: date,
) -> Changed:
    """Enrols a person with the key that they made.

    Raises:
        RefusedError: ``enrolled-already`` or ``key-revoked``.
        UsageError: ``bad-approver``.
        ConfigurationError: ``bad-approvers``, ``node-unwritable``, or from the audit log.
    """
    before = enrolled(settings)
    try:
        person = Approver(name=name, role=role, public=public, since=today)
    except ValidationError as error:
        mistake = error.errors()[0]
        raise UsageError(
            "bad-approver",
            f"{mistake['loc'][0]}: {mistake['msg']}",
            "give a name, and the 64 digits that `safeborders node approver create-key` printed",
        ) from error
    if not name.isprintable() or name != name.strip():
        raise UsageError("bad-approver", "a name is printable text", "give the name without other marks")
    if any(entry.public == public and entry.revoked for entry in before):
        raise RefusedError(
            "key-revoked", f"the key of {name} was revoked and never comes back", "make a new key"
        )
    active = [entry for entry in before if not entry.revoked]
    groups = people([*active, person])
    if any(groups[entry.public] == groups[public] for entry in active):
        raise RefusedError(
            "enrolled-already",
            f"{name} or this key is enrolled already",
            "revoke the earlier key first; two people never share a name here",
        )
    return _change(settings, (*before, person), person, by, f"{role} {name} enrolled")


@alone
def revoke(settings: NodeSettings, *, name: str, reason: str, by: str, today: date) -> Changed:
    """Revokes a person's key, from now on and for good.

    Raises:
        UsageError: ``reason-missing``.
        RefusedError: ``not-enrolled``.
        ConfigurationError: ``bad-approvers``, ``node-unwritable``, or from the audit log.
    """
    if not reason.strip() or not reason.isprintable() or len(reason) > 1000:
        raise UsageError(
            "reason-missing",
            "a key is revoked for a reason, in up to 1,000 characters that can be printed",
            "give it with --reason",
        )
    before = enrolled(settings)
    person = next((entry for entry in before if entry.name == name and not entry.revoked), None)
    if person is None:
        raise RefusedError(
            "not-enrolled",
            f"nobody called {name!r} is enrolled at this node, or the key is revoked already",
            "see `safeborders node approver list`",
        )
    gone = person.model_copy(update={"revoked": Revoked(on=today, reason=reason)})
    after = tuple(gone if entry is person else entry for entry in before)
    return _change(settings, after, gone, by, f"{person.role} {name} revoked: {reason}")


def can_approve(approvers: Sequence[Approver]) -> int:
    """How many different people's approvals count."""
    active = [entry for entry in approvers if not entry.revoked]
    groups = people(active)
    return len({groups[entry.public] for entry in active if entry.role == "approver"})


def _change(
    settings: NodeSettings, after: tuple[Approver, ...], person: Approver, by: str, why: str
) -> Changed:
    logged = commit(
        settings,
        FILE,
        approvers_to_bytes(after),
        key=own_keys.signing_key(settings),
        who=by,
        why=why,
        details={"role": person.role, "public": person.public},
    )
    return Changed(person, can_approve(after), logged)

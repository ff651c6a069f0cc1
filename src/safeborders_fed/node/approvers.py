"""The people enrolled at a node, as its directory keeps them."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import TypeAdapter, ValidationError

from safeborders_fed.errors import ConfigurationError
from safeborders_fed.node.approvals import Approver
from safeborders_fed.study import canonical

_LIST: TypeAdapter[tuple[Approver, ...]] = TypeAdapter(tuple[Approver, ...])


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

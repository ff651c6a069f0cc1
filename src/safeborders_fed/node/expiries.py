"""What ends some day at a node: for ``validity.warnings``, which ``doctor``, ``status`` and the log share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from safeborders_fed.study.validity import Expiry, roster_expiries

if TYPE_CHECKING:
    from safeborders_fed.node.settings import NodeSettings


def expiries(settings: NodeSettings) -> list[Expiry]:
    """The signing keys in the accepted roster, and the coordinator's authority.

    Raises:
        ConfigurationError: ``not-enrolled``, ``bad-enrolment`` or ``bad-accepted-keys``.
    """
    bundle, accepted = settings.enrolment(), settings.accepted_keys()
    authority = Expiry(
        "the coordinator's certificate authority",
        bundle.authority_until().date(),
        "ask the coordinator's operator for a new bundle, and accept it by two people",
    )
    return [authority, *(roster_expiries(accepted.roster) if accepted.roster else [])]

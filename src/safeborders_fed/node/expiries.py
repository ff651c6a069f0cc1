"""What ends some day at a node: for ``validity.warnings``, which ``doctor``, ``status`` and the log share.

Guarantees: the log says each warning once, at each threshold, however often it is asked.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from safeborders_fed.audit.chain import Operation
from safeborders_fed.audit.log import AuditLog
from safeborders_fed.study.validity import Expiry, Warned, roster_expiries, warnings

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


def log_warnings(settings: NodeSettings, log: AuditLog, today: date) -> list[Warned]:
    """Writes what ends soon to the audit log, and returns it. For the service: at its start, and daily.

    Raises:
        ConfigurationError: as ``expiries``, and from AuditLog.
    """
    found = warnings(expiries(settings), today)
    for warned in found:
        log.append_if_new(
            warned.key,
            Operation.EXPIRY,
            who="node",
            why=f"{warned.text}; {warned.expiry.fix}",
            details={"until": warned.expiry.until.isoformat(), "level": warned.level},
        )
    return found

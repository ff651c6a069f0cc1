"""What a node's own terms say to an import.

Guarantees: cases past their period are left out; each import is on record before it happens.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from safeborders_fed.audit import notices
from safeborders_fed.audit.chain import Operation
from safeborders_fed.audit.log import Event
from safeborders_fed.cases.withholding import Cutoffs
from safeborders_fed.node.journal import now
from safeborders_fed.study.key_files import load_key
from safeborders_fed.study.machine import user

if TYPE_CHECKING:
    from safeborders_fed.node.settings import NodeSettings


def current_cutoffs(settings: NodeSettings) -> Cutoffs | None:
    """Cases that are past their period today; None where node.toml names no period."""
    return None if settings.retention is None else settings.retention.cutoffs(now().date())


def record_import(settings: NodeSettings, name: str, mapping: str, *, restore: bool) -> None:
    """Puts on record that a national file is taken in, before it is; without any number of people.

    Args:
        settings: The node.
        name: The file's.
        mapping: Name of the mapping.
        restore: Whether erased victims may come back with it.

    Raises:
        ConfigurationError: As ``notices.record``: nothing is taken in then.
    """
    why = "erased victims whom the file holds come back" if restore else "a national file is taken in"
    event = Event(
        Operation.IMPORT, user(), why, {"file": name[:200], "mapping": mapping[:200], "restore": restore}
    )
    key = load_key(settings.signing_key_path)
    notices.record(settings.home, key, settings.country, event, settings.open_audit_log)

"""What a node's own terms say to an import.

Guarantees: cases past their period are left out; that erased victims are let in again is on record first.
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


def record_restoring(settings: NodeSettings, name: str) -> None:
    """Puts on record that erased victims may come back with a file. Raises as ``notices.record``."""
    why = "import with --restore: erased victims whom the file holds come back"
    event = Event(Operation.IMPORT, user(), why, {"file": name})
    key = load_key(settings.signing_key_path)
    notices.record(settings.home, key, settings.country, event, settings.open_audit_log)

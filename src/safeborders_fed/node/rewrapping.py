"""The same secrets in a new key file, under something else: ``safeborders node cases rewrap``.

Guarantees: the old file stays as it is, so nothing is lost whatever happens; the new file opens before this
returns; the audit log says what the keys were put under, before the file appears.
"""

from __future__ import annotations

from pathlib import Path

from safeborders_fed.audit import notices
from safeborders_fed.audit.chain import Operation
from safeborders_fed.audit.log import Event
from safeborders_fed.cases.keys import write_key_file
from safeborders_fed.cases.snapshots import sync_directory
from safeborders_fed.errors import DefectError
from safeborders_fed.node import key_source
from safeborders_fed.node.key_source import Wanted
from safeborders_fed.node.settings import NodeSettings, check_outside
from safeborders_fed.node.settings_text import protection_text, quoted
from safeborders_fed.study.key_files import load_key


def rewrap(settings: NodeSettings, out: Path, wanted: Wanted, *, by: str) -> str:
    """Writes the node's secrets to a new key file; the lines that ``node.toml`` is to hold.

    Args:
        settings: The node.
        out: The new file, outside the node's directory.
        wanted: What it is to be under.
        by: Who does it.

    Raises:
        ConfigurationError: ``key-file-inside-home``, ``key-file-exists``, ``key-file-unwritable``; as
            ``NodeSettings.store_keys``, ``key_source.content`` and ``notices.leave``.
        UsageError: as ``key_source.content``; ``bad-audit-entry``.
    """
    out = Path(out).absolute()
    check_outside(out, settings.home)
    keys = settings.store_keys()
    content = key_source.content(keys, wanted)
    details = {"from": settings.key_protection.value, "to": wanted.protection.value, "key_file": out.name}
    event = Event(Operation.REKEY, by, "the keys of the store are written to a new key file", details)
    notices.leave(settings.home, load_key(settings.signing_key_path), settings.country, event)
    write_key_file(out, content)
    sync_directory(out.parent)
    changed = settings.model_copy(
        update={
            "key_file": out,
            "key_protection": wanted.protection,
            "key_passphrase_file": wanted.passphrase_file,
        }
    )
    if wanted.passphrase_file is not None and key_source.load(changed, out) != keys:
        raise DefectError("rewrap-differs", f"{out} holds other keys", "report this; keep the old key file")
    notices.log_now(settings.open_audit_log)
    return f"key_file = {quoted(out)}\n{protection_text(wanted.protection, wanted.passphrase_file)}"
